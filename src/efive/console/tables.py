"""Tables that can be read on a phone, by a screen reader, and in the dark."""

from collections.abc import Callable, Collection, Iterable, Sequence

from nicegui import ui

Cell = str | Callable[[], object]
"""A text, or what makes the elements of a cell."""
_LINE = "border-b border-gray-300 dark:border-gray-700"


def table(label: str, head: Sequence[str], rows: Iterable[Sequence[Cell]], numbers: Collection[int] = ()) -> ui.element:
    """Show a table; where it is wider than the page, it scrolls by itself.

    Args:
        label: what the table is of.
        head: names of the columns.
        rows: a cell for each column.
        numbers: columns that are aligned to the right.
    """
    with (
        ui.element("div").classes("w-full overflow-x-auto").props("tabindex=0 role=region") as all_,
        ui.element("table").classes("w-full text-sm border-collapse"),
    ):
        all_.props["aria-label"] = label
        with ui.element("thead"), ui.element("tr"):
            for place, name in enumerate(head):
                align = "text-right" if place in numbers else "text-left"
                with ui.element("th").props("scope=col").classes(f"{align} {_LINE} px-2 py-1 font-medium opacity-80"):
                    ui.label(name).classes("whitespace-nowrap")
        with ui.element("tbody"):
            for row in rows:
                _row(row, numbers)
    return all_


def _row(row: Sequence[Cell], numbers: Collection[int]) -> None:
    with ui.element("tr"):
        for place, cell in enumerate(row):
            align = "text-right tabular-nums whitespace-nowrap" if place in numbers else "text-left"
            with ui.element("td").classes(f"{align} {_LINE} px-2 py-1 align-top"):
                if isinstance(cell, str):
                    ui.label(cell)
                else:
                    cell()
