"""A task of rankings, measured with the model and with what it has to be compared to."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from efive.errors import InputError
from efive.evaluation import hybrid, metrics
from efive.evaluation.bm25 import BM25
from efive.evaluation.corpus import Documents, embed_documents
from efive.evaluation.distributions import HUB_DEPTH, hubness, score_distributions
from efive.evaluation.results import MODEL, SystemResult
from efive.evaluation.retrieval import Asked, Cosines, Found, ask, named, numbers_of, rerank, search, without
from efive.evaluation.settings import Bench, Outcome
from efive.evaluation.tasks import Reranking, Retrieval
from efive.inputs import Role
from efive.search.function_words import content

_LEAST = 100
"""Documents of each query that are fused, even where measures look at fewer."""


def measure_retrieval(task: Retrieval, bench: Bench, roles: tuple[Role, Role]) -> Outcome:
    """Measure the model, and the baselines of the settings beside it."""
    depth = max(metrics.depth(task.about.measures), _LEAST)
    asked = ask(task.queries, task.judged, bench.cache, roles[0], bench.watch)
    documents = embed_documents(
        task.corpus(), bench.cache, bench.shape, roles[1], total=task.documents, watch=bench.watch
    )
    if not asked.ids or not len(documents.vectors):
        raise InputError("none of its judged queries is among the queries, or no document has text")
    own = numbers_of(documents.ids, set(asked.ids)) if task.drop_same_id else {}
    began = perf_counter()
    with bench.watch("searching", len(asked.ids), 0) as step:
        model = without(search(asked, documents, depth + bool(own), step), own)
    race = _Race(task, bench, depth, asked, documents, own, model, Cosines(asked, documents, bench.settings.seed))
    seconds = {"search_seconds": perf_counter() - began}
    systems = {MODEL: race.result(model)}
    began = perf_counter()
    if bench.settings.baselines:
        systems |= race.baselines()
        seconds["baselines_seconds"] = perf_counter() - began
    return Outcome(systems, race.counts(), race.extras(), seconds)


@dataclass(frozen=True, slots=True)
class _Race:
    """What the systems of a task share."""

    task: Retrieval
    bench: Bench
    depth: int
    asked: Asked
    documents: Documents
    own: dict[str, int]
    """The document with the query's own id, by query, if it is to be dropped."""
    model: Found
    cosines: Cosines

    def result(self, found: Found, note: str = "") -> SystemResult:
        rankings = named(found, self.documents.ids, self.depth)
        return _result(self.task, rankings, self.bench.settings.keep, note)

    def baselines(self) -> dict[str, SystemResult]:
        settings, task = self.bench.settings, self.task
        with self.bench.watch("BM25", task.documents, 0) as step:
            index = BM25(self._texts(step), common=settings.common)
        queries = {query: task.queries[query] for query in self.asked.ids}
        text = without(index.search(queries, self.depth + bool(self.own)), self.own)
        systems = {}
        if "bm25" in settings.baselines:
            systems["bm25"] = self.result(text, index.note)
        if "hybrid_rrf" in settings.baselines:
            systems["hybrid_rrf"] = self.result(hybrid.by_rank(self.model, text), hybrid.RRF_NOTE)
        if "hybrid_normalised" in settings.baselines:
            subjects = {query: content(text) for query, text in queries.items()}  # as `efive.search` asks
            found = without(index.search(subjects, self.depth + bool(self.own)), self.own)
            fused = hybrid.by_normalised_scores(self.model, found, subjects, self.cosines)
            systems["hybrid_normalised"] = self.result(fused, hybrid.NORMALISED_NOTE)
        if "hybrid_tuned" in settings.baselines and len(task.judged) > 1:
            tuned = hybrid.by_tuned_weight(
                hybrid.Sides(self.model, text, self.documents.ids, self.depth),
                task.judged,
                task.about.measures[0],
                settings.seed,
            )
            systems["hybrid_tuned"] = self.result(tuned.found, tuned.note)
        return systems

    def _texts(self, step: Any) -> Iterator[str]:  # noqa: ANN401 - whatever the watch gives
        count = 0
        for count, (_, text) in enumerate(self.task.corpus(), 1):  # noqa: B007
            yield text
            step(1)
        if count != len(self.documents.ids):
            raise InputError(f"the corpus had {len(self.documents.ids)} documents and now has {count}; leave it alone")

    def counts(self) -> dict[str, Any]:
        return {
            "queries": len(self.task.judged),
            "documents": len(self.documents.ids),
            "windows": len(self.documents.vectors),
            "judged": sum(len(documents) for documents in self.task.judged.values()),
        }

    def extras(self) -> dict[str, Any]:
        """Look at the scores, of documents with several windows at the nearest one's, and at the hubs among them."""
        if not self.bench.settings.distributions:
            return {}
        judged = {d for documents in self.task.judged.values() for d, grade in documents.items() if grade > 0}
        numbers = numbers_of(self.documents.ids, judged)
        relevant, found = [], np.full((len(self.asked.ids), HUB_DEPTH), -1, dtype=np.int64)
        for row, query in enumerate(self.asked.ids):
            names = [d for d, grade in self.task.judged[query].items() if grade > 0 and d in numbers]
            relevant.append(list(self.cosines.best_windows(query, [numbers[name] for name in names]).values()))
            first = list(self.model[query])[:HUB_DEPTH]
            found[row, : len(first)] = first
        vectors, seed = self.documents.vectors.array, self.bench.settings.seed
        try:
            scores = score_distributions(self.asked.vectors, vectors, relevant, seed=seed)
            return {"scores": scores, "hubness": hubness(found, len(self.documents.ids))}
        except InputError as error:  # nothing is related, or everything: figures there are all the same
            return {"not_looked_at": str(error)}


def measure_reranking(task: Reranking, bench: Bench, roles: tuple[Role, Role]) -> Outcome:
    """Measure the order in which the model puts candidates."""
    rankings = rerank(task, bench.cache, bench.shape, roles, bench.watch)
    result = _result(task, rankings, bench.settings.keep, "")
    candidates = sum(len(task.candidates.get(query, ())) for query in task.judged)
    return Outcome({MODEL: result}, {"queries": len(task.judged), "candidates": candidates})


def _result(task: Retrieval | Reranking, rankings: metrics.Rankings, keep: int, note: str) -> SystemResult:
    measures = task.about.measures
    found = metrics.measure(task.judged, rankings, measures)
    # Digits beyond these decide nothing and are most of a run's file.
    best = {q: [(d, round(score, 4)) for d, score in hits[:keep]] for q, hits in rankings.items()} if keep else {}
    return SystemResult({name: found[name].mean for name in measures}, found[measures[0]].by_query, best, note)
