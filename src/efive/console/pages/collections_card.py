"""An indexing on the page: how far it is, what was refused, and how to stop it."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from efive.console import units
from efive.console.collections_indexing import Indexing, Phase
from efive.console.work import current

_LOOK = 0.5
_COLOURS = {Phase.DONE: "positive", Phase.FAILED: "negative", Phase.CANCELLED: "warning"}


def show(indexing: Indexing, ended: Callable[[], Awaitable[object]]) -> None:
    """Show an indexing until it is dismissed.

    Args:
        indexing: what goes on.
        ended: called when it comes to its end.
    """
    with ui.card().classes("w-full gap-1") as card:
        with ui.row().classes("w-full items-center no-wrap"):
            title = ui.label().classes("font-medium break-all")
            ui.space()
            cancel = ui.button("Cancel", on_click=lambda: current().indexings.cancel(indexing.name)).props("flat dense")
            dismiss = ui.button("Dismiss", on_click=lambda: _dismiss(indexing, card)).props("flat dense")
        bar = ui.linear_progress(show_value=False).props('indeterminate aria-label="Indexing"')
        said = ui.label().props("role=status")
        refused = ui.expansion().classes("w-full")

    shown, ran = -1, indexing.phase is Phase.RUNNING

    async def look() -> None:
        nonlocal shown
        running = indexing.phase is Phase.RUNNING
        title.text = f"Indexing into {indexing.name}" if running else f"{indexing.name}: {indexing.phase}"
        title.classes(replace=f"font-medium break-all text-{_COLOURS.get(indexing.phase, 'primary')}")
        said.text = _words(indexing)
        for element in (bar, cancel):
            element.set_visibility(running)
        dismiss.set_visibility(not running)
        cancel.set_enabled(not indexing.stopping)
        refused.set_visibility(bool(indexing.refused_count))
        if shown != len(indexing.refused):
            shown = len(indexing.refused)
            _refused(refused, indexing)
        if not running:
            timer.deactivate()
            if ran:
                await ended()

    timer = ui.timer(_LOOK, look)


def _words(indexing: Indexing) -> str:
    took = units.time(indexing.seconds)
    if indexing.phase is Phase.FAILED:
        return indexing.reason
    if indexing.phase is Phase.DONE:
        return f"{indexing.describe()} in {took}, {units.number(indexing.rate)} passages/s"
    if indexing.phase is Phase.CANCELLED:
        return f"Cancelled after {took}; what was indexed stays ({indexing.describe()}). Indexing again goes on there."
    if indexing.stopping:
        return "Stopping when the passages at work are embedded …"
    counts = f"{indexing.files:,} files read, {indexing.documents:,} documents and {indexing.passages:,} passages safe"
    return f"{counts}, {units.number(indexing.rate)} passages/s, {took}"


def _refused(place: ui.expansion, indexing: Indexing) -> None:
    place.text = f"{indexing.refused_count:,} refused or left out"
    place.clear()
    with place:
        for what in indexing.refused:
            ui.label(what).classes("text-sm break-all")
        if more := indexing.refused_count - len(indexing.refused):
            ui.label(f"and {more:,} more").classes("text-sm")


def _dismiss(indexing: Indexing, card: ui.card) -> None:
    current().indexings.dismiss(indexing.name)
    card.delete()
