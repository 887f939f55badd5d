"""One collection: what it holds, and questions to it."""

import asyncio
from urllib.parse import quote

from nicegui import ui

from efive.console import context, frame, units
from efive.console.collections import Summary, summary
from efive.console.collections_search import Asked, calibrate, compare, fault_of, search
from efive.console.dialogs import confirm
from efive.console.pages import collections_card, collections_hits
from efive.console.work import current
from efive.errors import EfiveError, InputError
from efive.search.searching import MODES

_FIELD = "outlined dense"
_MOST = 100
"""Hits."""


@ui.page("/collections/{name}")
def collection(name: str) -> None:
    """Show a collection."""
    with frame.page(name):
        ui.link("All collections", "/collections").classes("text-sm")
        indexing = current().indexings.of(name)
        card, facts, place = (ui.column().classes("w-full mb-2") for _ in range(3))
        asking: list[_Search] = []

        async def show() -> None:
            if not _exists(name):
                if indexing is None:
                    with place:
                        frame.empty(f"There is no collection {name}", "The list of collections has those that are.")
                return
            described = await summary(context.service(), name)
            facts.clear()
            with facts:
                _described(described)
            if not asking and not described.fault:  # once: somebody may be writing in it when an indexing ends
                with place:
                    asking.append(_Search(described))
            for each in asking:
                each.update(described)

        if indexing is not None:
            with card:
                collections_card.show(indexing, show)
        ui.timer(0, show, once=True)


def _exists(name: str) -> bool:
    try:
        return context.service().collections.exists(name)
    except InputError:  # no collection can be called that
        return False


def _described(each: Summary) -> None:
    with ui.row().classes("w-full items-center gap-x-4 gap-y-1"):
        if each.fault:
            ui.label(each.fault).classes("text-negative")
        else:
            counts = f"{each.documents:,} documents, {each.passages:,} passages, {units.size(each.bytes)}"
            ui.label(f"{counts}, model {each.model or 'unknown'}, space {each.space}, {each.vectors} vectors")
        ui.space()
        ui.button(
            "Add files",
            icon="add",
            on_click=lambda: ui.navigate.to(f"/new-collection?into={quote(each.name, safe='')}"),
        ).props('outline padding="xs sm"')
        ui.button("Delete", icon="delete", on_click=lambda: _delete(each)).props(
            'outline padding="xs sm" color=negative'
        )


async def _delete(each: Summary) -> None:
    detail = f"{each.documents:,} documents and what was uploaded for them go; files in folders of the server stay."
    if not await confirm(f"Delete {each.name}?", detail, "Delete"):
        return
    if await frame.attempt(lambda: current().indexings.delete(context.service(), each.name)):
        ui.navigate.to("/collections")


class _Search:
    """The question and what was found for it."""

    def __init__(self, each: Summary) -> None:
        self._name = each.name
        with ui.card().classes("w-full gap-2"):
            self._text = ui.input("Question or words", on_change=self._mend).classes("w-full").props(_FIELD)
            self._text.on("keydown.enter", self._ask)
            with ui.row().classes("w-full items-start gap-3"):
                self._mode = ui.toggle(list(MODES), value="hybrid").props('no-caps padding="xs sm" aria-label="Mode"')
                self._beside = ui.switch("All modes side by side")
                self._mode.bind_enabled_from(self._beside, "value", backward=lambda beside: not beside)
                self._go = ui.button("Search", icon="search", on_click=self._ask)
            with ui.row().classes("w-full items-start gap-3"):
                self._where = ui.input("Filter", placeholder='kind = "markdown" and not name ^= "draft"')
                self._where.classes("grow min-w-60 font-mono").props(_FIELD).on("keydown.enter", self._ask)
                self._count = ui.number("Hits", value=10, min=1, max=_MOST, precision=0).classes("w-20").props(_FIELD)
                self._least = ui.number("Least confidence", value=0, min=0, max=1, step=0.05).classes("w-40")
                self._least.props(_FIELD)
            self._calibration = ui.row().classes("items-center gap-2")
        self._found = ui.column().classes("w-full").props("aria-live=polite")

    def update(self, each: Summary) -> None:
        """Show whether there are confidences."""
        self._least.set_enabled(bool(each.calibration))
        self._calibration.clear()
        with self._calibration:
            _calibration(each)

    def _mend(self) -> None:
        self._text.error = None

    async def _ask(self) -> None:
        count = max(1, min(_MOST, int(self._count.value or 10)))  # the field mends itself only when it is left
        asked = Asked(
            self._text.value.strip(), count, str(self._mode.value), self._where.value.strip(),
            float(self._least.value or 0),
        )  # fmt: skip
        self._text.error = None if asked.text else "ask something first"
        if self._text.error or not self._go.enabled:
            return
        self._go.disable()
        try:
            self._where.error = await asyncio.to_thread(fault_of, asked.where)  # the first makes a parser
            if not self._where.error:
                await self._answer(asked)
        except EfiveError as error:
            self._found.clear()
            with self._found, ui.card().classes("w-full"):
                ui.label(str(error)).classes("text-negative").props("role=alert")
        finally:
            self._go.enable()

    async def _answer(self, asked: Asked) -> None:
        service = context.service()
        if self._beside.value:
            found = await compare(service, self._name, asked)
            self._found.clear()
            with self._found:
                collections_hits.side_by_side(self._name, found)
            return
        hits = await search(service, self._name, asked)
        self._found.clear()
        with self._found:
            collections_hits.one_list(self._name, hits)


def _calibration(each: Summary) -> None:
    async def measure() -> None:
        button.disable()
        if await frame.attempt(calibrate(context.service(), each.name), "Calibrated."):
            ui.navigate.reload()
        button.enable()

    button = ui.button("Calibrate again" if each.calibration else "Calibrate", on_click=measure).props("flat dense")
    hint = each.calibration or "Confidences need a calibration: it asks the collection sentences of its own."
    ui.label(hint).classes("text-xs opacity-80 max-w-xl")
