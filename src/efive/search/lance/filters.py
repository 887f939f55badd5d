"""Conditions in the store's own language, SQL of DataFusion. Pure."""

from collections.abc import Collection, Iterable
from typing import assert_never

from efive.search.conditions import And, Compare, Condition, Exists, Has, In, Not, Or, Scalar, StartsWith
from efive.search.lance.columns import column_of, kind_of

_FALSE = "false"
_SEPARATOR = "\x1e"  # between the texts of a list; no text of metadata is expected to hold it


def sql(condition: Condition, columns: Collection[str]) -> str:
    """Return an expression that is true for the rows that `condition` holds for, and never null.

    Args:
        condition: what is asked for.
        columns: the columns that the table has; a field that has none is missing everywhere.
    """
    match condition:
        case And(parts):
            return _joined(" AND ", parts, columns)
        case Or(parts):
            return _joined(" OR ", parts, columns)
        case Not(part):
            return f"(NOT {sql(part, columns)})"
        case Exists(field):
            return _any(
                f"{_name(kind, field)} IS NOT NULL"
                for kind in ("text", "number", "truth", "texts")
                if column_of(kind, field) in columns
            )
        case Compare(field, "!=", value):
            return f"(NOT {sql(Compare(field, '=', value), columns)})"
        case _:
            return _any(f"coalesce({test}, false)" for test in _tests(condition, columns))


def among(column: str, values: Collection[str]) -> str:
    """Return an expression that is true for the rows whose `column` is one of `values`."""
    return f"{column} IN ({', '.join(map(literal, values))})" if values else _FALSE


def literal(value: Scalar) -> str:
    """Return a value as SQL writes it."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else repr(float(value))


def _tests(condition: Compare | In | Has | StartsWith, columns: Collection[str]) -> list[str]:
    """Return the tests, one of which has to hold: a field may have a column for single values and one for lists."""
    field = condition.field
    single = {kind: _name(kind, field) for kind in ("text", "number", "truth") if column_of(kind, field) in columns}
    texts = _name("texts", field) if column_of("texts", field) in columns else None
    match condition:
        case Has(_, value):
            return [f"array_has({texts}, {literal(value)})"] if texts and isinstance(value, str) else []
        case In(_, values):
            return [test for value in values for test in _equal(value, single, texts)]
        case StartsWith(_, prefix):
            return _starts(prefix, single.get("text"), texts)
        case Compare(_, "=", value):
            return _equal(value, single, texts)
        case Compare(_, sign, value):
            kind = kind_of(value)
            found = [f"{single[kind]} {sign} {literal(value)}"] if kind in single else []
            if texts and kind == "text":
                found.append(f"array_{'min' if '<' in sign else 'max'}({texts}) {sign} {literal(value)}")
            return found
        case _:
            assert_never(condition)


def _equal(value: Scalar, single: dict[str, str], texts: str | None) -> list[str]:
    kind = kind_of(value)
    found = [f"{single[kind]} = {literal(value)}"] if kind in single else []
    return [*found, f"array_has({texts}, {literal(value)})"] if texts and kind == "text" else found


def _starts(prefix: str, text: str | None, texts: str | None) -> list[str]:
    found = [f"starts_with({text}, {literal(prefix)})"] if text else []
    if texts:
        joined = f"concat({literal(_SEPARATOR)}, array_to_string({texts}, {literal(_SEPARATOR)}))"
        found.append(f"(array_length({texts}) > 0 AND strpos({joined}, {literal(_SEPARATOR + prefix)}) > 0)")
    return found


def _joined(word: str, parts: Collection[Condition], columns: Collection[str]) -> str:
    return "(" + word.join(sql(part, columns) for part in parts) + ")"


def _any(tests: Iterable[str]) -> str:
    found = list(tests)
    return "(" + " OR ".join(found) + ")" if found else _FALSE


def _name(kind: str, field: str) -> str:
    return f"`{column_of(kind, field)}`"
