"""Pinecone's API: inference, indexes, and below `/_i/NAME` what one index holds."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.http import Endpoint, guarded, make_door
from efive.server.protocols.pinecone import indexes, inference, namespaces, records, vectors
from efive.server.protocols.pinecone.catalog import Indexes
from efive.server.protocols.pinecone.problems import problem
from efive.server.service import Service

_READ, _WRITE = Scope.SEARCH, Scope.MANAGE
_NAMED = "/namespaces/{namespace:path}"


def door() -> Starlette:
    """Return the application to mount at `/pinecone`."""
    app = make_door([*_control(), *_data()], problem)
    app.state.background = lambda service: _open_indexes(app, service)
    return app


@contextlib.asynccontextmanager
async def _open_indexes(app: Starlette, service: Service) -> AsyncIterator[None]:
    app.state.indexes = Indexes(service)
    yield
    await app.state.indexes.close()


def _control() -> list[Route]:
    return [
        _route("POST", "/embed", Scope.EMBED, inference.embed),
        _route("GET", "/models", Scope.EMBED, inference.models),
        _route("GET", "/models/{name:path}", Scope.EMBED, inference.model),
        _route("GET", "/indexes", _READ, indexes.listing),
        _route("POST", "/indexes", _WRITE, indexes.create),
        _route("POST", "/indexes/create-for-model", _WRITE, indexes.create_for_model),
        _route("GET", "/indexes/{name}", _READ, indexes.describe),
        _route("PATCH", "/indexes/{name}", _WRITE, indexes.configure),
        _route("DELETE", "/indexes/{name}", _WRITE, indexes.delete),
    ]


def _data() -> list[Route]:
    return [
        _route(method, "/_i/{name}" + path, scope, endpoint)
        for method, path, scope, endpoint in [
            ("POST", "/vectors/upsert", _WRITE, vectors.upsert),
            ("POST", "/vectors/update", _WRITE, vectors.update),
            ("POST", "/vectors/delete", _WRITE, vectors.delete),
            ("GET", "/vectors/fetch", _READ, vectors.fetch),
            ("POST", "/vectors/fetch_by_metadata", _READ, vectors.fetch_by_metadata),
            ("GET", "/vectors/list", _READ, vectors.listing),
            ("POST", "/query", _READ, vectors.query),
            ("POST", "/records" + _NAMED + "/upsert", _WRITE, records.upsert),
            ("POST", "/records" + _NAMED + "/search", _READ, records.search),
            ("POST", "/describe_index_stats", _READ, namespaces.stats),
            ("GET", "/describe_index_stats", _READ, namespaces.stats),
            ("GET", "/namespaces", _READ, namespaces.listing),
            ("POST", "/namespaces", _WRITE, namespaces.create),
            ("GET", _NAMED, _READ, namespaces.describe),
            ("DELETE", _NAMED, _WRITE, namespaces.delete),
        ]
    ]


def _route(method: str, path: str, scope: Scope, endpoint: Endpoint) -> Route:
    return Route(path, guarded(scope, endpoint), methods=[method])
