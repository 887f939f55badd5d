"""The API of Hugging Face's Text Embeddings Inference, as of its version 1.9."""

import asyncio
from collections.abc import Sequence, Sized
from typing import Any, Literal

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from efive import __version__
from efive.deployments.deployment import Deployment
from efive.errors import (
    DeadlineError,
    EfiveError,
    ForbiddenError,
    InputError,
    ModelNotFoundError,
    NotReadyError,
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
    SlowBodyError,
    answer,
    caller_of,
    embed_headers,
    guarded,
    make_door,
    metrics,
    openai_list,
    parse,
    retry_after,
    service_of,
)
from efive.server.service import EmbedRequest, EmbedResult, Input
from efive.text.tokenizer import Token

DOOR = "tei"
MOST = 32
"""Inputs of one request, as TEI has it unless told otherwise."""
_LETTERS = 1_000_000
"""Characters whose tokens one request may see: each becomes half a kilobyte of objects, and TEI takes 2 MB in all."""
_PROMPTS = {"query": Role.QUERY, "passage": Role.PASSAGE, "document": Role.PASSAGE}


class Options(msgspec.Struct):
    """What all requests may say."""

    truncate: bool | None = None
    truncation_direction: str = "Right"
    prompt_name: str | None = None


class Embed(Options, kw_only=True):
    """`POST /embed`, and `POST /` of embedding models."""

    inputs: Any
    normalize: bool = True
    dimensions: int | None = None
    parameters: Options = msgspec.field(default_factory=Options)
    """Of a similarity, which comes to the same address."""
    model: str | None = None
    """Ours: which deployment; TEI serves one model."""


class Similarity(msgspec.Struct):
    """The `inputs` of `POST /similarity`."""

    source_sentence: str
    sentences: list[str]


class Tokenize(msgspec.Struct):
    """`POST /tokenize`."""

    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: str | None = None


class Decode(msgspec.Struct):
    """`POST /decode`."""

    ids: list[int | list[int]]
    skip_special_tokens: bool = True


class OpenAi(msgspec.Struct):
    """`POST /v1/embeddings`, which TEI has in OpenAI's form."""

    input: Any
    model: str | None = None
    """Ignored but for the answer: TEI serves one model."""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


_WORDS: list[tuple[type[EfiveError], int | None, str]] = [
    (TooLongError, 422, "Validation"),
    (SlowBodyError, None, "Validation"),
    (BodyTooLargeError, 413, "Validation"),
    (RateLimitError, 429, "Overloaded"),
    (OverloadedError, 429, "Overloaded"),
    (NotReadyError, 503, "Unhealthy"),
    (ForbiddenError, 403, "Validation"),
    (DeadlineError, 424, "Backend"),
    (InputError, 422, "Validation"),
    (NoRouteError, None, "Validation"),
    (ModelNotFoundError, 404, "Validation"),
]


class EmptyError(InputError):
    """TEI has a word of its own for inputs that are empty."""


def door() -> Starlette:
    """Return the application to mount at `/tei`."""
    single, embedded = guarded(Scope.EMBED, embed), ["POST"]
    openai = guarded(Scope.EMBED, openai_embeddings)
    routes = [
        Route("/", healthy, methods=["GET"]),
        Route("/health", healthy, methods=["GET"]),
        Route("/ping", healthy, methods=["GET"]),
        *(Route(path, single, methods=embedded) for path in ("/", "/embed", "/invocations")),
        Route("/similarity", single, methods=["POST"]),
        Route("/tokenize", guarded(Scope.EMBED, tokenize), methods=["POST"]),
        Route("/decode", guarded(Scope.EMBED, decode), methods=["POST"]),
        Route("/info", guarded(Scope.EMBED, info), methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        *(Route(path, openai, methods=["POST"]) for path in ("/embeddings", "/v1/embeddings")),
    ]
    return make_door(routes, problem)


def serving(request: Request) -> Deployment:
    """Return the server's first model: TEI has one."""
    return service_of(request).default()


async def embed(request: Request) -> Response:
    """Embed, or compare with each other if `inputs` is an object."""
    body = await parse(request, Embed)
    model = body.model or serving(request).name
    if isinstance(body.inputs, dict):
        return await _similarity(request, body, model)
    inputs = inputs_of(body.inputs)
    result = await _embed(request, model, inputs, body, dimensions=body.dimensions, normalize=body.normalize)
    return answer(result.vectors, headers=_headers(result))


async def _embed(
    request: Request,
    model: str,
    inputs: list[Input],
    options: Options,
    *,
    dimensions: int | None = None,
    normalize: bool = True,
) -> EmbedResult:
    _check(len(inputs))
    deployment, named = service_of(request).deployments.find(model)
    role = _role(options.prompt_name) or named
    if role not in {None, Role.RAW} and not all(isinstance(each, str) for each in inputs):
        inputs = await asyncio.to_thread(_as_texts, deployment, inputs)
    return await service_of(request).embed(
        EmbedRequest(
            model=model,
            inputs=inputs,
            role=role,
            overflow=_overflow(options),
            dimensions=dimensions,
            normalize=normalize,
            caller=caller_of(request),
            door=DOOR,
        )
    )


def _as_texts(deployment: Deployment, inputs: list[Input]) -> list[Input]:
    """Return texts in place of token ids, as TEI does where a prompt comes before them."""
    return [each if isinstance(each, str) else _decoded(deployment, each) for each in inputs]


def _decoded(deployment: Deployment, ids: Sequence[int], *, skip_special: bool = True) -> str:
    most = deployment.encoder.architecture.vocabulary
    if any(not 0 <= id_ < most for id_ in ids):
        raise InputError(f"token ids go from 0 to {most - 1}")
    return deployment.encoder.tokenizer.decode(ids, skip_special=skip_special)


def _check(batch: int) -> None:
    if batch > MOST:
        raise InputError(f"batch size {batch} > maximum allowed batch size {MOST}")


async def _similarity(request: Request, body: Embed, model: str) -> Response:
    try:
        asked = msgspec.convert(body.inputs, Similarity)
    except msgspec.ValidationError as error:
        raise BodyError(f"inputs: {error}", "$.inputs") from None
    if not asked.sentences:
        raise EmptyError("`inputs.sentences` cannot be empty")
    options = body.parameters if body.prompt_name is None else body
    texts = inputs_of([asked.source_sentence, *asked.sentences])
    result = await _embed(request, model, texts, options)
    return answer(np.ascontiguousarray(result.vectors[1:] @ result.vectors[0]), headers=_headers(result))


async def openai_embeddings(request: Request) -> Response:
    """Embed in OpenAI's form; the prefix, if any, is the server's."""
    body = await parse(request, OpenAi)
    result = await _embed(request, serving(request).name, inputs_of(body.input), Options(), dimensions=body.dimensions)
    shown = openai_list(result.vectors, result, body.model or result.model, packed=body.encoding_format == "base64")
    return answer(shown, headers=_headers(result))


def inputs_of(given: object) -> list[Input]:
    """Return `inputs`, a text, token ids, or a list of both, as a list.

    Raises:
        EmptyError: if it is empty.
        BodyError: naming the item that is neither.
    """
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        raise BodyError("inputs must be a text, token ids, or a list of them", "$.inputs")
    if not given:
        raise EmptyError("`inputs` cannot be empty")
    if all(type(each) is int for each in given):
        return [given]
    for index, each in enumerate(given):
        if each in ("", []):
            raise EmptyError("Input validation error: `inputs` cannot be empty")
        if not isinstance(each, str) and not (isinstance(each, list) and all(type(id_) is int for id_ in each)):
            raise BodyError(f"input {index} is neither a text nor token ids", f"$.inputs[{index}]")
    return given


def _role(prompt: str | None) -> Role | None:
    if prompt is None:
        return None
    if prompt not in _PROMPTS:
        raise InputError(
            f"`prompt_name` {prompt!r} was not found in the Sentence Transformers prompts. "
            f"Available prompts: {', '.join(_PROMPTS)}"
        )
    return _PROMPTS[prompt]


def _overflow(options: Options) -> Overflow:
    if options.truncate is False:
        return Overflow.ERROR
    direction = options.truncation_direction.lower()
    if direction not in {"left", "right"}:
        raise InputError(f"truncation_direction is {options.truncation_direction!r}; it can be Left or Right")
    return Overflow.START if direction == "left" else Overflow.END


def _refuse_empty(given: Sequence[Sized], name: str) -> None:
    if not given:
        raise EmptyError(f"`{name}` cannot be empty")
    if not all(given):
        raise EmptyError(f"Input validation error: `{name}` cannot be empty")


async def tokenize(request: Request) -> Response:
    """Show the tokens of texts."""
    body = await parse(request, Tokenize)
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    _refuse_empty(texts, "inputs")
    _check(len(texts))
    letters = sum(map(len, texts))
    if letters > _LETTERS:
        raise InputError(f"`inputs` have {letters} characters; tokens are shown of {_LETTERS} at once")
    encoder = serving(request).encoder
    prefix = encoder.prompts.of(_role(body.prompt_name) or Role.RAW)
    show = encoder.tokenizer.tokens

    def shown() -> Response:
        return answer([_tokens(show(prefix + text, special=body.add_special_tokens)) for text in texts])

    return await asyncio.to_thread(shown)


def _tokens(found: list[Token]) -> list[dict[str, Any]]:
    return [
        {"id": each.id, "text": each.piece, "special": each.special}
        | ({} if each.special else {"start": each.start, "stop": each.end})
        for each in found
    ]


async def decode(request: Request) -> Response:
    """Turn token ids into texts."""
    body = await parse(request, Decode)
    several = [row for row in body.ids if isinstance(row, list)]
    rows = several or [[id_ for id_ in body.ids if isinstance(id_, int)]]
    if several and len(several) < len(body.ids):
        raise BodyError("ids must be token ids, or lists of them", "$.ids")
    _refuse_empty(rows, "ids")
    _check(len(rows))
    deployment = serving(request)

    def texts() -> list[str]:
        return [_decoded(deployment, row, skip_special=body.skip_special_tokens) for row in rows]

    return answer(await asyncio.to_thread(texts))


async def info(request: Request) -> Response:
    """Describe the server."""
    deployment = serving(request)
    encoder, service = deployment.encoder, service_of(request)
    return answer(
        {
            "model_id": deployment.settings.model,
            "model_sha": encoder.space.weights,
            "model_dtype": str(encoder.engine_info.precision),
            "served_model_name": deployment.name,
            "model_type": {"embedding": {"pooling": encoder.space.pooling}},
            "max_concurrent_requests": deployment.settings.requests,
            "max_input_length": encoder.max_tokens,
            "max_batch_tokens": encoder.engine_info.token_budget,
            "max_batch_requests": None,
            "max_client_batch_size": min(MOST, service.limits.inputs),
            "auto_truncate": True,
            "tokenization_workers": 1,
            "version": __version__,
            "sha": None,
            "docker_label": None,
        }
    )


async def healthy(request: Request) -> Response:
    """Say whether a model answers; no key is needed."""
    serving(request)
    return PlainTextResponse("")


def _headers(result: EmbedResult) -> dict[str, str]:
    own = embed_headers(result)
    return own | {
        "x-compute-type": "cpu",
        "x-compute-time": own["x-total-time"],
        "x-compute-tokens": own["x-efive-tokens"],
    }


def problem(request: Request, error: EfiveError, status: int) -> Response:
    """Write an error as TEI does: flat where it speaks OpenAI's form, wrapped elsewhere."""
    if isinstance(error, UnauthenticatedError):
        return Response(status_code=401)
    if isinstance(error, EmptyError):
        status, word = 400, "Empty"
    else:
        found = next(((s, w) for kind, s, w in _WORDS if isinstance(error, kind)), (424, "Backend"))
        status, word = found[0] or status, found[1]
    message = _message(error)
    if request.url.path.endswith("/embeddings"):
        return answer({"message": message, "code": status, "type": word}, status, retry_after(error))
    return answer({"error": message, "error_type": word}, status, retry_after(error))


def _message(error: EfiveError) -> str:
    if isinstance(error, TooLongError):
        return f'Input validation error: {error.fact}; `"truncate": true` has it cut'
    return str(error)
