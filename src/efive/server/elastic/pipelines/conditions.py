"""A processor's `if`: the part of painless that looks at a document and nothing else.

Fields (`ctx.a?.b`, `ctx['a']`, `ctx.list[0]`), literals, comparisons, `&&`, `||`, `!`, brackets, `instanceof` and the
methods of `_METHODS`. No assignments, no loops, no calls of anything else: a condition can neither change a document
nor run for long.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError

from efive.server.elastic.errors import ElasticError, illegal, unsupported
from efive.server.elastic.pipelines.document import java_type

Context = dict[str, Any]
Term = Callable[[Context], Any]

_GRAMMAR = r"""
start: either ";"?
?either: both ("||" both)*
?both: comparison ("&&" comparison)*
?comparison: unary
    | unary COMPARISON unary -> compare
    | unary "instanceof" NAME -> is_a
?unary: "!" unary -> negate
    | "-" NUMBER -> minus
    | access
?access: "(" either ")"
    | "ctx" -> ctx
    | "null" -> null
    | "true" -> true
    | "false" -> false
    | NUMBER -> number
    | STRING -> string
    | access "." NAME -> field
    | access "?." NAME -> safe_field
    | access "[" either "]" -> item
    | access "." NAME "(" [either ("," either)*] ")" -> call
    | access "?." NAME "(" [either ("," either)*] ")" -> safe_call
COMPARISON: "===" | "!==" | "==" | "!=" | "<=" | ">=" | "<" | ">"
NAME: /[A-Za-z_]\w*/
NUMBER: /\d+(\.\d+)?/
STRING: /'(\\.|[^'\\])*'/ | /"(\\.|[^"\\])*"/
%ignore /\s+/
"""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "String": str, "List": list, "ArrayList": list, "Map": dict, "HashMap": dict, "Boolean": bool,
    "Number": (int, float), "Integer": int, "Long": int, "Double": float,
}  # fmt: skip
_METHODS: dict[str, tuple[type | tuple[type, ...], int, Callable[..., Any]]] = {
    "containsKey": (dict, 1, lambda value, key: key in value),
    "contains": ((str, list), 1, lambda value, part: part in value),
    "startsWith": (str, 1, str.startswith),
    "endsWith": (str, 1, str.endswith),
    "equals": ((str, int, float, list, dict), 1, lambda value, other: _equal(value, other)),  # noqa: PLW0108 - further down
    "equalsIgnoreCase": (str, 1, lambda value, other: isinstance(other, str) and value.lower() == other.lower()),
    "isEmpty": ((str, list, dict), 0, lambda value: not value),
    "length": (str, 0, len),
    "size": ((list, dict), 0, len),
    "trim": (str, 0, str.strip),
    "toLowerCase": (str, 0, str.lower),
    "toUpperCase": (str, 0, str.upper),
}


class Condition:
    """An `if` that can be asked."""

    def __init__(self, given: str) -> None:
        """Read it.

        Raises:
            ElasticError: if it has more in it than is known here.
        """
        self.text = given
        try:
            self._term: Term = _Terms().transform(_parser().parse(given))
        except (LarkError, RecursionError) as error:
            cause = getattr(error, "orig_exc", None)
            if isinstance(cause, ElasticError):
                raise cause from None
            raise unsupported(
                f"the condition [{given}]: of painless only comparisons of fields (`ctx.a?.b == 'c'`), `&&`, `||`, "
                "`!`, `instanceof` and methods such as `contains` are known; anything else"
            ) from None

    def holds(self, context: Context) -> bool:
        """Say whether a document is as the condition wants it.

        Raises:
            ElasticError: if it cannot be said, such as of a field of null.
        """
        return _true(self._term(context))


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


@v_args(inline=True)
class _Terms(Transformer[Token, Term]):
    def start(self, term: Term) -> Term:
        return term

    def either(self, *terms: Term) -> Term:
        return lambda context: any(_true(term(context)) for term in terms)

    def both(self, *terms: Term) -> Term:
        return lambda context: all(_true(term(context)) for term in terms)

    def negate(self, term: Term) -> Term:
        return lambda context: not _true(term(context))

    def compare(self, left: Term, sign: Token, right: Term) -> Term:
        return lambda context: _compared(left(context), str(sign), right(context))

    def is_a(self, term: Term, name: Token) -> Term:
        if str(name) not in _TYPES:
            raise unsupported(f"instanceof [{name}]")
        wanted = _TYPES[str(name)]

        def holds(context: Context) -> bool:
            value = term(context)
            return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))

        return holds

    def ctx(self) -> Term:
        return lambda context: context

    def null(self) -> Term:
        return lambda _context: None

    def true(self) -> Term:
        return lambda _context: True

    def false(self) -> Term:
        return lambda _context: False

    def number(self, token: Token) -> Term:
        value = float(token) if "." in token else int(token)
        return lambda _context: value

    def minus(self, token: Token) -> Term:
        value = -float(token) if "." in token else -int(token)
        return lambda _context: value

    def string(self, token: Token) -> Term:
        value = _unescaped(token[1:-1])
        return lambda _context: value

    def field(self, of: Term, name: Token) -> Term:
        return lambda context: _part(of(context), str(name))

    def safe_field(self, of: Term, name: Token) -> Term:
        return lambda context: None if (value := of(context)) is None else _part(value, str(name))

    def item(self, of: Term, name: Term) -> Term:
        return lambda context: _part(of(context), name(context))

    def call(self, of: Term, name: Token, *arguments: Term) -> Term:
        invoked = _invoked(str(name), arguments)
        return lambda context: invoked(of(context), context)

    def safe_call(self, of: Term, name: Token, *arguments: Term) -> Term:
        invoked = _invoked(str(name), arguments)
        return lambda context: None if (value := of(context)) is None else invoked(value, context)


def _invoked(name: str, arguments: tuple[Term, ...]) -> Callable[[Any, Context], Any]:
    """Return what calls a method of a value."""
    found = _METHODS.get(name)
    if found is None or found[1] != len(arguments):
        raise unsupported(f"the method [{name}/{len(arguments)}] in a condition")
    kind, _, method = found

    def run(value: Any, context: Context) -> Any:  # noqa: ANN401
        if not isinstance(value, kind):
            raise illegal(f"cannot invoke [{name}] on [{java_type(value)}]")
        given = [argument(context) for argument in arguments]
        if isinstance(value, str) and not all(isinstance(each, str) for each in given):
            raise illegal(f"cannot invoke [{name}] on [java.lang.String] with [{java_type(given[0])}]")
        return method(value, *given)

    return run


def _part(value: Any, name: Any) -> Any:  # noqa: ANN401 - JSON
    if value is None:
        raise illegal(f"cannot access [{name}] from a null def reference")
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list) and isinstance(name, int) and -len(value) <= name < len(value):
        return value[name]
    raise illegal(f"cannot access [{name}] of [{java_type(value)}]")


def _true(value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, bool):
        raise illegal(f"cannot cast [{java_type(value)}] to [boolean]")
    return value


def _equal(left: Any, right: Any) -> bool:  # noqa: ANN401
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _compared(left: Any, sign: str, right: Any) -> bool:  # noqa: ANN401
    if sign in {"==", "==="}:
        return _equal(left, right)
    if sign in {"!=", "!=="}:
        return not _equal(left, right)
    numbers = (int, float)
    if (
        not (isinstance(left, numbers) and isinstance(right, numbers))
        or isinstance(left, bool)
        or isinstance(right, bool)
    ):
        raise illegal(f"cannot apply [{sign}] to [{java_type(left)}] and [{java_type(right)}]")
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]


def _unescaped(text: str) -> str:
    parts = iter(text)
    return "".join(next(parts) if each == "\\" else each for each in parts)
