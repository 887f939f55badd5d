"""Namespaces of one index: counted, listed, made and removed."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from efive.search.asking import condition
from efive.search.conditions import Condition
from efive.server.http import answer, parse
from efive.server.protocols.pinecone.bodies import Filter
from efive.server.protocols.pinecone.catalog import DEFAULT, index_of, indexes_of, no_namespace, plain
from efive.server.protocols.pinecone.definitions import Index
from efive.server.protocols.pinecone.pages import page, page_asked, pagination
from efive.server.protocols.pinecone.problems import ExistsError


class Stats(msgspec.Struct):
    """`POST /describe_index_stats`."""

    filter: Filter = None


class Create(msgspec.Struct):
    """`POST /namespaces`."""

    name: Annotated[str, Meta(min_length=1)]


async def stats(request: Request) -> Response:
    """Count the vectors of each namespace that has any, or those that a filter holds for."""
    index, body = index_of(request), await parse(request, Stats)
    where = condition(body.filter)
    counts = {name: await _count(request, index, name, where) for name in index.namespaces}
    found = {name: {"vectorCount": count} for name, count in counts.items() if count}
    return answer(
        {
            "namespaces": found,
            "dimension": index.dimension,
            "indexFullness": 0.0,
            "totalVectorCount": sum(counts.values()),
            "metric": index.metric,
            "vectorType": "dense",
        }
    )


async def listing(request: Request) -> Response:
    """List namespaces in the order of their names, page by page."""
    index, prefix = index_of(request), request.query_params.get("prefix", "")
    limit, after = page_asked(request)
    names = [name or DEFAULT for name in index.namespaces]
    shown, following = page((name for name in names if name.startswith(prefix)), limit, after)
    found = [await _described(request, index, name) for name in shown]
    body: dict[str, Any] = {"namespaces": found, "total_count": len(names)}
    return answer(body | pagination(following))


async def create(request: Request) -> Response:
    """Make an empty namespace."""
    index, body = index_of(request), await parse(request, Create)
    if plain(body.name) in index.namespaces:
        raise ExistsError(f"there is a namespace {body.name!r} already")
    await indexes_of(request).holding(index, body.name, make=True)
    return answer({"name": body.name, "record_count": 0})


async def describe(request: Request) -> Response:
    """Describe a namespace."""
    index, name = index_of(request), request.path_params["namespace"]
    if plain(name) not in index.namespaces:
        raise no_namespace(name)
    return answer(await _described(request, index, name))


async def delete(request: Request) -> Response:
    """Remove a namespace with all that it holds."""
    await indexes_of(request).drop(index_of(request), request.path_params["namespace"])
    return answer({})


async def _described(request: Request, index: Index, name: str) -> dict[str, Any]:
    return {"name": name, "record_count": await _count(request, index, name, None)}


async def _count(request: Request, index: Index, name: str, where: Condition | None) -> int:
    return await indexes_of(request).read(index, name, lambda held: held.count(where)) or 0
