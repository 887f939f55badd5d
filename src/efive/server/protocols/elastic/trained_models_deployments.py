"""The trained models API: deployments, and what is measured of them."""

import fnmatch

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.deployments.cache import VectorCache
from efive.server.access import Scope
from efive.server.elastic.errors import conflict, illegal, missing
from efive.server.elastic.models import views
from efive.server.elastic.models.options import Adaptive, StartOptions, size
from efive.server.http import Endpoint, decode, guarded, read
from efive.server.protocols.elastic.trained_models import PATH, page
from efive.server.protocols.elastic.wire import cluster_of, flag, number, reply, seconds


class Starting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the body of `_start` may have."""

    adaptive_allocations: Adaptive | None = None


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the body of `_update` may have."""

    number_of_allocations: int | None = None
    adaptive_allocations: Adaptive | msgspec.UnsetType | None = msgspec.UNSET
    """None ends them."""


class Stopping(msgspec.Struct, frozen=True):
    """What the body of `_stop` may have."""

    allow_no_match: bool | None = None
    force: bool | None = None
    id: str | None = None


def routes() -> list[Route]:
    """Return the routes of deployments."""
    one = f"{PATH}/{{name}}"
    return [
        _route("GET", f"{PATH}/_stats", Scope.EMBED, statistics),
        _route("GET", f"{one}/_stats", Scope.EMBED, statistics),
        _route("POST", f"{one}/deployment/_start", Scope.MANAGE, start),
        _route("POST", f"{one}/deployment/_update", Scope.MANAGE, update),
        _route("POST", f"{one}/deployment/_stop", Scope.MANAGE, stop),
        _route("POST", f"{one}/deployment/cache/_clear", Scope.MANAGE, clear_cache),
    ]


def _route(method: str, path: str, scope: Scope, endpoint: Endpoint) -> Route:
    return Route(path, guarded(scope, endpoint), methods=[method])


async def start(request: Request) -> Response:
    """Start a deployment."""
    query, models = request.query_params, cluster_of(request).models
    priority = query.get("priority", "normal").lower()
    if priority not in {"normal", "low"}:
        raise illegal(f"No enum constant for [priority] [{priority}]; must be one of [normal, low]")
    body = decode(await read(request), Starting)
    cache = query.get("cache_size")
    options = StartOptions(
        allocations=number(request, "number_of_allocations", 1) if "number_of_allocations" in query else None,
        threads=number(request, "threads_per_allocation", 1),
        low_priority=priority == "low",
        queue_capacity=number(request, "queue_capacity", 1024),
        cache=None if cache is None else size(cache),
        wait_for=query.get("wait_for", "started"),
        timeout=seconds(query.get("timeout"), 20.0),
        adaptive=body.adaptive_allocations,
    )
    model_id = request.path_params["name"]
    deployment = await models.start(model_id, query.get("deployment_id", models.catalog.meant(model_id)), options)
    return reply(request, {"assignment": views.assignment(models, deployment)})


async def update(request: Request) -> Response:
    """Change a deployment's allocations."""
    models, name = cluster_of(request).models, request.path_params["name"]
    body = decode(await read(request), Changes)
    allocations = body.number_of_allocations
    if allocations is None and "number_of_allocations" in request.query_params:
        allocations = number(request, "number_of_allocations", 1)
    adaptive = body.adaptive_allocations
    if allocations is None and adaptive is msgspec.UNSET:
        raise illegal("[number_of_allocations] or [adaptive_allocations] must be set")
    known = next((each for each in cluster_of(request).service.deployments if each.name == name), None)
    if known is not None and known.settings.adaptive and adaptive is msgspec.UNSET:
        raise conflict(
            f"Cannot update [number_of_allocations] of deployment [{name}] while adaptive allocations is enabled"
        )
    deployment = await models.update(name, allocations=allocations, adaptive=adaptive or None)
    return reply(request, {"assignment": views.assignment(models, deployment)})


async def stop(request: Request) -> Response:
    """Stop deployments; where nothing runs there is nothing to do, and that is no error."""
    cluster, name = cluster_of(request), request.path_params["name"]
    body = decode(await read(request), Stopping)
    force = flag(request, "force") if body.force is None else body.force
    if body.allow_no_match is None:
        allow_no_match = flag(request, "allow_no_match", default=True)
    else:
        allow_no_match = body.allow_no_match
    names = []
    for part in name.split(","):
        cluster.models.forget_start(part)
        matched = _matching(request, part)
        if not matched and not allow_no_match and not cluster.models.exists(part):
            raise missing(f"No known model deployment with id [{part}]")
        names += matched
    for each in dict.fromkeys(names):
        if not force and each in cluster.endpoints and cluster.endpoints.get(each).deployment == each:
            raise conflict(
                f"Cannot stop deployment [{each}] as it was created by inference endpoint [{each}]; use force to stop "
                "the deployment"
            )
        await cluster.models.stop(each, force=force)
    return reply(request, {"stopped": True})


def _matching(request: Request, expression: str) -> list[str]:
    """Return the deployments that an id, an alias, a model id or a wildcard means."""
    cluster = cluster_of(request)
    if expression in {"_all", "*"} or "*" in expression:
        pattern = "*" if expression == "_all" else expression
        return [each.name for each in cluster.service.deployments if fnmatch.fnmatchcase(each.name, pattern)]
    found = cluster.models.find(expression)
    return [] if found is None else [found.name]


async def clear_cache(request: Request) -> Response:
    """Forget the vectors that a deployment keeps for texts that come again."""
    name = request.path_params["name"]
    deployment = cluster_of(request).models.find(name)
    if deployment is None:
        raise missing(f"deployment for model with id [{name}] not found")
    deployment.cache = VectorCache(deployment.settings.cache)
    return reply(request, {"cleared": True})


async def statistics(request: Request) -> Response:
    """Show what is measured."""
    cluster, expression = cluster_of(request), request.path_params.get("name")
    models = cluster.models
    if expression is not None and not models.exists(expression) and models.find(expression) is not None:
        expression = models.model_of(expression)
    found = models.catalog.matching(expression, allow_no_match=flag(request, "allow_no_match", default=True))
    shown = []
    for model_id in page(request, found):
        names = {model_id, *models.catalog.aliases(model_id), *(each.name for each in models.deployments_of(model_id))}
        used = {pipeline for name in names for pipeline in cluster.pipelines.using(name)}
        shown += views.statistics(models, cluster.service.telemetry, model_id, len(used))
    return reply(request, {"count": len(found), "trained_model_stats": shown})
