"""What a condition means: the evaluator in plain Python that every store is tested against."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from efive.search.conditions.tree import And, Compare, Condition, Exists, Has, In, Not, Or, Scalar, StartsWith
from efive.search.documents import flat

_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(condition: Condition, metadata: Mapping[str, object]) -> bool:
    """Return whether a document of this metadata meets the condition.

    Args:
        condition: What is asked for.
        metadata: Fields and values; what nested objects hold is named `outer.inner`.
    """
    return _true(condition, dict(flat(metadata)))


def _true(condition: Condition, fields: Mapping[str, object]) -> bool:
    match condition:
        case And(parts):
            return all(_true(part, fields) for part in parts)
        case Or(parts):
            return any(_true(part, fields) for part in parts)
        case Not(part):
            return not _true(part, fields)
        case Exists(field):
            return field in fields
        case _:
            return _test(condition, fields)


def _test(condition: Compare | In | Has | StartsWith, fields: Mapping[str, object]) -> bool:
    own = fields.get(condition.field)
    values = own if isinstance(own, list) else [] if own is None else [own]
    match condition:
        case Has(_, value):
            return isinstance(own, list) and any(_holds(v, "=", value) for v in values)
        case In(_, wanted):
            return any(_holds(v, "=", value) for v in values for value in wanted)
        case StartsWith(_, prefix):
            return any(isinstance(v, str) and v.startswith(prefix) for v in values)
        case Compare(_, "!=", value):
            return not any(_holds(v, "=", value) for v in values)
        case Compare(_, sign, value):
            return any(_holds(v, sign, value) for v in values)
        case _:
            assert_never(condition)


def _holds(own: object, sign: str, value: Scalar) -> bool:
    return _kind(own) == _kind(value) and _HOLDS[sign](own, value)


def _kind(value: object) -> type:
    """Return the type that a value compares as: bool is an int to Python, and a float is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float
    return type(value)
