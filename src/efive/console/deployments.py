"""Deployments as their pages show them, and what a new one would need. No pixels."""

from dataclasses import dataclass
from pathlib import Path

from efive.console.units import number, size
from efive.deployments import memory
from efive.deployments.deployment import Deployment, Phase
from efive.deployments.settings import Settings
from efive.engines import select
from efive.engines.hardware import detect
from efive.errors import EfiveError
from efive.models import checkpoint
from efive.models.store import ModelStore


@dataclass(frozen=True, slots=True)
class Look:
    """How a phase is shown: a word and an icon, so that its colour says nothing alone."""

    word: str
    icon: str
    colour: str


LOOKS = {
    Phase.STARTING: Look("Starting", "hourglass_top", "orange-9"),
    Phase.READY: Look("Live", "check_circle", "green-8"),
    Phase.STOPPING: Look("Stopping", "hourglass_bottom", "orange-9"),
    Phase.STOPPED: Look("Stopped", "stop_circle", "grey-7"),
    Phase.FAILED: Look("Failed", "error", "red-8"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What is seen of a deployment at a glance."""

    name: str
    model: str
    look: Look
    reason: str
    engine: str
    allocations: str
    queue: str


def row(deployment: Deployment) -> Row:
    """Return what is seen of a deployment now."""
    engine, queue = "–", "–"
    if deployment.phase is Phase.READY:
        info, waits = deployment.encoder.engine_info, deployment.scheduler.queue
        engine = f"{info.name} · {info.precision} · {info.device}"
        queue = f"{waits.requests} requests, {waits.tokens} tokens" if waits.requests else "empty"
    return Row(
        name=deployment.name,
        model=model_name(deployment.settings.model),
        look=LOOKS[deployment.phase],
        reason=deployment.reason,
        engine=engine,
        allocations=allocations(deployment),
        queue=queue,
    )


def model_name(model: str) -> str:
    """Return what people call a model: a folder's own name, with that of the one around it."""
    parts = Path(model).parts
    return model if len(parts) < 3 else f"…/{parts[-2]}/{parts[-1]}"


def allocations(deployment: Deployment) -> str:
    """Return how many engines work, of how many that should, and in which range."""
    shown = f"{len(deployment.engines)} of {deployment.target}" if deployment.phase is Phase.READY else "–"
    if not deployment.settings.adaptive:
        return shown if shown != "–" else str(deployment.settings.allocations)
    least, most = deployment.settings.range
    return f"{shown} ({least} to {most})"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deployment would be and need."""

    how: str = ""
    """Engine, device and precision, and why."""
    needed: int = 0
    """Bytes."""
    free: int = 0
    """Bytes."""
    instruct: bool = False
    """Whether queries carry an instruction."""
    refusal: str = ""
    """Why it cannot be started; empty if it can."""


def plan(store: ModelStore, wanted: Settings) -> Plan:
    """Return what a deployment would need, from the model's files. Reads them: for a thread."""
    try:
        model = checkpoint.read(store.resolve(wanted.model))
        shape = model.architecture
        if wanted.task is not None:
            model.with_task(wanted.task)
        if wanted.max_tokens is not None:
            model.with_max_tokens(wanted.max_tokens)
        choice = select.choose(shape, detect(), wanted.engine, wanted.precision, wanted.device)
    except (EfiveError, OSError) as error:
        return Plan(refusal=str(error))
    least, most = wanted.range
    engines = min(max(wanted.allocations, least, 1), most)
    needed, free = engines * memory.estimate(shape, choice.precision), memory.available()
    try:
        memory.require(shape, choice.precision, engines, wanted.name, free=free)
    except EfiveError as error:
        return Plan(choice.reason, needed, free, model.instruct, str(error))
    return Plan(choice.reason, needed, free, model.instruct)


def facts(deployment: Deployment) -> list[tuple[str, str]]:
    """Return what else there is to know about a deployment, by name."""
    settings_ = deployment.settings
    found = [("Model", settings_.model), ("Allocations", allocations(deployment))]
    if deployment.phase is Phase.READY:
        encoder, info = deployment.encoder, deployment.encoder.engine_info
        found += [
            ("Engine", f"{info.name}, {info.precision}, {info.device}"),
            ("Why", encoder.reason),
            ("Vectors", f"{encoder.dimension} components, space {encoder.space.fingerprint}"),
            ("Input limit", f"{encoder.max_tokens} tokens"),
            ("Weights in memory", size(sum(engine.memory for engine in deployment.engines))),
            ("Crashes", str(deployment.crashes)),
        ]
    found += [
        ("Threads", "shared out" if settings_.threads is None else str(settings_.threads)),
        ("Priority", "low" if settings_.low_priority else "normal"),
        ("May wait", f"{settings_.requests} requests, {number(settings_.wait)} s"),
    ]
    return found
