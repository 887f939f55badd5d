"""Models at work: started, changed and stopped while the server runs."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from efive.deployments.deployment import Deployment, Phase
from efive.deployments.settings import Settings
from efive.errors import InputError
from efive.server.access import Scope
from efive.server.http import BodyError, answer, parse, read, service_of
from efive.server.openapi import Operation


class Described(msgspec.Struct):
    """A deployment."""

    name: str
    phase: Phase
    reason: str
    settings: Settings
    allocations: int
    """Engines at work."""
    target: int
    """Engines that there should be."""
    crashes: int
    engine: str | None = None
    precision: str | None = None
    dimension: int | None = None
    max_tokens: int | None = None
    space: str | None = None
    memory: int = 0
    """Bytes of weights that its engines hold."""
    queue_requests: int = 0
    queue_tokens: int = 0
    tokens_per_second: float = 0.0
    """Of one engine, lately."""


class Change(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What can change while a deployment runs."""

    allocations: int | msgspec.UnsetType = msgspec.UNSET
    least: int | msgspec.UnsetType | None = msgspec.UNSET
    most: int | msgspec.UnsetType | None = msgspec.UNSET
    idle: float | msgspec.UnsetType = msgspec.UNSET
    requests: int | msgspec.UnsetType = msgspec.UNSET
    wait: float | msgspec.UnsetType = msgspec.UNSET


class Listed(msgspec.Struct):
    """All deployments."""

    deployments: list[Described]


def describe(deployment: Deployment) -> Described:
    """Return what a deployment is like now."""
    found = Described(
        name=deployment.name,
        phase=deployment.phase,
        reason=deployment.reason,
        settings=deployment.settings,
        allocations=len(deployment.engines),
        target=deployment.target,
        crashes=deployment.crashes,
        memory=sum(engine.memory for engine in deployment.engines),
    )
    if deployment.phase is Phase.READY:
        encoder, scheduler = deployment.encoder, deployment.scheduler
        found.engine, found.precision = encoder.engine_info.name, str(encoder.engine_info.precision)
        found.dimension, found.max_tokens = encoder.dimension, encoder.max_tokens
        found.space = encoder.space.fingerprint
        found.queue_requests, found.queue_tokens = scheduler.queue.requests, scheduler.queue.tokens
        found.tokens_per_second = scheduler.tally.speed
    return found


async def list_deployments(request: Request) -> Response:
    """List the deployments."""
    return answer(Listed([describe(each) for each in service_of(request).deployments]))


async def show_deployment(request: Request) -> Response:
    """Describe one deployment."""
    return answer(describe(service_of(request).deployments.get(request.path_params["name"])))


async def create_deployment(request: Request) -> Response:
    """Make a deployment and start it; the answer does not wait until it is ready."""
    wanted = await parse(request, Settings)
    deployments = service_of(request).deployments
    deployments.create(wanted)
    return answer(describe(deployments.start_soon(wanted.name)), 202)


async def change_deployment(request: Request) -> Response:
    """Change the allocations or the limits of a deployment while it runs."""
    deployments = service_of(request).deployments
    deployment = deployments.get(request.path_params["name"])
    change = msgspec.structs.asdict(await parse(request, Change))
    wanted = {name: value for name, value in change.items() if value is not msgspec.UNSET}
    if not wanted:
        raise BodyError(f"nothing to change; there is {', '.join(Change.__struct_fields__)}")
    changed = await deployments.update(deployment.name, msgspec.structs.replace(deployment.settings, **wanted))
    return answer(describe(changed))


async def start_deployment(request: Request) -> Response:
    """Start a deployment that is stopped or has failed; the answer does not wait until it is ready."""
    await _no_body(request)
    return answer(describe(service_of(request).deployments.start_soon(request.path_params["name"])), 202)


async def stop_deployment(request: Request) -> Response:
    """Stop a deployment once what waits for it is answered; it stays stopped when the server starts again."""
    await _no_body(request)
    return answer(describe(await service_of(request).deployments.stop(request.path_params["name"])))


async def delete_deployment(request: Request) -> Response:
    """Stop a deployment and forget it; the model's files stay."""
    await service_of(request).deployments.delete(request.path_params["name"])
    return Response(status_code=204)


async def _no_body(request: Request) -> None:
    if await read(request) not in {b"", b"{}"}:
        raise InputError("this takes no body")


OPERATIONS = (
    Operation("GET", "/deployments", list_deployments, Scope.EMBED, None, Listed),
    Operation("POST", "/deployments", create_deployment, Scope.MANAGE, Settings, Described, 202),
    Operation("POST", "/deployments/{name:path}/start", start_deployment, Scope.MANAGE, None, Described, 202),
    Operation("POST", "/deployments/{name:path}/stop", stop_deployment, Scope.MANAGE, None, Described),
    Operation("GET", "/deployments/{name:path}", show_deployment, Scope.EMBED, None, Described),
    Operation("PATCH", "/deployments/{name:path}", change_deployment, Scope.MANAGE, Change, Described),
    Operation("DELETE", "/deployments/{name:path}", delete_deployment, Scope.MANAGE, None, None, 204),
)
