"""The trained models API: vectors of texts, from a deployment and as they are."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.errors import TooLongError
from efive.inputs import Overflow, Role
from efive.server.access import Scope
from efive.server.elastic.cluster import DOOR
from efive.server.elastic.errors import ElasticError, conflict, illegal, missing, unparsable
from efive.server.elastic.models import configs
from efive.server.http import caller_of, decode, guarded, read
from efive.server.protocols.elastic.trained_models import PATH
from efive.server.protocols.elastic.wire import cluster_of, reply, seconds
from efive.server.service import EmbedRequest

_OVERFLOW = {"first": Overflow.END, "second": Overflow.END, "none": Overflow.ERROR}


class Inferring(msgspec.Struct, frozen=True):
    """What the body of `_infer` has."""

    docs: list[dict[str, Any]] = []
    inference_config: dict[str, Any] | None = None


def routes() -> list[Route]:
    """Return the routes of inference."""
    paths = (f"{PATH}/{{name}}/_infer", f"{PATH}/{{name}}/deployment/_infer")
    return [Route(path, guarded(Scope.EMBED, infer), methods=["POST"]) for path in paths]


async def infer(request: Request) -> Response:
    """Embed texts as they are: this entry point adds no prefix."""
    cluster, name = cluster_of(request), request.path_params["name"]
    if not await read(request):
        raise unparsable("requires body")
    body = decode(await read(request), Inferring)
    timeout = seconds(request.query_params.get("timeout"), 10.0)
    deployment = cluster.models.find(name)
    if deployment is None:
        if not cluster.models.exists(name):
            raise missing(f"No known trained model with model_id [{name}]")
        raise conflict(
            f"Model [{name}] must be deployed to use. Please deploy with the start trained model deployment API."
        )
    model_id = cluster.models.model_of(deployment.name)
    config = cluster.models.catalog.get(model_id).config if cluster.models.catalog.has(model_id) else {}
    field, overflow = _wanted(config, body.inference_config)
    texts = _texts(body.docs, config.get("input", {}).get("field_names", ["text_field"])[0])
    if not texts:
        return reply(request, {"inference_results": []})
    wanted = EmbedRequest(
        model=deployment.name, inputs=texts, role=Role.RAW, overflow=overflow, caller=caller_of(request), door=DOOR
    )
    try:
        async with asyncio.timeout(timeout):
            found = await cluster.service.embed(wanted)
    except TimeoutError:
        raise ElasticError(408, "status_exception", f"timeout [{timeout:g}s] waiting for inference result") from None
    except TooLongError as error:
        raise illegal(f'Input too large. {error.fact}; `"truncate": "first"` has it cut') from None
    results = [{field: vector} for vector in found.vectors]
    for index in found.truncated:
        results[index]["is_truncated"] = True
    return reply(request, {"inference_results": results})


def _wanted(config: dict[str, Any], override: dict[str, Any] | None) -> tuple[str, Overflow]:
    """Return the field of the answer, and what becomes of long texts: by the model, then by the call."""
    given = config.get("inference_config", {}).get("text_embedding", {})
    field = given.get("results_field", configs.RESULTS_FIELD)
    kind, tokenization = configs.tokenization_of(given)
    truncate = tokenization.get("truncate", "first")
    if override:
        if list(override) != ["text_embedding"] or not isinstance(override["text_embedding"], dict):
            raise illegal(f"[{', '.join(override)}] cannot be used for the inference of a [text_embedding] model")
        changes = override["text_embedding"]
        if unknown := sorted(set(changes) - {"results_field", "tokenization"}):
            raise unparsable(f"[text_embedding] unknown field [{unknown[0]}]")
        field = configs.results_field(changes) or field
        if changes.get("tokenization"):
            other, settings = configs.tokenization_of(changes)
            if other != kind and config.get("inference_config"):
                raise illegal(f"tokenization of type [{other}] cannot update a model with [{kind}]")
            if unknown := sorted(set(settings) - {"truncate", "span"}):
                raise unparsable(f"[{other}] unknown field [{unknown[0]}]")
            truncate = settings.get("truncate", truncate)
    return field, _OVERFLOW[truncate]


def _texts(docs: Sequence[dict[str, Any]], field: str) -> list[str]:
    texts = []
    for doc in docs:
        value: Any = doc.get(field)
        if value is None and "." in field:
            value = doc
            for name in field.split("."):
                value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            raise illegal(f"Input field [{field}] does not exist in the source document")
        if not isinstance(value, str):
            raise illegal(f"Input value [{value}] for field [{field}] must be a string")
        texts.append(value)
    return texts
