"""The console as a door of the server: loaded behind the server's start, behind a gate.

NiceGUI keeps its pages for the whole process, so there is one console in a process.
"""

import asyncio
import contextlib
import importlib
import logging
import pkgutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from efive.console import context, logs, sending
from efive.console.gate import SIGN_IN, Gate
from efive.console.sign_in import sign_in, sign_out
from efive.server.service import Service

log = logging.getLogger("efive.console")
PATH = "/console"
_LOOK = 0.05
"""Seconds between looks whether the server has started its models."""


def door() -> Starlette:
    """Return the application to mount at `/console`; it has the server's service once the server has started."""
    pages = _Pages()
    routes = [
        Route(SIGN_IN, sign_in, methods=["GET", "POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
        Route("/send/{token}", sending.receive, methods=["PUT"]),
        Mount("/", pages),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Gate)])
    app.state.background = pages.running
    return app


class _Pages:
    """NiceGUI's application. It is loaded when the models are, or when somebody asks for it: that takes a second."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._loaded: asyncio.Future[ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a page."""
        assert self._loaded is not None, "the server has not been started"
        self._wanted.set()
        app = await asyncio.shield(self._loaded)
        await app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self, service: Service) -> AsyncIterator[None]:
        """Have the pages there until the server ends."""
        ended = asyncio.Event()
        self._loaded = asyncio.get_running_loop().create_future()
        work = asyncio.ensure_future(self._run(service, ended))
        try:
            with logs.MEMORY.attached():
                yield
        finally:
            ended.set()
            self._wanted.set()
            await work

    async def _run(self, service: Service, ended: asyncio.Event) -> None:
        """Load the pages, and end them in the task that has started them."""
        assert self._loaded is not None
        while service.waiting and not self._wanted.is_set():
            await asyncio.sleep(_LOOK)
        if ended.is_set():
            return
        try:
            app = await asyncio.to_thread(_load)
            async with context.serving(service), _running():
                self._loaded.set_result(app)
                await ended.wait()
        except BaseException as error:
            if self._loaded.done():
                raise
            log.exception("the console cannot be loaded: %s", type(error).__name__)
            self._loaded.set_exception(error)


def _running() -> AbstractAsyncContextManager[Any]:
    """Start and end NiceGUI by its own lifespan.

    The one that it gives to the application around it first looks at every object of the process, and whatever
    another thread was building at that moment fails: CPython refuses to finish a tuple that somebody else holds.
    """
    from nicegui import app  # noqa: PLC0415

    return app.router.lifespan_context(app)


def _load() -> Starlette:
    from fastapi import FastAPI  # noqa: PLC0415 - as late as this, see above
    from nicegui import ui  # noqa: PLC0415

    from efive.console import pages  # noqa: PLC0415

    for module in pkgutil.iter_modules(pages.__path__, f"{pages.__name__}."):
        importlib.import_module(module.name)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(app, title="efive", dark=None, language="en-US", show_welcome_message=False, reconnect_timeout=10)
    return app
