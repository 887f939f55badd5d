"""One training job: how it goes, what has become of the model, and what to do with it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import msgspec
from nicegui import ui

from efive.console import context, frame, units
from efive.console.deployments_form import free_name
from efive.console.dialogs import confirm
from efive.console.pages.training_charts import chart, draw
from efive.console.tables import table
from efive.console.training import ConsoleTraining, Curves, curves, delete, deploy, gains
from efive.console.work import current
from efive.deployments import training
from efive.deployments.training import Progress
from efive.errors import EfiveError
from efive.server.jobs import ENDED, Phase
from efive.server.training import run_of

_LOOK = 1.0
_REDRAWN = 400
"""How often curves are drawn in a run, at most."""
_COLOURS = {Phase.COMPLETED: "positive", Phase.FAILED: "negative", Phase.PAUSED: "warning", Phase.RUNNING: "primary"}


@ui.page("/training/{id_}")
def job_page(id_: str) -> None:
    """Show a job."""
    try:
        job = current().trainings.get(id_)
    except EfiveError:
        with frame.page("Training"):
            frame.empty("There is no such job", "It may have been deleted; the list of jobs has those that are.")
            ui.link("All jobs", "/training")
        return
    with frame.page(job.name):
        ui.link("All jobs", "/training").classes("text-sm")
        _Job(job)


class _Job:
    """A job on the page."""

    def __init__(self, job: ConsoleTraining) -> None:
        self._job = job
        self._seen: tuple[object, ...] = ()
        self._drawn = 0
        with ui.row().classes("w-full items-center gap-3"):
            self._phase = ui.badge().props("role=status")
            self._words = ui.label().classes("break-words")
            ui.space()
            self._buttons = ui.row().classes("gap-2")
        self._bar = ui.linear_progress(show_value=False).props('aria-label="Steps"')
        self._result = ui.column().classes("w-full my-3")
        with ui.element("div").classes("w-full grid gap-3 grid-cols-1 md:grid-cols-2"):
            self._loss, self._measured = chart("Loss"), chart("On what is held out")
        if not job.plan.held_out:
            ui.label("Nothing is held out, so there is no measure beside the loss.").classes("text-sm opacity-80")
        with ui.expansion("Settings and data").classes("w-full"):
            _settings(job)
        ui.timer(_LOOK, self._look)

    async def _look(self) -> None:
        jobs = current().trainings
        try:
            self._job = job = jobs.get(self._job.id)
        except EfiveError:  # deleted, perhaps on another page
            ui.navigate.to("/training")
            return
        run = run_of(jobs, job)
        stand = await context.service().collections.run(lambda: training.progress(run))
        seen = (job.phase, job.reason, stand)
        if seen == self._seen:
            return
        begun = not self._seen or self._seen[0] != job.phase
        self._seen = seen
        steps = job.plan.steps(job.checked.examples) if job.checked else 0
        self._words.text = words(job, stand, steps)
        self._bar.value = stand.step / steps if steps else 0
        if begun:
            self._show_phase(job)
        if begun or abs(stand.step - self._drawn) > steps / _REDRAWN:  # the log of a long run takes its time to read
            self._drawn = stand.step
            self._show(job, await context.service().collections.run(lambda: curves(run)))

    def _show(self, job: ConsoleTraining, found: Curves) -> None:
        draw(self._loss, {"loss": found.loss}, marks=False)
        draw(self._measured, found.measured, marks=True)
        self._result.clear()
        if job.phase is Phase.COMPLETED:
            with self._result:
                _result(job, found)

    def _show_phase(self, job: ConsoleTraining) -> None:
        self._phase.text = str(job.phase)
        self._phase.props(f"color={_COLOURS.get(job.phase, 'grey-7')}")
        jobs = current().trainings
        self._buttons.clear()
        with self._buttons:
            if job.phase in {Phase.QUEUED, Phase.RUNNING}:
                self._button("Pause", "pause", lambda: jobs.pause(job))
            if job.phase in {Phase.PAUSED, Phase.FAILED}:
                self._button("Go on", "play_arrow", self._again)
            if job.phase not in ENDED:
                self._button("Cancel", "stop", lambda: jobs.cancel(job))
            self._button("Delete", "delete", self._delete)

    def _button(self, text: str, icon: str, work: Callable[[], Awaitable[object]]) -> None:
        async def act() -> None:
            button.disable()
            await frame.attempt(work)
            if not button.is_deleted:
                button.enable()
            await self._look()

        button = ui.button(text, icon=icon, on_click=act).props('outline padding="xs sm"')

    async def _again(self) -> None:
        current().trainings.again(self._job)

    async def _delete(self) -> None:
        detail = "Its model, its checkpoints and what was uploaded for it go. Models that were deployed stay."
        if await confirm(f"Delete the job {self._job.name}?", detail, "Delete"):
            await delete(current().trainings, self._job)
            ui.navigate.to("/training")


def words(job: ConsoleTraining, now: Progress, steps: int) -> str:
    """Return how a job goes, in a sentence."""
    if job.phase is Phase.FAILED:
        return f"{job.reason}. What is done is kept: mend what is wrong, and go on, or start anew."
    if job.phase is Phase.QUEUED:
        return "Waiting for the job before it"
    done = f"step {now.step:,} of {steps:,}"
    if job.phase is Phase.PAUSED:
        return f"Paused at {done}; it goes on from its last checkpoint"
    rate = now.last.get("examples_per_second", 0.0)
    parts = [done]
    parts += [f"loss {now.last['loss']:.4f}"] if "loss" in now.last else []
    parts += [f"{units.number(rate)} questions/s"] if rate else []
    if job.phase is Phase.RUNNING and rate and now.step:
        parts.append(f"{units.time((steps - now.step) * job.plan.batch_size / rate)} left")
    return ", ".join(parts)


def _result(job: ConsoleTraining, found: Curves) -> None:
    with ui.card().classes("w-full"):
        ui.label("The new model").classes("text-lg font-medium").props("role=heading aria-level=2")
        if changes := gains(found):
            rows = [[g.measure, f"{g.before:.4f}", f"{g.after:.4f}", f"{g.after - g.before:+.4f}"] for g in changes]
            head = ("On what is held out", f"{Path(job.plan.model).name}, before", "after", "change")
            table("Before and after", head, rows, numbers={1, 2, 3})
        else:
            ui.label("Nothing was held out, so it has not been compared with the model that it started from.")
        with ui.row().classes("w-full items-start gap-3"):
            name = ui.input("Name of the deployment", value=free_name(job.name, context.service().deployments)).props(
                "outlined dense"
            )

            async def go() -> None:
                button.disable()
                name.error = None
                try:
                    await deploy(current().trainings, job, name.value.strip())
                    ui.navigate.to("/deployments")
                except EfiveError as error:
                    name.error = str(error)
                finally:
                    button.enable()

            button = ui.button("Deploy", icon="rocket_launch", on_click=go)
            model = run_of(current().trainings, job) / "model"
            ui.button(
                "Evaluate", icon="leaderboard",
                on_click=lambda: ui.navigate.to(f"/new-evaluation?model={quote(str(model), safe='')}"),
            ).props("outline")  # fmt: skip


def _settings(job: ConsoleTraining) -> None:
    values = {name: value for name, value in msgspec.structs.asdict(job.plan).items() if value is not None}
    facts = {"data": job.data, "questions": job.checked.examples if job.checked else "–"} | values
    table("Settings", ("Setting", "Value"), [[name, str(value)] for name, value in facts.items()])
