"""SambaStudio: endpoints with keys of their own, predictions online and in batches, training jobs."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.errors import (
    DeadlineError,
    EfiveError,
    ForbiddenError,
    OverloadedError,
    RateLimitError,
    UnauthenticatedError,
)
from efive.server.access import Scope
from efive.server.http import BodyError, Endpoint, answer, guarded, make_door, retry_after
from efive.server.protocols.sambastudio import batch_jobs, datasets, endpoints, inference, training_jobs
from efive.server.service import Service

_ENDPOINT = "{project}/{endpoint}"
_PROJECT = "/api/projects/{project}"

# Our error: SambaNova's word for it; the others are the client's or the server's by their status.
_WORDS: list[tuple[type[EfiveError], str]] = [
    (UnauthenticatedError, "invalid_authentication"),
    (ForbiddenError, "invalid_authentication"),
    (RateLimitError, "insufficient_quota"),
    (OverloadedError, "insufficient_quota"),
    (DeadlineError, "request_timeout"),
]


def door() -> Starlette:
    """Return the application to mount, at `/samba`."""
    app = make_door([*_predicting(), *_endpoints(), *_batches(), *_training()], problem)
    app.state.background = lambda service: background(app, service)
    return app


def _predicting() -> list[Route]:
    # Their own keys let callers in, or the server's: each looks for itself.
    return [
        Route(f"/api/predict/nlp/{_ENDPOINT}", inference.nlp, methods=["POST"]),
        Route(f"/api/predict/generic/{_ENDPOINT}", inference.generic, methods=["POST"]),
        Route(f"/api/v2/predict/generic/{_ENDPOINT}", inference.generic_v2, methods=["POST"]),
        Route("/v1/embeddings", inference.embeddings, methods=["POST"]),
    ]


def _managed(method: str, path: str, endpoint: Endpoint) -> Route:
    return Route(path, guarded(Scope.MANAGE, endpoint), methods=[method])


def _endpoints() -> list[Route]:
    each = f"{_PROJECT}/endpoints/{{endpoint}}"
    return [
        _managed("GET", "/api/endpoints", endpoints.show_all),
        _managed("GET", f"{_PROJECT}/endpoints", endpoints.show_all),
        _managed("POST", f"{_PROJECT}/endpoints", endpoints.create),
        _managed("GET", each, endpoints.show),
        _managed("DELETE", each, endpoints.delete),
    ]


def _batches() -> list[Route]:
    each = f"{_PROJECT}/batch-jobs/{{id}}"
    return [
        _managed("POST", f"{_PROJECT}/endpoints/{{endpoint}}/batch-jobs", batch_jobs.create),
        _managed("GET", f"{_PROJECT}/batch-jobs", batch_jobs.show_all),
        _managed("GET", each, batch_jobs.show),
        _managed("GET", f"{each}/result", batch_jobs.result),
        _managed("POST", f"{each}/cancel", batch_jobs.cancel),
        _managed("DELETE", each, batch_jobs.delete),
    ]


def _training() -> list[Route]:
    data, each = f"{_PROJECT}/datasets", f"{_PROJECT}/training-jobs/{{id}}"
    return [
        _managed("GET", data, datasets.show_all),
        _managed("PUT", f"{data}/{{dataset}}/{{file}}", datasets.upload),
        _managed("DELETE", f"{data}/{{dataset}}", datasets.delete),
        _managed("POST", f"{_PROJECT}/training-jobs", training_jobs.create),
        _managed("GET", f"{_PROJECT}/training-jobs", training_jobs.show_all),
        _managed("GET", each, training_jobs.show),
        _managed("GET", f"{each}/log", training_jobs.log),
        _managed("POST", f"{each}/cancel", training_jobs.cancel),
        _managed("POST", f"{each}/deploy", training_jobs.deploy),
        _managed("DELETE", each, training_jobs.delete),
    ]


@contextlib.asynccontextmanager
async def background(app: Starlette, service: Service) -> AsyncIterator[None]:
    """Go on with the jobs that had not ended, and stop them when the server ends."""
    app.state.batch, app.state.training = batch_jobs.make_jobs(service), training_jobs.make_jobs(service)
    both = (app.state.batch, app.state.training)
    for jobs in both:
        jobs.resume()
    yield
    for jobs in both:
        await jobs.close()


def problem(request: Request, error: EfiveError, status: int) -> Response:  # noqa: ARG001
    """Write an error in one envelope for all forms; SambaStudio's own is not documented, its clients quote it whole."""
    otherwise = "server_error" if status >= 500 else "invalid_request_error"
    type_ = next((word for kind, word in _WORDS if isinstance(error, kind)), otherwise)
    where = error.where.removeprefix("$").removeprefix(".") if isinstance(error, BodyError) else ""
    body = {"message": f"{where}: {error}" if where else str(error), "type": type_, "code": error.code}
    return answer({"error": body}, status, retry_after(error))
