"""Evaluations that the console starts, and the runs that it finds.

HOME/console/evaluation/ID/
├── run.json     what `efive evaluate --json` writes
├── report.html
└── output.txt   what the process printed
"""

import time
from pathlib import Path

from efive.console.paths import check_path
from efive.deployments import processes
from efive.errors import EfiveError, InputError
from efive.evaluation.suites import SUITES
from efive.server.jobs import Job, Jobs, new_id
from efive.server.service import Service
from efive.server.training import environment

_KIND = "console.evaluation"


class EvaluationJob(Job, frozen=True, kw_only=True):
    """What is kept of an evaluation."""

    model: str
    tasks: tuple[str, ...] = ()
    """Files and folders on the server."""
    suite: str = ""
    data: str = ""
    """Where the suite's tasks are."""
    limit: int | None = None
    """Queries or texts of each task."""
    baselines: bool = False

    def command(self, folder: Path, cache: Path) -> list[str]:
        """Return what to run."""
        options = [f"--model={self.model}", f"--cache={cache}", "--baselines" if self.baselines else "--no-baselines"]
        options += [f"--task={task}" for task in self.tasks]
        options += [f"--suite={self.suite}", f"--data={self.data}"] if self.suite else []
        options += [f"--limit={self.limit}"] if self.limit else []
        return processes.efive(
            "evaluate", *options, f"--json={folder / 'run.json'}", f"--html={folder / 'report.html'}"
        )

    @property
    def measured(self) -> str:
        """What is measured, for people."""
        return f"suite {self.suite}" if self.suite else ", ".join(Path(task).name for task in self.tasks)


def make_jobs(service: Service) -> Jobs[EvaluationJob]:
    """Return the evaluations that the state remembers."""

    async def work(job: EvaluationJob) -> None:
        await _evaluate(jobs, job)

    jobs = Jobs(service, _KIND, EvaluationJob, work)
    return jobs


async def _evaluate(jobs: Jobs[EvaluationJob], job: EvaluationJob) -> None:
    service, folder = jobs.service, jobs.path(job)
    folder.mkdir(parents=True, exist_ok=True)
    run = folder / "run.json"
    await service.collections.run(lambda: processes.end_orphans(f"--json={run}"))
    if run.exists():
        return
    command = job.command(folder, service.home / "cache" / "evaluation")
    try:
        await processes.run(command, folder / "output.txt", environment(service), EfiveError, "the evaluation")
    except EfiveError:
        if not run.exists():  # else some tasks could not be measured: the run says which
            raise


def start(jobs: Jobs[EvaluationJob], model: str, *, task: str = "", suite: str = "", data: str = "",
          limit: int | None = None, baselines: bool = False) -> EvaluationJob:  # fmt: skip
    """Queue an evaluation of a model, on a task (a file, a folder, or a folder of tasks) or a suite.

    Raises:
        InputError: if nothing is named, or what is named is not there.
    """
    if bool(task.strip()) == bool(suite):
        raise InputError("name a task, or choose a suite")
    if suite and suite not in SUITES:
        raise InputError(f"no suite {suite!r}; the suites are {', '.join(SUITES)}")
    tasks = () if suite else (str(check_path(task)),)
    place = str(check_path(data)) if suite else ""
    return jobs.start(
        EvaluationJob(
            id=new_id(), project="console", created=time.time(), model=model, tasks=tasks, suite=suite, data=place,
            limit=limit, baselines=baselines,
        )
    )  # fmt: skip


def said(jobs: Jobs[EvaluationJob], job: EvaluationJob, lines: int = 12) -> str:
    """Return the last that the process has printed."""
    try:
        text = (jobs.path(job) / "output.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.replace("\r", "\n").splitlines() if line.strip()][-lines:])
