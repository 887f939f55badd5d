"""A run as one HTML file: tables, charts, the record, and every query with what was found for it, worst first.

What a task's `extras` hold is drawn where it is there: `recall`, `relevant` and `texts` of `efive.evaluation.beside`,
`scores` and `map` of `efive.evaluation.distributions`; the run's may hold a `map` too. Other numbers are listed.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from efive.evaluation import charts
from efive.evaluation.beside import WRONG, wrong
from efive.evaluation.grid import number
from efive.evaluation.pages import render, write
from efive.evaluation.results import MODEL, Run, SystemResult, TaskResult
from efive.evaluation.table import grids, summary, systems_of

_SHOWN = 10
"""Documents of a query."""
_FACTS = 40
_MISSED = "Relevant, and not among these"
_DRAWN = {"recall", "texts", "relevant"}


Ranking = list[tuple[str, str, bool]]
"""Id, score and relevance of documents."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query and what was found for it."""

    id: str
    text: str
    value: str
    """The main measure."""
    others: tuple[tuple[str, str], ...]
    """The main measure of the other systems."""
    found: Ranking
    missed: Ranking
    """Relevant documents that are not among those found."""


@dataclass(frozen=True, slots=True)
class Section:
    """One task."""

    task: TaskResult
    charts: tuple[Markup, ...]
    facts: tuple[tuple[str, object], ...]
    heading: str
    queries: tuple[Asked, ...]
    rankings: dict[str, Any]


def write_report(run: Run, path: Path) -> None:
    """Write the report of a run.

    Raises:
        DependencyError: if jinja2 or matplotlib is not installed.
    """
    write(path, report(run))


def report(run: Run) -> str:
    """Return the report of a run, an HTML page that needs nothing besides itself."""
    return render(
        "report.html",
        {
            "title": f"{run.model.get('name', 'a model')} measured",
            "run": run,
            "summary": summary(run),
            "grids": grids(run),
            "notes": run.extras.get("notes", ()),
            "bars": list(_bars(run)),
            "map": _map(run.extras),
            "sections": [_section(task) for task in run.tasks],
        },
    )


def _bars(run: Run) -> Iterator[tuple[str, Markup]]:
    """Yield a title and a chart for each kind of task with more than one task."""
    kinds: dict[tuple[str, str], list[TaskResult]] = {}
    for task in run.tasks:
        kinds.setdefault((task.kind, task.measures[0]), []).append(task)
    for (kind, measure), tasks in kinds.items():
        if len(tasks) > 1:
            languages = [task.language for task in tasks]
            labels = languages if len(set(languages)) == len(tasks) and all(languages) else [t.name for t in tasks]
            series = {
                system: [t.systems[system].scores.get(measure) if system in t.systems else None for t in tasks]
                for system in systems_of(tasks)
            }
            yield f"{kind}, {measure}", charts.bars(labels, series, _quoted(tasks, measure), measure)


def _quoted(tasks: list[TaskResult], measure: str) -> dict[str, list[float | None]]:
    known = [{entry.model: entry.scores[measure] for entry in t.quoted if measure in entry.scores} for t in tasks]
    models = dict.fromkeys(model for each in known for model in each)
    return {f"{model} (quoted)": [each.get(model) for each in known] for model in models}


def _section(task: TaskResult) -> Section:
    extras = {name: value for name, value in task.extras.items() if name not in _DRAWN}
    facts = [*task.data.items(), *task.cost.items(), *_numbers("", extras)]
    queries = queries_of(task)
    heading = _heading(task, len(queries))
    if task.kind == "bitext":
        first = set(wrong(task)[:WRONG])
        queries = [query for query in queries if query.id in first]
    lists = {query.id: [("", query.found), (_MISSED, query.missed)] for query in queries}
    return Section(task, tuple(_charts(task)), tuple(facts), heading, tuple(queries), rankings(task, lists))


def _heading(task: TaskResult, queries: int) -> str:
    if task.kind == "bitext":
        missed = len(wrong(task))
        return f"{missed:,} of {queries:,} translations were not found" + (f", the first {WRONG}" * (missed > WRONG))
    measure = task.systems[MODEL].each if MODEL in task.systems else ""
    return f"{queries} queries, by {measure or task.measures[0]}, worst first"


def rankings(task: TaskResult, lists: Mapping[str, Sequence[tuple[str, Ranking]]]) -> dict[str, Any]:
    """Return what the page's script shows of a query once it is opened.

    Args:
        task: whose texts they are.
        lists: titles and rankings by query; empty ones are left out.

    Returns:
        `lists`, and `texts`, those of all their documents by id.
    """
    kept = {query: [(title, found) for title, found in each if found] for query, each in lists.items()}
    names = dict.fromkeys(name for each in kept.values() for _, found in each for name, *_ in found)
    texts = {name: text for name in names if (text := text_of(task, "documents", name))}
    return {"texts": texts, "lists": {query: each for query, each in kept.items() if each}}


def _charts(task: TaskResult) -> Iterator[Markup]:
    if curves := task.extras.get("recall"):
        yield charts.lines(curves, "documents looked at", "recall")
    if scores := task.extras.get("scores"):
        histograms = {name: scores[name]["histogram"] for name in ("related", "unrelated")}
        yield charts.histograms(scores["edges"], histograms, "cosine")
    if plane := _map(task.extras):
        yield plane


def _map(extras: Mapping[str, Any]) -> Markup | None:
    plane = extras.get("map")
    return charts.points(plane["points"], plane["labels"]) if plane else None


def _numbers(name: str, value: object) -> list[tuple[str, object]]:
    """Return the single values in nested mappings, by dotted names; lists and percentiles are for programs."""
    if isinstance(value, Mapping):
        inner = [
            pair
            for key, each in value.items()
            if key != "percentiles"
            for pair in _numbers(f"{name}.{key}" if name else str(key), each)
        ]
        return inner[:_FACTS]
    return [(name, value)] if isinstance(value, int | float | str) else []


def queries_of(task: TaskResult, system: str = MODEL) -> list[Asked]:
    """Return the queries of a task with what a system found for them, worst first."""
    result = task.systems.get(system, SystemResult({}))
    others = {name: other for name, other in task.systems.items() if name != system}
    names = dict.fromkeys([*result.by_query, *result.best])
    worst_first = sorted(names, key=lambda query: result.by_query.get(query, math.inf))
    return [_asked(task, result, others, query) for query in worst_first]


def _asked(task: TaskResult, result: SystemResult, others: Mapping[str, SystemResult], query: str) -> Asked:
    relevant = dict.fromkeys(task.extras.get("relevant", {}).get(query, ()))
    best = result.best.get(query, [])[:_SHOWN]
    found = [(document, number(score), document in relevant) for document, score in best]
    seen = {document for document, _ in best}
    return Asked(
        query,
        text_of(task, "queries", query),
        number(result.by_query.get(query)),
        tuple((name, number(other.by_query[query])) for name, other in others.items() if query in other.by_query),
        found,
        [(document, "", True) for document in relevant if document not in seen][:_SHOWN] if found else [],
    )


def text_of(task: TaskResult, side: str, name: str) -> str:
    """Return the text of a query or document; empty if the run kept none."""
    return str(task.extras.get("texts", {}).get(side, {}).get(name, ""))
