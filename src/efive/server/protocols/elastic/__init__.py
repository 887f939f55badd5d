"""Elasticsearch's API, as far as E5 needs it: inference, trained models, documents, search."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.cluster import Cluster
from efive.server.http import guarded, make_door
from efive.server.protocols.elastic.wire import DOOR, problem, reply
from efive.server.service import Service

VERSION = "9.2.0"
"""The release whose API this is; clients look at its first number."""


def door() -> Starlette:
    """Return the application to mount at `/es`."""
    app = make_door([Route("/", guarded(Scope.EMBED, info), methods=["GET", "HEAD"])], problem)
    app.state.background = lambda service: _opened(app, service)
    return app


@contextlib.asynccontextmanager
async def _opened(app: Starlette, service: Service) -> AsyncIterator[None]:
    service.telemetry.announce(DOOR)
    app.state.cluster = Cluster(service)
    yield


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
