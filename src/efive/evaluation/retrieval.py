"""Finding documents by cosine: exact, in bounded memory, the best window counts for its document."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from efive.evaluation.cache import EmbeddingCache, Watch, unwatched
from efive.evaluation.corpus import Documents, Shape, embed_documents
from efive.evaluation.metrics import Rankings, ordered
from efive.evaluation.tasks import Reranking
from efive.inputs import Role
from efive.nearest import QUERIES, Floats, Rows, nearest
from efive.search.confidence import SAMPLE, Background

Hits = dict[int, float]
"""Scores of documents by number, best first."""
Found = dict[str, Hits]
"""Hits by query."""

_HELD = 4_000_000
"""Hits that a block of queries may hold while it is searched: 48 MB."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries with vectors."""

    ids: list[str]
    vectors: Floats
    """(queries, dimension) float32, unit length."""


def search(
    asked: Asked, documents: Documents, depth: int, done: Callable[[int], object] = lambda _queries: None
) -> Found:
    """Return the `depth` documents whose best window is nearest to each query; of equal ones the first stays."""
    found: Found = {}
    block = max(1, min(QUERIES, _HELD // max(1, _windows_for(depth, documents))))
    for first in range(0, len(asked.ids), block):
        names = asked.ids[first : first + block]
        hits = _nearest_documents(asked.vectors[first : first + block], documents, depth)
        found.update(zip(names, hits, strict=True))
        done(len(names))
    return found


def _windows_for(depth: int, documents: Documents) -> int:
    """Return how many windows most likely belong to `depth` documents: half again as many as on average."""
    windows = len(documents.vectors)
    if windows <= len(documents.ids):
        return min(windows, depth)
    return min(windows, math.ceil(1.5 * depth * windows / len(documents.ids)))


def _nearest_documents(queries: Floats, documents: Documents, depth: int) -> list[Hits]:
    """Search windows, and more of them for the queries whose windows belong to too few documents."""
    windows = len(documents.vectors)
    hits: list[Hits] = [{} for _ in queries]
    if not windows:
        return hits
    left, k = np.arange(len(queries)), _windows_for(depth, documents)
    while len(left):
        found = nearest(queries[left], documents.vectors.array, k)
        for query, rows, scores in zip(left.tolist(), found.rows, found.scores, strict=True):
            hits[query] = _by_document(documents.owners[rows], scores, depth)
        if k == windows:
            break
        left = np.array([query for query in left.tolist() if len(hits[query]) < depth], dtype=np.int64)
        k = min(windows, 4 * k)
    return hits


def _by_document(owners: Rows, scores: Floats, depth: int) -> Hits:
    """Keep the first window of each document, for they come best first."""
    _, firsts = np.unique(owners, return_index=True)
    kept = np.sort(firsts)[:depth]
    return dict(zip(owners[kept].tolist(), scores[kept].tolist(), strict=True))


def numbers_of(documents: Sequence[str], names: Collection[str]) -> dict[str, int]:
    """Return the number of each document that is named and there."""
    return {name: number for number, name in enumerate(documents) if name in names}


def without(found: Found, own: Mapping[str, int]) -> Found:
    """Leave out the document that has the query's own id."""
    return {query: {d: score for d, score in hits.items() if d != own.get(query)} for query, hits in found.items()}


def named(found: Found, ids: Sequence[str], depth: int) -> Rankings:
    """Return ids for numbers, in trec_eval's order."""
    return {query: ordered({ids[d]: score for d, score in hits.items()}, depth) for query, hits in found.items()}


class Cosines:
    """Cosines of queries with documents that something else found, and with a sample of all."""

    def __init__(self, asked: Asked, documents: Documents, seed: int) -> None:
        self._documents = documents
        self._query = dict(zip(asked.ids, asked.vectors, strict=True))
        windows = len(documents.vectors)
        sample = np.random.default_rng(seed).choice(windows, min(windows, SAMPLE), replace=False)
        self.sample = documents.vectors.floats(np.sort(sample))
        """(up to 1,000, dimension) vectors of windows."""
        self.backgrounds: dict[str, tuple[float, float]] = {}
        """Mean and standard deviation of each query's cosines with the sample."""
        if len(self.sample) > 1:
            means, deviations = Background(self.sample).of(asked.vectors)
            pairs = zip(means.tolist(), deviations.tolist(), strict=True)
            self.backgrounds = dict(zip(asked.ids, pairs, strict=True))

    def of(self, query: str, documents: Sequence[int]) -> Hits:
        """Return the best window's cosine of each document; those without text are left out."""
        return {document: cosine for document, (_, cosine) in self._best(query, documents).items()}

    def best_windows(self, query: str, documents: Sequence[int]) -> dict[int, int]:
        """Return the window of each document that is nearest to the query; those without text are left out."""
        return {document: window for document, (window, _) in self._best(query, documents).items()}

    def _best(self, query: str, documents: Sequence[int]) -> dict[int, tuple[int, float]]:
        windows = {document: self._documents.windows_of(document) for document in documents}
        there = {document: rows for document, rows in windows.items() if len(rows)}
        if not there:
            return {}
        cosines = self._documents.vectors[np.concatenate(list(there.values()))].astype(np.float32) @ self._query[query]
        best, first = {}, 0
        for document, rows in there.items():
            own = cosines[first : first + len(rows)]
            best[document] = int(rows[own.argmax()]), float(own.max())
            first += len(rows)
        return best


def ask(queries: Mapping[str, str], names: Collection[str], cache: EmbeddingCache, role: Role, watch: Watch) -> Asked:
    """Embed the queries that `names` has."""
    ids = [query for query in queries if query in names]
    with watch("queries", len(ids), 0) as step:
        return Asked(ids, cache.embed((queries[query] for query in ids), role, step).floats())


def rerank(
    task: Reranking, cache: EmbeddingCache, shape: Shape, roles: tuple[Role, Role], watch: Watch = unwatched
) -> Rankings:
    """Put the candidates of each judged query in order, by the cosine of their best window."""
    asked = ask(task.queries, task.judged, cache, roles[0], watch)

    def candidates() -> Iterator[tuple[str, str]]:
        for query in asked.ids:
            for name, text in task.candidates.get(query, {}).items():
                yield f"{query}\x1f{name}", text

    total = sum(len(task.candidates.get(query, ())) for query in asked.ids)
    documents = embed_documents(candidates(), cache, shape, roles[1], total=total, watch=watch, what="candidates")
    cosines = Cosines(asked, documents, 0)
    rankings: Rankings = {}
    first = 0
    for query in asked.ids:
        names = list(task.candidates.get(query, ()))
        scores = cosines.of(query, range(first, first + len(names)))
        rankings[query] = ordered({names[number - first]: score for number, score in scores.items()}, len(names))
        first += len(names)
    return rankings
