"""What the playground shows of a comparison: similarities, tokens, neighbours, a map."""

import html
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from nicegui import ui

from efive.console import (
    context,
    frame,
    parts,
    playground,
    playground_heatmap,
    playground_plane,
    playground_tokens,
    tables,
)
from efive.console.playground import Compared
from efive.console.tables import Cell
from efive.console.units import time

_NONE = ""
"""No collection."""


class Results:
    """Four panels of the last comparison."""

    NAMES: ClassVar[Sequence[str]] = ("Similarity", "Tokens", "Neighbours", "Map")

    def __init__(self, tabs: Sequence[ui.tab]) -> None:
        self._places: list[ui.column] = []
        for tab in tabs:
            with ui.tab_panel(tab).classes("px-0"):
                place = ui.column().classes("w-full gap-3")
                with place:
                    frame.empty("Nothing compared yet", "Press Compare.")
                self._places.append(place)

    def show(self, compared: Compared, collections: Sequence[str]) -> None:
        """Show a comparison in place of the last one; neighbours may be looked for in the collections too."""
        neighbours = partial(_Neighbours, names=collections)
        shown: list[Callable[[Compared], object]] = [_similarity, _tokens, neighbours, _map]
        for place, show in zip(self._places, shown, strict=True):
            place.clear()
            with place:
                show(compared)


def _similarity(compared: Compared) -> None:
    low, high = playground_heatmap.spread_of(compared.cosines)
    ui.label(
        f"Cosines of {compared.deployment}, answered in {time(compared.seconds)}. Dark blue is {low:.2f}, yellow "
        f"{high:.2f}: models differ in where theirs lie, so only differences count."
    ).classes("opacity-80 max-w-3xl")
    labels = [compared.label(number) for number in range(len(compared.lines))]
    shown = playground_heatmap.to_html(compared.cosines, labels, "Cosine of each text with each")
    with ui.element("div").classes("w-full overflow-x-auto relative").props('tabindex="0"'):
        ui.html(shown, sanitize=False)  # numbers, and labels that are escaped
    with ui.element("ol").classes("list-decimal pl-8 text-sm"):
        for line in compared.lines:
            with ui.element("li"):
                ui.label(_short(line.text)).props('dir="auto"')


def _tokens(compared: Compared) -> None:
    ui.label(
        "Each token is underlined, in two colours by turns. What the model reads before a text is framed; what it does "
        "not read is struck out."
    ).classes("opacity-80 max-w-3xl")
    for number, (line, reading) in enumerate(zip(compared.lines, compared.readings, strict=True)):
        with ui.element("section").classes("w-full border-t border-gray-400/30 pt-2"):
            with ui.row().classes("items-center gap-3 text-sm"):
                ui.label(compared.label(number)).classes("font-medium")
                ui.label(line.role)
                ui.label(f"{reading.used} tokens, {reading.special} of them special")
                if reading.truncated:
                    ui.icon("content_cut").props('aria-hidden="true" color=negative')
                    ui.label(f"cut: {reading.seen - reading.used} of {reading.seen} tokens are not read").classes(
                        "text-negative font-medium"
                    )
            ui.html(playground_tokens.to_html(reading), sanitize=False).classes("w-full")  # escaped there


class _Neighbours:
    """The texts nearest to one of them, and the nearest passages of a collection."""

    def __init__(self, compared: Compared, names: Sequence[str]) -> None:
        self._compared = compared
        options = {n: f"{compared.label(n)}: {_short(line.text, 60)}" for n, line in enumerate(compared.lines)}
        collections = {_NONE: "none"} | {name: name for name in names}
        with ui.row().classes("w-full gap-3"):
            self._text = ui.select(options, label="Text", value=0, on_change=self._show).classes("grow max-w-xl")
            self._collection = ui.select(collections, label="Collection", value=_NONE, on_change=self._show)
            self._collection.classes("w-48")
        self._place = ui.column().classes("w-full gap-1")
        self._lay_out()

    def _lay_out(self) -> None:
        self._place.clear()
        with self._place:
            near = self._compared.neighbours(int(self._text.value or 0))
            rows = [
                _neighbour(cosine, self._compared.label(n), _short(self._compared.lines[n].text)) for n, cosine in near
            ]
            tables.table("The other texts, nearest first", ("Cosine", "Text"), rows)

    async def _show(self) -> None:
        self._lay_out()
        if (name := str(self._collection.value)) == _NONE:
            return
        text, found = self._compared.lines[int(self._text.value or 0)].text, []

        async def work() -> None:
            found.extend(await playground.in_collection(context.service(), name, text))

        if await frame.attempt(work) and not self._place.is_deleted:
            with self._place:
                parts.heading(f"In {name}")
                if not found:
                    ui.label("Nothing: the collection is empty.")
                rows = [_neighbour(each.cosine, each.document, _short(each.text, 300)) for each in found]
                tables.table("The nearest passages", ("Cosine", "Passage"), rows)


def _neighbour(cosine: float, label: str, text: str) -> list[Cell]:
    def bar() -> None:
        with ui.row().classes("items-center no-wrap gap-2 w-max"):
            ui.label(f"{cosine:.3f}").classes("tabular-nums w-12")
            ui.linear_progress(max(0.0, cosine), show_value=False).classes("w-24").props('aria-hidden="true"')

    shown = f"{html.escape(label)}: <bdi>{html.escape(text)}</bdi>"  # its letters may run to the left, ours do not
    return [bar, lambda: ui.html(shown, sanitize=False)]


def _map(compared: Compared) -> None:
    ui.label(
        f"Each text is a point, of the shape and colour of its language; lines join those of one meaning. The two "
        f"directions in which the vectors differ most keep {compared.kept:.0%} of their variance."
    ).classes("opacity-80 max-w-3xl")
    drawing = ui.echart(playground_plane.options(compared)).classes("w-full h-[32rem]").props('role="img"')
    drawing.props["aria-label"] = "Map of the texts; the tab Similarity has the numbers"


def _short(text: str, most: int = 120) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"
