"""What a table is made of, before a terminal, Markdown or a page shows it."""

import math
from dataclasses import dataclass
from typing import Literal

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a grid."""

    label: str
    cells: tuple[str, ...]
    marks: str = ""
    """Superscript numbers of its footnotes."""
    language: str = ""
    """`quoted` for published figures."""
    best: frozenset[int] = frozenset()
    """Which cells hold the best of several measured values."""
    look: Literal["measured", "quoted", "mean", "heading"] = "measured"


@dataclass(frozen=True, slots=True)
class Grid:
    """The tasks of one kind."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    """What holds for every task."""
    notes: tuple[str, ...]
    """Footnotes, the first is number 1."""


def number(value: float | None) -> str:
    """Return a score with three decimals, or a dash where there is none."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.3f}"
