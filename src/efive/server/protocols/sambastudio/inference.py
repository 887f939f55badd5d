"""Predictions: three wire forms of SambaStudio, and the one of SambaNova Cloud."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from efive.errors import ForbiddenError, InputError
from efive.inputs import Overflow, Role
from efive.server.access import Caller, Scope, presented
from efive.server.http import BodyError, answer, embed_headers, openai_list, parse, service_of
from efive.server.protocols.sambastudio.endpoints import Endpoint, admit, all_endpoints, holder
from efive.server.service import EmbedRequest, EmbedResult

DOOR = "sambastudio"
_TOO_MANY = (
    "Prediction could not be completed for given input due to reason :AppOnlineInferenceFailed message: error running "
    "online inference: Expected a Tensor with batch size <= {most}, got batch size: {given}"
)


# `params` are for models that an endpoint here does not have: experts, sampling.
class Nlp(msgspec.Struct):
    """What `POST /api/predict/nlp/…` takes."""

    inputs: list[str]


class Generic(msgspec.Struct):
    """What `POST /api/predict/generic/…` takes."""

    instances: list[str]


class Item(msgspec.Struct):
    """One text of the second generic form."""

    id: str
    value: str


class GenericV2(msgspec.Struct):
    """What `POST /api/v2/predict/generic/…` takes."""

    items: list[Item]


class OpenAi(msgspec.Struct):
    """What `POST /v1/embeddings` takes."""

    input: str | Annotated[list[str], Meta(min_length=1)]
    model: str | None = None
    """An endpoint's key says it too."""
    dimensions: int | None = None
    encoding_format: str | None = None


async def nlp(request: Request) -> Response:
    """Predict in the first form."""
    endpoint, caller = _admitted(request)
    body = await parse(request, Nlp)
    result = await predict(request, endpoint, body.inputs, caller)
    return answer({"data": result.vectors}, headers=embed_headers(result))


async def generic(request: Request) -> Response:
    """Predict in the generic form."""
    endpoint, caller = _admitted(request)
    body = await parse(request, Generic)
    result = await predict(request, endpoint, body.instances, caller)
    return answer({"predictions": result.vectors}, headers=embed_headers(result))


async def generic_v2(request: Request) -> Response:
    """Predict in the second generic form."""
    endpoint, caller = _admitted(request)
    body = await parse(request, GenericV2)
    result = await predict(request, endpoint, [item.value for item in body.items], caller)
    items = [{"id": item.id, "value": row} for item, row in zip(body.items, result.vectors, strict=True)]
    return answer({"items": items}, headers=embed_headers(result))


def _admitted(request: Request) -> tuple[Endpoint, Caller]:
    return admit(request, request.path_params["project"], request.path_params["endpoint"])


async def predict(request: Request, endpoint: Endpoint, texts: list[str], caller: Caller) -> EmbedResult:
    """Embed texts as they are, at most as many as the endpoint takes.

    Raises:
        InputError: in the vendor's words for one too many.
    """
    check_batch(endpoint, texts)
    return await service_of(request).embed(wanted(endpoint.deployment, texts, caller))


def check_batch(endpoint: Endpoint, texts: list[str]) -> None:
    """Refuse more texts than an endpoint takes: they are never split."""
    if len(texts) > endpoint.batch_size:
        raise InputError(_TOO_MANY.format(most=endpoint.batch_size, given=len(texts)))


def wanted(model: str, texts: list[str], caller: Caller) -> EmbedRequest:
    """Return the request for texts as SambaStudio takes them: nothing is added, what is too long is cut."""
    return EmbedRequest(model=model, inputs=texts, role=Role.RAW, overflow=Overflow.END, caller=caller, door=DOOR)


async def embeddings(request: Request) -> Response:
    """Predict in OpenAI's form; the key is an endpoint's, or one of the server's and the model a deployment."""
    key = presented(request.headers)
    own = [each for each in all_endpoints(service_of(request)) if key is not None and each.opens(key)]
    caller = None if own else service_of(request).access.admit(request.headers, Scope.EMBED)
    body = await parse(request, OpenAi)
    texts = [body.input] if isinstance(body.input, str) else body.input
    model = body.model
    if caller is None:
        endpoint = _meant(own, model)
        check_batch(endpoint, texts)
        caller, model = holder(endpoint), endpoint.deployment
    if model is None:
        raise BodyError("model is missing, and the key is no endpoint's", "$.model")
    deployment, _ = service_of(request).deployments.find(model)
    _check(body, deployment.encoder.dimension)
    result = await service_of(request).embed(wanted(deployment.name, texts, caller))
    return answer(openai_list(result.vectors, result, body.model or model), headers=embed_headers(result))


def _meant(own: list[Endpoint], model: str | None) -> Endpoint:
    """Return which of the endpoints of a key a request means.

    Raises:
        ForbiddenError: if it is none of them.
        BodyError: if it could be several.
    """
    names = ", ".join(each.path for each in own)
    if model is not None:
        plain = model.lower()
        own = [
            each for each in own if plain in {n.lower() for n in (each.name, each.path, each.model, each.deployment)}
        ]
    if not own:
        raise ForbiddenError(f"the key is for {names}; it does not open {model!r}")
    if len(own) > 1:
        raise BodyError(f"the key is for {names}; say in model which one is meant", "$.model")
    return own[0]


def _check(body: OpenAi, dimension: int) -> None:
    if body.encoding_format not in {None, "float"}:
        raise BodyError(f"encoding_format is {body.encoding_format!r}; here it is float", "$.encoding_format")
    if body.dimensions not in {None, dimension}:
        raise BodyError(
            f"dimensions is {body.dimensions}; the model has {dimension}, and was not trained to be cut", "$.dimensions"
        )
