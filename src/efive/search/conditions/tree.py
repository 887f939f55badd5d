"""The tree of a condition. Whatever exists is valid and small, so who compiles it may recurse and need not check."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, get_args

from efive.errors import InputError
from efive.jsonlines import encodable, shown

Scalar = str | int | float | bool
Operator = Literal["=", "!=", "<", "<=", ">", ">="]

# Deeper ones overflow stacks, here and in databases; SQLite allows an expression 1000 levels, `or` being one each.
MAX_DEPTH = 50
MAX_TESTS = 500
MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class Compare:
    """One of the field's values stands so to `value`; for `!=`, none equals it."""

    field: str
    operator: Operator
    value: Scalar

    def __post_init__(self) -> None:
        check_field(self.field)
        check_value(self.value)
        if self.operator not in get_args(Operator):
            raise InputError(f"{self.operator!r} is no operator; there are {', '.join(get_args(Operator))}")
        if isinstance(self.value, bool) and self.operator not in {"=", "!="}:
            raise InputError(f"true and false have no order; compare {self.field!r} with = or !=")


@dataclass(frozen=True, slots=True)
class In:
    """One of the field's values is one of `values`, which may be none: then it is false."""

    field: str
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        check_field(self.field)
        if len(self.values) > MAX_VALUES:
            raise InputError(f"{self.field!r} is compared with {len(self.values)} values; the limit is {MAX_VALUES}")
        for value in self.values:
            check_value(value)


@dataclass(frozen=True, slots=True)
class Has:
    """The field is a list and contains `value`."""

    field: str
    value: Scalar

    def __post_init__(self) -> None:
        check_field(self.field)
        check_value(self.value)


@dataclass(frozen=True, slots=True)
class StartsWith:
    """One of the field's values is a text that begins with `prefix`."""

    field: str
    prefix: str

    def __post_init__(self) -> None:
        check_field(self.field)
        check_value(self.prefix)


@dataclass(frozen=True, slots=True)
class Exists:
    """The document has the field."""

    field: str

    def __post_init__(self) -> None:
        check_field(self.field)


@dataclass(frozen=True, slots=True)
class Not:
    """`part` is false."""

    part: "Condition"
    depth: int = field(init=False, compare=False, repr=False)
    tests: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _bound(self, (self.part,))


@dataclass(frozen=True, slots=True)
class And:
    """Every one of two or more `parts` is true."""

    parts: tuple["Condition", ...]
    depth: int = field(init=False, compare=False, repr=False)
    tests: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_parts(self.parts)
        _bound(self, self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of two or more `parts` is true."""

    parts: tuple["Condition", ...]
    depth: int = field(init=False, compare=False, repr=False)
    tests: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_parts(self.parts)
        _bound(self, self.parts)


Condition = And | Or | Not | Compare | In | Has | StartsWith | Exists


def check_field(name: str) -> None:
    """Refuse a name that no field of metadata can have."""
    if not name or any(c in name for c in "\n\r\t\0"):  # as documents.check_metadata
        raise InputError(f"{name!r} is no name for a field of metadata")
    encodable(name, "the name of a field")


def check_value(value: object) -> None:
    """Refuse a value that no field can be compared with."""
    if isinstance(value, str):
        encodable(value, "a text in a condition")
    elif not isinstance(value, bool | int | float):
        raise InputError(f"{shown(value)} is no value to compare with; use text, a number, true or false")
    elif isinstance(value, float) and not isfinite(value):
        raise InputError(f"{value} is no number to compare with")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InputError("a whole number to compare with does not fit into 64 bits; write it as text or with a point")


def _check_parts(parts: tuple[Condition, ...]) -> None:
    if len(parts) < 2:
        raise InputError(f"`and` and `or` join two or more conditions, not {len(parts)}")


def _bound(node: And | Or | Not, parts: tuple[Condition, ...]) -> None:
    inner = [(p.depth, p.tests) if isinstance(p, And | Or | Not) else (1, 1) for p in parts]
    depth = 1 + max(depth for depth, _ in inner)
    tests = sum(tests for _, tests in inner)
    if depth > MAX_DEPTH:
        raise InputError(
            f"the condition is nested more than {MAX_DEPTH} levels deep; take out needless `not`s and brackets"
        )
    if tests > MAX_TESTS:
        raise InputError(
            f"the condition has more than {MAX_TESTS} tests; many values of one field are one test: field in [value, …]"
        )
    object.__setattr__(node, "depth", depth)
    object.__setattr__(node, "tests", tests)
