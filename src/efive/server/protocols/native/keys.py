"""API keys."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from efive.errors import InputError
from efive.server.access import Key, Scope
from efive.server.http import answer, parse, service_of
from efive.server.openapi import Operation

Rate = Annotated[int, Meta(ge=1, le=10**12)]


class Create(msgspec.Struct, forbid_unknown_fields=True):
    """A key to make."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: Annotated[list[Scope], Meta(min_length=1)]
    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None


class Shown(msgspec.Struct):
    """What there is to see of a key."""

    id: str
    name: str
    scopes: list[Scope]
    created: float
    """Seconds since 1970."""
    requests_per_minute: int | None
    tokens_per_minute: int | None
    key: str | None = None
    """The key itself: only in the answer that makes it."""


class Listed(msgspec.Struct):
    """All keys."""

    keys: list[Shown]


def _shown(key: Key, secret: str | None = None) -> Shown:
    rates = key.requests_per_minute, key.tokens_per_minute
    return Shown(key.id, key.name, list(key.scopes), key.created, *rates, secret)


async def list_keys(request: Request) -> Response:
    """List the keys, without what they are."""
    return answer(Listed([_shown(key) for key in service_of(request).access.all()]))


async def create_key(request: Request) -> Response:
    """Make a key; this answer is the only one that has it. From the first key on, every request needs one."""
    body = await parse(request, Create)
    access = service_of(request).access
    if not access.required and Scope.MANAGE not in body.scopes:
        raise InputError("the first key must have the scope manage: without it nobody could make another one")
    key, secret = access.create(
        body.name,
        body.scopes,
        requests_per_minute=body.requests_per_minute,
        tokens_per_minute=body.tokens_per_minute,
    )
    return answer(_shown(key, secret), 201)


async def revoke_key(request: Request) -> Response:
    """Revoke a key at once."""
    id_ = request.path_params["id"]
    if not service_of(request).access.revoke(id_):
        raise InputError(f"there is no key {id_!r}")
    return Response(status_code=204)


OPERATIONS = (
    Operation("GET", "/keys", list_keys, Scope.MANAGE, None, Listed),
    Operation("POST", "/keys", create_key, Scope.MANAGE, Create, Shown, 201),
    Operation("DELETE", "/keys/{id}", revoke_key, Scope.MANAGE, None, None, 204),
)
