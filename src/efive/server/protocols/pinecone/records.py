"""Records of an index with a model: texts that the server embeds, as documents of a collection."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from efive.errors import InputError
from efive.inputs import Role
from efive.jsonlines import shown
from efive.search.asking import condition
from efive.search.documents import Document, check_metadata
from efive.server.http import BodyError, answer, caller_of, decode, parse, read, service_of
from efive.server.protocols.pinecone.bodies import MOST_HITS, Filter, Id, Metadata, values_of
from efive.server.protocols.pinecone.catalog import index_of, indexes_of
from efive.server.protocols.pinecone.definitions import Index
from efive.server.protocols.pinecone.holdings import Holding, Records
from efive.server.protocols.pinecone.inference import MOST, embedded
from efive.vectors import Floats


class Record(msgspec.Struct):
    """The name of a record, by either of its two names."""

    id_: Id | None = msgspec.field(name="_id", default=None)
    id: Id | None = None


class Vector(msgspec.Struct):
    """A vector to search with."""

    values: list[float] = []


class Inputs(msgspec.Struct):
    """A text to search with."""

    text: str = ""


class Query(msgspec.Struct):
    """What is searched for."""

    top_k: Annotated[int, Meta(ge=1, le=MOST_HITS)]
    inputs: Inputs | None = None
    filter: Filter = None
    id: str | None = None
    vector: Vector | None = None
    match_terms: Any = None


class Search(msgspec.Struct):
    """`POST /records/namespaces/{namespace}/search`."""

    query: Query
    fields: list[str] | None = None
    rerank: Any = None


async def upsert(request: Request) -> Response:
    """Embed records and store them in place of those of the same ids."""
    index = index_of(request)
    if index.embed is None:
        raise InputError(f"{index.name} has no model to embed records with; send vectors, or create an index for one")
    lines = [line for line in (await read(request)).splitlines() if line.strip()]
    if not 1 <= len(lines) <= MOST:
        raise InputError(f"{len(lines)} records; a request has 1 to {MOST}, each on a line of its own")
    documents = [_document(line, number, index.embed.field) for number, line in enumerate(lines, 1)]
    await charge(request, index, [document.text for document in documents])

    def work(held: Holding) -> None:
        assert isinstance(held, Records)
        held.add(documents)

    await indexes_of(request).write(index, request.path_params["namespace"], work, make=True)
    return Response(status_code=201)


async def charge(request: Request, index: Index, texts: list[str]) -> None:
    """Count texts that an index will embed against the caller's share.

    Raises:
        RateLimitError: if it is used up.
    """
    # The model is looked for where somebody counts: its deployment may have another name by now, and go on to embed.
    if index.embed is not None and caller_of(request).tokens_per_minute is not None:
        deployment = service_of(request).deployments.find(index.embed.model)[0]
        await service_of(request).charge(caller_of(request), deployment, texts)


def _document(line: bytes, number: int, field: str) -> Document:
    """Return a record as a document: what is not its name or its text is its metadata."""
    try:
        named, values = decode(line, Record), decode(line, dict[str, Any])
        id_ = named.id_ or named.id
        if id_ is None:
            raise BodyError("it has no _id", "$._id")
        text = values.pop(field, None)
        if not isinstance(text, str) or not text.strip():
            raise BodyError(f"it needs a text to embed, and there is {shown(text)}", f"$.{field}")
        others = {name: value for name, value in values.items() if name not in {"_id", "id"}}
        metadata = msgspec.convert(others, Metadata)
        check_metadata(metadata, id_)
    except msgspec.ValidationError as error:
        raise InputError(f"record {number}: {error}") from None
    except BodyError as error:
        raise InputError(f"record {number}, {error.where}: {error}") from None
    return Document(id_, text, metadata)


async def search(request: Request) -> Response:
    """Find the records that answer a text, or are most like a vector or another record."""
    index, body = index_of(request), await parse(request, Search)
    if body.rerank is not None:
        raise BodyError("there is no model to rank again with; leave it out", "$.rerank")
    if body.query.match_terms:
        raise BodyError("words can be asked for of sparse indexes only, which are not supported", "$.query.match_terms")
    asked, where = body.query, condition(body.query.filter)
    wanted, tokens = await _wanted(request, index, asked)

    def work(held: Holding) -> list[dict[str, Any]]:
        likeness = wanted
        if asked.id is not None:
            likeness = next((each.values for each in held.get([asked.id])), None)
        found = [] if likeness is None else held.nearest(likeness, asked.top_k, where)
        stored = {each.id: each for each in held.get([id_ for id_, _ in found])}
        return [
            {"_id": id_, "_score": score, "fields": _fields(stored[id_].metadata, body.fields)}
            for id_, score in found
            if id_ in stored
        ]

    hits = await indexes_of(request).read(index, request.path_params["namespace"], work)
    usage = {"read_units": 1} | ({"embed_total_tokens": tokens} if tokens else {})
    return answer({"result": {"hits": hits or []}, "usage": usage})


async def _wanted(request: Request, index: Index, asked: Query) -> tuple[Floats | None, int]:
    """Return the vector to search with, and the tokens that it took to make it; None for a record's own."""
    given = [asked.inputs is not None, asked.vector is not None, asked.id is not None]
    if sum(given) != 1:
        raise BodyError("give one of inputs, vector and id", "$.query")
    if asked.vector is not None:
        return values_of(index, asked.vector.values, "$.query.vector.values"), 0
    if asked.inputs is None:
        return None, 0
    if index.embed is None:
        raise BodyError(f"{index.name} has no model to embed a text with; give a vector", "$.query.inputs")
    if not asked.inputs.text.strip():
        raise BodyError("the text is empty", "$.query.inputs.text")
    result = await embedded(request, index.embed.model, [asked.inputs.text], Role(index.embed.read_input))
    return result.vectors[0], result.tokens


def _fields(metadata: Any, wanted: list[str] | None) -> dict[str, Any]:  # noqa: ANN401
    return {name: value for name, value in metadata.items() if not wanted or wanted == ["*"] or name in wanted}
