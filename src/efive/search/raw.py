"""Vectors that somebody else made: of any dimension, kept as they were given, found by one of three metrics."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from efive.search.conditions import Condition
from efive.search.documents import Document, Metadata
from efive.search.lance.codec import Codec, Vectors
from efive.search.lance.snapshot import LanceSnapshot
from efive.search.lance.table import LanceStore, heal
from efive.search.store import Entry, Passage
from efive.search.upkeep import Upkeep
from efive.vectors import Floats

_MULTIPLE = 8
"""The store's index wants dimensions in eights: zeros at the end change no cosine, distance or product."""

_FEW = 128
"""Below so many dimensions the index's short codes find too little, and every vector is compared instead."""

_DEPTH = 50
"""So many are looked for at least: the first few of many candidates are surer than a few candidates."""


class Metric(StrEnum):
    """What makes two vectors alike."""

    COSINE = "cosine"
    """-1 to 1, the highest first."""
    EUCLIDEAN = "euclidean"
    """The squared distance, the lowest first."""
    DOTPRODUCT = "dotproduct"
    """Any number, the highest first."""


@dataclass(frozen=True, slots=True)
class RawVector:
    """A vector with a name."""

    id: str
    values: Floats
    """(dimension,) float32, of any length."""
    metadata: Metadata = field(default_factory=dict)


class RawVectors:
    """A set of vectors in a folder. Safe to use from several threads of the one process that writes."""

    def __init__(self, folder: Path, dimension: int, metric: Metric) -> None:
        """Open the set, or make it; what a power cut has torn is healed.

        Raises:
            StoreError: if the folder is damaged beyond that, or cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.glob("*.lance/_versions/*.manifest")):
            heal(folder)
        self._dimension, self._metric = dimension, metric
        codec = Codec(Vectors.FLOAT32, np.zeros(-(-dimension // _MULTIPLE) * _MULTIPLE, dtype=np.float32))
        self._store = LanceStore(folder, codec, create=True)
        self._upkeep = Upkeep(self._store)
        self._writing = threading.RLock()

    def put(self, vectors: Sequence[RawVector]) -> None:
        """Store vectors in place of those of the same ids, all or none; of equal ids the last one counts.

        Raises:
            InputError: if their metadata has too many different fields.
        """
        latest = {vector.id: vector for vector in vectors}
        with self._writing:
            self._store.replace([_entry(vector, _filled(vector.values)) for vector in latest.values()])
            self._upkeep.wrote(len(latest))

    def change(self, ids: Sequence[str], changed: Callable[[RawVector], RawVector]) -> None:
        """Store what `changed` makes of those of the vectors that are there."""
        with self._writing:
            self.put([changed(vector) for vector in self.get(ids)])

    def remove(self, ids: Sequence[str]) -> None:
        """Remove vectors, all or none; ids that are not there do not matter."""
        with self._writing:
            self._store.remove(list(ids))

    def get(self, ids: Sequence[str]) -> list[RawVector]:
        """Return those of the vectors that are there, in the order of `ids`."""
        entries = self._store.snapshot().entries(list(ids)) if ids else []
        found = {
            e.document.id: RawVector(e.document.id, e.vectors[0, : self._dimension], e.document.metadata)
            for e in entries
        }
        return [found[id_] for id_ in ids if id_ in found]

    def ids(self, where: Condition | None = None) -> Iterator[str]:
        """Yield the ids of all vectors, or of those that `where` holds for, in no particular order."""
        return self._store.snapshot().ids(where)

    def count(self, where: Condition | None = None) -> int:
        """Return how many vectors there are, or of how many `where` holds."""
        return self._store.snapshot().counts(where).documents

    def nearest(self, query: Floats, limit: int, where: Condition | None = None) -> list[tuple[str, float]]:
        """Return the ids that are most like `query` (dimension,) with their scores, best first.

        Euclidean distances and dot products are those of every vector; cosines use an index where that pays.
        """
        snapshot, query = self._store.snapshot(), _filled(query)
        if self._metric is Metric.COSINE:
            found = snapshot.dense(query, max(limit, _DEPTH), where, exact=self._dimension < _FEW)
            return list(zip(found.documents, found.scores.tolist(), strict=True))[:limit]
        scan = _Scan(snapshot)
        if self._metric is Metric.DOTPRODUCT:
            return scan.best(lambda vectors: vectors @ query, limit, where)
        near = scan.best(lambda vectors: -np.square(vectors - query).sum(axis=1), limit, where)
        return [(id_, -score) for id_, score in near]

    def close(self) -> None:
        """Return when nothing is under way any more."""
        self._upkeep.wait()


class _Scan(LanceSnapshot):
    """A snapshot all of whose vectors are looked at."""

    def __init__(self, snapshot: LanceSnapshot) -> None:
        super().__init__(snapshot._table, snapshot._codec)

    def best(self, score: Callable[[Floats], Floats], limit: int, where: Condition | None) -> list[tuple[str, float]]:
        """Return the ids of the `limit` highest scores, highest first."""
        ids, scores = list[str](), np.empty(0, dtype=np.float32)
        for batch in self._scan(self._first(where), ["document", "vector"]):
            vectors = batch["vector"].flatten().to_numpy().reshape(len(batch), -1)
            ids += batch["document"].to_pylist()
            scores = np.concatenate([scores, score(vectors)])
            order = np.argsort(-scores, kind="stable")[:limit]
            ids, scores = [ids[place] for place in order], scores[order]
        return list(zip(ids, scores.tolist(), strict=True))


def _filled(values: Floats) -> Floats:
    return np.pad(values, (0, -len(values) % _MULTIPLE))


def _entry(vector: RawVector, values: Floats) -> Entry:
    """Return a vector as a document without text."""
    document = Document(vector.id, "", vector.metadata)
    passage = Passage(vector.id, 0, "", 0, 0, 1, None, (), vector.metadata)
    return Entry(document, "", [passage], [""], values[None])
