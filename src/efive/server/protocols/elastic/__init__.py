"""Elasticsearch's API, as far as E5 needs it: inference, trained models, documents, search."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.cluster import DOOR, Cluster
from efive.server.http import guarded, make_door
from efive.server.protocols.elastic import (
    bulk,
    cat,
    documents,
    getting,
    indices,
    inference,
    ingest,
    reindex,
    search,
    tasks,
    trained_models,
    trained_models_deployments,
    trained_models_inference,
)
from efive.server.protocols.elastic.wire import VERSION, problem, reply
from efive.server.service import Service


def door() -> Starlette:
    """Return the application to mount at `/es`."""
    root = Route("/", guarded(Scope.EMBED, info), methods=["GET", "HEAD"])
    models = (trained_models_deployments, trained_models_inference, trained_models)
    app = make_door(
        [
            root,
            *inference.routes(),
            *ingest.routes(),
            *reindex.routes(),
            *search.routes(),
            *tasks.routes(),
            *(route for each in models for route in each.routes()),
            *bulk.routes(),
            *documents.routes(),
            *getting.routes(),
            *cat.routes(),
            *indices.routes(),
        ],
        problem,
    )
    app.state.background = lambda service: _opened(app, service)
    return app


@contextlib.asynccontextmanager
async def _opened(app: Starlette, service: Service) -> AsyncIterator[None]:
    service.telemetry.announce(DOOR)
    app.state.cluster = Cluster(service)
    await app.state.cluster.indices.finish_deletions()
    try:
        yield
    finally:
        await app.state.cluster.close()


async def info(request: Request) -> Response:
    """Say what this is."""
    version = {
        "number": VERSION,
        "build_flavor": "default",
        "build_type": "tar",
        "build_hash": "efive",
        "build_date": "2026-01-01T00:00:00.000Z",
        "build_snapshot": False,
        "lucene_version": "10.3.0",
        "minimum_wire_compatibility_version": "8.19.0",
        "minimum_index_compatibility_version": "8.0.0",
    }
    named = {"name": "efive", "cluster_name": "efive", "cluster_uuid": "efive"}
    return reply(request, {**named, "version": version, "tagline": "You Know, for Search"})
