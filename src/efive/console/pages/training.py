"""Training: the list of jobs."""

from datetime import datetime
from functools import partial
from pathlib import Path

from nicegui import app, ui

from efive.console import context, frame
from efive.console.tables import Cell, table
from efive.console.training import ConsoleTraining, data_of, everything
from efive.console.work import current
from efive.deployments import training
from efive.deployments.training import Progress
from efive.server.jobs import ENDED
from efive.server.training import TrainingJob

_HEAD = ("Name", "Status", "Started from", "Data", "Step", "Loss", "Created")
_LOOK = 2.0

Stand = list[tuple[TrainingJob, Progress]]

app.on_startup(current)  # jobs go on, whoever looks at them


@ui.page("/training")
def jobs() -> None:
    """List the jobs, those of SambaStudio's API among them."""
    with frame.page("Training"):
        with ui.row().classes("w-full items-center mb-2"):
            ui.label("Models of your own, from questions and the passages that answer them.").classes("opacity-80")
            ui.space()
            ui.button("New training", icon="add", on_click=lambda: ui.navigate.to("/new-training"))
        place = ui.column().classes("w-full")
        before: list[Stand] = []
        known: dict[str, Progress] = {}

        async def show() -> None:
            now: Stand = []
            for job, run in everything(current().trainings):
                if job.phase not in ENDED or job.id not in known:
                    known[job.id] = await context.service().collections.run(partial(training.progress, run))
                now.append((job, known[job.id]))
            if [now] == before:
                return
            before[:] = [now]
            place.clear()
            with place:
                _list(now)

        ui.timer(_LOOK, show)


def _list(found: Stand) -> None:
    if not found:
        frame.empty(
            "Nothing has been trained here yet",
            "Train on SambaStudio's two files (passages.jsonl and train.jsonl), on pairs, or on a folder of either.",
        )
        return
    table("Training jobs", _HEAD, [_row(*each) for each in found], numbers={4, 5})


def _row(job: TrainingJob, now: Progress) -> list[Cell]:
    def name() -> None:
        if isinstance(job, ConsoleTraining):
            ui.link(job.name, f"/training/{job.id}").classes("font-medium inline-block min-w-28 wrap-anywhere")
        else:
            ui.label(f"{job.project}, SambaStudio job {job.id}")

    steps = job.plan.steps(job.checked.examples) if job.checked else 0
    loss = f"{now.last['loss']:.4f}" if "loss" in now.last else "–"
    created = datetime.fromtimestamp(job.created).astimezone().strftime("%Y-%m-%d %H:%M")
    done = f"{now.step:,} of {steps:,}" if steps else "–"
    return [name, str(job.phase), Path(job.plan.model).name, data_of(context.service(), job), done, loss, created]
