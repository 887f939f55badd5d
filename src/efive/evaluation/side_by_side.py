"""A comparison of two runs as one HTML file, with both rankings of each query that gained or lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from efive.evaluation import charts
from efive.evaluation.compare import Compared, Comparison
from efive.evaluation.differences import HEAD, TEXTS, VERDICT, sections, statistics, title
from efive.evaluation.pages import render, write
from efive.evaluation.report import Asked, queries_of, rankings
from efive.evaluation.results import Run, TaskResult


@dataclass(frozen=True, slots=True)
class Pair:
    """A query in both runs."""

    change: float
    before: Asked
    after: Asked


@dataclass(frozen=True, slots=True)
class Section:
    """The queries of a task that changed, losses first."""

    title: str
    measure: str
    same: int
    pairs: tuple[Pair, ...]
    rankings: dict[str, Any]


def write_comparison(comparison: Comparison, before: Run, after: Run, path: Path) -> None:
    """Write the page of a comparison.

    Raises:
        DependencyError: if jinja2 or matplotlib is not installed.
    """
    write(path, page(comparison, before, after))


def page(comparison: Comparison, before: Run, after: Run) -> str:
    """Return a page on two runs, which needs nothing besides itself."""
    return render(
        "compare.html",
        {
            "title": "Two runs compared",
            "runs": [_described(run) for run in (before, after)],
            "comparison": comparison,
            "statistics": statistics(comparison),
            "head": HEAD,
            "table": sections(comparison),
            "texts": TEXTS,
            "verdict": VERDICT,
            "chart": _chart(comparison),
            "sections": list(_sections(comparison, before, after)),
        },
    )


def _described(run: Run) -> str:
    return f"{run.model.get('name', '?')}, space {run.model.get('space', '?')}, {run.created}"


def _chart(comparison: Comparison) -> Markup | None:
    known = [(task, task.difference) for task in comparison.tasks if task.difference]
    if not known:
        return None
    labels = [title(task) for task, _ in known]
    return charts.intervals(labels, [(d.low, d.mean, d.high) for _, d in known], "gain of B over A, 95 %")


def _sections(comparison: Comparison, before: Run, after: Run) -> Iterator[Section]:
    for compared in comparison.tasks:
        if not compared.changes:
            continue
        tasks = [_task(run, compared) for run in (before, after)]
        sides = [{asked.id: asked for asked in queries_of(task, comparison.system)} for task in tasks]
        pairs = [Pair(change, *(side[query] for side in sides)) for query, change in compared.changes.items() if change]
        lists = {pair.before.id: [("A", pair.before.found), ("B", pair.after.found)] for pair in pairs}
        shown = rankings(tasks[0], lists)
        shown["texts"] = rankings(tasks[1], lists)["texts"] | shown["texts"]
        same = len(compared.changes) - len(pairs)
        yield Section(title(compared), compared.tested, same, tuple(pairs), shown)


def _task(run: Run, compared: Compared) -> TaskResult:
    return next(task for task in run.tasks if (task.name, task.language) == (compared.name, compared.language))
