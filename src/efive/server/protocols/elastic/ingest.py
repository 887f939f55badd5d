"""Pipelines: kept, shown, forgotten, tried."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.errors import illegal, missing
from efive.server.elastic.indices.planning import encoded
from efive.server.elastic.pipelines.document import Document
from efive.server.elastic.pipelines.options import Options, mistaken
from efive.server.elastic.pipelines.tracing import envelope
from efive.server.http import caller_of, guarded
from efive.server.protocols.elastic.wire import body_of, cluster_of, flag, number, reply


def routes() -> list[Route]:
    """Return the routes of `_ingest`."""
    return [
        Route("/_ingest/pipeline", guarded(Scope.SEARCH, show), methods=["GET"]),
        Route("/_ingest/pipeline/_simulate", guarded(Scope.MANAGE, simulate), methods=["GET", "POST"]),
        Route("/_ingest/pipeline/{id}/_simulate", guarded(Scope.MANAGE, simulate), methods=["GET", "POST"]),
        Route("/_ingest/pipeline/{id}", guarded(Scope.SEARCH, show), methods=["GET"]),
        Route("/_ingest/pipeline/{id}", guarded(Scope.MANAGE, put), methods=["PUT"]),
        Route("/_ingest/pipeline/{id}", guarded(Scope.MANAGE, delete), methods=["DELETE"]),
    ]


async def put(request: Request) -> Response:
    """Keep a pipeline."""
    version = number(request, "if_version", -1) if "if_version" in request.query_params else None
    body = await body_of(request)
    encoded(body)  # nested no deeper than answers can show it
    cluster_of(request).pipelines.put(request.path_params["id"], body, version)
    return reply(request, {"acknowledged": True})


async def show(request: Request) -> Response:
    """Return pipelines; none of an id that is asked for alone is 404 with an empty object, as Elasticsearch has it."""
    expression = request.path_params.get("id", "*")
    found = cluster_of(request).pipelines.get(expression)
    if flag(request, "summary"):
        return reply(request, {id_: {} for id_ in found})
    return reply(request, found, 200 if found or "*" in expression or expression == "_all" else 404)


async def delete(request: Request) -> Response:
    """Forget pipelines."""
    expression = request.path_params["id"]
    pipelines = cluster_of(request).pipelines
    if not (found := pipelines.get(expression)) and expression not in {"*", "_all"}:
        raise missing(f"pipeline [{expression}] is missing")
    pipelines.delete(list(found))
    return reply(request, {"acknowledged": True})


async def simulate(request: Request) -> Response:
    """Show what a pipeline makes of documents, none of which is kept."""
    body = await body_of(request)
    id_ = request.path_params.get("id")
    unknown = set(body) - {"docs", "pipeline"}
    if unknown:
        raise illegal(f"[simulate] unknown field [{sorted(unknown)[0]}]")
    if id_ is None and not isinstance(body.get("pipeline"), dict):
        raise mistaken("[pipeline] required property is missing")
    documents = _documents(body.get("docs"))
    verbose = flag(request, "verbose")
    for each in documents:
        each.trace = [] if verbose else None
    inline = None if id_ else body["pipeline"]
    await cluster_of(request).pipelines.simulate(documents, id_, inline, caller_of(request))
    return reply(request, {"docs": [_verbose(each) if verbose else _result(each) for each in documents]})


def _documents(given: Any) -> list[Document]:  # noqa: ANN401 - JSON
    if given is None:
        raise mistaken("[docs] required property is missing")
    if not isinstance(given, list) or not given:
        raise illegal("must specify at least one document in [docs]")
    return [_document(each) for each in given]


def _document(given: Any) -> Document:  # noqa: ANN401
    read = Options("simulate", given)
    document = Document(
        read.string("_index", "_index"),
        read.string("_id", "_id"),
        read.take("_source", dict),
        version=read.take("_version", int, -3),
        version_type=read.string("_version_type", "internal"),
        routing=read.string("_routing", None),
    )
    read.done()
    encoded(document.source)
    return document


def _result(document: Document) -> dict[str, Any] | None:
    if document.error is not None:
        return {"error": envelope(document.error)}
    return None if document.dropped else {"doc": document.shown()}


def _verbose(document: Document) -> dict[str, Any]:
    return {"processor_results": document.trace}
