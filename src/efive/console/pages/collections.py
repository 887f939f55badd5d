"""Collections: the list of them, and files on their way into one."""

from pathlib import Path
from urllib.parse import quote

from nicegui import ui

from efive.console import context, frame, units
from efive.console.collections import Summary, summaries, uploads
from efive.console.pages import collections_card
from efive.console.pages.uploads import Picker
from efive.console.paths import check_path
from efive.console.tables import Cell, table
from efive.console.work import current
from efive.deployments.deployment import Phase
from efive.errors import InputError

_HEAD = ("Name", "Documents", "Passages", "Size", "Model", "Space", "Confidence")


@ui.page("/collections")
def collections() -> None:
    """List the collections."""
    with frame.page("Collections"):
        with ui.row().classes("w-full items-center mb-2"):
            ui.label("Documents that are searched by meaning and by words.").classes("opacity-80")
            ui.space()
            ui.button("New collection", icon="add", on_click=lambda: ui.navigate.to("/new-collection"))
        running = ui.column().classes("w-full mb-2")
        place = ui.column().classes("w-full")

        async def show() -> None:
            found = await summaries(context.service())
            place.clear()
            with place:
                _list(found)

        with running:
            for each in current().indexings.all():
                collections_card.show(each, show)
        ui.timer(0, show, once=True)


def address_of(name: str) -> str:
    """Return the address of a collection's page."""
    return f"/collections/{quote(name, safe='')}"


def _list(found: list[Summary]) -> None:
    if not found:
        frame.empty(
            "There are no collections yet",
            "Make one of files that you upload, or of a folder on the server; then search it in any language.",
        )
        return
    table("Collections", _HEAD, [_row(each) for each in found], numbers={1, 2, 3})


def _row(each: Summary) -> list[Cell]:
    def name() -> None:
        ui.link(each.name, address_of(each.name)).classes("font-medium inline-block min-w-28 wrap-anywhere")

    def fault() -> None:
        ui.label(each.fault).classes("text-negative max-w-md")

    if each.fault:
        return [name, "", "", "", fault, "", ""]
    confidence = "calibrated" if each.calibration else "not calibrated"
    counts = [f"{each.documents:,}", f"{each.passages:,}", units.size(each.bytes)]
    return [name, *counts, each.model or "–", each.space, confidence]


@ui.page("/new-collection")
def new_collection(into: str = "") -> None:
    """Ask for files, and index them into a new collection, or into one that is there."""
    with frame.page(f"Add to {into}" if into else "New collection"):
        _Form(into)


class _Form:
    """What is asked for before files are indexed."""

    def __init__(self, into: str) -> None:
        self._into = into
        service = context.service()
        with ui.column().classes("w-full max-w-xl gap-3"):
            self._name = ui.input("Name", value=into).classes("w-full").props("outlined dense")
            ready = [each.name for each in service.deployments if each.phase is Phase.READY]
            self._model = ui.select(ready, label="Deployment that embeds", value=ready[0] if ready else None)
            self._model.classes("w-full").props("outlined dense")
            for field in (self._name, self._model):
                field.set_visibility(not into)
            if not ready and not into:
                ui.label("No deployment is ready. Start one first, under Deployments.").classes("text-negative")
            self._from = ui.radio({"upload": "Files from here", "server": "A folder on the server"}, value="upload")
            self._from.props("inline")
            with ui.column().classes("w-full").bind_visibility_from(self._from, "value", value="upload"):
                self._picker = Picker("Choose files")
            with ui.column().classes("w-full").bind_visibility_from(self._from, "value", value="server"):
                self._path = ui.input("Folder or file on the server", placeholder="/srv/manuals").classes("w-full")
                self._path.props("outlined dense")
            ui.label(
                "Text, Markdown, reStructuredText, HTML, PDF, source code, JSONL, CSV and Parquet are read. "
                "Indexed again, only what has changed is embedded."
            ).classes("text-sm opacity-80")
            self._go = ui.button("Index", icon="play_arrow", on_click=self._start)

    async def _start(self) -> None:
        service, name = context.service(), self._into or self._name.value.strip()
        self._name.error = self._path.error = None
        if not name:
            self._name.error = "give it a name that says what is in it"
            return
        try:
            service.collections.path(name)
            if not self._into and service.collections.exists(name):
                raise InputError(f"there is a collection {name} already; open it, and add files there")
        except InputError as error:
            self._name.error = str(error)
            return
        if not self._into and not self._model.value:
            self._model.error = "choose a deployment; it embeds the documents, and the questions later"
            return

        async def work() -> None:
            if paths := await self._paths(name):
                current().indexings.start(service, name, paths, None if self._into else self._model.value)
                ui.navigate.to(address_of(name))

        self._go.disable()
        try:
            await frame.attempt(work)
        finally:
            self._go.enable()

    async def _paths(self, name: str) -> list[Path]:
        """Return what to index, or nothing, and say why."""
        if self._from.value == "server":
            given = self._path.value
            try:
                return [await context.service().collections.run(lambda: check_path(given))]
            except InputError as error:
                self._path.error = str(error)
                return []
        if not self._picker.files:
            ui.notify("Choose at least one file first.", type="warning")
            return []
        return await self._picker.save(uploads(context.service(), name))
