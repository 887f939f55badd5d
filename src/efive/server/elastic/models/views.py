"""Trained models and their deployments as Elasticsearch shows them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from efive.deployments.deployment import Deployment, Phase
from efive.server.elastic.models import configs
from efive.server.elastic.models.catalog import Model
from efive.server.elastic.models.throughput import embedded

if TYPE_CHECKING:
    from efive.server.elastic.models.trained import TrainedModels
    from efive.server.telemetry import Telemetry

NODE = "efive"
"""The one node of this cluster."""
_INDEX = ".ml-inference-native-000002"
_STATES = {
    Phase.STARTING: "starting",
    Phase.READY: "started",
    Phase.STOPPING: "stopping",
    Phase.STOPPED: "stopped",
    Phase.FAILED: "failed",
}


def config(models: "TrainedModels", model_id: str, *, status: bool = False, generated: bool = True) -> dict[str, Any]:
    """Return a model's configuration.

    Args:
        models: which know it.
        model_id: of the model.
        status: whether to say that its definition is complete.
        generated: whether to show what PUT does not take.
    """
    model = models.catalog.get(model_id)
    given = dict(model.config)
    settings = given.pop("inference_config", None)
    shown: dict[str, Any] = {"model_id": model_id, "model_type": "pytorch"}
    if generated:
        shown |= {
            "created_by": "api_user",
            "version": "12.0.0",
            "create_time": model.created,
            "model_size_bytes": size(models, model),
            "estimated_operations": 0,
            "license_level": "basic",
        }
    shown |= {name: value for name, value in given.items() if value or name in {"tags", "metadata", "input"}}
    if model.package:
        shown["metadata"] = {**given.get("metadata", {}), "recommended": configs.recommended(given)}
    if settings:
        inner = settings["text_embedding"]
        shown["inference_config"] = {"text_embedding": {"vocabulary": {"index": _INDEX}, **inner}}
    if generated:
        shown["location"] = {"index": {"name": _INDEX}}
    if status:
        shown["fully_defined"] = models.definitions.bringer.defined(model_id, model)
    return shown


def size(models: "TrainedModels", model: Model) -> int:
    """Return the bytes of a model's weights, or of its definition while it is on its way."""
    if model.stored and models.catalog.in_store(model.stored):
        weights = models.catalog.store.resolve(model.stored) / "model.safetensors"
        return weights.stat().st_size if weights.is_file() else 0
    return int(model.config.get("model_size_bytes") or model.config.get("model_package", {}).get("size", 0))


def adaptive(deployment: Deployment) -> dict[str, Any] | None:
    """Return a deployment's adaptive allocations, if it has them."""
    settings = deployment.settings
    if not settings.adaptive:
        return None
    least, most = settings.range
    return {"enabled": True, "min_number_of_allocations": least, "max_number_of_allocations": most}


def assignment(models: "TrainedModels", deployment: Deployment) -> dict[str, Any]:
    """Return a deployment as starting and changing it answer."""
    settings, model_id = deployment.settings, models.model_of(deployment.name)
    metadata = models.catalog.get(model_id).config.get("metadata", {}) if models.catalog.has(model_id) else {}
    parameters = {
        "model_id": model_id,
        "deployment_id": deployment.name,
        "model_bytes": size(models, models.catalog.get(model_id)) if models.catalog.has(model_id) else 0,
        "threads_per_allocation": settings.threads or 1,
        "number_of_allocations": _wanted(deployment),
        "queue_capacity": settings.requests,
        "cache_size": f"{settings.cache}b",
        "priority": "low" if settings.low_priority else "normal",
        "per_deployment_memory_bytes": metadata.get("per_deployment_memory_bytes", 0),
        "per_allocation_memory_bytes": metadata.get("per_allocation_memory_bytes", 0),
    }
    route = {
        "current_allocations": len(deployment.engines),
        "target_allocations": deployment.target,
        "routing_state": _STATES[deployment.phase],
        "reason": deployment.reason,
    }
    return {
        "task_parameters": parameters,
        "routing_table": {NODE: route},
        "assignment_state": _STATES[deployment.phase],
        "start_time": _moment(deployment.started),
        "max_assigned_allocations": max(len(deployment.engines), _wanted(deployment)),
        "adaptive_allocations": adaptive(deployment),
    }


def _wanted(deployment: Deployment) -> int:
    return deployment.target if deployment.settings.adaptive else deployment.settings.allocations


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def statistics(models: "TrainedModels", telemetry: "Telemetry", model_id: str, pipelines: int) -> list[dict[str, Any]]:
    """Return what is measured of a model: one entry for each deployment, or one without."""
    model = models.catalog.get(model_id)
    bytes_ = size(models, model)
    base = {
        "model_id": model_id,
        "model_size_stats": {"model_size_bytes": bytes_, "required_native_memory_bytes": bytes_},
        "pipeline_count": pipelines,
    }
    counted = _counted(telemetry)
    found = []
    for deployment in models.deployments_of(model_id):
        if deployment.phase is not Phase.STOPPED:
            stats = _deployment(models, model_id, deployment, counted.get(deployment.name, {}))
            found.append(base | {"inference_stats": _inference(stats, deployment), "deployment_stats": stats})
    return found or [base]


def _deployment(
    models: "TrainedModels", model_id: str, deployment: Deployment, counts: dict[str, int]
) -> dict[str, Any]:
    settings, phase = deployment.settings, deployment.phase
    current = len(deployment.engines)
    state = "starting" if not current else "fully_allocated" if current >= deployment.target else "started"
    status = {"allocation_count": current, "target_allocation_count": deployment.target, "state": state}
    shown: dict[str, Any] = {
        "deployment_id": deployment.name,
        "model_id": model_id,
        "threads_per_allocation": settings.threads or 1,
        "number_of_allocations": _wanted(deployment),
        "adaptive_allocations": adaptive(deployment),
        "queue_capacity": settings.requests,
        "cache_size": f"{settings.cache}b",
        "priority": "low" if settings.low_priority else "normal",
        "state": _STATES[phase],
        "reason": deployment.reason,
        "allocation_status": status,
        "start_time": int(1000 * deployment.started),
    }
    minute, peak = models.throughput.lately(deployment)
    computed, hits = embedded(deployment), counts.get("cached", 0)
    shown |= {
        "peak_throughput_per_minute": peak,
        "inference_count": computed + hits,
        "error_count": counts.get("errors", 0),
        "rejected_execution_count": counts.get("rejected", 0),
        "timeout_count": counts.get("late", 0),
    }
    ready = phase is Phase.READY
    node: dict[str, Any] = {
        "node": {NODE: {"name": NODE, "attributes": {}, "roles": ["ml"]}},
        "routing_state": {"routing_state": _STATES[phase]},
        "number_of_allocations": current,
        "threads_per_allocation": settings.threads or 1,
        "inference_count": computed + hits,
        "inference_cache_hit_count": hits,
        "number_of_pending_requests": deployment.scheduler.queue.requests if ready else 0,
        "throughput_last_minute": minute,
        "peak_throughput_per_minute": peak,
        "start_time": int(1000 * deployment.started),
    }
    if computed:
        node["average_inference_time_ms"] = 1000 * deployment.scheduler.tally.busy / computed
    shown["nodes"] = [node]
    return {name: value for name, value in shown.items() if value is not None and value != ""}


def _inference(stats: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
    return {
        "inference_count": stats["inference_count"],
        "failure_count": stats["error_count"],
        "cache_miss_count": embedded(deployment),
        "missing_all_fields_count": 0,
        "timestamp": int(1000 * datetime.now(UTC).timestamp()),
    }


def _counted(telemetry: "Telemetry") -> dict[str, dict[str, int]]:
    """Return what the server's own metrics say of each deployment, all doors together."""
    words = {"overloaded": "rejected", "deadline": "late"}
    found: dict[str, dict[str, int]] = {}
    for metric in telemetry.registry.restricted_registry(["efive_cached_total", "efive_errors_total"]).collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                name = "cached" if metric.name == "efive_cached" else words.get(sample.labels["error"], "errors")
                counts = found.setdefault(sample.labels["model"], {})
                counts[name] = counts.get(name, 0) + int(sample.value)
    return found
