"""What a run says across languages: gaps within sets of tasks, and parallel sets in one pool.

A set is the tasks that differ in nothing but their language: `xquad_ar`, `xquad_en` and so on. Figures of different
sets do not compare.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from efive.evaluation.cache import Vectors
from efive.evaluation.codes import short
from efive.evaluation.corpus import Documents, embed_documents
from efive.evaluation.formats.known import code_of
from efive.evaluation.languages import gaps, is_english, pool_figures
from efive.evaluation.results import MODEL, TaskResult
from efive.evaluation.retrieval import Asked, Found, ask, numbers_of, search
from efive.evaluation.roles import roles_of
from efive.evaluation.settings import Bench
from efive.evaluation.tasks import Retrieval
from efive.inputs import Role
from efive.nearest import Rows

_DEPTH = 10
_SCRIPT = re.compile(r"[A-Z][a-z]{3}")
_PIECE = re.compile(r"([\W_]*)([^\W_]+)")


def set_of(name: str, language: str) -> str:
    """Return the set that a task belongs to: its name without its languages and scripts."""
    codes = {short(code.lower()) for code in language.split("-") if code}
    kept, dropped = [], False
    for between, word in _PIECE.findall(name):
        dropped = short(code_of(word)) in codes or (dropped and _SCRIPT.fullmatch(word) is not None)
        if not dropped:
            kept.append(between + word)
    sides = dict.fromkeys("".join(kept).strip(" ._-:/@").split("@"))
    return "@".join(sides)


def language_gaps(results: Iterable[TaskResult]) -> list[dict[str, Any]]:
    """Return for each set of several languages its `set`, `kind`, `measure` and `languages`, rows of `gaps`.

    Pairs with English count for the other language, each direction by itself: `tatoeba ×-eng`.
    """
    sets: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for task in results:
        language, form = _side(task.language)
        name = f"{set_of(task.name, task.language)} {form}".strip()
        score = task.systems[MODEL].scores.get(task.measures[0]) if MODEL in task.systems else None
        if language and score is not None:
            sets.setdefault((name, task.kind, task.measures[0]), {}).setdefault(language, []).append(score)
    return [
        {"set": name, "kind": kind, "measure": measure, "languages": gaps({code: fmean(s) for code, s in of.items()})}
        for (name, kind, measure), of in sets.items()
        if len(of) > 1
    ]


def _side(language: str) -> tuple[str, str]:
    """Return the language that a task is about, and for a pair the form of it."""
    first, _, second = language.partition("-")
    if not second:
        return first, ""
    if is_english(second):
        return first, f"×-{second}"
    return (second, f"{first}-×") if is_english(first) else (language, "×-×")


@dataclass(frozen=True, slots=True)
class Parallel:
    """Tasks of one set with the same ids of queries and documents: translations of each other."""

    name: str
    tasks: tuple[Retrieval, ...]
    """One a language."""
    roles: tuple[Role, Role]
    shared: tuple[str, ...]
    """Ids of judged queries that all have."""


def parallels(tasks: Iterable[Retrieval], bench: Bench) -> list[Parallel]:
    """Return the sets among some tasks whose languages can be put into one pool."""
    sets: dict[tuple[str, tuple[Role, Role]], dict[str, Retrieval]] = {}
    for task in tasks:
        about = task.about
        if about.language and "-" not in about.language and not task.drop_same_id:
            key = set_of(about.name, about.language), roles_of(task, bench.settings.prefixes)
            sets.setdefault(key, {}).setdefault(about.language, task)
    found = [Parallel(name, tuple(of.values()), roles, _shared(of.values())) for (name, roles), of in sets.items()]
    return [each for each in found if len(each.tasks) > 1 and each.shared]


def _shared(tasks: Iterable[Retrieval]) -> tuple[str, ...]:
    """Return the queries that all tasks have, or none if they are not translations of each other.

    Sets that count their queries from 0 share ids by accident; what is relevant to these is not the same then.
    """
    first, *others = (task.judged for task in tasks)
    shared = sorted(set(first).intersection(*others))
    alike = all(dict(first[query]) == dict(other[query]) for query in shared for other in others)
    enough = all(2 * len(shared) >= len(judged) for judged in (first, *others))
    return tuple(shared) if alike and enough else ()


def pools(tasks: Iterable[Retrieval], bench: Bench) -> list[dict[str, Any]]:
    """Search the languages of each parallel set in one pool; of vectors that the cache has, nothing is embedded.

    Returns:
        For each set `set`, `tasks`, `documents` by language, `sampled`, and the figures of `pool_figures`.
    """
    return [_pool(each, bench) for each in parallels(tasks, bench)]


def _pool(each: Parallel, bench: Bench) -> dict[str, Any]:
    names, sampled = _sample(each.shared, bench)
    languages = [task.about.language for task in each.tasks]
    asked, documents = [], []
    for task in each.tasks:
        asked.append(ask(task.queries, names, bench.cache, each.roles[0], bench.watch))
        total = task.documents
        documents.append(
            embed_documents(task.corpus(), bench.cache, bench.shape, each.roles[1], total=total, watch=bench.watch)
        )
    firsts = np.cumsum([0, *(len(part.ids) for part in documents)]).tolist()
    whole = _joined(documents, firsts)
    mixed, alone, relevant = [], [], []
    for task, queries, part, first in zip(each.tasks, asked, documents, firsts, strict=False):
        mixed.append(_rows(queries, search(queries, whole, _DEPTH), 0))
        alone.append(_rows(queries, search(queries, part, _DEPTH), first))
        relevant += _relevant(task, queries, part, first)
    asked_in = [code for code, queries in zip(languages, asked, strict=True) for _ in queries.ids]
    written_in = [code for code, part in zip(languages, documents, strict=True) for _ in part.ids]
    return {
        "set": each.name,
        "tasks": [task.about.name for task in each.tasks],
        "documents": {code: len(part.ids) for code, part in zip(languages, documents, strict=True)},
        "sampled": sampled,
        **pool_figures(np.concatenate(mixed), np.concatenate(alone), asked_in, written_in, relevant),
    }


def _sample(shared: Sequence[str], bench: Bench) -> tuple[set[str], str]:
    """Return the queries to ask in every language, and what was left out."""
    most, seed = bench.settings.pooled, bench.settings.seed
    if len(shared) <= most:
        return set(shared), ""
    rows = np.random.default_rng(seed).choice(len(shared), most, replace=False)
    note = f"{most:,} of {len(shared):,} queries, the same in every language, drawn with seed {seed}"
    return {shared[row] for row in rows.tolist()}, note


def _joined(documents: Sequence[Documents], firsts: Sequence[int]) -> Documents:
    """Return all documents as one corpus. Their vectors lie in one file; who opened it last sees all of it."""
    owners = [part.owners + first for part, first in zip(documents, firsts, strict=False)]
    rows = np.concatenate([part.vectors.rows for part in documents])
    ids = [name for part in documents for name in part.ids]
    return Documents(ids, np.concatenate(owners), Vectors(documents[-1].vectors.stored, rows))


def _rows(asked: Asked, found: Found, first: int) -> Rows:
    rows = np.full((len(asked.ids), _DEPTH), -1, dtype=np.int64)
    for place, query in enumerate(asked.ids):
        rows[place, : len(found[query])] = np.fromiter(found[query], dtype=np.int64) + first
    return rows


def _relevant(task: Retrieval, asked: Asked, documents: Documents, first: int) -> list[list[int]]:
    wanted = [[name for name, grade in task.judged[query].items() if grade > 0] for query in asked.ids]
    numbers = numbers_of(documents.ids, {name for names in wanted for name in names})
    return [[first + numbers[name] for name in names if name in numbers] for names in wanted]


def across_languages(results: Iterable[TaskResult], tasks: Iterable[Retrieval], bench: Bench) -> dict[str, Any]:
    """Return what there is of `gaps` and `pools`, for `Run.extras["languages"]`."""
    found = {"gaps": language_gaps(results), "pools": pools(tasks, bench) if bench.settings.pooled else []}
    return {name: values for name, values in found.items() if values}
