"""Our own routes, at the server's root: all that efive can, with nothing in the way."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from efive.errors import EfiveError
from efive.server import openapi
from efive.server.http import BodyError, answer, retry_after
from efive.server.openapi import Problem
from efive.server.protocols.native import collections, deployments, embed, keys

OPERATIONS = (*embed.OPERATIONS, *deployments.OPERATIONS, *collections.OPERATIONS, *keys.OPERATIONS)


def routes() -> list[BaseRoute]:
    """Return the routes of the root."""
    return [
        *openapi.routes(OPERATIONS),
        Route("/openapi.json", described, methods=["GET"]),
        Route("/docs", page, methods=["GET"]),
        Route("/", page, methods=["GET"]),
    ]


async def described(request: Request) -> Response:  # noqa: ARG001 - starlette's signature
    """Return the OpenAPI document."""
    return answer(openapi.document(OPERATIONS))


async def page(request: Request) -> Response:  # noqa: ARG001 - starlette's signature
    """Return the same for people."""
    return HTMLResponse(openapi.page(openapi.document(OPERATIONS)))


def problem(request: Request, error: EfiveError, status: int) -> Response:  # noqa: ARG001
    """Write an error."""
    where = error.where if isinstance(error, BodyError) else None
    body = Problem(str(error), error.code, getattr(error, "index", None), where)
    return answer(body, status, retry_after(error))
