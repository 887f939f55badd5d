"""A new training job: its data, looked at before it starts, and its settings."""

import asyncio
import shutil
from pathlib import Path

from nicegui import ui

from efive.console import context, frame, parts
from efive.console.pages.uploads import Picker
from efive.console.training import check, datasets, models, passages_for, plan_of, start
from efive.console.work import current
from efive.deployments.training import Checked
from efive.errors import EfiveError, StoreError
from efive.models.store import check_name
from efive.server.jobs import new_id

_FIELD = "outlined dense"


@ui.page("/new-training")
def new_training() -> None:
    """Ask for data and settings, check the data, and start."""
    with frame.page("New training"):
        _Form()


class _Form:
    """What is asked for before a job starts."""

    def __init__(self) -> None:
        self._id = new_id()
        self._checked: tuple[str, Checked] | None = None
        self._checking: asyncio.Future[Checked] | None = None
        with ui.column().classes("w-full max-w-2xl gap-3"):
            self._name = ui.input("Name of the new model").classes("w-full").props(_FIELD)
            self._model = ui.select(models(context.service()), label="Model to start from", value="bundled")
            self._model.classes("w-full").props(_FIELD)
            self._data()
            with ui.row().classes("items-center"):
                self._look = parts.acting(ui.button("Check the data", icon="rule").props("outline"), self._check)
                self._busy = ui.spinner().props('role=status aria-label="Reading the data"')
                self._stop = ui.button("Stop", on_click=self._cancel).props("flat")
            self._report = ui.column().classes("w-full gap-0").props("aria-live=polite")
            self._settings()
            self._go = parts.acting(ui.button("Start training", icon="play_arrow"), self._start)
        self._show_busy(busy=False)

    def _data(self) -> None:
        places = {"upload": "Files from here", "server": "On the server"}
        self._from = ui.radio(places, value="upload", on_change=self._forget).props("inline")
        with ui.column().classes("w-full").bind_visibility_from(self._from, "value", value="upload"):
            self._picker = Picker("Choose files", self._forget, ".jsonl,.ndjson,.gz,.xz,.parquet,.pq")
            ui.label(
                "passages.jsonl with train.jsonl (queries with ids of positive and negative passages), or one file of "
                "pairs: a query and a passage in each line, and negatives if there are any."
            ).classes("text-sm opacity-80")
        with ui.column().classes("w-full").bind_visibility_from(self._from, "value", value="server"):
            self._path = ui.input("Folder or file on the server", placeholder="/srv/training").classes("w-full")
            self._path.props(_FIELD)

    def _settings(self) -> None:
        with ui.element("div").classes("w-full grid gap-3 grid-cols-2 md:grid-cols-3"):
            self._fields = {
                "train_n_passages": _number("Passages of a question", 8, 1, "one positive, the others negatives"),
                "batch_size": _number("Batch size", 64, 2, "questions"),
                "epochs": _number("Epochs", 1, 0, "passes over the data"),
                "max_steps": _number("Steps", None, 1, "in place of epochs"),
                "held_out": _number("Held out", 0, 0, "questions to measure on"),
                "save_every": _number("Save and measure every", 50, 1, "steps"),
                "learning_rate": _number("Learning rate", None, 0, "empty: the trainer's"),
                "temperature": _number("Temperature", None, 0, "empty: 0.01"),
                "seed": _number("Seed", None, 0, "empty: 0"),
            }

    def _forget(self) -> None:
        self._cancel()
        self._checked = None
        self._report.clear()

    def _show_busy(self, *, busy: bool) -> None:
        for element in (self._busy, self._stop):
            element.set_visibility(busy)
        for button in (self._look, self._go):
            button.set_enabled(not busy)

    def _cancel(self) -> None:
        if self._checking is not None:
            self._checking.cancel()

    async def _path_of(self) -> Path | None:
        """Return where the data lies, or nothing, and say why."""
        if self._from.value == "server":
            if given := self._path.value.strip():
                return Path(given)
            self._path.error = "name a folder with passages.jsonl and train.jsonl, or a file of pairs"
            return None
        if not self._picker.files:
            ui.notify("Choose the files first.", type="warning")
            return None
        folder = datasets(context.service(), self._id)
        await context.service().collections.run(lambda: shutil.rmtree(folder, ignore_errors=True))
        return (await self._picker.save(folder))[0].parent

    async def _check(self) -> Checked | None:
        """Look at the data and show what is found; return it if it can be trained on."""
        self._path.error = None
        try:
            data = await self._path_of()
        except StoreError as error:
            self._say([str(error)], "The files are not on the server")
            return None
        if data is None:
            return None
        self._show_busy(busy=True)
        try:
            self._checking = asyncio.ensure_future(check(context.service(), str(data)))
            checked = await self._checking
        except asyncio.CancelledError:
            return None
        except EfiveError as error:
            self._say([str(error)], "The data cannot be read")
            return None
        finally:
            self._show_busy(busy=False)
        self._checked = str(data), checked
        self._show(checked)
        return None if checked.problem_count else checked

    def _say(self, lines: list[str], heading: str) -> None:
        self._report.clear()
        with self._report, ui.card().classes("w-full gap-1"):
            ui.label(heading).classes("font-medium text-negative").props("role=alert")
            for line in lines:
                ui.label(line).classes("text-sm break-words")

    def _show(self, checked: Checked) -> None:
        if checked.problem_count:
            more = checked.problem_count - len(checked.problems)
            lines = [*checked.problems, *([f"and {more:,} more"] if more else [])]
            self._say(lines, f"{checked.problem_count:,} problems; mend these lines, and check again")
            return
        wanted = self._fields["train_n_passages"]
        wanted.value = min(int(wanted.value or 8), passages_for(checked))
        self._report.clear()
        with self._report, ui.row().classes("items-center"):
            ui.icon("check_circle", color="positive")
            passages = f", {checked.passages:,} passages" if checked.passages else ""
            negatives = f"at least {checked.negatives} negatives each" if checked.negatives else "no negatives"
            ui.label(f"{checked.examples:,} questions{passages}, {negatives}; no problems.")

    async def _start(self) -> None:
        self._name.error = None
        if not self._name.value.strip():
            self._name.error = "give the new model a name"
            return
        try:
            check_name(self._name.value.strip())
        except EfiveError as error:
            self._name.error = str(error)
            return
        known = self._checked
        if known is None or (self._from.value == "server" and known[0] != self._path.value.strip()):
            if await self._check() is None:
                return
            known = self._checked
        if known is None or known[1].problem_count:
            return
        self._go.disable()
        try:
            await frame.attempt(lambda: self._begin(*known))
        finally:
            self._go.enable()

    async def _begin(self, data: str, checked: Checked) -> None:
        plan = plan_of({name: field.value for name, field in self._fields.items()} | {"model": self._model.value})
        job = start(current().trainings, self._id, self._name.value.strip(), Path(data), plan, checked)
        ui.navigate.to(f"/training/{job.id}")


def _number(label: str, value: float | None, least: float, hint: str) -> ui.number:
    return ui.number(label, value=value, min=least).props(f'{_FIELD} hint="{hint}"').classes("w-full")
