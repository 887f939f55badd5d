"""Indexes: made, listed, described, changed and deleted. All of them are ready at once."""

from starlette.requests import Request
from starlette.responses import Response

from efive.server.http import answer, parse, service_of
from efive.server.protocols.pinecone.catalog import index_of, indexes_of
from efive.server.protocols.pinecone.definitions import (
    Configure,
    Create,
    CreateForModel,
    Index,
    configured,
    integrated,
    plain,
    semantic,
)
from efive.server.protocols.pinecone.shapes import model_of


async def listing(request: Request) -> Response:
    """List the indexes."""
    return answer({"indexes": [_shown(request, index) for index in indexes_of(request).all()]})


async def create(request: Request) -> Response:
    """Make an index of vectors, or, if its schema has a field of text, one with a model."""
    body = await parse(request, Create)
    with_model = semantic(body)
    if with_model is not None:
        return _create_for_model(request, with_model)
    return answer(_shown(request, indexes_of(request).create(plain(body))), 201)


async def create_for_model(request: Request) -> Response:
    """Make an index that embeds its records itself."""
    return _create_for_model(request, await parse(request, CreateForModel))


def _create_for_model(request: Request, body: CreateForModel) -> Response:
    deployment = service_of(request).deployments.find(body.embed.model)[0]
    index = integrated(body, deployment.encoder.dimension)
    return answer(_shown(request, indexes_of(request).create(index)), 201)


async def describe(request: Request) -> Response:
    """Describe an index."""
    return answer(_shown(request, index_of(request)))


async def configure(request: Request) -> Response:
    """Change an index's tags and its protection."""
    body = await parse(request, Configure)
    index = configured(index_of(request), body)
    return answer(_shown(request, indexes_of(request).keep(index)))


async def delete(request: Request) -> Response:
    """Delete an index with all that it holds."""
    await indexes_of(request).delete(request.path_params["name"])
    return Response(status_code=202)


def _shown(request: Request, index: Index) -> object:
    """Return an index as this client reads it, at the address that this client uses."""
    root = f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"
    return model_of(index, f"{root}/_i/{index.name}", request.headers.get("x-pinecone-api-version", ""))
