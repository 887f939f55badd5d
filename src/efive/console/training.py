"""Training jobs of the console: from files to a deployed model.

HOME/console/
├── datasets/ID/     files that were uploaded for the job ID
└── training/ID/     the folder of a job, as `efive.server.training` describes it
"""

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from efive.console.paths import check_path
from efive.deployments import settings, training
from efive.deployments.settings import Settings
from efive.deployments.training import Checked, Plan
from efive.errors import DeploymentError, InputError
from efive.models.store import BUNDLED, ModelStore, check_name
from efive.server.jobs import Jobs, Phase
from efive.server.service import Service
from efive.server.training import TrainingJob, environment, refuse, run_of, train

_POINTS = 600
"""Of a curve on the page."""
_KIND = "console.training"
_SAMBA = ("samba", "training")
"""Where the jobs of SambaStudio's API are kept."""
_HELD_OUT = "held_out/"


class ConsoleTraining(TrainingJob, frozen=True, kw_only=True):
    """What is kept of a job; its `data` is an absolute path."""

    name: str
    """What people call it, and its model."""


@dataclass(frozen=True, slots=True)
class Curves:
    """The log of a run, as a chart takes it."""

    loss: list[tuple[int, float]]
    measured: dict[str, list[tuple[int, float]]]
    """By measure of what is held out."""


def make_jobs(service: Service) -> Jobs[ConsoleTraining]:
    """Return the training jobs that the state remembers."""

    async def work(job: ConsoleTraining) -> None:
        await train(jobs, job, Path(job.data))

    jobs = Jobs(service, _KIND, ConsoleTraining, work)
    return jobs


def datasets(service: Service, id_: str) -> Path:
    """Return the folder of the files that were uploaded for a job."""
    return service.home / "console" / "datasets" / id_


def data_of(service: Service, job: TrainingJob) -> str:
    """Return what a job trains on, for people."""
    own = Path(job.data).is_relative_to(datasets(service, job.id).resolve())
    return "uploaded files" if own else job.data


def everything(jobs: Jobs[ConsoleTraining]) -> list[tuple[TrainingJob, Path]]:
    """Return all training jobs of the server with their run folders, the latest first; others' are only to look at."""
    found: list[tuple[TrainingJob, Path]] = [(job, run_of(jobs, job)) for job in jobs.all()]
    folder, theirs = jobs.service.home.joinpath(*_SAMBA), jobs.service.state.all(".".join(_SAMBA), TrainingJob)
    found += [(job, folder / job.id / "run") for job in theirs.values()]
    return sorted(found, key=lambda each: each[0].created, reverse=True)


async def check(service: Service, data: str) -> Checked:
    """Read all data that a job would train on and say what is wrong with it, line by line.

    Raises:
        InputError: if there is none.
    """
    path = await service.collections.run(lambda: check_path(data))
    return await training.check(path, 0, environment(service))


def passages_for(checked: Checked) -> int:
    """Return how many passages a question can have: a positive one, and up to seven negatives."""
    return 1 + min(7, checked.negatives)


def plan_of(values: Mapping[str, Any]) -> Plan:
    """Return a plan from the fields of a form; empty ones are left to the trainer.

    Raises:
        InputError: naming the field.
    """
    given = {name: value for name, value in values.items() if value not in {None, ""}}
    whole = {n: int(v) if isinstance(v, float) and v.is_integer() and n in _WHOLE else v for n, v in given.items()}
    try:
        return msgspec.convert(whole, Plan)
    except msgspec.ValidationError as error:
        raise InputError(str(error).replace(" - at `$.", ": ").removesuffix("`")) from None


_WHOLE = {"train_n_passages", "max_steps", "batch_size", "query_tokens", "passage_tokens", "held_out", "save_every",
          "seed"}  # fmt: skip


def start(
    jobs: Jobs[ConsoleTraining], id_: str, name: str, data: Path, plan: Plan, checked: Checked
) -> ConsoleTraining:
    """Queue a job on data that was looked at.

    Raises:
        InputError: if the data cannot be trained on as planned, or the name cannot be a model's.
    """
    check_name(name)
    refuse(checked, plan)
    if plan.train_n_passages - 1 > checked.negatives:
        raise InputError(
            f"train_n_passages is {plan.train_n_passages}; the data has {checked.negatives} negatives for every "
            f"question, so {checked.negatives + 1} at most"
        )
    return jobs.start(
        ConsoleTraining(
            id=id_, project="console", created=time.time(), name=name, data=str(data), plan=plan, checked=checked
        )
    )


async def delete(jobs: Jobs[ConsoleTraining], job: ConsoleTraining) -> None:
    """Forget a job with its files; a model that was deployed is a copy and stays."""
    await jobs.delete(job)
    service = jobs.service
    await service.collections.run(lambda: shutil.rmtree(datasets(service, job.id), ignore_errors=True))


async def tidy(jobs: Jobs[ConsoleTraining]) -> None:
    """Remove what was uploaded for jobs that were never started."""
    known = {job.id for job in jobs.all()}

    def remove() -> None:
        for folder in datasets(jobs.service, "").glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    await jobs.service.collections.run(remove)


def curves(run: Path) -> Curves:
    """Return the loss and the measurements of a run, few enough points to be drawn."""
    lines = training.curve(run, -1, 10**9)
    loss = [(line["step"], line["loss"]) for line in lines if math.isfinite(line.get("loss", math.nan))]
    measured: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.items():
            if name.startswith(_HELD_OUT):
                measured.setdefault(name.removeprefix(_HELD_OUT), []).append((line["step"], value))
    if len({name.rpartition(" ")[0] for name in measured}) == 1:  # one set: its name says nothing
        measured = {name.rpartition(" ")[2]: points for name, points in measured.items()}
    return Curves(thinned(loss), measured)


def thinned(points: Sequence[tuple[int, float]], most: int = _POINTS) -> list[tuple[int, float]]:
    """Return at most so many points: means of neighbours, at the last step of each group."""
    if len(points) <= most:
        return list(points)
    each = math.ceil(len(points) / most)
    groups = [points[start : start + each] for start in range(0, len(points), each)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


@dataclass(frozen=True, slots=True)
class Gain:
    """A measure of what is held out, before and after training."""

    measure: str
    before: float
    after: float


def gains(found: Curves) -> list[Gain]:
    """Return what training has changed: the start model is measured before the first step."""
    return [
        Gain(name, points[0][1], points[-1][1])
        for name, points in found.measured.items()
        if len(points) > 1 and points[0][0] == 0
    ]


async def deploy(jobs: Jobs[ConsoleTraining], job: ConsoleTraining, name: str) -> None:
    """Put the model of a job into the store and start a deployment of it; both have this name.

    Raises:
        DeploymentError: if the job has no model yet, or there is a deployment of the name.
        InputError: if the name cannot be one, or the store has another model of it.
    """
    if jobs.get(job.id).phase is not Phase.COMPLETED:
        raise DeploymentError(f"{job.name} is {jobs.get(job.id).phase}; there is a model when it is completed")
    service, wanted = jobs.service, settings.check(Settings(name=name, model=name))
    if any(each.name == name for each in service.deployments):
        raise DeploymentError(f"there is a deployment {name} already; choose another name")
    store, model = ModelStore(service.home), run_of(jobs, job) / "model"
    await service.collections.run(lambda: store.copy(model, name))
    service.deployments.create(wanted)
    service.deployments.start_soon(name)


def models(service: Service) -> list[str]:
    """Return the models that a job can start from: the bundled one, those of the store, and what is deployed."""
    stored = ModelStore(service.home).names()
    return list(dict.fromkeys([BUNDLED, *stored, *(each.settings.model for each in service.deployments)]))
