"""The inference API: endpoints, and vectors of texts."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.inputs import Prompts, Role, prefix_length
from efive.server.access import Scope
from efive.server.elastic.errors import ElasticError, illegal, invalid_action
from efive.server.elastic.inference.checks import plain, refused
from efive.server.elastic.inference.endpoint import Endpoint, match_task, resolve_task
from efive.server.elastic.inference.endpoints import PATIENCE
from efive.server.http import Endpoint as Handler
from efive.server.http import caller_of, embed_headers, guarded
from efive.server.protocols.elastic.wire import body_of, cluster_of, flag, reply, seconds, warning

_ROLES = {
    "search": Role.QUERY,
    "ingest": Role.PASSAGE,
    "classification": Role.RAW,
    "clustering": Role.RAW,
    "unspecified": Role.RAW,
}
_FIELDS = {"input", "input_type", "task_settings", "query", "return_documents", "top_n", "timeout"}
_OTHER_TASKS = ("query", "return_documents", "top_n")
_TIMEOUT = 30.0
_MISMATCH = "Requested task type [{asked}] does not match the inference endpoint's task type [{found}]"
_INCOMPATIBLE = "Incompatible task_type, the requested type [{asked}] does not match the model type [{found}]"


def routes() -> list[Route]:
    """Return the routes of the inference API."""
    one, both = "/_inference/{id}", "/_inference/{task}/{id}"
    return [
        _route("GET", "/_inference", Scope.EMBED, listing),
        _route("PUT", f"{one}/_update", Scope.MANAGE, update),
        _route("PUT", f"{both}/_update", Scope.MANAGE, update),
        *(_route("GET", path, Scope.EMBED, describe) for path in (one, both)),
        *(_route("PUT", path, Scope.MANAGE, put) for path in (one, both)),
        *(_route("POST", path, Scope.EMBED, infer) for path in (one, both)),
        *(_route("DELETE", path, Scope.MANAGE, delete) for path in (one, both)),
    ]


def _route(method: str, path: str, scope: Scope, handler: Handler) -> Route:
    return Route(path, guarded(scope, handler), methods=[method])


async def listing(request: Request) -> Response:
    """Show all endpoints."""
    return _shown(request, cluster_of(request).endpoints.all())


async def describe(request: Request) -> Response:
    """Show an endpoint, or all of them."""
    endpoints, id_ = cluster_of(request).endpoints, request.path_params["id"]
    if id_ in {"_all", "*"}:
        asked = request.path_params.get("task")
        return _shown(request, [each for each in endpoints.all() if asked in {None, "any", each.task_type}])
    endpoint = endpoints.get(id_)
    match_task(request.path_params.get("task"), endpoint, _MISMATCH)
    return _shown(request, [endpoint])


def _shown(request: Request, endpoints: Sequence[Endpoint]) -> Response:
    described = cluster_of(request).endpoints.describe
    return reply(request, {"endpoints": [described(each) for each in endpoints]})


async def put(request: Request) -> Response:
    """Make an endpoint and start its deployment."""
    body, endpoints = await body_of(request), cluster_of(request).endpoints
    resolve_task(request.path_params.get("task"), body)
    wait = seconds(request.query_params.get("timeout"), PATIENCE)
    endpoint = await endpoints.put(request.path_params["id"], body, None if math.isinf(wait) else wait)
    return reply(request, endpoints.describe(endpoint))


async def update(request: Request) -> Response:
    """Change the allocations of an endpoint."""
    body, endpoints, id_ = await body_of(request), cluster_of(request).endpoints, request.path_params["id"]
    asked = resolve_task(request.path_params.get("task") or endpoints.get(id_).task_type, body)
    match_task(asked, endpoints.get(id_), "Task type must match the task type of the existing endpoint")
    return reply(request, endpoints.describe(await endpoints.update(id_, body)))


async def delete(request: Request) -> Response:
    """Delete an endpoint, or say what keeps it."""
    endpoints, id_ = cluster_of(request).endpoints, request.path_params["id"]
    match_task(request.path_params.get("task"), endpoints.get(id_), _MISMATCH)
    dry = flag(request, "dry_run")
    force = flag(request, "force")
    used = await (endpoints.references(id_) if dry else endpoints.delete(id_, force=force))
    return reply(request, {"acknowledged": not dry, "pipelines": used.pipelines, "indexes": used.indices})


async def infer(request: Request) -> Response:
    """Embed texts: as queries, as passages, or just as they are."""
    body, cluster = await body_of(request), cluster_of(request)
    texts, role = _inputs(body), _role(body.get("input_type"))
    endpoint = cluster.endpoints.get(request.path_params["id"])
    match_task(request.path_params.get("task"), endpoint, _INCOMPATIBLE)
    for name in _OTHER_TASKS:
        if body.get(name) is not None:
            raise invalid_action(f"Field [{name}] cannot be specified for task type [{endpoint.task_type}]")
    if body.get("task_settings"):
        raise refused(f"[{endpoint.task_type}] has no task settings; [task_settings] must be left out or empty")
    given = request.query_params.get("timeout") or body.get("timeout")
    limit = seconds(None if given is None else str(given), _TIMEOUT)
    try:
        async with asyncio.timeout(None if math.isinf(limit) else limit):
            deployment = await cluster.endpoints.ready(endpoint.inference_id)
            result = await cluster.embed(deployment, texts, role, caller_of(request))
    except TimeoutError:
        raise refused(f"timeout [{given or '30s'}] waiting for inference result", 408) from None
    headers = embed_headers(result) | {"x-efive-role": str(role)}
    headers |= _warned(texts, deployment.encoder.prompts, role)
    return reply(request, {"text_embedding": [{"embedding": vector} for vector in result.vectors]}, headers=headers)


def _inputs(body: dict[str, Any]) -> list[str]:
    for name in body:
        if name not in _FIELDS:
            raise ElasticError(400, "x_content_parse_exception", f"[inference] unknown field [{name}]")
    given = body.get("input")
    if given is None:
        raise invalid_action("Field [input] cannot be null")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ElasticError(400, "x_content_parse_exception", "[inference] input must be a text or an array of texts")
    if not texts:
        raise invalid_action("Field [input] cannot be an empty array")
    return texts


def _role(input_type: object) -> Role:
    if input_type is None:
        return Role.RAW
    role = _ROLES.get(input_type.lower()) if isinstance(input_type, str) else None
    if role is None:
        raise illegal(f"Unrecognized input_type [{plain(input_type)}], must be one of [{', '.join(_ROLES)}]")
    return role


def _warned(texts: Sequence[str], prompts: Prompts, role: Role) -> dict[str, str]:
    """Return the header that warns of texts that have a prefix before the one that is added."""
    prefix = prompts.of(role)
    twice = [index for index, text in enumerate(texts) if prefix and prefix_length(text, prompts)]
    if not twice:
        return {}
    return warning(
        f"input {twice[0]} begins with a prefix of the model, and [{prefix.strip()}] was added before it as well, for "
        f"this input_type: send texts without prefixes ({len(twice)} of {len(texts)} have one)"
    )
