"""The language of conditions: text to tree and back."""

import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeVar, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken, v_args

from efive.errors import InputError
from efive.search.conditions.mistakes import KEYWORDS, Mistake, explain
from efive.search.conditions.tree import (
    And,
    Compare,
    Condition,
    Exists,
    Has,
    In,
    Not,
    Operator,
    Or,
    Scalar,
    StartsWith,
    check_field,
    check_value,
)

MAX_LENGTH = 200_000

# A keyword is one only as a whole word: `order` and `in-stock` are names.
_GRAMMAR = r"""
?start: alternatives
?alternatives: conjunction (_OR conjunction)*
?conjunction: negation (_AND negation)*
?negation: _NOT negation -> negated
         | "(" alternatives ")"
         | test
?test: field EQUALITY value -> compare
     | field ORDER orderable -> compare
     | field PREFIX text -> starts_with
     | field _HAS value -> has
     | field _IN "[" values "]" -> within
     | field _NOT _IN "[" values "]" -> not_within
     | _EXISTS "(" field ")" -> exists
field: NAME | QUOTED_NAME
values: [value ("," value)*]
?value: orderable | TRUE -> true | FALSE -> false
?orderable: text | number
text: TEXT
number: NUMBER

_AND.2: /and(?![\w-]|\.[\w-])/i
_OR.2: /or(?![\w-]|\.[\w-])/i
_NOT.2: /not(?![\w-]|\.[\w-])/i
_IN.2: /in(?![\w-]|\.[\w-])/i
_HAS.2: /has(?![\w-]|\.[\w-])/i
_EXISTS.2: /exists(?![\w-]|\.[\w-])/i
TRUE.2: /true(?![\w-]|\.[\w-])/i
FALSE.2: /false(?![\w-]|\.[\w-])/i
NAME: /[^\W\d][\w-]*(\.[\w-]+)*/
QUOTED_NAME: /`(\\.|[^`\\])*`/s
TEXT: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
NUMBER: /[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?(?![\w.-])/i
EQUALITY: "=" | "==" | "!="
ORDER: "<" | "<=" | ">" | ">="
PREFIX: "^="
%ignore /\s+/
"""
_LONGEST_NUMBER = 400  # any float fits; Python refuses to read an int of thousands of digits
_T = TypeVar("_T", bound=Scalar)
_NAME = re.compile(r"[^\W\d][\w-]*(\.[\w-]+)*")
_ESCAPED = re.compile(r'\\.|"', re.DOTALL)
_AS_JSON = {"\\'": "'", "\\`": "`", '"': '\\"'}


def parse(text: str) -> Condition:
    """Return the condition that `text` writes.

    Raises:
        InputError: naming the column, what stands there and what is expected instead.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"the condition has {len(text)} characters; the limit is {MAX_LENGTH}")
    try:
        return cast("Condition", _parser().parse(text))  # the transformer builds it inside the parser
    except UnexpectedToken as error:
        place = len(text.rstrip()) if error.token.type == "$END" else error.token.start_pos or 0
        raise explain(text, place, _accepted(text[:place])) from None
    except UnexpectedCharacters as error:
        place = error.pos_in_stream or 0
        raise explain(text, place, _accepted(text[:place])) from None
    except Mistake as mistake:
        raise mistake.shown_in(text) from None


def _accepted(begun: str) -> Iterable[str]:
    """Return the terminals that may follow; where the parser broke, it had already closed what could go on."""
    parser = _parser().parse_interactive(begun)
    parser.exhaust_lexer()
    return cast("set[str]", parser.accepts())  # type: ignore[no-untyped-call]


def text(condition: Condition) -> str:
    """Return the condition as text; `parse` makes the same condition of it."""
    match condition:
        case Or(parts):
            return " or ".join(_within(part, Or) for part in parts)
        case And(parts):
            return " and ".join(_within(part, And, Or) for part in parts)
        case Not(In(field, values)):
            return f"{_name(field)} not in {_list(values)}"
        case Not(part):
            return f"not {_within(part, And, Or)}"
        case _:
            return _test(condition)


def _test(condition: Compare | In | Has | StartsWith | Exists) -> str:
    match condition:
        case Compare(field, operator, value):
            return f"{_name(field)} {operator} {_value(value)}"
        case In(field, values):
            return f"{_name(field)} in {_list(values)}"
        case Has(field, value):
            return f"{_name(field)} has {_value(value)}"
        case StartsWith(field, prefix):
            return f"{_name(field)} ^= {_value(prefix)}"
        case Exists(field):
            return f"exists({_name(field)})"


def _within(part: Condition, *looser: type) -> str:
    return f"({text(part)})" if isinstance(part, looser) else text(part)


def _name(field: str) -> str:
    if _NAME.fullmatch(field) and field.lower() not in KEYWORDS:
        return field
    return "`" + json.dumps(field, ensure_ascii=False)[1:-1].replace("`", "\\`") + "`"


def _list(values: tuple[Scalar, ...]) -> str:
    return f"[{', '.join(map(_value, values))}]"


def _value(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False)


@v_args(inline=True)
class _Tree(Transformer[Token, Condition]):
    """Builds the tree while the parser reads."""

    def alternatives(self, *parts: Condition) -> Condition:
        return Or(parts)

    def conjunction(self, *parts: Condition) -> Condition:
        return And(parts)

    def negated(self, part: Condition) -> Condition:
        return Not(part)

    def compare(self, field: str, sign: Token, value: Scalar) -> Condition:
        signs: dict[str, Operator] = {"=": "=", "==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
        return Compare(field, signs[sign], value)

    def starts_with(self, field: str, _sign: Token, prefix: str) -> Condition:
        return StartsWith(field, prefix)

    def has(self, field: str, value: Scalar) -> Condition:
        return Has(field, value)

    def within(self, field: str, values: tuple[Scalar, ...]) -> Condition:
        return In(field, values)

    def not_within(self, field: str, values: tuple[Scalar, ...]) -> Condition:
        return Not(In(field, values))

    def exists(self, field: str) -> Condition:
        return Exists(field)

    def values(self, *values: Scalar | None) -> tuple[Scalar, ...]:
        return tuple(value for value in values if value is not None)

    def true(self, _token: Token) -> bool:
        return True

    def false(self, _token: Token) -> bool:
        return False

    def field(self, token: Token) -> str:
        return _checked(token, check_field, _unquoted(token) if token.type == "QUOTED_NAME" else str(token))

    def text(self, token: Token) -> str:
        return _checked(token, check_value, _unquoted(token))

    def number(self, token: Token) -> Scalar:
        if len(token) > _LONGEST_NUMBER:
            raise Mistake(token, "a number has too many digits")
        value = float(token) if set(token) & set(".eE") else int(token)
        return _checked(token, check_value, value)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=_Tree())


def _checked(token: Token, check: Callable[[_T], None], value: _T) -> _T:
    """Return a value that the tree takes; what it refuses is refused naming the place."""
    try:
        check(value)
    except InputError as error:
        raise Mistake(token, str(error)) from None
    return value


def _unquoted(token: Token) -> str:
    r"""Return what stands in quotes: JSON's escapes, \' and \` too, and line breaks as they are."""
    body = _ESCAPED.sub(lambda found: _AS_JSON.get(found[0], found[0]), token[1:-1])
    try:
        return str(json.loads(f'"{body}"', strict=False))
    except json.JSONDecodeError:
        raise Mistake(token, r"an escape in these quotes is none of JSON's; a backslash is written \\") from None
