"""Documents by their ids: one, several, bare; and which of their fields are shown."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.errors import (
    ElasticError,
    illegal,
    invalid_action,
    missing,
    unparsable,
    unsupported,
    version_conflict,
)
from efive.server.elastic.indices.planning import PRIMARY_TERM, Stored
from efive.server.elastic.queries.paths import cut
from efive.server.http import guarded
from efive.server.protocols.elastic.wire import body_of, cluster_of, number, reply


def routes() -> list[Route]:
    """Return the routes that read documents by their ids."""
    read, both = Scope.SEARCH, ["GET", "POST"]
    return [
        Route("/_mget", guarded(read, mget), methods=both),
        Route("/{index}/_mget", guarded(read, mget), methods=both),
        Route("/{index}/_doc/{id:path}", guarded(read, get), methods=["GET"]),
        Route("/{index}/_source/{id:path}", guarded(read, source), methods=["GET"]),
    ]


async def get(request: Request) -> Response:
    """Return a document."""
    name, id_ = request.path_params["index"], request.path_params["id"]
    if "stored_fields" in request.query_params:
        raise unsupported("[stored_fields]")
    found = await _stored(request, name, id_)
    if found is None:
        return reply(request, {"_index": name, "_id": id_, "found": False}, 404)
    _check_version(request, found)
    return reply(request, document(name, found, asked_source(request)))


async def source(request: Request) -> Response:
    """Return a document bare."""
    name, id_ = request.path_params["index"], request.path_params["id"]
    found = await _stored(request, name, id_)
    if found is None:
        raise missing(f"Document not found [{name}]/[{id_}]")
    _check_version(request, found)
    return reply(request, cut_source(found.document(), asked_source(request)))


async def _stored(request: Request, name: str, id_: str) -> Stored | None:
    index = await cluster_of(request).indices.get(name)
    return (await index.get([id_])).get(id_)


def _check_version(request: Request, found: Stored) -> None:
    expected = request.query_params.get("version")
    if expected is not None and number(request, "version", 0) != found.version:
        raise version_conflict(
            f"[{found.id}]: version conflict, current version [{found.version}] is different than the one provided "
            f"[{expected}]"
        )


async def mget(request: Request) -> Response:
    """Return several documents, in the order in which they are asked for."""
    body, outer = await body_of(request), request.path_params.get("index")
    asked = _mget_asked(body, outer)
    names = dict.fromkeys(name for name, _, _ in asked)
    found: dict[tuple[str, str], Stored] = {}
    errors: dict[str, ElasticError] = {}
    for name in names:
        try:
            index = await cluster_of(request).indices.get(name)
        except ElasticError as error:
            errors[name] = error
            continue
        stored = await index.get([id_ for each, id_, _ in asked if each == name])
        found |= {(name, id_): each for id_, each in stored.items()}
    default = asked_source(request)
    return reply(
        request,
        {"docs": [_mget_item(name, id_, shown if shown is not None else default, found, errors)
                  for name, id_, shown in asked]},
    )  # fmt: skip


def _mget_asked(body: dict[str, Any], outer: str | None) -> list[tuple[str, str, Any]]:
    if unknown := sorted(body.keys() - {"docs", "ids"}):
        raise unparsable(f"unknown key [{unknown[0]}] for a multi get")
    for name in ("docs", "ids"):
        if not isinstance(body.get(name, []), list):
            raise unparsable(f"[{name}] of a multi get must be a list")
    docs = [{"_id": id_} for id_ in body.get("ids", ())] + body.get("docs", [])
    if not docs:
        raise invalid_action("no documents to get")
    asked, faults = [], []
    for place, each in enumerate(docs):
        if not isinstance(each, dict):
            raise illegal("docs array element should include an object")
        if unknown := sorted(each.keys() - {"_index", "_id", "_source", "routing"}):
            raise illegal(f"unknown or unsupported key [{unknown[0]}] for a document to get")
        index, id_ = each.get("_index", outer), each.get("_id")
        if not isinstance(index, str | None) or not isinstance(id_, str | int | float | None):
            raise unparsable(f"[_index] and [_id] of doc {place} must be text")
        if index is None:
            faults.append(f"index is missing for doc {place}")
        if id_ is None:
            faults.append(f"id is missing for doc {place}")
        asked.append((str(index), str(id_), each.get("_source")))
    if faults:
        raise invalid_action(*faults)
    return asked


def _mget_item(
    name: str,
    id_: str,
    shown: Any,  # noqa: ANN401
    found: dict[tuple[str, str], Stored],
    errors: dict[str, ElasticError],
) -> dict[str, Any]:
    if name in errors:
        error = errors[name].to_dict()
        return {"_index": name, "_id": id_, "error": {"root_cause": [error], **error}}
    stored = found.get((name, id_))
    return {"_index": name, "_id": id_, "found": False} if stored is None else document(name, stored, shown)


def document(index: str, stored: Stored, shown: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a document as Elasticsearch shows it, with as much of its source as `shown` says."""
    found = {
        "_index": index,
        "_id": stored.id,
        "_version": stored.version,
        "_seq_no": stored.seq_no,
        "_primary_term": PRIMARY_TERM,
        "found": True,
    }
    if shown is False:
        return found
    return {**found, "_source": cut_source(stored.document(), shown)}


def asked_source(request: Request) -> Any:  # noqa: ANN401 - what `_source` may be
    """Return what of the source a request wants: None for all, False, or {includes, excludes}."""
    asked = request.query_params
    given = asked.get("_source")
    if given in {"true", "false", ""}:
        return given != "false"
    lists = {
        "includes": asked.get("_source_includes", asked.get("_source_include", given)),
        "excludes": asked.get("_source_excludes", asked.get("_source_exclude")),
    }
    return {name: value.split(",") for name, value in lists.items() if value} or None


def cut_source(source: Any, shown: Any) -> Any:  # noqa: ANN401 - JSON
    """Return as much of a source as `shown` says: names, or lists of names to include and exclude."""
    if shown in (None, True):
        return source
    if isinstance(shown, str | list):
        shown = {"includes": shown}
    if not isinstance(shown, dict):
        raise illegal(f"_source must be true, false, names or an object, not [{shown}]")
    includes, excludes = (_names(shown.get(name, shown.get(name[:-1]))) for name in ("includes", "excludes"))
    return cut(source, includes, excludes)


def _names(given: Any) -> list[str]:  # noqa: ANN401
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return given
    if given is not None and not isinstance(given, str):
        raise illegal(f"_source must name fields, not [{given}]")
    return [] if given is None else [given]
