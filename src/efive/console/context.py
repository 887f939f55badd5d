"""What pages are about: the service of the server that they are mounted in."""

import contextlib
from collections.abc import Iterator

from efive.server.service import Service

_services: list[Service] = []


@contextlib.contextmanager
def serving(service: Service) -> Iterator[None]:
    """Let pages be about this service within the block."""
    _services.append(service)
    try:
        yield
    finally:
        _services.remove(service)


def service() -> Service:
    """Return the server's service."""
    return _services[-1]
