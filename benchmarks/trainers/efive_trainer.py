"""efive's own trainer, `efive.training.trainer.train`, with its defaults for chunks and threads."""

import contextlib
from typing import Any

from efive import __version__
from efive.training.runs import read_log
from efive.training.settings import Learning, Loss, Settings, Source
from efive.training.trainer import Report, train
from trainers.job import Job, Stopwatch, scratch

_NEVER = 1_000_000


class _EnoughError(Exception):
    """The last step is done; what follows it (saving) is not measured."""


def settings(job: Job) -> Settings:
    """Return the job as the settings of a run."""
    caching = {"keep_tokens": 0} if job.cached else {"keep_tokens": _NEVER}
    return Settings(
        model=job.folder,
        sources=(Source(path=job.pairs),),
        seed=job.seed,
        steps=job.all_steps,
        batch=job.batch,
        query_tokens=job.passage_tokens,
        passage_tokens=job.passage_tokens,
        precision="bf16" if job.precision == "bf16" else "fp32",
        device=job.device,
        save_every=_NEVER,
        learning=Learning(rate=job.rate, warmup=0, weight_decay=0.01, clip=1.0),
        loss=Loss(temperature=job.temperature),
        **caching,
    )


def run(job: Job) -> dict[str, Any]:
    """Train and return times, losses and peak memory."""
    watch = Stopwatch(job)

    def report(_report: Report) -> None:
        if _report.examples and watch.tick():
            raise _EnoughError

    output = scratch(job)
    with contextlib.suppress(_EnoughError):
        train(settings(job), output, report=report)
    lines = [line for line in read_log(output) if "loss" in line]
    answer = watch.answer([line["loss"] for line in lines], __version__)
    return answer | {"tokens": sum(line["tokens"] for line in lines[job.warmup :])}
