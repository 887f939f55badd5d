"""What pages are about: the service of the server that they are mounted in, and what the console keeps beside it."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from efive.server.service import Service


class Kept(Protocol):
    """Something of the console's own that lives as long as the server, such as work that goes on without its page."""

    async def close(self) -> None:
        """End it with the server."""


_Thing = TypeVar("_Thing", bound=Kept)


@dataclass(slots=True)
class _Serving:
    service: Service
    since: float = field(default_factory=time.time)
    kept: dict[Hashable, Kept] = field(default_factory=dict)


_all: list[_Serving] = []


@contextlib.asynccontextmanager
async def serving(service: Service) -> AsyncIterator[None]:
    """Let pages be about this service within the block."""
    here = _Serving(service)
    _all.append(here)
    try:
        yield
    finally:
        for each in here.kept.values():
            await each.close()
        _all.remove(here)


def service() -> Service:
    """Return the server's service."""
    return _all[-1].service


def since() -> float:
    """Return when the console was there, in seconds since 1970."""
    return _all[-1].since


def kept(make: Callable[[Service], _Thing]) -> _Thing:
    """Return what `make` makes of the service: made when it is first asked for, and closed with the server."""
    here = _all[-1]
    if make not in here.kept:
        here.kept[make] = make(here.service)
    return cast("_Thing", here.kept[make])
