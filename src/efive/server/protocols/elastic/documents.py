"""Documents one by one: written, changed, removed."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.errors import ElasticError, illegal, invalid_action, unsupported
from efive.server.elastic.indices.bulk import Action, Done, single, write
from efive.server.elastic.indices.operations import Kind, Operation, Outcome
from efive.server.elastic.indices.planning import PRIMARY_TERM
from efive.server.http import caller_of, guarded
from efive.server.protocols.elastic.getting import asked_source, cut_source
from efive.server.protocols.elastic.wire import body_of, cluster_of, reply

_SHARDS = {"total": 1, "successful": 1, "failed": 0}
_UPDATE = {"doc", "upsert", "doc_as_upsert", "detect_noop", "_source", "if_seq_no", "if_primary_term"}


def routes() -> list[Route]:
    """Return the routes of writes to single documents."""
    manage = Scope.MANAGE
    return [
        Route("/{index}/_doc", guarded(manage, index), methods=["POST"]),
        Route("/{index}/_doc/{id:path}", guarded(manage, index), methods=["PUT", "POST"]),
        Route("/{index}/_doc/{id:path}", guarded(manage, delete), methods=["DELETE"]),
        Route("/{index}/_create/{id:path}", guarded(manage, create), methods=["PUT", "POST"]),
        Route("/{index}/_update/{id:path}", guarded(manage, update), methods=["POST"]),
    ]


# -- writing -------------------------------------------------------------------------------------------------------


async def index(request: Request) -> Response:
    """Write a document in place of the one of its id."""
    op_type = request.query_params.get("op_type", "index")
    if op_type not in {"index", "create"}:
        raise illegal(f"opType must be 'create' or 'index', found: [{op_type}]")
    return await _write(request, "create" if op_type == "create" else "index")


async def create(request: Request) -> Response:
    """Write a document if there is none of its id."""
    return await _write(request, "create")


async def _write(request: Request, kind: Kind) -> Response:
    refuse_versions(request.query_params.get("version_type"), request.query_params.get("version"))
    operation = Operation(kind, request.path_params.get("id"), await body_of(request), **_expected(request))
    return await _done(request, operation)


async def delete(request: Request) -> Response:
    """Remove a document."""
    refuse_versions(request.query_params.get("version_type"), request.query_params.get("version"))
    return await _done(request, Operation("delete", request.path_params["id"], **_expected(request)))


async def update(request: Request) -> Response:
    """Change some fields of a document."""
    operation, shown = update_of(request.path_params["id"], await body_of(request), **_expected(request))
    return await _done(request, operation, shown if shown is not None else asked_source(request))


def update_of(id_: str | None, body: dict[str, Any], **expected: Any) -> tuple[Operation, Any]:  # noqa: ANN401
    """Return the operation that the body of an update means, and what of the document is to be shown.

    Raises:
        ElasticError: naming what cannot be.
    """
    for name in ("script", "scripted_upsert"):
        if body.get(name):
            raise unsupported(f"[{name}] of an update")
    if unknown := sorted(body.keys() - _UPDATE):
        raise ElasticError(400, "x_content_parse_exception", f"[UpdateRequest] unknown field [{unknown[0]}]")
    for name in ("doc", "upsert"):
        if not isinstance(body.get(name, {}), dict):
            raise ElasticError(400, "x_content_parse_exception", f"[UpdateRequest] [{name}] must be an object")
    expected |= expected_in(body)
    if (shown := body.get("_source")) is not False:
        cut_source({}, shown)  # what cannot be shown is refused before anything is written
    truths = {name: body.get(name, default) for name, default in (("doc_as_upsert", False), ("detect_noop", True))}
    for name, value in truths.items():
        if value not in (True, False, "true", "false"):
            raise illegal(f"[{name}]: Failed to parse value [{value}] as only [true] or [false] are allowed.")
    operation = Operation(
        "update",
        id_,
        doc=body.get("doc"),
        upsert=body.get("upsert"),
        doc_as_upsert=truths["doc_as_upsert"] in (True, "true"),
        detect_noop=truths["detect_noop"] in (True, "true"),
        **expected,
    )
    return operation, shown


def _expected(request: Request) -> dict[str, Any]:
    return expected_in(request.query_params)


def expected_in(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers that a document must have to be written, as far as they are given.

    Raises:
        ElasticError: for what is no whole number.
    """
    found = dict[str, Any]()
    for name in ("if_seq_no", "if_primary_term"):
        if (given := options.get(name)) is None:
            continue
        try:
            number = int(given) if isinstance(given, str | int) and not isinstance(given, bool) else -1
        except ValueError:
            number = -1
        if number < 0:
            raise illegal(f"[{name}] must be a whole number that is not negative, not [{given}]")
        found[name] = number
    return found


def refuse_aliases(index: str, options: Mapping[str, Any]) -> None:
    """Refuse a write that is meant for an alias or a data stream only: there are none.

    Raises:
        ElasticError: 404, as if it had been looked for.
    """
    for name, what in (("require_alias", "an alias"), ("require_data_stream", "a data stream")):
        if options.get(name) in (True, "true", ""):
            reason = f"no such index [{index}] and [{name}] request flag is [true] and [{index}] is not {what}"
            raise ElasticError(404, "index_not_found_exception", reason)


def refuse_versions(kind: object, version: object) -> None:
    """Refuse versions that the client keeps itself.

    Raises:
        ElasticError: if there are some.
    """
    if kind not in {None, "internal"}:
        raise unsupported(f"[version_type] [{kind}]")
    if version is not None:
        raise invalid_action(
            "internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and "
            "`if_primary_term` instead"
        )


async def _done(request: Request, operation: Operation, shown: Any = None) -> Response:  # noqa: ANN401
    name = request.path_params["index"]
    refuse_aliases(name, request.query_params)
    action = Action(name, operation, request.query_params.get("pipeline"))
    (done,) = await write(cluster_of(request), [action], caller_of(request))
    outcome = single(done)
    body = written(done, shown, refreshed=request.query_params.get("refresh") in {"", "true"})
    location = {"location": f"/{done.index}/_doc/{outcome.id}"} if outcome.status == 201 else {}
    ascii_only = {name: value for name, value in location.items() if value.isascii() and value.isprintable()}
    return reply(request, body, outcome.status, ascii_only)


def written(done: Done, shown: Any = None, *, refreshed: bool = False) -> dict[str, Any]:  # noqa: ANN401
    """Return what became of a write, as Elasticsearch shows it, with as much of an updated document as is asked for."""
    outcome: Outcome = done.outcome
    noop = outcome.result == "noop"
    body = {
        "_index": done.index,
        "_id": outcome.id,
        "_version": outcome.version,
        "result": outcome.result,
        **({"forced_refresh": True} if refreshed and not noop else {}),
        "_shards": {**_SHARDS, "total": 0, "successful": 0} if noop else _SHARDS,
        "_seq_no": outcome.seq_no,
        "_primary_term": PRIMARY_TERM,
    }
    if shown not in (None, False) and outcome.source is not None:
        kept = cut_source(outcome.source, shown)
        body["get"] = {"_seq_no": outcome.seq_no, "_primary_term": PRIMARY_TERM, "found": True, "_source": kept}
    return body
