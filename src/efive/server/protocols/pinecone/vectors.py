"""Vectors of one index: written, read, found and removed by id, by filter and by likeness."""

from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from efive.errors import InputError
from efive.search.asking import condition
from efive.search.documents import check_metadata
from efive.search.raw import RawVector, RawVectors
from efive.server.http import BodyError, answer, parse
from efive.server.protocols.pinecone.bodies import (
    MOST_VECTORS,
    Delete,
    FetchByMetadata,
    Query,
    Update,
    Upsert,
    Vector,
    refuse_sparse,
    values_of,
)
from efive.server.protocols.pinecone.catalog import index_of, indexes_of, no_namespace, plain
from efive.server.protocols.pinecone.definitions import Index
from efive.server.protocols.pinecone.holdings import Holding
from efive.server.protocols.pinecone.pages import last_of, limit_of, page, page_asked, pagination
from efive.server.protocols.pinecone.records import charge

_USAGE = {"readUnits": 1}


async def upsert(request: Request) -> Response:
    """Store vectors in place of those of the same ids."""
    index, body = index_of(request), await parse(request, Upsert)
    if index.embed is not None:
        raise InputError(
            f"{index.name} embeds its records itself; send their texts to /records/namespaces/{{namespace}}/upsert"
        )
    if not 1 <= len(body.vectors) <= MOST_VECTORS:
        raise BodyError(f"{len(body.vectors)} vectors; a request has 1 to {MOST_VECTORS}", "$.vectors")
    vectors = [_vector(index, each, f"$.vectors[{place}]") for place, each in enumerate(body.vectors)]

    def work(held: Holding) -> None:
        assert isinstance(held, RawVectors)
        held.put(vectors)

    await indexes_of(request).write(index, body.namespace or "", work, make=True)
    return answer({"upsertedCount": len(vectors)})


def _vector(index: Index, given: Vector, where: str) -> RawVector:
    refuse_sparse(given.sparse_values, f"{where}.sparseValues")
    metadata = given.metadata or {}
    check_metadata(metadata, given.id)
    return RawVector(given.id, values_of(index, given.values, f"{where}.values"), metadata)


async def query(request: Request) -> Response:
    """Find the vectors that are most like one, or like the one of an id."""
    index, body = index_of(request), await parse(request, Query)
    refuse_sparse(body.sparse_vector, "$.sparseVector")
    if (body.vector is None) == (body.id is None):
        raise BodyError("give either a vector or an id", "$.vector")
    wanted = values_of(index, body.vector, "$.vector") if body.vector is not None else None
    where = condition(body.filter)

    def work(held: Holding) -> list[dict[str, Any]]:
        likeness = wanted if body.id is None else next((each.values for each in held.get([body.id])), None)
        found = [] if likeness is None else held.nearest(likeness, body.top_k, where)
        full = body.include_values or body.include_metadata
        stored = {each.id: each for each in held.get([id_ for id_, _ in found])} if full else {}
        return [_match(id_, score, stored.get(id_), body) for id_, score in found]

    matches = await indexes_of(request).read(index, body.namespace or "", work)
    return answer({"matches": matches or [], "namespace": body.namespace or "", "usage": _USAGE})


def _match(id_: str, score: float, stored: RawVector | None, body: Query) -> dict[str, Any]:
    match: dict[str, Any] = {"id": id_, "score": score, "values": []}
    if stored is not None and body.include_values:
        match["values"] = np.ascontiguousarray(stored.values)
    if stored is not None and body.include_metadata:
        match["metadata"] = stored.metadata
    return match


async def fetch(request: Request) -> Response:
    """Return vectors by their ids."""
    index, ids = index_of(request), request.query_params.getlist("ids")
    if not ids:
        raise InputError("no ids; give at least one as ?ids=")
    namespace = request.query_params.get("namespace", "")
    found = await indexes_of(request).read(index, namespace, lambda held: held.get(ids))
    return answer({"vectors": _vectors(found or []), "namespace": namespace, "usage": _USAGE})


async def fetch_by_metadata(request: Request) -> Response:
    """Return the vectors that a filter holds for, page by page."""
    index, body = index_of(request), await parse(request, FetchByMetadata)
    where, limit, after = condition(body.filter), limit_of(body.limit), last_of(body.pagination_token)

    def work(held: Holding) -> tuple[list[RawVector], str | None]:
        ids, following = page(held.ids(where), limit, after)
        return held.get(ids), following

    found, following = await indexes_of(request).read(index, body.namespace or "", work) or ([], None)
    body_: dict[str, Any] = {"vectors": _vectors(found), "namespace": body.namespace or "", "usage": _USAGE}
    return answer(body_ | pagination(following))


def _vectors(found: list[RawVector]) -> dict[str, Any]:
    return {
        each.id: {"id": each.id, "values": np.ascontiguousarray(each.values), "metadata": each.metadata}
        for each in found
    }


async def listing(request: Request) -> Response:
    """List ids in their order, page by page."""
    index, asked = index_of(request), request.query_params
    namespace, prefix = asked.get("namespace", ""), asked.get("prefix", "")
    limit, after = page_asked(request)

    def work(held: Holding) -> tuple[list[str], str | None]:
        return page((id_ for id_ in held.ids() if id_.startswith(prefix)), limit, after)

    ids, following = await indexes_of(request).read(index, namespace, work) or ([], None)
    body: dict[str, Any] = {"vectors": [{"id": id_} for id_ in ids], "namespace": namespace, "usage": _USAGE}
    return answer(body | pagination(following))


async def update(request: Request) -> Response:
    """Change a vector, or the metadata of all that a filter holds for; fields that are not named stay."""
    index, body = index_of(request), await parse(request, Update)
    refuse_sparse(body.sparse_values, "$.sparseValues")
    if (body.id is None) == (body.filter is None):
        raise BodyError("give either an id or a filter", "$.id")
    if body.filter is not None and body.values:
        raise BodyError("values belong to one vector; give its id", "$.values")
    values = values_of(index, body.values, "$.values") if body.values else None
    metadata, where = body.set_metadata or {}, condition(body.filter)
    check_metadata(metadata, body.id or "")
    if index.embed is not None and isinstance(text := metadata.get(index.embed.field), str):
        await charge(request, index, [text])

    def changed(old: RawVector) -> RawVector:
        return RawVector(old.id, old.values if values is None else values, {**old.metadata, **metadata})

    def work(held: Holding) -> int:
        ids = [body.id] if body.id is not None else list(held.ids(where))
        if not body.dry_run:
            for start in range(0, len(ids), MOST_VECTORS):
                held.change(ids[start : start + MOST_VECTORS], changed)
        return len(ids)

    matched = await indexes_of(request).write(index, body.namespace or "", work)
    return answer({} if body.filter is None else {"matchedRecords": matched or 0})


async def delete(request: Request) -> Response:
    """Remove vectors by ids, by a filter, or all of a namespace."""
    index, body = index_of(request), await parse(request, Delete)
    if (body.ids is not None) + body.delete_all + (body.filter is not None) != 1:
        raise InputError("give one of ids, filter and deleteAll")
    if body.filter == {}:
        raise BodyError("it is empty; to remove everything, send deleteAll", "$.filter")
    where, namespace = condition(body.filter), plain(body.namespace or "")
    if namespace and namespace not in index.namespaces:
        raise no_namespace(namespace)
    await indexes_of(request).write(
        index, namespace, lambda held: held.remove(body.ids if body.ids is not None else list(held.ids(where)))
    )
    return answer({})
