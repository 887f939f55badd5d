"""What stands beside the figures of a task: published ones, contamination, texts of what was found, recall by depth.

The runner measures; this needs nothing but its result, the task and the model's folder.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efive.evaluation.codes import short_pair
from efive.evaluation.contamination import contamination
from efive.evaluation.distributions import plane
from efive.evaluation.quoted import quoted
from efive.evaluation.results import MODEL, SystemResult, TaskResult
from efive.evaluation.tasks import Bitext, Classification, Clustering, Reranking, Retrieval, Similarity, Task
from efive.inputs import Role

if TYPE_CHECKING:
    from efive.encoder import Encoder

DEEP = 100
"""Documents of each query that recall is drawn to; the runner has to keep so many."""
_CLIPPED = 400
_MAPPED = 1000
"""Texts on the map, about."""
_LEAST = 20
"""Texts of a language, where there are so many."""
WRONG = 100
"""Translations of a task whose texts are kept: the first that were not found. There may be thousands."""
_LONGEST = 400
"""Characters of a text on the map: what a text is about its beginning says."""


def beside(result: TaskResult, task: Task, folder: Path, *, keep: int = 10, texts: bool = True) -> TaskResult:
    """Return a result with what stands beside its figures.

    Args:
        result: of the runner, with the first `DEEP` documents of each query.
        task: that it is of.
        folder: of the model, for its card.
        keep: documents of each query that stay in the result.
        texts: whether to put queries and the documents that stay into it, cut to 400 characters.
    """
    extras = dict(result.extras)
    if isinstance(task, Retrieval | Reranking):
        relevant = {query: [d for d, grade in each.items() if grade > 0] for query, each in task.judged.items()}
        extras["recall"] = {name: recall(system, relevant) for name, system in result.systems.items() if system.best}
        extras["relevant"] = relevant
    systems = {
        name: replace(system, best={query: found[:keep] for query, found in system.best.items()})
        for name, system in result.systems.items()
    }
    result = replace(
        result,
        systems=systems,
        quoted=quoted(task.about.name, task.about.language),
        contamination=contamination(folder, task.about.sources),
        extras=extras,
    )
    if texts:
        extras["texts"] = _texts(result, task)
    return result


def recall(system: SystemResult, relevant: dict[str, list[str]]) -> list[float]:
    """Return recall at 1, 2, … `DEEP`, the mean over queries that have a relevant document."""
    asked = {query: set(documents) for query, documents in relevant.items() if documents}
    totals = [0.0] * DEEP
    for query, documents in asked.items():
        for place, (document, _) in enumerate(system.best.get(query, ())[:DEEP]):
            if document in documents:
                totals[place] += 1 / len(documents)
    curve, so_far = [], 0.0
    for total in totals:
        so_far += total
        curve.append(round(so_far / len(asked), 4) if asked else 0.0)
    return curve


def language_map(encoder: "Encoder", tasks: Sequence[Task], seed: int) -> dict[str, Any]:
    """Return a map (`distributions.plane`) of a few texts of each task, all as queries, labelled by language."""
    each = max(2, _MAPPED // max(1, len(tasks)))
    by_language: dict[str, list[str]] = {}
    for text, language in dict.fromkeys(pair for task in tasks for pair in _sample(task, each) if pair[0].strip()):
        by_language.setdefault(language, []).append(text)
    most = max(_LEAST, _MAPPED // max(1, len(by_language)))
    sample = [(text, language) for language, texts in by_language.items() for text in texts[:: -(-len(texts) // most)]]
    if len(sample) < 2:
        return {}
    vectors = encoder.embed([text for text, _ in sample], Role.QUERY).vectors
    return plane(vectors, [language for _, language in sample], most=len(sample), seed=seed)


def _sample(task: Task, most: int) -> Iterator[tuple[str, str]]:
    """Yield texts with their languages, evenly over the task."""
    first, _, second = short_pair(task.about.language).partition("-")
    sides: list[tuple[Sequence[str], str]]
    match task:
        case Retrieval() | Reranking():
            sides = [(list(task.queries.values()), first)]
        case Bitext():
            sides = [(task.left, first), (task.right, second or first)]
        case Similarity():
            sides = [([left for left, _ in task.pairs], first)]
        case Classification():
            sides = [([text for text, _ in task.test], first)]
        case Clustering():
            sides = [(task.texts, first)]
    for side, language in sides:
        step = max(1, len(side) * len(sides) // most)
        for text in side[::step][: most // len(sides)]:
            yield text[:_LONGEST], language


def _texts(result: TaskResult, task: Task) -> dict[str, dict[str, str]]:
    names = {query for system in result.systems.values() for query in (*system.by_query, *system.best)}
    if isinstance(task, Bitext):
        names = set(wrong(result)[:WRONG])
    shown = {d for system in result.systems.values() for found in system.best.values() for d, _ in found}
    missed = {d for each in result.extras.get("relevant", {}).values() for d in each[:10]}
    queries = {name: clipped(text, _CLIPPED) for name, text in _queries(task) if name in names}
    documents = {name: clipped(text, _CLIPPED) for name, text in _documents(task) if name in shown | missed}
    return {"queries": queries, "documents": documents}


def wrong(result: TaskResult) -> list[str]:
    """Return the texts that the model did not get right."""
    return [query for query, value in result.systems[MODEL].by_query.items() if value < 1]


def _queries(task: Task) -> Iterable[tuple[str, str]]:
    match task:
        case Retrieval() | Reranking():
            return task.queries.items()
        case Bitext():
            return ((str(row), f"{a} — {b}") for row, (a, b) in enumerate(zip(task.left, task.right, strict=True)))
        case Classification():
            return ((str(row), f"{text} — {label}") for row, (text, label) in enumerate(task.test))
        case _:
            return ()


def _documents(task: Task) -> Iterable[tuple[str, str]]:
    match task:
        case Retrieval():
            return task.corpus()
        case Reranking():
            return (pair for candidates in task.candidates.values() for pair in candidates.items())
        case _:
            return ()


def clipped(text: str, most: int) -> str:
    """Return a text cut to `most` characters, blanks and line ends made one space each."""
    text = " ".join(text[: most * 4].split())
    return text if len(text) <= most else text[:most].rstrip() + "…"
