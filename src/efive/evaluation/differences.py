"""A comparison of two runs as rows, and as a table on a terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from efive.evaluation.compare import Compared, Comparison
from efive.evaluation.grid import NOTHING, number

HEAD = ("task", "A", "B", "B − A", "95 %", "p", "verdict", "+ / = / −")
VERDICT = HEAD.index("verdict")
TEXTS = frozenset({0, VERDICT})
"""Columns that are no numbers."""
_STYLES = {"better": "green", "worse": "red", "unclear": "dim", "same": "dim", "untested": "dim"}

_WIDE = 100
"""Columns of a terminal that has room for the counts too."""

Row = tuple[str, ...]


def sections(comparison: Comparison) -> dict[str, list[Row]]:
    """Return rows with cells as in `HEAD`, a task each, by measure; the one that is tested has the statistics."""
    found: dict[str, list[Row]] = {}
    for task in comparison.tasks:
        for measure in task.before:
            found.setdefault(measure, []).append(_row(task, measure))
    return found


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Print a comparison on a terminal."""
    console = console or Console(highlight=False)
    head = HEAD if console.width >= _WIDE else HEAD[:-1]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place in TEXTS else "right", overflow="fold", no_wrap=place > 0)
    for measure, rows in sections(comparison).items():
        table.add_row(Text(measure, style="bold cyan"))
        for row in rows:
            style = _STYLES.get(row[VERDICT], "")
            cells = row[: len(head)]
            table.add_row(*[Text(cell, style=style if place == VERDICT else "") for place, cell in enumerate(cells)])
    console.print(table)
    console.print(Text(statistics(comparison), style="dim"))


def statistics(comparison: Comparison) -> str:
    """Return how intervals and p-values were made."""
    return (
        f"95 % intervals and p-values by {comparison.resamples:,} paired bootstrap resamples of the queries, "
        f"seed {comparison.seed}; p corrected for the number of tasks (Holm)"
    )


def title(task: Compared) -> str:
    """Return the name of a task, and its language where the name may not say it."""
    said = all(code in task.name for code in task.language.split("-"))
    return task.name if said else f"{task.name} ({task.language})"


def _row(task: Compared, measure: str) -> Row:
    before, after = task.before[measure], task.after[measure]
    figures = (title(task), number(before), number(after), f"{after - before:+.3f}")
    return (*figures, *(_tested(task) if measure == task.tested else ("",) * 4))


def _tested(task: Compared) -> Row:
    if task.difference is None or task.p is None:
        return (NOTHING, NOTHING, task.verdict, "")
    p = "<0.001" if task.p < 0.001 else f"{task.p:.3f}"
    interval = f"{task.difference.low:+.3f}…{task.difference.high:+.3f}"
    return (interval, p, task.verdict, " / ".join(map(str, task.counts)))
