"""The trained models API: models that come and go. Deployments are in `trained_models_deployments`."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from efive.server.access import Scope
from efive.server.elastic.errors import conflict, illegal, missing, unsupported
from efive.server.elastic.models import views
from efive.server.elastic.models.uploads import Part, Vocabulary
from efive.server.http import Endpoint, guarded, parse
from efive.server.protocols.elastic.wire import body_of, cluster_of, flag, number, reply

PATH = "/_ml/trained_models"
_INCLUDES = {
    "definition_status", "definition", "feature_importance_baseline", "hyperparameters", "total_feature_importance",
    "model_aliases",
}  # fmt: skip
_PAGE = 10_000
_PART = re.compile(r"-?[0-9]{1,9}")
_ALIAS_RULE = (
    "can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores; must start with alphanumeric and "
    "cannot end with numbers"
)


def routes() -> list[Route]:
    """Return the routes of models; those of deployments come before them."""
    one = f"{PATH}/{{model_id}}"
    return [
        _route("GET", PATH, Scope.EMBED, show),
        _route("GET", f"{PATH}/", Scope.EMBED, show),
        _route("PUT", f"{one}/definition/{{part}}", Scope.MANAGE, put_part),
        _route("PUT", f"{one}/vocabulary", Scope.MANAGE, put_vocabulary),
        _route("POST", f"{one}/vocabulary", Scope.MANAGE, put_vocabulary),
        _route("PUT", f"{one}/model_aliases/{{alias}}", Scope.MANAGE, put_alias),
        _route("DELETE", f"{one}/model_aliases/{{alias}}", Scope.MANAGE, delete_alias),
        _route("GET", one, Scope.EMBED, show),
        _route("PUT", one, Scope.MANAGE, put),
        _route("DELETE", one, Scope.MANAGE, delete),
    ]


def _route(method: str, path: str, scope: Scope, endpoint: Endpoint) -> Route:
    return Route(path, guarded(scope, endpoint), methods=[method])


async def show(request: Request) -> Response:
    """Show models."""
    models = cluster_of(request).models
    include = {each for each in request.query_params.get("include", "").split(",") if each}
    if unknown := sorted(include - _INCLUDES):
        raise illegal(f"unknown [include] parameter [{unknown[0]}]. Valid options are {sorted(_INCLUDES)}")
    if "definition" in include:
        raise unsupported("[include] [definition]")
    found = models.catalog.matching(
        request.path_params.get("model_id"), allow_no_match=flag(request, "allow_no_match", default=True)
    )
    if tags := {each for each in request.query_params.get("tags", "").split(",") if each}:
        found = [each for each in found if tags <= set(models.catalog.get(each).config.get("tags", ()))]
    status, generated = "definition_status" in include, not flag(request, "exclude_generated")
    shown = []
    for model_id in page(request, found):
        config = views.config(models, model_id, status=status, generated=generated)
        if "model_aliases" in include or models.catalog.aliases(model_id):
            config["metadata"] = {
                **config.get("metadata", {}),
                "model_aliases": sorted(models.catalog.aliases(model_id)),
            }
        shown.append(config)
    return reply(request, {"count": len(found), "trained_model_configs": shown})


def page(request: Request, found: list[str]) -> list[str]:
    """Return the part of a list that `from` and `size` ask for."""
    begin, size = number(request, "from", 0), number(request, "size", 100)
    if begin < 0 or size < 0 or begin + size > _PAGE:
        raise illegal(f"[from] and [size] must be 0 or more, and [from] + [size] at most {_PAGE}")
    return found[begin : begin + size]


async def put(request: Request) -> Response:
    """Make a model known."""
    models, model_id = cluster_of(request).models, request.path_params["model_id"]
    await models.definitions.put(model_id, await body_of(request), wait=flag(request, "wait_for_completion"))
    return reply(request, views.config(models, model_id))


async def put_part(request: Request) -> Response:
    """Take a part of a definition."""
    part, number_ = await parse(request, Part), request.path_params["part"]
    if not _PART.fullmatch(number_):
        raise illegal(f"[part] is [{number_[:40]}]; it must be a whole number")
    await cluster_of(request).models.definitions.put_part(request.path_params["model_id"], int(number_), part)
    return _done(request)


async def put_vocabulary(request: Request) -> Response:
    """Take a vocabulary."""
    vocabulary = await parse(request, Vocabulary)
    await cluster_of(request).models.definitions.put_vocabulary(request.path_params["model_id"], vocabulary)
    return _done(request)


async def delete(request: Request) -> Response:
    """Forget a model."""
    await cluster_of(request).models.delete(request.path_params["model_id"], force=flag(request, "force"))
    return _done(request)


async def put_alias(request: Request) -> Response:
    """Let a name mean a model."""
    catalog = cluster_of(request).models.catalog
    model_id, alias = request.path_params["model_id"], request.path_params["alias"]
    if alias == model_id or catalog.has(alias):
        raise illegal(f"model_alias [{alias}] cannot be the same as any trained model's id")
    if not _is_alias(alias):
        raise illegal(f"Invalid model_alias; '{alias}' {_ALIAS_RULE}")
    catalog.get(model_id)
    before = catalog.aliases().get(alias)
    if before not in {None, model_id} and not flag(request, "reassign"):
        raise illegal(
            f"cannot assign model_alias [{alias}] to model_id [{model_id}] as model_alias already refers to "
            f"[{before}]. Set parameter [reassign] to [true] if model_alias should be reassigned."
        )
    catalog.put_alias(alias, model_id)
    return _done(request)


async def delete_alias(request: Request) -> Response:
    """Forget an alias."""
    catalog = cluster_of(request).models.catalog
    model_id, alias = request.path_params["model_id"], request.path_params["alias"]
    meant = catalog.aliases().get(alias)
    if meant is None:
        raise missing(f"model_alias [{alias}] could not be found")
    if meant != model_id:
        raise illegal(f"model_alias [{alias}] does not refer to provided model_id [{model_id}]")
    if cluster_of(request).pipelines.using(alias):
        raise conflict(f"Cannot delete model_alias [{alias}] as it is still referenced by ingest processors")
    catalog.remove_alias(alias)
    return _done(request)


def _is_alias(alias: str) -> bool:
    body = alias.replace("-", "").replace("_", "").replace(".", "")
    return body.isascii() and body.isalnum() and body == body.lower() and alias[0].isalnum() and alias[-1].isalpha()


def _done(request: Request) -> Response:
    return reply(request, {"acknowledged": True})
