"""Searches: `_search`, `_msearch`, scrolls, `_validate`."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.errors import EfiveError
from efive.server.access import Caller, Scope
from efive.server.elastic.cluster import Cluster
from efive.server.elastic.errors import ElasticError, as_elastic, illegal, unsupported
from efive.server.elastic.indices.index import Index
from efive.server.elastic.queries import search
from efive.server.elastic.queries.bodies import Body
from efive.server.elastic.queries.retriever_parsing import any_ranking
from efive.server.elastic.queries.scrolls import Scrolls
from efive.server.elastic.queries.searching import shards
from efive.server.http import caller_of, guarded, read
from efive.server.protocols.elastic.wire import body_of, check_type, cluster_of, flag, reply, seconds

_BODY = ("from", "size", "track_scores", "version", "seq_no_primary_term", "timeout", "track_total_hits",
         "terminate_after", "explain")  # fmt: skip
_LISTS = ("sort", "docvalue_fields", "stored_fields")
_SOURCES = ("_source", "_source_includes", "_source_excludes", "_source_exclude_vectors")
_INDICES = ("ignore_unavailable", "allow_no_indices", "expand_wildcards", "ignore_throttled")
_EVERYWHERE = ("pretty", "human", "error_trace", "filter_path", "format")
_NO_EFFECT = (
    "preference", "routing", "request_cache", "typed_keys", "batched_reduce_size", "ccs_minimize_roundtrips",
    "max_concurrent_searches", "max_concurrent_shard_requests", "pre_filter_shard_size",
    "allow_partial_search_results", "force_synthetic_source", "local",
)  # fmt: skip
"""About shards, caches and other clusters, which there are none of."""
_KNOWN = {*_BODY, *_LISTS, *_SOURCES, *_INDICES, *_EVERYWHERE, *_NO_EFFECT, "scroll", "search_type",
          "rest_total_hits_as_int"}  # fmt: skip
_UNSUPPORTED = ("q", "df", "analyzer", "analyze_wildcard", "default_operator", "lenient", "suggest_field",
                "suggest_mode", "suggest_size", "suggest_text")  # fmt: skip
_TYPES = ("query_then_fetch", "dfs_query_then_fetch")


def routes() -> list[Route]:
    """Return the routes of searches."""
    door = _Searches()
    both = ["GET", "POST"]
    found = [
        Route(path, guarded(Scope.SEARCH, endpoint), methods=both)
        for name, endpoint in (
            ("_search", door.search), ("_msearch", door.many), ("_validate/query", door.validate),
        )
        for path in (f"/{name}", f"/{{index}}/{name}")
    ]  # fmt: skip
    for path in ("/_search/scroll", "/_search/scroll/{id}"):
        found.append(Route(path, guarded(Scope.SEARCH, door.scroll), methods=both))
        found.append(Route(path, guarded(Scope.SEARCH, door.clear), methods=["DELETE"]))
    for path, method in (("/{index}/_pit", "POST"), ("/_pit", "DELETE")):
        found.append(Route(path, guarded(Scope.SEARCH, _point_in_time), methods=[method]))
    return found


async def _point_in_time(_request: Request) -> Response:
    raise unsupported("a point in time (a scroll, or [search_after] with a sort on a unique field, takes its place)")


class _Searches:
    """Answers searches, and keeps what is under way of them."""

    def __init__(self) -> None:
        self._scrolls = Scrolls()

    async def search(self, request: Request) -> Response:
        """Answer a search."""
        _check(request)
        body = _with_options(request, await body_of(request))
        if flag(request, "typed_keys") and (body.get("aggs") or body.get("aggregations")):
            raise unsupported("the option [typed_keys] of a search with aggregations")
        cluster, caller = cluster_of(request), caller_of(request)
        indices = await _indices(request, request.path_params.get("index", "_all"))
        if (keep := request.query_params.get("scroll")) is not None:
            found = await self._scrolls.open(cluster, indices, body, seconds(keep, 0, "scroll"), caller)
        else:
            found = await search(cluster, indices, body, caller)
        return reply(request, _counted(request, found))

    async def scroll(self, request: Request) -> Response:
        """Answer with the next page of a scroll."""
        body = await body_of(request)
        options = request.query_params
        id_ = request.path_params.get("id") or body.get("scroll_id") or options.get("scroll_id")
        if not isinstance(id_, str):
            raise illegal("scrollId is missing")
        keep = body.get("scroll") or options.get("scroll")
        found = await self._scrolls.next(id_, None if keep is None else seconds(str(keep), 0, "scroll"))
        return reply(request, _counted(request, found))

    async def clear(self, request: Request) -> Response:
        """End scrolls."""
        body = await body_of(request)
        given = request.path_params.get("id") or body.get("scroll_id") or request.query_params.get("scroll_id")
        if not given or not isinstance(given, str | list):
            raise illegal("no scroll ids specified")
        ids = given.split(",") if isinstance(given, str) else [str(each) for each in given]
        freed = self._scrolls.close(None if ids == ["_all"] else ids)
        return reply(request, {"succeeded": True, "num_freed": freed}, 200 if freed or ids == ["_all"] else 404)

    async def many(self, request: Request) -> Response:
        """Answer several searches; what is wrong about one is its own answer."""
        _check(request)
        check_type(request)
        lines = [_line(line, number) for number, line in enumerate(_lines(await read(request)), 1)]
        if len(lines) % 2 or not lines:
            raise ElasticError(
                400, "action_request_validation_exception",
                "Validation Failed: 1: no requests added; each search is two lines, a header and a body;",
            )  # fmt: skip
        cluster, caller = cluster_of(request), caller_of(request)
        pairs = zip(lines[::2], lines[1::2], strict=True)
        found = await asyncio.gather(*(_one(request, cluster, caller, head, body) for head, body in pairs))
        took = max(each.get("took", 0) for each in found)
        return reply(request, {"took": took, "responses": [_counted(request, each) for each in found]})

    async def validate(self, request: Request) -> Response:
        """Say whether a query can be understood."""
        indices = await _indices(request, request.path_params.get("index", "_all"))
        found: dict[str, Any] = {"_shards": shards(len(indices)), "valid": True}
        try:
            any_ranking(await body_of(request))
        except ElasticError as error:
            found["valid"] = False
            if flag(request, "explain"):
                found["error"] = f"{error.type}: {error.reason}"
        return reply(request, found)


async def _one(
    request: Request, cluster: Cluster, caller: Caller, head: Mapping[str, Any], body: dict[str, Any]
) -> dict[str, Any]:
    try:
        if unknown := set(head) - {"index", "indices", "search_type", *_INDICES, *_NO_EFFECT}:
            raise illegal(f"key [{sorted(unknown)[0]}] is not supported in the metadata section")
        named = head.get("index") or head.get("indices") or request.path_params.get("index", "_all")
        names = named if isinstance(named, list) else [named]
        if not all(isinstance(each, str) for each in names):
            raise illegal("[index] must be the name of an index, or a list of them")
        expression = ",".join(names)
        indices = await _indices(request, expression, head)
        return {**await search(cluster, indices, body, caller), "status": 200}
    except EfiveError as error:
        found = as_elastic(error)
        return {"error": {"root_cause": [found.to_dict()], **found.to_dict()}, "status": found.status}


def _lines(body: bytes) -> list[bytes]:
    lines = body.split(b"\n")
    return lines[:-1] if lines and not lines[-1].strip() else lines


def _line(line: bytes, number: int) -> dict[str, Any]:
    """Return a line of JSON, an object; an empty line is an empty one.

    Raises:
        ElasticError: naming the line.
    """
    try:
        value = orjson.loads(line) if line.strip() else {}
    except orjson.JSONDecodeError as error:
        raise ElasticError(400, "parsing_exception", f"line {number} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ElasticError(400, "parsing_exception", f"line {number} is no object")
    return value


async def _indices(request: Request, expression: str, head: Mapping[str, Any] | None = None) -> Sequence[Index]:
    given = Body("metadata", head or {})
    missing = given.flag("ignore_unavailable", default=flag(request, "ignore_unavailable"))
    none = given.flag("allow_no_indices", default=flag(request, "allow_no_indices", default=True))
    return await cluster_of(request).indices.resolve(expression, ignore_unavailable=missing, allow_no_indices=none)


def _check(request: Request) -> None:
    """Refuse options of the address that nothing comes of."""
    for name in request.query_params:
        if name in _UNSUPPORTED:
            raise unsupported(f"the option [{name}] of a search")
        if name not in _KNOWN:
            raise illegal(f"request [{request.url.path}] contains unrecognized parameter: [{name}]")
    if (kind := request.query_params.get("search_type")) is not None and kind not in _TYPES:
        raise illegal(f"No search type for [{kind}]")


def _with_options(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with what the address says; that comes first, as in Elasticsearch."""
    options, found = request.query_params, dict(body)
    for name in _BODY:
        if name in options:
            found[name] = options[name] or "true"
    for name in _LISTS:
        if name in options:
            found[name] = options[name].split(",")
    if any(name in options for name in _SOURCES):
        found["_source"] = _source(options)
    return found


def _source(options: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    given = options.get("_source", "true")
    if given == "false":
        return False
    named = [] if given in {"", "true"} else given.split(",")
    includes = named + [name for name in options.get("_source_includes", "").split(",") if name]
    excludes = [name for name in options.get("_source_excludes", "").split(",") if name]
    hidden = options.get("_source_exclude_vectors", "true")
    return {"includes": includes, "excludes": excludes, "exclude_vectors": hidden}


def _counted(request: Request, found: dict[str, Any]) -> dict[str, Any]:
    """Return an answer whose total is a bare number, if the client is of a time when it was."""
    if not flag(request, "rest_total_hits_as_int") or "hits" not in found or "total" not in found["hits"]:
        return found
    return {**found, "hits": {**found["hits"], "total": found["hits"]["total"]["value"]}}
