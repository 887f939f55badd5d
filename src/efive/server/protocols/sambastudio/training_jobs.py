"""Training jobs on a data set of the server; their `data` is a folder below the one of all data sets.

HOME/samba/training/ID/ is the folder of a job, as `efive.server.training` describes it.
"""

import re
import time
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from efive.deployments import training
from efive.deployments.training import Checked, Plan
from efive.errors import DeploymentError, InputError
from efive.server.http import BodyError, answer, parse, service_of
from efive.server.jobs import Jobs, Phase, new_id
from efive.server.protocols.sambastudio import datasets, endpoints
from efive.server.service import Service
from efive.server.training import TrainingJob, run_of, train

_STEP = re.compile(r"-?[0-9]{1,18}")
_LINES = 10_000
"""Lines of a run's log in one answer."""


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST …/training-jobs` takes."""

    dataset: str | None = None
    """A data set of the project."""
    folder: str | None = None
    """Or a folder below the one of all data sets, which somebody put there."""
    settings: Plan = Plan()


class Deploy(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST …/training-jobs/ID/deploy` takes."""

    name: str
    batch_size: int = 1
    key: str | None = None


def of(request: Request) -> Jobs[TrainingJob]:
    """Return this server's training jobs."""
    return cast("Jobs[TrainingJob]", request.app.state.training)


def make_jobs(service: Service) -> Jobs[TrainingJob]:
    """Return the training jobs that the state remembers."""

    async def work(job: TrainingJob) -> None:
        await train(jobs, job, datasets.locate(service, job.data))

    jobs = Jobs(service, "samba.training", TrainingJob, work)
    return jobs


def described(jobs: Jobs[TrainingJob], job: TrainingJob) -> dict[str, Any]:
    """Return what people see of a job, its last loss and figures among it."""
    now = training.progress(run_of(jobs, job))
    checked = job.checked or Checked()
    return {
        "id": job.id,
        "project": job.project,
        "data": job.data,
        "settings": msgspec.to_builtins(job.plan),
        "status": job.phase,
        "reason": job.reason,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "examples": checked.examples,
        "passages": checked.passages,
        "problems": checked.problems,
        "step": now.step,
        "steps": job.plan.steps(checked.examples) if job.checked else None,
        "loss": now.last.get("loss"),
        "last": now.last,
        "metrics": now.measured,
    }


async def create(request: Request) -> Response:
    """Queue a job; its data is checked before it trains."""
    service, jobs = service_of(request), of(request)
    wanted, project = await parse(request, Wanted), endpoints.check_name(request.path_params["project"], "a project")
    if (wanted.dataset is None) == (wanted.folder is None):
        raise BodyError("give either dataset or folder", "$.dataset")
    data = wanted.folder or f"{project}/{endpoints.check_name(wanted.dataset or '', 'a data set')}"
    datasets.locate(service, data)
    job = jobs.start(TrainingJob(id=new_id(), project=project, data=data, plan=wanted.settings, created=time.time()))
    return answer(await _described(request, job), 202)


async def _described(request: Request, job: TrainingJob) -> dict[str, Any]:
    return await service_of(request).collections.run(lambda: described(of(request), job))


def _job(request: Request) -> TrainingJob:
    return of(request).get(request.path_params["id"], request.path_params["project"])


async def show_all(request: Request) -> Response:
    """List a project's jobs."""
    found = of(request).all(request.path_params["project"])
    return answer({"jobs": [await _described(request, job) for job in found]})


async def show(request: Request) -> Response:
    """Describe a job."""
    return answer(await _described(request, _job(request)))


async def log(request: Request) -> Response:
    """Return the lines of a job's log behind step `after`: the loss of every step, and measurements."""
    after = request.query_params.get("after", "-1")
    if not _STEP.fullmatch(after):
        raise InputError(f"after is {after!r}; it is the number of a step")
    run = run_of(of(request), _job(request))
    return answer({"log": await service_of(request).collections.run(lambda: training.curve(run, int(after), _LINES))})


async def cancel(request: Request) -> Response:
    """Stop a job; its checkpoints stay until it is deleted."""
    return answer(await _described(request, await of(request).cancel(_job(request))))


async def delete(request: Request) -> Response:
    """Forget a job and its files, the model among them."""
    job, service = _job(request), service_of(request)
    model = str(run_of(of(request), job) / "model")
    users = [each.name for each in service.deployments if each.settings.model == model]
    if users:
        raise DeploymentError(f"the model of job {job.id} is deployed as {', '.join(users)}; delete that first")
    await of(request).delete(job)
    return answer({"deleted": job.id})


async def deploy(request: Request) -> Response:
    """Make an endpoint of the model that a job has trained."""
    job, body, service = _job(request), await parse(request, Deploy), service_of(request)
    if job.phase is not Phase.COMPLETED:
        raise DeploymentError(f"job {job.id} is {job.phase}; there is a model when it is completed")
    model = str(run_of(of(request), job) / "model")
    wanted = endpoints.Wanted(name=body.name, model=model, batch_size=body.batch_size, key=body.key)
    endpoint, key = endpoints.make(service, job.project, wanted)
    address = endpoints.address_of(request)
    return answer(endpoints.described(service, endpoint, address) | {"key": key}, 201)
