"""Tasks: listed, watched, waited for, cancelled."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.errors import illegal
from efive.server.elastic.reindexing.tasks import NODE, Task
from efive.server.http import guarded
from efive.server.protocols.elastic.wire import cluster_of, flag, reply, seconds

_WAIT = 30.0


def routes() -> list[Route]:
    """Return the routes of `_tasks`."""
    return [
        Route("/_tasks", guarded(Scope.SEARCH, listing), methods=["GET"]),
        Route("/_tasks/_cancel", guarded(Scope.MANAGE, cancel), methods=["POST"]),
        Route("/_tasks/{id}", guarded(Scope.SEARCH, get), methods=["GET"]),
        Route("/_tasks/{id}/_cancel", guarded(Scope.MANAGE, cancel), methods=["POST"]),
    ]


async def listing(request: Request) -> Response:
    """Return the tasks that run."""
    tasks = cluster_of(request).tasks
    found = [] if _elsewhere(request) else tasks.running(request.query_params.get("actions"))
    if flag(request, "wait_for_completion"):
        limit = seconds(request.query_params.get("timeout"), _WAIT)
        for each in found:
            await tasks.wait(each, limit)
    return reply(request, _grouped(request, found, detailed=flag(request, "detailed")))


async def get(request: Request) -> Response:
    """Return how a task stands, or how it ended."""
    wait = seconds(request.query_params.get("timeout"), _WAIT) if flag(request, "wait_for_completion") else 0.0
    return reply(request, await cluster_of(request).tasks.get(request.path_params["id"], wait))


async def cancel(request: Request) -> Response:
    """Tell tasks to end."""
    tasks = cluster_of(request).tasks
    id_, actions = request.path_params.get("id"), request.query_params.get("actions")
    found = [] if id_ is None and _elsewhere(request) else tasks.cancel(id_, actions)
    if flag(request, "wait_for_completion"):
        for each in found:
            await tasks.wait(each, float("inf"))
    return reply(request, _grouped(request, found, detailed=True))


def _elsewhere(request: Request) -> bool:
    """Whether tasks are asked for that are none of this server's: of other nodes, or below another task."""
    nodes, parent = request.query_params.get("nodes"), request.query_params.get("parent_task_id")
    ours = nodes is None or any(each in {NODE, "_all", "_local", "*"} for each in nodes.split(","))
    return not ours or parent is not None


def _grouped(request: Request, tasks: list[Task], *, detailed: bool) -> dict[str, Any]:
    by = request.query_params.get("group_by", "nodes")
    shown = {each.id: each.shown(detailed=detailed) for each in tasks}
    if by == "none":
        return {"tasks": list(shown.values())}
    if by == "parents":
        return {"tasks": shown}
    if by != "nodes":
        raise illegal(f"Unknown value [{by}] for [group_by]; use nodes, parents or none")
    node = {"name": NODE, "transport_address": "127.0.0.1:9300", "host": "127.0.0.1", "ip": "127.0.0.1:9300"}
    return {"nodes": {NODE: {**node, "roles": ["data", "ingest", "master", "ml"], "tasks": shown}} if shown else {}}
