"""What a request wants of a new inference endpoint, checked against the models and deployments that there are."""

from collections.abc import Mapping
from typing import Any

from efive.deployments.deployment import Phase
from efive.server.elastic.errors import conflict, illegal, missing, unparsable
from efive.server.elastic.inference import chunking, services
from efive.server.elastic.inference.checks import refused
from efive.server.elastic.inference.endpoint import SERVICE, Endpoint
from efive.server.elastic.inference.services import OPTIMISED, PORTABLE, ServiceSettings
from efive.server.elastic.models.options import Adaptive
from efive.server.elastic.models.trained import TrainedModels


def read(inference_id: str, body: Mapping[str, Any], models: TrainedModels) -> Endpoint:
    """Return the endpoint that a configuration describes.

    Args:
        inference_id: its name.
        body: the configuration as Elasticsearch has it.
        models: which it may use.

    Raises:
        ElasticError: saying what cannot be.
    """
    left = dict(body)
    left.pop("task_type", None)
    service = left.pop("service", None)
    if service is None:
        raise refused("Model configuration is missing a service")
    if service != SERVICE:
        raise refused(f"Unknown service [{service}]")
    if left.get("service_settings") is None:
        raise refused("Missing required field [service_settings]")
    given, cut, task = (part(left, name) for name in ("service_settings", "chunking_settings", "task_settings"))
    services.no_more(left)
    attached = given.get("deployment_id") is not None
    settings = _attached(given, models) if attached else _own(given, models)
    services.no_more(task)
    return Endpoint(inference_id, settings, chunking.parse(cut), attached or _borrows(inference_id, settings, models))


def part(left: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object of a configuration, which is gone from `left` then; one that is not there is empty.

    Raises:
        ElasticError: if it is no object.
    """
    value = left.pop(name, None)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise unparsable(f"[{name}] must be an object")
    return value


def _own(given: Mapping[str, Any], models: TrainedModels) -> ServiceSettings:
    settings = services.parse(given)
    if settings.model_id not in {PORTABLE, OPTIMISED} and not models.exists(settings.model_id):
        raise illegal(
            "Error parsing request config, model id does not match any models available on this platform. "
            f"Was [{settings.model_id}]. You may need to load it into the cluster using eland."
        )
    return settings


def _attached(given: Mapping[str, Any], models: TrainedModels) -> ServiceSettings:
    """Return the settings of the deployment that an endpoint is attached to."""
    id_, model = services.attached(given)
    deployment = models.find(id_)
    if deployment is None or deployment.name != id_:
        raise missing(f"Cannot find deployment [{id_}]")
    found, wanted = models.model_of(id_), deployment.settings
    if model is not None and models.stored_as(model) != models.stored_as(found):
        raise refused(
            f"Deployment [{id_}] uses model [{found}] which does not match the model [{model}] in the request."
        )
    adaptive = Adaptive(enabled=True, min_number_of_allocations=wanted.least, max_number_of_allocations=wanted.most)
    return ServiceSettings(
        num_allocations=None if wanted.adaptive else wanted.allocations,
        num_threads=wanted.threads or 1,
        model_id=found,
        adaptive_allocations=adaptive if wanted.adaptive else None,
        deployment_id=id_,
    )


def _borrows(inference_id: str, settings: ServiceSettings, models: TrainedModels) -> bool:
    """Say whether a deployment of the endpoint's name has started already, which counts if it is of its model."""
    before = models.find(inference_id)
    if before is None or before.phase in {Phase.STOPPED, Phase.FAILED}:
        return False
    if before.settings.model != models.stored_as(settings.model_id):
        raise conflict(f"Cannot start deployment [{inference_id}] because it has already been started")
    return True
