"""What happens to every request, whichever door it takes: an id, a limit on its size, an end with its client."""

import asyncio
import contextlib
import logging
import re
import secrets
import time
from collections.abc import Collection
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from efive.server.http import BodyTooLargeError
from efive.server.service import Limits

log = logging.getLogger("efive.access")
_SLASHES = re.compile("//+")
_LINGER = 5.0
"""Seconds in which a body is thrown away that was refused."""
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
            # Routes end at the end of a line. No name has one, so what it is read as does not matter.
            path = _SLASHES.sub("/", scope["path"]).replace("\n", "\ufffd")
            scope = {**scope, "path": f"{path}/" if path in self._mounts else path}
        await self._app(scope, receive, send)


class SizeLimit:
    """Refuses bodies that are too large, whether they say so or not: the door that reads one gets BodyTooLargeError."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size = 0 if self._fits(Headers(scope=scope).get("content-length", "0")) else self._most + 1

        async def receiving() -> Message:
            nonlocal size
            if size <= self._most:
                message = await receive()
                size += len(message.get("body", b""))
            if size > self._most:
                raise BodyTooLargeError(self._most)
            return message

        async def sending(message: Message) -> None:
            if size <= self._most:
                await send(message)
            elif message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
                await send(message)
            else:
                await send({**message, "more_body": True})
                await _drain(receive)
                await send({"type": "http.response.body", "body": b""})

        await self._app(scope, receiving, sending)

    def _fits(self, said: str) -> bool:
        return said.isdecimal() and len(said) < 20 and int(said) <= self._most


async def _drain(receive: Receive) -> None:
    """Let a client send on for a while behind its answer: most read one only when they have sent all."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            while (await receive()).get("more_body", False):
                pass


class Disconnects:
    """Cancels the work of a request whose client has gone away, so that nothing is computed for nobody.

    It looks from when the body has been read until the answer is sent: before, the server's own `receive` tells the
    work; afterwards there is nothing left to save, and what a door does behind its answer is its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = _Watch(receive, send)
        try:
            await self._app(scope, watch.receive, watch.send)
        except asyncio.CancelledError:
            if not watch.gone:
                raise
            watch.work.uncancel()
        except ClientDisconnect:  # in the middle of its body
            return
        finally:
            watch.end()


class _Watch:
    """Looks whether the client of one request is still there."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.gone = False
        self.work = _current_task()
        self._receive = receive
        self._send = send
        self._sent = False
        self._looking: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """Return the next part of the body."""
        message = await self._receive()
        complete = message["type"] == "http.request" and not message.get("more_body", False)
        if complete and self._looking is None:
            self._looking = asyncio.ensure_future(self._look())
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        self._sent = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    def end(self) -> None:
        """Look no longer."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._sent:
            self.gone = True
            self.work.cancel()


def _current_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None
    return task
