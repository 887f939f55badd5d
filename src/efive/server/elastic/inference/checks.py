"""Reads settings of a request one by one, and tells all that is wrong about them at once, in Elasticsearch's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from efive.server.elastic.errors import ElasticError, invalid

_NAMES = {int: "Integer", str: "String", bool: "Boolean", dict: "Map", list: "List"}
Value = TypeVar("Value")


@dataclass(slots=True)
class Checks:
    """Settings, of which those that were read are gone, and what was wrong about them."""

    scope: str
    """What they are called together."""
    left: dict[str, Any]
    faults: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, scope: str, settings: Mapping[str, Any]) -> "Checks":
        """Begin to read settings."""
        return cls(scope, dict(settings))

    def take(self, name: str, type_: type[Value]) -> Value | None:
        """Return a setting; None if it is not there or of another type."""
        value = self.left.pop(name, None)
        if value is None or (isinstance(value, type_) and not (type_ is int and isinstance(value, bool))):
            return value
        self.faults.append(
            f"field [{name}] is not of the expected type. "
            f"The value [{plain(value)}] cannot be converted to a [{_NAMES[type_]}]"
        )
        return None

    def text(self, name: str) -> str | None:
        """Return a setting that is text and not empty."""
        value = self.take(name, str)
        if value == "":
            self.faults.append(f"[{self.scope}] Invalid value empty string. [{name}] must be a non-empty string")
            return None
        return value

    def positive(
        self, name: str, *, required: bool = False, least: int | None = None, most: int | None = None
    ) -> int | None:
        """Return a setting that is a whole number above 0, from `least` to `most`."""
        before = len(self.faults)
        value = self.take(name, int)
        if value is None:
            if required and len(self.faults) == before:
                self.faults.append(f"[{self.scope}] does not contain the required setting [{name}]")
            return None
        if value <= 0:
            self.faults.append(f"[{self.scope}] Invalid value [{value}]. [{name}] must be a positive integer")
        elif least is not None and value < least:
            self._beyond(name, value, f"must be a greater than or equal to [{float(least)}]")
        elif most is not None and value > most:
            self._beyond(name, value, f"must be a less than or equal to [{float(most)}]")
        return value if len(self.faults) == before else None

    def _beyond(self, name: str, value: int, limit: str) -> None:
        self.faults.append(f"[{self.scope}] Invalid value [{float(value)}]. [{name}] {limit}")

    def end(self) -> None:
        """Raise what was wrong.

        Raises:
            ElasticError: naming every fault.
        """
        if self.faults:
            raise invalid(*self.faults)


def refused(reason: str, status: int = 400) -> ElasticError:
    """Return the error of a request that Elasticsearch's services refuse."""
    return ElasticError(status, "status_exception", reason)


def plain(value: object) -> str:
    """Return a value as messages show it: at most some 200 characters of it."""
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return shown if len(shown) <= 200 else f"{shown[:200]}…"
