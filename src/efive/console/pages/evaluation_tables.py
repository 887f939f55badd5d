"""Runs and comparisons as tables on the page."""

from collections.abc import Sequence
from functools import partial

from nicegui import ui

from efive.console.tables import Cell, table
from efive.evaluation.compare import Comparison
from efive.evaluation.differences import HEAD, TEXTS, VERDICT, sections, statistics
from efive.evaluation.grid import Grid, Row
from efive.evaluation.results import Run
from efive.evaluation.table import grids, summary

_SMALL = "text-xs opacity-80"
_VERDICTS = {"better": "text-positive", "worse": "text-negative"}


def show_run(run: Run) -> None:
    """Show what was measured, and what could not be."""
    for line in summary(run):
        ui.label(line).classes("text-sm opacity-80 break-all")
    for failure in run.failed:
        ui.label(f"Not measured: {failure.name}: {failure.reason}").classes("text-negative break-words").props(
            "role=alert"
        )
    for grid in grids(run):
        _grid(grid)
    for note in run.extras.get("notes", ()):
        ui.label(str(note)).classes(_SMALL)


def _grid(grid: Grid) -> None:
    ui.label(grid.title).classes("text-lg font-medium mt-3").props("role=heading aria-level=2")
    table(grid.title, ["", *grid.columns], [_row(row) for row in grid.rows], range(1, len(grid.columns) + 1))
    for remark in grid.remarks:
        ui.label(remark).classes(_SMALL)
    for number, note in enumerate(grid.notes, 1):
        ui.label(f"{number} {note}").classes(_SMALL)


def _row(row: Row) -> list[Cell]:
    look = {"quoted": "italic opacity-80", "mean": "font-bold", "heading": "font-bold text-primary"}.get(row.look, "")
    cells: list[Cell] = [partial(_text, f"{row.label}{row.marks}", look)]
    for place, cell in enumerate(row.cells):
        best = "font-bold" if place in row.best else ""
        cells.append(partial(_text, cell, f"{look} {best}"))
    return cells


def show_comparison(found: Comparison) -> None:
    """Show where the second run differs from the first, measure by measure."""
    for warning in found.warnings:
        ui.label(f"Note: {warning}").classes("break-words")
    numbers = [place for place in range(len(HEAD)) if place not in TEXTS]
    for measure, rows in sections(found).items():
        ui.label(measure).classes("text-lg font-medium mt-3").props("role=heading aria-level=2")
        table(measure, HEAD, [_compared(row) for row in rows], numbers)
    ui.label(statistics(found)).classes(_SMALL)


def _compared(row: Sequence[str]) -> list[Cell]:
    look = _VERDICTS.get(row[VERDICT], "opacity-80")
    cells: list[Cell] = list(row)
    cells[VERDICT] = partial(_text, row[VERDICT], look)
    return cells


def _text(text: str, look: str) -> None:
    ui.label(text).classes(look)
