"""Indices: made, shown, changed, removed."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic import queries
from efive.server.elastic.errors import ElasticError, illegal, invalid_action, no_index, unparsable, unsupported
from efive.server.elastic.indices import mapping_json
from efive.server.elastic.indices import names as index_names
from efive.server.elastic.indices import settings as index_settings
from efive.server.elastic.indices.index import Index
from efive.server.http import caller_of, guarded
from efive.server.protocols.elastic.wire import body_of, cluster_of, flag, reply

_ACKNOWLEDGED = {"acknowledged": True}
_NOTHING_TO_DO = ("_refresh", "_flush", "_forcemerge", "_cache/clear")
"""What is done already: a write that was answered can be searched and is on the disk."""


def routes() -> list[Route]:
    """Return the routes of indices; they come last, for `/{index}` is anything."""
    read, manage = Scope.SEARCH, Scope.MANAGE
    both = ["GET", "POST"]
    return [
        *(Route(f"/{name}", guarded(manage, touch), methods=both) for name in _NOTHING_TO_DO),
        *(Route(f"/{{index}}/{name}", guarded(manage, touch), methods=both) for name in _NOTHING_TO_DO),
        *(Route(path, guarded(read, mappings), methods=["GET"]) for path in _paths("_mapping", "_mappings")),
        *(Route(path, guarded(read, settings), methods=["GET"]) for path in _paths("_settings")),
        *(Route(path, guarded(read, aliases), methods=["GET"]) for path in _paths("_alias", "_aliases")),
        Route("/{index}/_mapping", guarded(manage, put_mapping), methods=["PUT", "POST"]),
        Route("/{index}/_settings", guarded(manage, put_settings), methods=["PUT"]),
        Route("/{index}/_settings/{names}", guarded(read, settings), methods=["GET"]),
        Route("/_count", guarded(read, count), methods=both),
        Route("/{index}/_count", guarded(read, count), methods=both),
        Route("/_resolve/index/{index}", guarded(read, resolve), methods=both),
        Route("/_aliases", guarded(manage, no_aliases), methods=["POST"]),
        Route("/{index}/_alias/{name}", guarded(manage, no_aliases), methods=["PUT", "POST", "DELETE"]),
        Route("/_data_stream", guarded(read, data_streams), methods=["GET"]),
        Route("/_data_stream/{index}", guarded(read, data_streams), methods=["GET"]),
        Route("/{index}", guarded(read, exists), methods=["HEAD"]),
        Route("/{index}", guarded(read, show), methods=["GET"]),
        Route("/{index}", guarded(manage, create), methods=["PUT"]),
        Route("/{index}", guarded(manage, delete), methods=["DELETE"]),
    ]


def _paths(*names: str) -> list[str]:
    return [path for name in names for path in (f"/{name}", f"/{{index}}/{name}")]


async def named(request: Request) -> list[Index]:
    """Return the indices that the address names, and `ignore_unavailable` and `allow_no_indices` allow.

    Raises:
        ElasticError: 404 for one that is not there.
    """
    expression, allowed = _asked(request)
    return await cluster_of(request).indices.resolve(expression, **allowed)


async def names_of(request: Request) -> list[str]:
    """Return their names: of those, too, that are damaged.

    Raises:
        ElasticError: as `named`.
    """
    expression, allowed = _asked(request)
    return await cluster_of(request).indices.meant(expression, **allowed)


def _asked(request: Request) -> tuple[str, dict[str, bool]]:
    expression = request.path_params.get("index", "*")
    if expression.startswith("_") and expression != "_all":
        raise ElasticError(
            400, "invalid_index_name_exception", f"Invalid index name [{expression}], must not start with '_'."
        )
    return expression, {
        "ignore_unavailable": flag(request, "ignore_unavailable"),
        "allow_no_indices": flag(request, "allow_no_indices", default=True),
    }


async def create(request: Request) -> Response:
    """Make an index."""
    name, body = request.path_params["index"], await body_of(request)
    for given in sorted(body.keys() - {"mappings", "settings", "aliases"}):
        raise ElasticError(400, "parse_exception", f"unknown key [{given}] for create index")
    for given in ("mappings", "settings", "aliases"):
        if not isinstance(body.get(given, {}), dict | type(None)):
            raise ElasticError(400, "parse_exception", f"key [{given}] must be an object")
    if body.get("aliases"):
        raise unsupported("[aliases] of an index")
    await cluster_of(request).indices.create(name, body.get("mappings"), body.get("settings"))
    return reply(request, {**_ACKNOWLEDGED, "shards_acknowledged": True, "index": name})


async def exists(request: Request) -> Response:
    """Say whether indices are there."""
    try:
        found = await named(request)
    except ElasticError as error:
        if error.status != 404:
            raise
        found = []
    return reply(request, {}, 200 if found else 404)


async def show(request: Request) -> Response:
    """Return all that there is to know of indices."""
    features = request.query_params.get("features", "aliases,mappings,settings").split(",")
    shown: dict[str, Callable[[Index], Any]] = {
        "aliases": lambda _index: {},
        "mappings": lambda index: mapping_json.to_dict(index.mapping),
        "settings": _settings,
    }
    return reply(
        request,
        {
            index.name: {name: describe(index) for name, describe in shown.items() if name in features}
            for index in await named(request)
        },
    )


async def mappings(request: Request) -> Response:
    """Return the mappings of indices."""
    found = await named(request)
    return reply(request, {index.name: {"mappings": mapping_json.to_dict(index.mapping)} for index in found})


async def put_mapping(request: Request) -> Response:
    """Add fields to indices, or change what can be changed of them."""
    body = await body_of(request)
    if not body:
        raise invalid_action("mapping source is missing")
    for index in await _there(request):
        await index.put_mapping(body)
    return reply(request, _ACKNOWLEDGED)


async def settings(request: Request) -> Response:
    """Return the settings of indices."""
    flat, names = flag(request, "flat_settings"), request.path_params.get("names", "*")
    if names not in {"*", "_all"}:
        raise unsupported("[settings] by name")
    return reply(
        request,
        {index.name: {"settings": _flat(_settings(index)) if flat else _settings(index)}
         for index in await named(request)},
    )  # fmt: skip


def _settings(index: Index) -> dict[str, Any]:
    about = index.description
    return index_settings.shown(about.settings, index.name, about.uuid, about.created)


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


async def put_settings(request: Request) -> Response:
    """Change the settings of indices."""
    body = await body_of(request)
    if not isinstance(body := body.get("settings", body), dict):
        raise ElasticError(400, "parse_exception", "key [settings] must be an object")
    for index in await _there(request):
        await index.put_settings(index_settings.changed(body, f"{index.name}/{index.uuid}"))
    return reply(request, _ACKNOWLEDGED)


async def _there(request: Request) -> list[Index]:
    if not (found := await named(request)):
        raise no_index(request.path_params["index"])
    return found


async def delete(request: Request) -> Response:
    """Remove indices with all that is in them."""
    if index_names.means_all(request.path_params["index"]):
        raise illegal("Wildcard expressions or all indices are not allowed")
    for name in await names_of(request):
        await cluster_of(request).indices.delete(name)
    return reply(request, _ACKNOWLEDGED)


async def touch(request: Request) -> Response:
    """Answer what asks that writes be visible, or on the disk: they are."""
    count = len(await named(request))
    return reply(request, {"_shards": {"total": count, "successful": count, "failed": 0}})


async def count(request: Request) -> Response:
    """Say how many documents match a query, or how many there are."""
    body = await body_of(request)
    if unknown := sorted(body.keys() - {"query"}):
        raise unparsable(f"request does not support [{unknown[0]}]")
    if "q" in request.query_params:
        raise unsupported("the query parameter [q]")
    return reply(request, await queries.count(cluster_of(request), await named(request), body, caller_of(request)))


async def aliases(request: Request) -> Response:
    """Say that indices have no aliases."""
    return reply(request, {index.name: {"aliases": {}} for index in await named(request)})


async def no_aliases(request: Request) -> Response:  # noqa: ARG001 - starlette's signature
    """Refuse to make an alias."""
    raise unsupported("[_alias]")


async def data_streams(request: Request) -> Response:
    """Say that there are no data streams; one that is asked for by its name is missing."""
    name = request.path_params.get("index", "*")
    if "*" not in name and name != "_all":
        raise no_index(name)
    return reply(request, {"data_streams": []})


async def resolve(request: Request) -> Response:
    """Return the names of the indices that an expression means."""
    found = [{"name": index.name, "attributes": ["open"], "mode": "standard"} for index in await named(request)]
    return reply(request, {"indices": found, "aliases": [], "data_streams": []})
