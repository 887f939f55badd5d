"""Inference: texts to vectors with any deployed model, and the models."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from efive.deployments.deployment import Deployment, Phase
from efive.errors import InputError
from efive.inputs import Overflow, Role
from efive.server.http import BodyError, answer, caller_of, embed_headers, parse, service_of
from efive.server.service import EmbedRequest, EmbedResult

DOOR = "pinecone"
MOST = 96
"""Inputs of one request."""
_ROLES = {"query": Role.QUERY, "passage": Role.PASSAGE}
_OVERFLOWS = {"END": Overflow.END, "NONE": Overflow.ERROR}


class Text(msgspec.Struct):
    """One input."""

    text: str


class Parameters(msgspec.Struct):
    """Options of `POST /embed`."""

    input_type: str | None = None
    truncate: str | None = None
    dimension: int | None = None


class Body(msgspec.Struct):
    """What `POST /embed` takes."""

    model: str
    inputs: list[Text | str]
    parameters: Parameters | None = None


async def embed(request: Request) -> Response:
    """Embed texts as queries or as passages."""
    body = await parse(request, Body)
    options = body.parameters or Parameters()
    if options.input_type is None:
        raise BodyError("E5 needs to know what a text is for: query or passage", "$.parameters.input_type")
    if options.input_type not in _ROLES:
        raise BodyError(f"no input_type {options.input_type!r}; there is query, passage", "$.parameters.input_type")
    truncate = (options.truncate or "END").upper()
    if truncate not in _OVERFLOWS:
        raise BodyError(f"no truncate {options.truncate!r}; there is END, NONE", "$.parameters.truncate")
    texts = [each if isinstance(each, str) else each.text for each in body.inputs]
    if not texts:
        raise BodyError("there are no inputs; send at least one", "$.inputs")
    deployment = service_of(request).deployments.find(body.model)[0]
    if options.dimension not in {None, deployment.encoder.dimension}:
        raise BodyError(
            f"dimension is {options.dimension}; {deployment.name} has {deployment.encoder.dimension}",
            "$.parameters.dimension",
        )
    result = await embedded(request, body.model, texts, _ROLES[options.input_type], _OVERFLOWS[truncate])
    return answer(
        {
            "model": body.model,
            "vector_type": "dense",
            "data": [{"values": vector, "vector_type": "dense"} for vector in result.vectors],
            "usage": {"total_tokens": result.tokens},
        },
        headers=embed_headers(result),
    )


async def embedded(
    request: Request, model: str, texts: list[str], role: Role, overflow: Overflow = Overflow.END
) -> EmbedResult:
    """Embed the texts of one request.

    Raises:
        InputError: if there are too many.
    """
    if len(texts) > MOST:
        raise InputError(f"Input batch size {len(texts)} exceeds the maximum of {MOST}: send several requests")
    return await service_of(request).embed(
        EmbedRequest(model=model, inputs=texts, role=role, overflow=overflow, caller=caller_of(request), door=DOOR)
    )


async def models(request: Request) -> Response:
    """List the models; none of them ranks, none is sparse."""
    asked = request.query_params
    none = asked.get("type", "embed") != "embed" or asked.get("vector_type", "dense") != "dense"
    return answer({"models": [] if none else [_model(each) for each in service_of(request).deployments]})


async def model(request: Request) -> Response:
    """Describe a model."""
    found = service_of(request).deployments.find(request.path_params["name"])[0]
    return answer(_model(found))


def _model(deployment: Deployment) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": deployment.name,
        "short_description": f"E5 text embeddings on this server ({deployment.phase})",
        "type": "embed",
        "vector_type": "dense",
        "modality": "text",
        "max_batch_size": MOST,
        "provider_name": "efive",
        "supported_metrics": ["cosine", "euclidean", "dotproduct"],
        "supported_parameters": [
            _choice("input_type", list(_ROLES), required=True),
            _choice("truncate", list(_OVERFLOWS), default="END"),
        ],
    }
    if deployment.phase is Phase.READY:
        encoder = deployment.encoder
        prefix = encoder.tokenizer.count([encoder.prompts.passage])[0]
        found |= {
            "default_dimension": encoder.dimension,
            "supported_dimensions": [encoder.dimension],
            "max_sequence_length": encoder.max_tokens - prefix,
        }
    return found


def _choice(name: str, values: list[str], *, required: bool = False, default: str | None = None) -> dict[str, Any]:
    found = {
        "parameter": name,
        "type": "one_of",
        "value_type": "string",
        "required": required,
        "allowed_values": values,
    }
    return found if default is None else found | {"default": default}
