"""Texts to vectors, and their likeness."""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from efive.errors import InputError
from efive.inputs import Overflow, Role
from efive.server.access import Scope
from efive.server.http import answer, caller_of, embed_headers, parse, service_of
from efive.server.openapi import Operation
from efive.server.service import EmbedRequest, EmbedResult

_PAIRS = 1_000_000


class Embed(msgspec.Struct, forbid_unknown_fields=True):
    """Texts to embed."""

    texts: Annotated[list[str], Meta(min_length=1)]
    role: Role
    """What the texts are for. There is no default: forgetting it costs quality and nobody notices."""
    model: str | None = None
    """A deployment; None is the server's first, always the same one."""
    overflow: Overflow = Overflow.END
    """What to do with texts that are too long."""
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    """Keep so many components; only models that were trained for it keep their quality."""


class Usage(msgspec.Struct):
    """What became of one text."""

    tokens_seen: int
    tokens_used: int
    truncated: bool


class Span(msgspec.Struct):
    """What one vector stands for."""

    input: int
    start: int
    end: int


class Embedded(msgspec.Struct):
    """Vectors, and what they are."""

    model: str
    role: Role
    space: str
    dimension: int
    vectors: list[list[float]]
    """One per text; with overflow `chunk`, one per window."""
    usage: list[Usage]
    """One per text."""
    spans: list[Span]
    """One per vector."""


class Compare(msgspec.Struct, forbid_unknown_fields=True):
    """Texts to compare."""

    texts: Annotated[list[str], Meta(min_length=1)]
    others: list[str] | None = None
    """None compares the texts with each other."""
    role: Role = Role.QUERY
    others_role: Role | None = None
    """None is the same as `role`."""
    model: str | None = None


class Compared(msgspec.Struct):
    """Cosines."""

    model: str
    space: str
    cosines: list[list[float]]
    """One row per text."""


async def embed(request: Request) -> Response:
    """Embed texts."""
    body = await parse(request, Embed)
    result = await _embed(request, body)
    rows, dimension = result.vectors.shape
    return answer(
        {
            "model": result.model,
            "role": str(result.role),
            "space": result.space.fingerprint,
            "dimension": dimension,
            "vectors": result.vectors,
            "usage": result.usage,
            "spans": result.spans[:rows],
        },
        headers=embed_headers(result),
    )


async def similarity(request: Request) -> Response:
    """Compare texts with each other, or with others."""
    body = await parse(request, Compare)
    others = body.others if body.others is not None else body.texts
    if not others:
        raise InputError("others is empty; leave it out to compare the texts with each other")
    if len(body.texts) * len(others) > _PAIRS:
        raise InputError(f"{len(body.texts)} x {len(others)} pairs; one request may have {_PAIRS}")
    left = await _embed(request, Embed(body.texts, body.role, body.model))
    right = left
    if body.others is not None or body.others_role is not None:
        right = await _embed(request, Embed(others, body.others_role or body.role, left.model))
    cosines = np.ascontiguousarray(left.vectors @ right.vectors.T)
    return answer({"model": left.model, "space": left.space.fingerprint, "cosines": cosines})


async def _embed(request: Request, body: Embed) -> EmbedResult:
    service = service_of(request)
    return await service.embed(
        EmbedRequest(
            model=body.model or service.default().name,
            inputs=body.texts,
            role=body.role,
            overflow=body.overflow,
            dimensions=body.dimensions,
            caller=caller_of(request),
        )
    )


OPERATIONS = (
    Operation("POST", "/embed", embed, Scope.EMBED, Embed, Embedded),
    Operation("POST", "/similarity", similarity, Scope.EMBED, Compare, Compared),
)
