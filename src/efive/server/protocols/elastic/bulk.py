"""Many writes in one request: lines of JSON, an action and its document by turns."""

import time
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.errors import ElasticError, illegal, invalid_action, unsupported
from efive.server.elastic.indices.bulk import Action, Done, write
from efive.server.elastic.indices.operations import Operation, failed
from efive.server.http import caller_of, guarded, read
from efive.server.protocols.elastic.documents import expected_in, refuse_aliases, refuse_versions, update_of, written
from efive.server.protocols.elastic.getting import asked_source
from efive.server.protocols.elastic.wire import check_type, cluster_of, reply

_ACTIONS = {"index", "create", "update", "delete"}
_OPTIONS = {
    "_index", "_id", "_type", "routing", "pipeline", "if_seq_no", "if_primary_term", "version", "version_type",
    "retry_on_conflict", "require_alias", "require_data_stream", "dynamic_templates", "list_executed_pipelines",
    "_source",
}  # fmt: skip
_TYPES = {"_index": str | None, "_id": str | int | float | None, "pipeline": str | None}


@dataclass(frozen=True, slots=True)
class _Line:
    """One action of the request."""

    kind: str
    action: Action
    error: ElasticError | None = None
    """Why it cannot even be tried."""
    shown: Any = None
    """What of an updated document is wanted."""


def routes() -> list[Route]:
    """Return the routes of `_bulk`."""
    return [
        Route("/_bulk", guarded(Scope.MANAGE, bulk), methods=["PUT", "POST"]),
        Route("/{index}/_bulk", guarded(Scope.MANAGE, bulk), methods=["PUT", "POST"]),
    ]


async def bulk(request: Request) -> Response:
    """Do all actions of the body; what is wrong with one is said in its place."""
    begun = time.perf_counter()
    check_type(request)
    default, pipeline = request.path_params.get("index"), request.query_params.get("pipeline")
    refuse_aliases(default or "", request.query_params)
    body = await read(request)
    lines = await cluster_of(request).service.collections.run(lambda: parse(body, default, pipeline))
    sound = [line.action for line in lines if line.error is None]
    results = iter(await write(cluster_of(request), sound, caller_of(request)))
    everywhere = asked_source(request)
    refreshed = request.query_params.get("refresh") in {"", "true"}
    items = []
    for line in lines:
        error = line.error
        done = Done(line.action.index, failed(line.action.operation.id, error)) if error else next(results)
        shown = line.shown if line.shown is not None or line.kind != "update" else everywhere
        items.append({line.kind: _item(done, shown, refreshed=refreshed)})
    took = int(1000 * (time.perf_counter() - begun))
    wrong = any("error" in each for item in items for each in item.values())
    return reply(request, {"took": took, "errors": wrong, "items": items})


def _item(done: Done, shown: Any, *, refreshed: bool) -> dict[str, Any]:  # noqa: ANN401
    outcome = done.outcome
    if outcome.error is not None:
        named = {"_index": done.index, "_id": outcome.id, "status": outcome.status}
        return {**named, "error": outcome.error.to_dict()}
    return {**written(done, shown, refreshed=refreshed), "status": outcome.status}


def parse(body: bytes, default: str | None, pipeline: str | None) -> list[_Line]:
    """Return the actions of a body.

    Args:
        body: lines of JSON.
        default: the index of actions that name none.
        pipeline: of actions that name none.

    Raises:
        ElasticError: naming the line that is malformed.
    """
    if not body.strip():
        raise ElasticError(400, "parse_exception", "request body is required")
    if not body.endswith(b"\n"):
        raise illegal("The bulk request must be terminated by a newline [\\n]")
    lines = iter(enumerate(body.split(b"\n")[:-1], 1))
    found, faults = [], []
    for number, raw in lines:
        if not raw.strip():
            continue
        kind, options = _action(raw, number)
        document = None
        if kind != "delete":
            document = _document(lines, kind, number)
        name = options.get("_index", default)
        if name is None:
            faults.append("index is missing")
        found.append(_line(kind, str(name), options, document, pipeline))
    if faults:
        raise invalid_action(*faults)
    if not found:
        raise invalid_action("no requests added")
    return found


def _action(raw: bytes, number: int) -> tuple[str, dict[str, Any]]:
    value = _json(raw, number)
    if not isinstance(value, dict) or len(value) != 1:
        raise illegal(
            f"Malformed action/metadata line [{number}], expected START_OBJECT with one of "
            f"[create, delete, index, update] in it"
        )
    ((kind, options),) = value.items()
    if kind not in _ACTIONS:
        raise illegal(
            f"Malformed action/metadata line [{number}], expected field [create], [delete], [index] or [update] but "
            f"found [{kind}]"
        )
    if not isinstance(options, dict):
        raise illegal(f"Malformed action/metadata line [{number}], expected START_OBJECT but found [{_kind(options)}]")
    if unknown := sorted(options.keys() - _OPTIONS):
        raise illegal(f"Action/metadata line [{number}] contains an unknown parameter [{unknown[0]}]")
    for name, types in _TYPES.items():
        if not isinstance(options.get(name), types):
            raise illegal(f"Action/metadata line [{number}]: [{name}] cannot be {_kind(options[name])}")
    return kind, options


def _document(lines: Any, kind: str, number: int) -> dict[str, Any]:  # noqa: ANN401 - numbered lines
    following = next(lines, None)
    if following is None:
        raise illegal(f"Malformed action/metadata line [{number}]: the document of its [{kind}] is missing")
    at, raw = following
    value = _json(raw, at)
    if not isinstance(value, dict):
        raise illegal(f"Malformed content on line [{at}], must start with an object")
    return value


def _json(raw: bytes, number: int) -> Any:  # noqa: ANN401
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ElasticError(400, "x_content_parse_exception", f"line [{number}] of the request: {error}") from None


def _kind(value: object) -> str:
    names = {str: "VALUE_STRING", list: "START_ARRAY", dict: "START_OBJECT", type(None): "VALUE_NULL"}
    return names.get(type(value), "VALUE_NUMBER")


def _line(
    kind: str, index: str, options: dict[str, Any], document: dict[str, Any] | None, pipeline: str | None
) -> _Line:
    id_ = options.get("_id")
    id_ = None if id_ is None else str(id_)
    own, shown = options.get("pipeline", pipeline), None
    try:
        expected = expected_in(options)
        refuse_aliases(index, options)
        if options.get("dynamic_templates"):
            raise unsupported("[dynamic_templates] of a write")
        refuse_versions(options.get("version_type"), options.get("version"))
        if kind == "update":
            operation, shown = update_of(id_, {"_source": options.get("_source")} | (document or {}), **expected)
        elif kind == "delete":
            operation = Operation("delete", id_, **expected)
        else:
            operation = Operation("create" if kind == "create" else "index", id_, document, **expected)
    except ElasticError as error:
        return _Line(kind, Action(index, Operation("delete", id_)), error)
    return _Line(kind, Action(index, operation, None if own is None else str(own)), shown=shown)
