"""The embeddings part of OpenAI's API."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.deployments.deployment import Deployment
from efive.errors import (
    EfiveError,
    ForbiddenError,
    InputError,
    ModelNotFoundError,
    OverloadedError,
    RateLimitError,
    TooLongError,
    UnauthenticatedError,
)
from efive.inputs import Overflow, Role
from efive.server.access import Scope
from efive.server.http import (
    BodyError,
    BodyTooLargeError,
    NoRouteError,
    answer,
    caller_of,
    embed_headers,
    guarded,
    make_door,
    openai_list,
    parse,
    retry_after,
    service_of,
)
from efive.server.service import EmbedRequest, Input

DOOR = "openai"
_NO_IDS = (
    "input has token ids, which are most often those of OpenAI's tokenizer and mean other words here; send texts (in "
    "LangChain: check_embedding_ctx_length=False), or token_ids: true with ids of the model's own vocabulary"
)

Text = Annotated[str, Meta(min_length=1)]


class Body(msgspec.Struct):
    """What `POST /embeddings` takes; fields that OpenAI has and that mean nothing here are ignored."""

    input: Text | Annotated[list[Any], Meta(min_length=1)]
    model: str
    encoding_format: str | None = None
    """`float` or `base64`; None is `float`."""
    dimensions: int | None = None
    input_type: str | None = None
    """Ours: `query` or `passage`; without it, texts are taken as they are."""
    prompt_name: str | None = None
    """The same by another name."""
    truncate: str | None = None
    """Ours: `end` or `start` instead of an error for texts that are too long."""
    token_ids: bool = False
    """Ours: lists of integers are ids of the model's own vocabulary. Without it they are refused: clients send ids of
    OpenAI's tokenizer, which lie within most vocabularies and mean other words there."""


# Our error: its type and code here.
_WORDS: list[tuple[type[EfiveError], str, str | None]] = [
    (ModelNotFoundError, "invalid_request_error", "model_not_found"),
    (TooLongError, "invalid_request_error", "context_length_exceeded"),
    (InputError, "invalid_request_error", None),
    (BodyTooLargeError, "invalid_request_error", "too_large"),
    (NoRouteError, "invalid_request_error", None),
    (UnauthenticatedError, "invalid_request_error", "invalid_api_key"),
    (ForbiddenError, "invalid_request_error", "insufficient_permissions"),
    (RateLimitError, "rate_limit_exceeded", "rate_limit_exceeded"),
    (OverloadedError, "rate_limit_exceeded", "overloaded"),
]


def door() -> Starlette:
    """Return the application to mount, at `/openai/v1` and, for those who leave it off, `/openai`."""
    embed = guarded(Scope.EMBED, embeddings)
    routes = [
        Route("/embeddings", embed, methods=["POST"]),
        Route("/models", guarded(Scope.EMBED, models), methods=["GET"]),
        Route("/models/{name:path}", guarded(Scope.EMBED, model), methods=["GET"]),
    ]
    return make_door(routes, problem)


async def embeddings(request: Request) -> Response:
    """Embed what `input` holds."""
    body = await parse(request, Body)
    if body.encoding_format not in {None, "float", "base64"}:
        raise BodyError(f"encoding_format is {body.encoding_format!r}; it can be float or base64", "$.encoding_format")
    inputs, role = inputs_of(body.input), _role(body.input_type or body.prompt_name)
    deployment, named = service_of(request).deployments.find(body.model)
    if any(not isinstance(each, str) for each in inputs):
        _check_ids(body, role or named)
    if body.dimensions is not None:
        _native(body.dimensions, deployment)
    result = await service_of(request).embed(
        EmbedRequest(
            model=body.model,
            inputs=inputs,
            role=role,
            overflow=_overflow(body.truncate),
            caller=caller_of(request),
            door=DOOR,
        )
    )
    shown = openai_list(result.vectors, result, body.model, packed=body.encoding_format == "base64")
    return answer(shown, headers=embed_headers(result))


def _check_ids(body: Body, role: Role | None) -> None:
    if not body.token_ids:
        raise BodyError(_NO_IDS, "$.input")
    if role not in {None, Role.RAW}:
        raise BodyError(
            f"input has token ids, which get no prefix: put the ids of {str(role)!r} before them, or send texts",
            "$.input",
        )


def _native(dimensions: int, deployment: Deployment) -> None:
    if dimensions != deployment.encoder.dimension:
        raise BodyError(
            f"dimensions is {dimensions}; {deployment.name} has {deployment.encoder.dimension}, and was not trained "
            "to be cut",
            "$.dimensions",
        )


def inputs_of(given: str | list[Any]) -> list[Input]:
    """Return `input` as a list: one text, texts, one list of token ids, or lists of token ids.

    Raises:
        BodyError: naming the item that is neither.
    """
    if isinstance(given, str):
        return [given]
    if all(type(each) is int for each in given):
        return [given]
    for index, each in enumerate(given):
        ids = isinstance(each, list) and each and all(type(id_) is int for id_ in each)
        if not ids and not isinstance(each, str):
            raise BodyError(f"input {index} is neither a text nor a list of token ids", f"$.input[{index}]")
        if each == "":
            raise BodyError(f"input {index} is empty; leave it out", f"$.input[{index}]")
    return given


def _role(name: str | None) -> Role | None:
    if name is None:
        return None
    known = {"query": Role.QUERY, "passage": Role.PASSAGE, "document": Role.PASSAGE, "raw": Role.RAW}
    if name not in known:
        raise BodyError(f"no input_type {name!r}; there is {', '.join(known)}", "$.input_type")
    return known[name]


def _overflow(name: str | None) -> Overflow:
    known = {None: Overflow.ERROR, "none": Overflow.ERROR, "end": Overflow.END, "start": Overflow.START}
    found = known.get(name.lower() if name else None)
    if found is None:
        raise BodyError(f"no truncate {name!r}; there is none, end, start", "$.truncate")
    return found


async def models(request: Request) -> Response:
    """List what is deployed."""
    return answer({"object": "list", "data": [_model(each.name) for each in service_of(request).deployments]})


async def model(request: Request) -> Response:
    """Describe one model; its name may have a slash in it."""
    name = request.path_params["name"]
    service_of(request).deployments.find(name)
    return answer(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1, "owned_by": "efive"}


def problem(request: Request, error: EfiveError, status: int) -> Response:  # noqa: ARG001
    """Write an error as OpenAI does."""
    type_, code = next(((t, c) for kind, t, c in _WORDS if isinstance(error, kind)), ("server_error", error.code))
    message = str(error)
    if isinstance(error, TooLongError):
        message = f'{error.fact}; `"truncate": "end"` or `"start"` has it cut'
    body = {"message": message, "type": type_, "param": _parameter(error), "code": code}
    return answer({"error": body}, status, retry_after(error))


def _parameter(error: Exception) -> str | None:
    if isinstance(error, BodyError):
        return error.where.removeprefix("$").removeprefix(".").partition("[")[0] or None
    if isinstance(error, ModelNotFoundError):
        return "model"
    return "input" if isinstance(error, InputError) else None
