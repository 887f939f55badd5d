"""Documents kept, and searched."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from efive.errors import InputError
from efive.search.documents import Document, flat
from efive.server.access import Scope
from efive.server.http import BodyError, answer, caller_of, decode, parse, read, service_of
from efive.server.openapi import Operation

Id = Annotated[str, Meta(min_length=1, max_length=1000)]


class NewDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A document: one line of the body."""

    id: Id
    text: str
    metadata: dict[str, Any] = {}


class Added(msgspec.Struct):
    """What became of documents."""

    new: int
    """Embedded and stored for the first time, or anew because their text has changed."""
    metadata: int
    """Stored already but for their metadata, which was replaced."""
    unchanged: int
    """Stored already, just as they are."""


class Search(msgspec.Struct, forbid_unknown_fields=True):
    """A question."""

    text: Annotated[str, Meta(min_length=1, max_length=20_000)]
    """No longer than many times what a model reads: every word of it is looked up."""
    k: Annotated[int, Meta(ge=1, le=1000)] = 10
    offset: Annotated[int, Meta(ge=0)] = 0
    mode: str = "hybrid"
    """`hybrid`, `dense` or `text`."""
    where: str | dict[str, Any] | None = None
    """Only documents that this holds for, as `efive search --where` has it."""
    fusion: str = "normalised"
    min_confidence: float | None = None
    unique: float | None = None


class Found(msgspec.Struct):
    """Hits, best first."""

    collection: str
    hits: list[dict[str, Any]]


class Delete(msgspec.Struct, forbid_unknown_fields=True):
    """Documents to remove: either of the two."""

    ids: list[str] | None = None
    where: str | dict[str, Any] | None = None


class Deleted(msgspec.Struct):
    """How many documents there were."""

    deleted: int


class Described(msgspec.Struct):
    """A collection."""

    name: str
    documents: int
    passages: int
    bytes: int
    space: str
    model: str
    vectors: str
    window: int


class Listed(msgspec.Struct):
    """The names of all collections."""

    collections: list[str]


async def list_collections(request: Request) -> Response:
    """List the collections."""
    collections = service_of(request).collections
    return answer(Listed(await collections.run(collections.names)))


async def show_collection(request: Request) -> Response:
    """Describe one collection."""
    name = request.path_params["name"]
    collections = service_of(request).collections
    collection = await collections.open(name)
    stats = await collections.run(collection.stats)
    model = collections.deployment_of(name).name
    space = stats.space.fingerprint
    return answer(
        Described(name, stats.documents, stats.passages, stats.bytes, space, model, stats.vectors, stats.window)
    )


async def add_documents(request: Request) -> Response:
    """Add documents, one JSON object a line; a new collection is embedded by `?model=`, else by the first model."""
    service, name = service_of(request), request.path_params["name"]
    body, model = await read(request), request.query_params.get("model")
    if model is None and not service.collections.exists(name):
        model = service.default().name
    documents = await service.collections.run(lambda: _documents(body))
    deployment = service.collections.deployment_of(name, model)
    await service.charge(caller_of(request), deployment, [each.text for each in documents])
    added = await service.collections.write(name, lambda collection: collection.add(documents), model)
    return answer(Added(added.new, added.metadata, added.unchanged))


def _documents(body: bytes) -> list[Document]:
    lines = [(number, line) for number, line in enumerate(body.splitlines(), 1) if line.strip()]
    if not lines:
        raise InputError('there are no documents; send one JSON object a line: {"id": …, "text": …}')
    found = []
    for number, line in lines:
        try:
            one = decode(line, NewDocument)
        except BodyError as error:
            raise BodyError(f"line {number}: {error}", error.where) from None
        found.append(Document(one.id, one.text, _metadata(one.metadata)))
    return found


def _metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    return dict(flat(given))


async def search(request: Request) -> Response:
    """Find the documents that answer a question."""
    name = request.path_params["name"]
    body = await parse(request, Search)
    service, collections = service_of(request), service_of(request).collections
    collection = await collections.open(name)
    await service.charge(caller_of(request), collections.deployment_of(name), [body.text])
    options = msgspec.structs.asdict(body)
    text, k = options.pop("text"), options.pop("k")

    def ask() -> list[dict[str, Any]]:
        hits = collection.highlight(text, collection.search(text, k, **options))
        return [hit.to_dict() for hit in hits]

    return answer({"collection": name, "hits": await collections.run(ask)})


async def delete_documents(request: Request) -> Response:
    """Remove documents by id or by a condition."""
    body = await parse(request, Delete)
    deleted = await service_of(request).collections.write(
        request.path_params["name"], lambda collection: collection.delete(body.ids, where=body.where)
    )
    return answer(Deleted(deleted))


async def delete_collection(request: Request) -> Response:
    """Remove a collection with all that is in it."""
    await service_of(request).collections.delete(request.path_params["name"])
    return Response(status_code=204)


OPERATIONS = (
    Operation("GET", "/collections", list_collections, Scope.SEARCH, None, Listed),
    Operation("GET", "/collections/{name}", show_collection, Scope.SEARCH, None, Described),
    Operation("DELETE", "/collections/{name}", delete_collection, Scope.MANAGE, None, None, 204),
    Operation(
        "POST", "/collections/{name}/documents", add_documents, Scope.MANAGE, NewDocument, Added, 200,
        "application/x-ndjson", ("model",),
    ),
    Operation("POST", "/collections/{name}/search", search, Scope.SEARCH, Search, Found),
    Operation("POST", "/collections/{name}/delete", delete_documents, Scope.MANAGE, Delete, Deleted),
)  # fmt: skip
