"""Evaluation: those at work, the runs that there are, and which two to compare."""

from datetime import datetime
from functools import partial

from nicegui import ui

from efive.console import context, frame
from efive.console.dialogs import confirm
from efive.console.evaluation import EvaluationJob, said
from efive.console.evaluation_runs import Found, add_folder, folders, remove_folder, runs
from efive.console.tables import Cell, table
from efive.console.work import current
from efive.errors import EfiveError
from efive.server.jobs import ENDED, Phase

_LOOK = 2.0
_HEAD = ("Compare", "Model", "Measured", "Tasks", "Mean of main measures", "File")
_TWO = 2


@ui.page("/evaluation")
def evaluation() -> None:
    """List runs."""
    with frame.page("Evaluation"):
        with ui.row().classes("w-full items-center mb-2"):
            ui.label("Models on tasks with known answers.").classes("opacity-80")
            ui.space()
            ui.button("New evaluation", icon="add", on_click=lambda: ui.navigate.to("/new-evaluation"))
        _Runs()


class _Runs:
    """What is at work, and what was measured."""

    def __init__(self) -> None:
        self._chosen: list[str] = []
        self._seen: list[tuple[object, ...]] | None = None
        self._jobs = ui.column().classes("w-full mb-2")
        with ui.row().classes("w-full items-center"):
            self._compare = ui.button("Compare", icon="compare_arrows", on_click=self._go).props("outline")
            self._hint = ui.label().classes("text-sm opacity-80").props("role=status")
        self._list = ui.column().classes("w-full")
        with ui.expansion("Folders in which runs are looked for").classes("w-full"):
            self._folders = ui.column().classes("w-full")
            with ui.row().classes("w-full items-start"):
                self._folder = ui.input("Folder on the server").classes("grow").props("outlined dense")
                ui.button("Look there too", on_click=self._add).props("outline")
        self._choose()
        ui.timer(_LOOK, self._look)

    async def _look(self) -> None:
        """Show what has changed."""
        work, run = current().evaluations, context.service().collections.run
        jobs = [job for job in work.all() if job.phase is not Phase.COMPLETED]
        seen: list[tuple[object, ...]] = [(job.id, job.phase, await run(partial(said, work, job))) for job in jobs]
        found = await runs(context.service())
        seen += [(each.path, each.created) for each in found] + [(each,) for each in folders(context.service())]
        if seen == self._seen:
            return
        self._seen = seen
        for place in (self._jobs, self._list, self._folders):
            place.clear()
        with self._jobs:
            for job, (_, _, words) in zip(jobs, seen, strict=False):
                _job(job, str(words))
        self._show(found)
        with self._folders:
            for folder in folders(context.service()):
                self._show_folder(folder)

    def _show(self, found: list[Found]) -> None:
        with self._list:
            if not found:
                frame.empty(
                    "There are no runs yet",
                    "Start an evaluation, or name a folder below that has files of `efive evaluate --json`.",
                )
            else:
                table("Runs", _HEAD, [self._row(each) for each in found], numbers={3})

    def _row(self, each: Found) -> list[Cell]:
        def choice() -> None:
            box = ui.checkbox(value=each.key in self._chosen, on_change=lambda e: self._choose(each.key, on=e.value))
            box.props("dense").props["aria-label"] = f"Compare {each.model} of {each.created}"

        def name() -> None:
            ui.link(each.model, f"/evaluation/{each.key}").classes("font-medium inline-block min-w-28 wrap-anywhere")

        failed = f" ({each.failed} failed)" if each.failed else ""
        place = "from here" if each.path.is_relative_to(context.service().home) else str(each.path)
        return [choice, name, _local(each.created), f"{each.tasks}{failed}", each.main, place]

    def _choose(self, key: str = "", *, on: bool = False) -> None:
        if key:
            self._chosen = [each for each in self._chosen if each != key] + ([key] if on else [])
        self._compare.set_enabled(len(self._chosen) == _TWO)
        chosen = len(self._chosen)
        self._hint.text = "" if chosen == _TWO else f"{chosen} of two runs chosen; the first chosen is A, the second B"

    def _go(self) -> None:
        ui.navigate.to(f"/comparison?a={self._chosen[0]}&b={self._chosen[1]}")

    async def _add(self) -> None:
        self._folder.error = None
        try:
            add_folder(context.service(), self._folder.value)
        except EfiveError as error:
            self._folder.error = str(error)
            return
        self._folder.value = ""
        await self._look()

    def _show_folder(self, folder: str) -> None:
        async def leave() -> None:
            remove_folder(context.service(), folder)
            await self._look()

        with ui.row().classes("items-center no-wrap"):
            ui.label(folder).classes("break-all")
            ui.button(icon="close", on_click=leave).props("flat round dense size=sm").props["aria-label"] = (
                f"No longer look in {folder}"
            )


def _local(created: str) -> str:
    try:
        return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return created


def _job(job: EvaluationJob, words: str) -> None:
    work = current().evaluations
    with ui.card().classes("w-full gap-1"):
        with ui.row().classes("w-full items-center"):
            ui.label(f"{job.model} on {job.measured}: {job.phase}").classes("font-medium break-all")
            ui.space()
            if job.phase not in ENDED:
                ui.button("Cancel", on_click=lambda: frame.attempt(work.cancel(job))).props("flat dense")
            else:
                ui.button("Dismiss", on_click=lambda: frame.attempt(work.delete(job))).props("flat dense")
        if job.phase is Phase.RUNNING:
            ui.linear_progress(show_value=False).props('indeterminate aria-label="Evaluating"')
        if job.phase is Phase.FAILED:
            ui.label(job.reason).classes("text-negative break-words").props("role=alert")
        elif words:
            ui.label(words).classes("text-xs whitespace-pre-wrap break-all opacity-80")


async def delete(job: EvaluationJob) -> None:
    """Ask, and delete a run of the console."""
    if await confirm(f"Delete the run of {job.model}?", "Its figures and its report go.", "Delete"):
        await frame.attempt(current().evaluations.delete(job))
        ui.navigate.to("/evaluation")
