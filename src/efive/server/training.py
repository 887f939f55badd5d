"""Training jobs, whichever door asks for them: `efive train supervised` in a process of its own.

FOLDER OF A JOB/
├── run/        the run's folder, as efive.training.runs describes it; run/model is the result
└── output.txt  what the process printed
"""

import os
from pathlib import Path
from typing import TypeVar

from efive.deployments import training
from efive.deployments.training import Checked, Plan
from efive.errors import InputError
from efive.server.jobs import Job, Jobs
from efive.server.service import Service

_FEWEST = 2
"""Examples of a batch, in which each is the others' contrast."""


class TrainingJob(Job, frozen=True, kw_only=True):
    """What is kept of a training job."""

    data: str
    """What it trains on: a folder or a file."""
    plan: Plan
    checked: Checked | None = None
    """What the data holds; None until it was looked at."""


AnyTraining = TypeVar("AnyTraining", bound=TrainingJob)


def environment(service: Service) -> dict[str, str]:
    """Return what processes of this server are started with."""
    # Engines share the processors: threads of the trainer must not spin while they wait for each other.
    return {**os.environ, "EFIVE_HOME": str(service.home), "OMP_WAIT_POLICY": "PASSIVE"}


async def train(jobs: Jobs[AnyTraining], job: AnyTraining, data: Path) -> None:
    """Check the data and train, from wherever the job's files stand.

    Raises:
        InputError: if the data cannot be trained on.
        TrainingError: with the last words of the process.
    """
    service, folder, run = jobs.service, jobs.path(job), run_of(jobs, job)
    folder.mkdir(parents=True, exist_ok=True)
    if run.exists():  # the server was killed, and its child perhaps not
        await service.collections.run(lambda: training.end_orphans(run))
    if (run / "model").is_dir():  # and the child may have come to its end
        return
    checked = job.checked or await training.check(data, job.plan.train_n_passages - 1, environment(service))
    jobs.change(job.id, checked=checked)
    refuse(checked, job.plan)
    await training.run(job.plan.command(data, run), folder / "output.txt", environment(service))


def refuse(checked: Checked, plan: Plan) -> None:
    """Refuse data that cannot be trained on as planned.

    Raises:
        InputError: saying why.
    """
    if checked.problem_count:
        raise InputError(f"{checked.problem_count} problems in the data, the first: {checked.problems[0]}")
    if checked.examples - plan.held_out < _FEWEST:
        raise InputError(f"the data has {checked.examples} examples; {plan.held_out} held out, too few are left")


def run_of(jobs: Jobs[AnyTraining], job: AnyTraining) -> Path:
    """Return the run folder of a job."""
    return jobs.path(job) / "run"
