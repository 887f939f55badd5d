"""Hits as people like to read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from efive.search.searching import Hit

_MOST = 400
"""Characters of a passage that are shown."""
_RUN_UP = 80
"""Characters before the first highlight, where a passage is longer than that."""


def show(hits: "Sequence[Hit]") -> None:
    """Print hits on stdout: where each is, how certain, and its passage with what matched in bold."""
    console = Console(highlight=False, soft_wrap=False)
    for hit in hits:
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(width=3, justify="right", style="dim")
        head.add_column(ratio=1, overflow="fold")
        head.add_column(justify="right", no_wrap=True)
        head.add_row(str(hit.rank), _title(hit), _certainty(hit))
        console.print(head)
        console.print(Padding(passage(hit), (0, 0, 1, 4)))


def passage(hit: "Hit") -> Text:
    """Return the passage on one line, cut around its first highlight, highlights in bold."""
    text = hit.passage.text
    first = hit.highlights[0][0] if hit.highlights else 0
    begin = 0 if len(text) <= _MOST or first <= _RUN_UP else first - _RUN_UP
    end = min(len(text), begin + _MOST)
    shown = Text("…" if begin else "")
    at = begin
    for start, stop in [
        *((max(s, begin), min(e, end)) for s, e in hit.highlights if s < end and e > begin),
        (end, end),
    ]:
        shown.append(_one_line(text[at:start])).append(_one_line(text[start:stop]), style="bold yellow")
        at = stop
    return shown.append("…" if end < len(text) else "")


def _one_line(text: str) -> str:
    return "".join(" " if c.isspace() else c for c in text)


def _title(hit: "Hit") -> Text:
    title = Text(hit.place(Path.cwd()), style="bold cyan")
    if hit.passage.headings:
        title.append("  " + " › ".join(hit.passage.headings), style="dim")
    return title


def _certainty(hit: "Hit") -> Text:
    if hit.confidence is None:
        return Text(f"{hit.score:.3f}", style="dim")
    style = "green" if hit.confidence >= 0.9 else "yellow" if hit.confidence >= 0.5 else "dim"
    return Text(f"{hit.confidence:.0%}", style=style)
