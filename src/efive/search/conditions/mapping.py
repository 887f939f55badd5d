"""Conditions written as JSON, in the form that Mongo made known and vector databases took over."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from efive.errors import InputError
from efive.jsonlines import shown
from efive.search.conditions.tree import MAX_DEPTH, And, Compare, Condition, Exists, In, Not, Operator, Or, Scalar

_Path = tuple[str, ...]
_COMPARISONS: dict[str, Operator] = {"$eq": "=", "$ne": "!=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_OPERATORS = (*_COMPARISONS, "$in", "$nin", "$exists", "$not")
_JOINTS = ("$and", "$or", "$not")


def from_mapping(mapping: Mapping[str, object]) -> Condition:
    """Return the condition that `mapping` writes as JSON.

    Args:
        mapping: Fields and what is asked of them: `{"lang": "de", "year": {"$gte": 2020, "$lt": 2024}}`, all of
            which must hold. Operators are $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists and $not; `$and` and
            `$or` take a list of such mappings, `$not` one. A bare value means $eq, so it finds lists that contain it;
            $ne, $nin and $not let documents without the field through.

    Raises:
        InputError: naming the place in the mapping that cannot be used.
    """
    return _mapping(mapping, ())


def _mapping(value: object, path: _Path) -> Condition:
    """Return what a mapping of fields and joints asks for."""
    items = _items(value, path)
    parts = [_entry(name, inner, (*path, name)) for name, inner in items]
    return _at(path, partial(_joined, And, parts))


def _entry(name: str, value: object, path: _Path) -> Condition:
    if name == "$not":
        return _at(path, partial(Not, _mapping(value, path)))
    if name in _JOINTS:
        kind: type[And | Or] = And if name == "$and" else Or
        parts = [_mapping(part, (*path[:-1], f"{name}[{n}]")) for n, part in enumerate(_list(value, path))]
        if not parts:
            raise _wrong(path, "needs at least one condition")
        return _at(path, partial(_joined, kind, parts))
    if name.startswith("$"):
        raise _wrong(path, f"is no operator between conditions; there are {', '.join(_JOINTS)}")
    return _field(name, value, path)


def _field(name: str, value: object, path: _Path) -> Condition:
    """Return what is asked of one field: a bare value, or operators that must all hold."""
    if not isinstance(value, Mapping):
        return _at(path, partial(Compare, name, "=", _scalar(value, path)))
    items = _items(value, path)
    parts = [_test(name, sign, asked, (*path, sign)) for sign, asked in items]
    return _at(path, partial(_joined, And, parts))


def _test(name: str, sign: str, value: object, path: _Path) -> Condition:
    if sign in _COMPARISONS:
        return _at(path, partial(Compare, name, _COMPARISONS[sign], _scalar(value, path)))
    if sign in {"$in", "$nin"}:
        values = tuple(_scalar(v, (*path[:-1], f"{sign}[{n}]")) for n, v in enumerate(_list(value, path)))
        found = _at(path, partial(In, name, values))
        return found if sign == "$in" else Not(found)
    if sign == "$exists":
        if not isinstance(value, bool):
            raise _wrong(path, f"is {shown(value)}; it takes true or false")
        found = _at(path, partial(Exists, name))
        return found if value else Not(found)
    if sign == "$not":
        return _at(path, partial(Not, _field(name, value, path)))
    way_out = "" if sign.startswith("$") else f'. A nested field is written "{name}.{sign}"'
    raise _wrong(path, f"is no operator; there are {', '.join(_OPERATORS)}{way_out}")


def _items(value: object, path: _Path) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        raise _wrong(path, f'is {shown(value)} where a mapping is needed, such as {{"lang": "de"}}')
    if not value:
        raise _wrong(path, "is empty" if path else "is empty; to search everything, leave it out")
    if len(path) >= MAX_DEPTH:
        raise _wrong(path[:3], f"is nested more than {MAX_DEPTH} levels deep")
    for name in value:
        if not isinstance(name, str):
            raise _wrong(path, f"has the key {shown(name)}, which is no text")
    return list(value.items())


def _list(value: object, path: _Path) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise _wrong(path, f"is {shown(value)} where a list is needed")
    return value


def _scalar(value: object, path: _Path) -> Scalar:
    if isinstance(value, list | tuple):
        raise _wrong(path, 'is a list; {"$in": […]} asks for one of several values')
    if value is None:
        raise _wrong(path, 'is null; {"$exists": false} asks for documents without the field')
    if not isinstance(value, str | bool | int | float):
        raise _wrong(path, f"is {shown(value)}; use text, a number, true or false")
    return value


def _joined(kind: type[And | Or], parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def _at(path: _Path, make: Callable[[], Condition]) -> Condition:
    """Return what `make` makes; what it refuses is refused naming the place."""
    try:
        return make()
    except InputError as error:
        raise _wrong(path, f"cannot be used: {error}") from None


def _wrong(path: _Path, what: str) -> InputError:
    return InputError(f"filter {'.'.join(path)} {what}" if path else f"the filter {what}")
