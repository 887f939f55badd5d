"""Between HTTP and values: bodies in, answers out. Shared by all doors."""

import asyncio
import gzip
import logging
import math
import traceback
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, TypeVar

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from efive.errors import (
    CollectionBusyError,
    CollectionError,
    CollectionNotFoundError,
    DeadlineError,
    DeploymentError,
    EfiveError,
    ForbiddenError,
    InputError,
    ModelNotFoundError,
    NotReadyError,
    OverloadedError,
    RateLimitError,
    SpaceMismatchError,
    UnauthenticatedError,
)
from efive.server.access import Caller, Scope
from efive.server.service import EmbedResult, Service
from efive.vectors import Floats, to_base64

log = logging.getLogger("efive.server")

Body = TypeVar("Body")
Endpoint = Callable[[Request], Awaitable[Response]]


class BodyError(InputError):
    """A request's body is no JSON, or has not the shape that it must have; `where` is the field, as `$.inputs[2]`."""

    def __init__(self, message: str, where: str = "$") -> None:
        super().__init__(message)
        self.where = where


class BodyTooLargeError(EfiveError):
    """A body has more than `most` bytes."""

    code = "too_large"

    def __init__(self, most: int) -> None:
        super().__init__(f"the body has more than {most} bytes, the most this server takes; send less at once")


class SlowBodyError(InputError):
    """A body was not there in time."""


class NoRouteError(EfiveError):
    """Nothing answers under this method and path; `status` is 404 or 405."""

    code = "no_route"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


# Where a door's protocol does not say otherwise.
_STATUS: list[tuple[type[Exception], int]] = [
    (SlowBodyError, 408),
    (InputError, 400),
    (BodyTooLargeError, 413),
    (ModelNotFoundError, 404),
    (CollectionNotFoundError, 404),
    (UnauthenticatedError, 401),
    (ForbiddenError, 403),
    (RateLimitError, 429),
    (OverloadedError, 429),
    (NotReadyError, 503),
    (DeadlineError, 503),
    (CollectionBusyError, 409),
    (SpaceMismatchError, 409),
]
_AS_THINGS_ARE = (DeploymentError, CollectionError)
"""Themselves, not their kinds: the request cannot be met as things are, and would be after a change of them."""

_AT_ONCE = 1 << 17
"""Bytes of gzip that are unpacked on the event loop."""


def make_door(
    routes: Sequence[BaseRoute],
    problem: Callable[[Request, EfiveError, int], Response],
    **application: Any,  # noqa: ANN401 - starlette's own
) -> Starlette:
    """Return a door as an application to mount.

    Args:
        routes: what it answers; paths are taken as they are, never redirected.
        problem: writes an error in the protocol's shape, given the HTTP status that is usual for it. It also gets
            NoRouteError, and a bare EfiveError in place of what nobody expected, whose text no client may see.
        **application: options of Starlette.
    """

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            error = NoRouteError(f"{request.method} {request.url.path} is not here", error.status_code)
        if not isinstance(error, EfiveError):
            error = EfiveError("this server has met an error that it did not expect; its log says more")
        response = problem(request, error, status_of(error))
        if isinstance(error, SlowBodyError):  # the rest of it may still come
            response.headers["connection"] = "close"
        return response

    handlers = {EfiveError: handle, HTTPException: handle}
    middleware = [*application.pop("middleware", ()), Middleware(_Unexpected, handle)]
    app = Starlette(routes=routes, exception_handlers=handlers, middleware=middleware, **application)
    app.router.redirect_slashes = False
    return app


class _Unexpected:
    """Answers what nobody expected, and logs where it was: not its message, which may hold a text.

    Starlette's own handler raises again behind its answer, and uvicorn then closes the connection under the client's
    next request.
    """

    def __init__(self, app: ASGIApp, handle: Callable[[Request, Exception], Awaitable[Response]]) -> None:
        self._app = app
        self._handle = handle

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            raise
        except Exception as error:
            if begun:
                raise
            stack = "".join(traceback.format_tb(error.__traceback__))
            log.error("unexpected %s", type(error).__name__, extra={"stack": stack})
            response = await self._handle(Request(scope), error)
            await response(scope, receive, send)


def status_of(error: EfiveError) -> int:
    """Return the HTTP status that is usual for an error."""
    if isinstance(error, NoRouteError):
        return error.status
    known = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return 409 if known == 500 and type(error) in _AS_THINGS_ARE else known


def service_of(request: Request) -> Service:
    """Return the server's service."""
    service: Service = request.app.state.service
    return service


def guarded(scope: Scope, endpoint: Endpoint) -> Endpoint:
    """Let only those callers in whose key has `scope`; `caller_of` then says who it is."""

    async def admitted(request: Request) -> Response:
        request.state.caller = service_of(request).access.admit(request.headers, scope)
        return await endpoint(request)

    admitted.__name__ = getattr(endpoint, "__name__", "endpoint")
    return admitted


def caller_of(request: Request) -> Caller:
    """Return who sent a request that `guarded` let in."""
    caller: Caller = request.state.caller
    return caller


async def read(request: Request) -> bytes:
    """Return the body, unpacked if it is gzipped.

    Raises:
        InputError: if it cannot be unpacked.
        SlowBodyError: if it takes longer to come than an answer may.
        BodyTooLargeError: if it is larger than the server takes, as it comes or unpacked.
    """
    limits = service_of(request).limits
    try:
        async with asyncio.timeout(limits.seconds):
            body = await request.body()
    except TimeoutError:
        raise SlowBodyError(f"the body was not there within {limits.seconds:g} s; send less at once") from None
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise InputError(f"a body in {encoding} is not understood; send gzip or plain")
    if len(body) <= _AT_ONCE:
        return _unpacked(body, limits.body)
    return await asyncio.to_thread(_unpacked, body, limits.body)


def _unpacked(body: bytes, most: int) -> bytes:
    """Unpack gzip, all members of it."""
    try:
        with gzip.GzipFile(fileobj=BytesIO(body)) as file:
            unpacked = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"the body says that it is gzip and cannot be unpacked: {error}") from None
    if len(unpacked) > most:
        raise BodyTooLargeError(most)
    return unpacked


async def parse(request: Request, type_: type[Body]) -> Body:
    """Return the body, which must be JSON of the shape `type_`, whatever its content type says.

    Raises:
        BodyError: naming the field.
    """
    return decode(await read(request), type_)


def decode(body: bytes, type_: type[Body]) -> Body:
    """Return JSON of the shape `type_`.

    Raises:
        BodyError: naming the field.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=type_)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        raise BodyError(message, where.strip("`") or "$") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyError(f"the body is no JSON: {error}") from None


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:  # noqa: ANN401
    """Return JSON; numpy arrays are written straight from their memory."""
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=_plain)
    return Response(body, status, media_type="application/json", headers=headers)


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    raise TypeError(type(value).__name__)


def embed_headers(result: EmbedResult) -> dict[str, str]:
    """Return what a fixed body has no room for: role, space, what was cut, and where the time went (ms)."""
    timings = result.timings
    return {
        "x-efive-model": result.model,
        "x-efive-role": str(result.role),
        "x-efive-space": result.space.fingerprint,
        "x-efive-tokens": str(result.tokens),
        "x-efive-truncated": ",".join(map(str, result.truncated[:100])),
        "x-efive-cached": str(result.cached),
        "x-tokenization-time": _milliseconds(timings.tokenize),
        "x-queue-time": _milliseconds(timings.queue),
        "x-inference-time": _milliseconds(timings.compute),
        "x-total-time": _milliseconds(timings.total),
    }


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"


def openai_list(vectors: Floats, result: EmbedResult, model: str, *, packed: bool = False) -> dict[str, Any]:
    """Return vectors (rows, dimension) as OpenAI's list of embeddings, which several protocols have.

    Args:
        vectors: those of `result`, or shorter ones.
        result: whose tokens are counted.
        model: as the client called it.
        packed: whether each is base64 instead of numbers.
    """
    shown = [to_base64(vector) for vector in vectors] if packed else list(vectors)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(shown)],
        "model": model,
        "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
    }


async def metrics(request: Request) -> Response:
    """Return the server's metrics for Prometheus; no key is needed."""
    return Response(service_of(request).telemetry.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def retry_after(error: Exception) -> dict[str, str]:
    """Return the header that says when to try again, where the error knows."""
    wait = getattr(error, "retry_after", None)
    return {} if wait is None else {"retry-after": str(max(1, math.ceil(wait)))}
