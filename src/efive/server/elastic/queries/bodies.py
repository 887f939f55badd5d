"""Objects of a request's body, read key by key, with Elasticsearch's words for what is wrong."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from efive.jsonlines import shown
from efive.server.elastic.errors import ElasticError, illegal, unparsable
from efive.server.elastic.queries.tree import Scalar

LARGEST = 3.4e38
"""Scores are of 32 bits."""


def misshapen(reason: str) -> ElasticError:
    """Return the error of an object with a field that it cannot have."""
    return ElasticError(400, "x_content_parse_exception", reason)


class Body:
    """One object; `done` refuses what nobody has taken from it."""

    def __init__(self, what: str, value: object) -> None:
        """Take the value of `[what]`.

        Raises:
            ElasticError: if it is no object.
        """
        if not isinstance(value, Mapping):
            raise unparsable(f"[{what}] must be an object, not {shown(value)}")
        self.what = what
        self._left = dict(value)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - JSON
        """Return a value of any shape."""
        return self._left.pop(name, default)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Take all that is left."""
        left, self._left = self._left, {}
        yield from left.items()

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a text."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(name, value)
        return value

    def needed(self, name: str) -> str:
        """Return a text that must be there."""
        value = self.text(name)
        if value is None:
            raise illegal(f"Required [{name}]: [{self.what}] needs it")
        return value

    def number(self, name: str) -> float | None:
        """Return a number, also one that is written as text."""
        value = self.take(name)
        try:
            number = None if value is None else float(value)
        except (TypeError, ValueError, OverflowError):
            raise self._wrong(name, value) from None
        if isinstance(value, bool) or (number is not None and not math.isfinite(number)):
            raise self._wrong(name, value)
        return number

    def whole(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number of 32 bits."""
        number = self.number(name)
        if number is None:
            return default
        if number != int(number) or abs(number) >= 2**31:
            raise self._wrong(name, number)
        return int(number)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self.take(name, default)
        if value in ("true", "false"):
            return bool(value == "true")
        if not isinstance(value, bool):
            raise illegal(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")
        return value

    def listed(self, name: str) -> list[Any]:
        """Return a list; a single value counts as a list of one."""
        value = self.take(name)
        return [] if value is None else value if isinstance(value, list) else [value]

    def common(self) -> dict[str, Any]:
        """Return what every query may have: `boost` and `_name`."""
        boost = self.number("boost")
        if boost is not None and boost < 0:
            raise illegal(f"negative [boost] are not allowed in [{self.what}], use a value between 0 and 1 to deboost")
        if boost is not None and boost > LARGEST:
            raise illegal(f"[boost] of [{self.what}] must be a number of 32 bits, not {boost:g}")
        return {"boost": 1.0 if boost is None else boost, "name": self.text("_name")}

    def _wrong(self, name: str, value: object) -> ElasticError:
        return misshapen(f"[{self.what}] failed to parse field [{name}]: {shown(value)} cannot be used")

    def done(self) -> None:
        """Refuse what is left."""
        for name in self._left:
            raise misshapen(f"[{self.what}] unknown field [{name}]")


def field_of(what: str, value: object, key: str) -> tuple[str, Body]:
    """Return the one field that a query names, and what it asks of it; a bare value stands for `{key: value}`.

    Raises:
        ElasticError: if it names none or several.
    """
    body = Body(what, value)
    loose = {name: body.take(name) for name in ("boost", "_name") if name in body}
    named = list(body.items())
    if not named:
        raise illegal(f"[{what}] requires a field")
    if len(named) > 1:
        raise unparsable(f"[{what}] query doesn't support multiple fields, found [{named[0][0]}] and [{named[1][0]}]")
    field, inner = named[0]
    if isinstance(inner, list):
        raise unparsable(f"[{what}] unknown token [START_ARRAY] after [{field}]")
    given = dict(inner) if isinstance(inner, Mapping) else {key: inner}
    return field, Body(what, loose | given)


def scalar(body: Body, key: str) -> Scalar:
    """Return a text, a number, true or false that must be there.

    Raises:
        ElasticError: if it is not.
    """
    value = body.take(key)
    if value is None:
        raise illegal(f"[{body.what}] requires {key} value: No text specified for text query")
    if not isinstance(value, str | int | float | bool):
        raise unparsable(f"[{body.what}] unknown token in [{key}]: a single value is needed")
    return value
