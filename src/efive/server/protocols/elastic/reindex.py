"""Work on many documents: `_reindex`, `_update_by_query`, `_delete_by_query`."""

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.errors import illegal, invalid_action, unsupported
from efive.server.elastic.indices.index import Index
from efive.server.elastic.queries.bodies import Body
from efive.server.elastic.reindexing.copying import BATCH, Change, Selection, copying, creating, deleting, rewriting
from efive.server.elastic.reindexing.progress import Progress
from efive.server.http import caller_of, guarded
from efive.server.protocols.elastic.wire import body_of, cluster_of, flag, number, reply

_LARGEST = 10_000
"""Documents of a batch, at most, as in Elasticsearch."""
_OTHER_QUERIES = ("q", "df", "analyzer", "default_operator", "lenient", "sort", "routing", "preference")
_ELSEWHERE = ("remote", "slice", "runtime_mappings", "sort")


def routes() -> list[Route]:
    """Return the routes of work on many documents."""
    return [
        Route("/_reindex", guarded(Scope.MANAGE, reindex), methods=["POST"]),
        Route("/{index}/_update_by_query", guarded(Scope.MANAGE, update_by_query), methods=["POST"]),
        Route("/{index}/_delete_by_query", guarded(Scope.MANAGE, delete_by_query), methods=["POST"]),
    ]


async def reindex(request: Request) -> Response:
    """Copy documents into another index."""
    body = Body("reindex", await body_of(request))
    _refuse(body, ("script", "slice"))
    source, to = Body("source", body.take("source", {})), Body("dest", body.take("dest", {}))
    most, proceed = _most(request, body), _proceed(body.text("conflicts", "abort"))
    body.done()
    named, size = _indices(source.listed("index")), source.whole("size", BATCH)
    query, kept = source.take("query"), source.take("_source")
    _refuse(source, _ELSEWHERE)
    source.done()
    destination, pipeline, create = _destination(to)
    if not named:
        raise invalid_action("use _all if you really want to copy from all existing indexes")
    if not destination:
        raise invalid_action("index is missing")
    indices = await _resolved(request, named)
    if any(each.name == destination for each in indices):
        raise invalid_action(f"reindex cannot write into an index its reading from [{destination}]")
    change = Change(
        cluster_of(request),
        _selection(indices, query, most, kept),
        creating if create else copying,
        Progress(_rate(request), proceed),
        pipeline=pipeline,
        destination=destination,
        batch=_size(size),
        guarded=False,
        caller=caller_of(request),
    )
    return await _start(request, change, "indices:data/write/reindex", f"reindex from [{named}] to [{destination}]")


async def update_by_query(request: Request) -> Response:
    """Write documents again, through a pipeline if one is named."""
    change, named = await _by_query(request, needed=False)
    change.pipeline, change.operation = request.query_params.get("pipeline"), rewriting
    return await _start(request, change, "indices:data/write/update/byquery", f"update-by-query [{named}]")


async def delete_by_query(request: Request) -> Response:
    """Delete documents."""
    change, named = await _by_query(request, needed=True)
    change.sources = False
    return await _start(request, change, "indices:data/write/delete/byquery", f"delete-by-query [{named}]")


async def _by_query(request: Request, *, needed: bool) -> tuple[Change, str]:
    """Return the change of documents where they are, deletion until said otherwise, and what it is called."""
    for name in _OTHER_QUERIES:
        if name in request.query_params:
            raise illegal(f"the option [{name}] is not supported by efive; put the query into the body")
    body = Body("by_query", await body_of(request))
    _refuse(body, ("script", "slice", "sort"))
    query, most = body.take("query"), _most(request, body)
    proceed = _proceed(request.query_params.get("conflicts") or body.text("conflicts", "abort"))
    body.done()
    if needed and query is None:
        raise invalid_action("query is missing")
    named = str(request.path_params["index"])
    indices = await _resolved(request, named)
    change = Change(
        cluster_of(request),
        Selection(indices, query, most),
        deleting,
        Progress(_rate(request), proceed),
        batch=_size(number(request, "scroll_size", BATCH)),
        caller=caller_of(request),
    )
    return change, named


async def _start(request: Request, change: Change, action: str, description: str) -> Response:
    """Begin, and answer with the end of it or, if nobody wants to wait, with the task."""
    tasks, wait = cluster_of(request).tasks, flag(request, "wait_for_completion", default=True)
    task = tasks.start(action, description, change.progress.status, change.run, keep=not wait)
    if not wait:
        return reply(request, {"task": task.id})
    answer = await tasks.result(task)
    return reply(request, answer, max([200, *(each["status"] for each in answer["failures"])]))


# -- what stands in the requests -------------------------------------------------------------------------------------


async def _resolved(request: Request, expression: str) -> list[Index]:
    indices = cluster_of(request).indices
    return await indices.resolve(
        expression,
        ignore_unavailable=flag(request, "ignore_unavailable"),
        allow_no_indices=flag(request, "allow_no_indices", default=True),
    )


def _indices(given: list[Any]) -> str:
    if not all(isinstance(each, str) for each in given):
        raise illegal("[index] of [source] must be the name of an index, or a list of them")
    return ",".join(given)


def _destination(to: Body) -> tuple[str, str | None, bool]:
    """Return the index, the pipeline, and whether documents that are there already are conflicts."""
    destination, pipeline, kind = to.text("index") or "", to.text("pipeline"), to.text("op_type", "index")
    version = to.text("version_type", "internal")
    _refuse(to, ("routing",))
    to.done()
    if kind not in {"index", "create"}:
        raise illegal(f"opType must be 'create' or 'index', found: [{kind}]")
    if version != "internal":
        raise unsupported(f"version_type [{version}]")
    return destination, pipeline, kind == "create"


def _selection(indices: list[Index], query: dict[str, Any] | None, most: int | None, kept: Any) -> Selection:  # noqa: ANN401
    if kept is None or isinstance(kept, bool):
        return Selection(indices, query, most, fields=kept is not False)
    if not isinstance(kept, dict):
        return Selection(indices, query, most, includes=_names([kept] if isinstance(kept, str) else kept))
    both = Body("_source", kept)
    includes, excludes = _names(both.listed("includes")), _names(both.listed("excludes"))
    both.done()
    return Selection(indices, query, most, includes, excludes)


def _names(given: Any) -> tuple[str, ...]:  # noqa: ANN401
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise illegal("[_source] must be true, false, a field, or a list of fields")
    return tuple(given)


def _most(request: Request, body: Body) -> int | None:
    """Return how many documents are meant at most, if anybody says so."""
    inside, outside = body.whole("max_docs"), request.query_params.get("max_docs")
    most = inside if outside is None else number(request, "max_docs", -1)
    if inside is not None and most != inside:
        raise illegal(f"[max_docs] set to two different values [{inside}] and [{most}]")
    if most is not None and most < 0 and (outside, most) != ("-1", -1):
        raise invalid_action(f"[max_docs] parameter must be greater than 0, found [{most}]")
    return None if most == -1 else most


def _proceed(given: str | None) -> bool:
    if given not in {"abort", "proceed"}:
        raise illegal(f'conflicts may only be "proceed" or "abort" but was [{given}]')
    return given == "proceed"


def _size(size: int | None) -> int:
    if size is None or not 0 < size <= _LARGEST:
        raise illegal(f"Batch size is too large or too small: it must be between 1 and {_LARGEST}, but was [{size}]")
    return size


def _rate(request: Request) -> float:
    """Return how many documents a second are meant; -1 is any number."""
    given = request.query_params.get("requests_per_second", "-1")
    try:
        rate = float(given)
    except ValueError:
        raise illegal(f"Failed to parse float parameter [requests_per_second] with value [{given}]") from None
    if rate != -1 and not 0 < rate < float("inf"):
        raise illegal("[requests_per_second] must be a float greater than 0. Use -1 to disable throttling.")
    return rate


def _refuse(body: Body, names: Iterable[str]) -> None:
    for name in names:
        if name in body:
            raise unsupported(f"[{name}] of [{body.what}]")
