"""The application: doors mounted side by side, one service behind them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import filelock
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from efive.deployments.deployment import Phase
from efive.deployments.manager import Deployments
from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.errors import DeploymentError, EfiveError
from efive.models.store import BUNDLED, ModelStore
from efive.server import guards
from efive.server.access import Access
from efive.server.collections import Collections
from efive.server.http import answer, make_door, metrics, service_of
from efive.server.protocols import elastic, native, openai, pinecone, sambastudio, tei
from efive.server.protocols.pinecone.inference import DOOR as PINECONE
from efive.server.protocols.sambastudio.inference import DOOR as SAMBASTUDIO
from efive.server.service import Limits, Service
from efive.server.telemetry import Telemetry

log = logging.getLogger("efive.server")


@dataclass(frozen=True)
class Options:
    """How a server is started."""

    home: Path
    """Its state, collections and models."""
    deployments: Sequence[Settings] = ()
    """To be started, beside those that the state remembers."""
    limits: Limits = field(default_factory=Limits)
    traces: str | None = None
    """Where OpenTelemetry's traces go: a collector's address for OTLP over HTTP. None makes none."""
    any_name: bool = False
    """Whether a server without keys answers under every name; see `Access`."""
    mounts: Mapping[str, Starlette] = field(default_factory=dict)
    """Doors of others by path; each gets the service as `state.service`, as the server's own do."""


def build(options: Options) -> Starlette:
    """Return the server as an ASGI application."""
    doors = {
        "/openai/v1": openai.door(),
        "/openai": openai.door(),
        "/tei": tei.door(),
        "/samba": sambastudio.door(),
        "/pinecone": pinecone.door(),
        "/es": elastic.door(),
        **options.mounts,
    }

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with running(options) as service, contextlib.AsyncExitStack() as stack:
            app.state.service = service
            for door in doors.values():
                door.state.service = service
                if background := getattr(door.state, "background", None):  # work of its own, such as jobs
                    await stack.enter_async_context(background(service))
            yield

    routes = [
        Route("/health/live", live, methods=["GET"]),
        Route("/health/ready", ready, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        *(Mount(path, door) for path, door in doors.items()),
        *native.routes(),
    ]
    middleware = guards.stack(options.limits, doors)
    if options.traces:
        from efive.server import tracing  # noqa: PLC0415 - an extra

        middleware.append(Middleware(tracing.Tracing, tracing.to_collector(options.traces)))
    return make_door(routes, native.problem, lifespan=lifespan, middleware=middleware)


@contextlib.asynccontextmanager
async def running(options: Options) -> AsyncIterator[Service]:
    """Restore the state, start the deployments, and end them all afterwards.

    Raises:
        DeploymentError: if another server has this home, or nothing can be written there.
    """
    with _alone(options.home):
        async with _started(options) as service:
            yield service


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep other servers out: what doors keep on the disk has one writer."""
    lock = filelock.FileLock(home / "server.lock", blocking=False)
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise DeploymentError(f"another server has {home}; set EFIVE_HOME to another folder for this one") from None
    except OSError as error:
        raise DeploymentError(
            f"{home} cannot be used as the server's home: {error.strerror}; set EFIVE_HOME to a folder that this user "
            "can write"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.asynccontextmanager
async def _started(options: Options) -> AsyncIterator[Service]:
    state = State(options.home / "server.sqlite")
    deployments = Deployments(ModelStore(options.home), state)
    collections = Collections(options.home / "collections", deployments)
    service = Service(
        deployments,
        Access(state, any_name=options.any_name),
        Telemetry(deployments),
        collections,
        state,
        options.home,
        options.limits,
    )
    service.telemetry.announce("native", openai.DOOR, tei.DOOR, SAMBASTUDIO, PINECONE)
    starting: asyncio.Future[None] | None = None
    try:
        names = dict.fromkeys(deployments.restore())
        for settings in options.deployments:
            deployments.create(settings)  # in place of what the state remembers of that name
            names[settings.name] = None
        if not names:
            deployments.create(Settings(name="e5", model=BUNDLED))
            names["e5"] = None
        if options.deployments:
            service.prefer(options.deployments[0].name)
        service.expected, service.waiting = frozenset(names), set(names)
        starting = asyncio.ensure_future(_start(service))
        yield service
    finally:
        if starting is not None:
            starting.cancel()
        await deployments.close()
        await collections.close()
        state.close()


async def _start(service: Service) -> None:
    """Start what the server was told to serve; what fails says so in its phase, and the others go on."""
    for name in sorted(service.waiting):
        try:
            await service.deployments.start(name)
            log.info("ready", extra={"model": name})
        except EfiveError as error:
            log.error("not started: %s", error, extra={"model": name})
        except Exception as error:  # its phase says what it is
            log.exception("not started: %s", type(error).__name__, extra={"model": name})
        service.waiting.discard(name)
    await service.collections.warm()


async def live(request: Request) -> Response:  # noqa: ARG001 - starlette's signature
    """Say that the process answers."""
    return PlainTextResponse("")


async def ready(request: Request) -> Response:
    """Say whether the deployments that the server starts with answer, but for those that were stopped since."""
    service = service_of(request)
    waiting = {
        each.name: str(each.phase)
        for each in service.deployments
        if each.name in service.waiting or (each.name in service.expected and each.phase is Phase.FAILED)
    }
    return answer({"ready": not waiting, "waiting": waiting}, 503 if waiting else 200)
