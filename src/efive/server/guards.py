"""What happens to every request, whichever door it takes: an id, a limit on its size, an end with its client."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from efive.server.service import Limits

log = logging.getLogger("efive.access")
_SLASHES = re.compile("//+")
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


def stack(limits: Limits, mounts: Collection[str]) -> list[Middleware]:
    """Return the middleware for doors mounted at `mounts`, outermost first."""
    return [
        Middleware(RequestLog),
        Middleware(Paths, mounts),
        Middleware(SizeLimit, limits.body),
        Middleware(Disconnects),
    ]


class RequestLog:
    """Gives every request an id, and writes a line about it: no texts, no keys, no addresses with either."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id_ = given if _ID.fullmatch(given) else secrets.token_hex(8)
        begun, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = id_
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            fields = {
                "request": id_,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(1000 * (time.perf_counter() - begun), 2),
            }
            log.info("request", extra=fields)


class Paths:
    """Takes addresses as clients write them: a mount without its slash, two slashes for one. Nobody is redirected."""

    def __init__(self, app: ASGIApp, mounts: Collection[str]) -> None:
        self._app = app
        self._mounts = frozenset(mounts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            path = _SLASHES.sub("/", scope["path"])
            scope = {**scope, "path": f"{path}/" if path in self._mounts else path}
        await self._app(scope, receive, send)


class SizeLimit:
    """Refuses bodies that are too large, whether they say so or not."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if not said.isdigit() or int(said) > self._most:
            await self._refuse(send)
            return
        size = 0

        async def receiving() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._most:
                raise _TooLargeError
            return message

        try:
            await self._app(scope, receiving, send)
        except _TooLargeError:
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        text = f'{{"error":"the body has more than {self._most} bytes, the most this server takes; send less at once"}}'
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})


class _TooLargeError(Exception):
    """A body went on beyond the limit."""


class Disconnects:
    """Cancels the work of a request whose client has gone away, so that nothing is computed for nobody."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body_read = asyncio.Event()

        async def receiving() -> Message:
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                body_read.set()
            return message

        work = asyncio.ensure_future(self._app(scope, receiving, send))
        watch = asyncio.ensure_future(_gone(body_read, receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            await work
        except asyncio.CancelledError:
            if not watch.done() or watch.cancelled():
                work.cancel()
                raise
        finally:
            watch.cancel()


async def _gone(body_read: asyncio.Event, receive: Receive) -> None:
    """Return when the client is gone."""
    await body_read.wait()
    while (await receive())["type"] != "http.disconnect":
        pass
