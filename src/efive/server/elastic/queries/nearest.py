"""The documents of an index whose vectors are nearest to one, and never fewer than there are.

Where only some documents count, few of them are compared one by one. Of many, the store is asked for more than are
wanted, until enough of those that it names count; where they lie too far away for that, the rest is compared too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from efive.errors import CollectionNotFoundError
from efive.search.collection import Collection
from efive.search.raw import RawVectors
from efive.search.store import Entry, Snapshot
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries import values
from efive.server.elastic.queries.matches import Rows, contained
from efive.vectors import Floats

_FEW = 200
"""Documents that are sooner compared than looked for."""
_DEPTH, _DEPTH_EACH = 50, 4
"""Vectors that are looked for at least, and for each document that is wanted."""
_DEEPEST = 10_000
"""So many are not looked for if the documents that count can be compared at once."""
_GROUP = 5_000
"""Documents that are compared at once."""
Found = list[tuple[str, float]]
"""Ids with their similarities, best first, each id once."""


class Neighbours(Protocol):
    """One vector's neighbours in one field."""

    def first(self, limit: int) -> tuple[Found, bool]:
        """Return the nearest, of so many vectors, and whether there are no more."""

    def compared(self, ids: Sequence[str]) -> Found:
        """Return those of the documents that are there, in no particular order."""


@dataclass(frozen=True, slots=True)
class Passages:
    """Neighbours among the passages of a collection; similarities are cosines, of each document's best passage."""

    snapshot: Snapshot
    query: Floats

    def first(self, limit: int) -> tuple[Found, bool]:
        """Return the documents of the nearest passages."""
        found = self.snapshot.dense(self.query, limit, None)
        best: dict[str, float] = {}
        for document, score in zip(found.documents, found.scores.tolist(), strict=True):
            best.setdefault(document, score)
        return list(best.items()), len(found) < limit

    def compared(self, ids: Sequence[str]) -> Found:
        """Compare with every passage of some documents."""
        return self.snapshot.compared(self.query, ids)


@dataclass(frozen=True, slots=True)
class Given:
    """Neighbours among vectors that documents came with; similarities are higher for what is nearer."""

    vectors: RawVectors
    query: Floats
    measure: str
    """Elasticsearch's name of it."""

    def first(self, limit: int) -> tuple[Found, bool]:
        """Return the documents of the nearest vectors."""
        sign = -1 if self.measure == "l2_norm" else 1
        found = self.vectors.nearest(self.query, limit)
        return [(id_, sign * score) for id_, score in found], len(found) < limit

    def compared(self, ids: Sequence[str]) -> Found:
        """Compare with the vectors of some documents."""
        stored = self.vectors.get(ids)
        if not stored:
            return []
        rows = np.stack([each.values for each in stored])
        return list(zip([each.id for each in stored], _similar(rows, self.query, self.measure), strict=True))


def _similar(rows: Floats, query: Floats, measure: str) -> list[float]:
    if measure == "l2_norm":
        scores = -np.square(rows - query).sum(axis=1)
    else:
        scores = rows @ query
        if measure == "cosine":
            scores = scores / np.maximum(np.linalg.norm(rows, axis=1) * np.linalg.norm(query), 1e-30)
    found: list[float] = scores.tolist()
    return found


def entries(collection: Collection | None, ids: Sequence[str]) -> dict[str, Entry]:
    """Return those of the documents that are in a collection, with their passages and vectors."""
    if collection is None or not ids:
        return {}
    try:
        return {entry.document.id: entry for entry in collection.snapshot().entries(ids)}
    except CollectionNotFoundError:
        return {}


def passages(collection: Collection | None, query: Floats) -> Passages | None:
    """Return the neighbours of a vector in a collection; None if there is none yet."""
    try:
        return None if collection is None else Passages(collection.snapshot(), query)
    except CollectionNotFoundError:
        return None


def nearest(reading: Reading, neighbours: Neighbours, k: int, within: Rows | None) -> list[tuple[int, float]]:
    """Return the `k` documents that are most similar, and how much, best first.

    Args:
        reading: the index.
        neighbours: of the vector that is searched for.
        k: how many are wanted.
        within: only these documents; None: all.
    """
    limit = max(_DEPTH, _DEPTH_EACH * k)
    if within is not None:
        (total,) = reading.database.execute("SELECT count(*) FROM document").fetchone()
        limit = max(limit, 2 * k * total // max(len(within), 1))
        if len(within) <= (_FEW if limit <= _DEEPEST else _GROUP):
            return _every(reading, neighbours, k, within)
    while True:
        found, complete = neighbours.first(limit)
        allowed = list(_allowed(reading, found, within))
        if complete or len(allowed) >= k:
            return allowed[:k]
        if limit >= _DEEPEST and within is not None:
            return _every(reading, neighbours, k, within)
        limit *= 4


def _allowed(reading: Reading, found: Found, within: Rows | None) -> Iterator[tuple[int, float]]:
    rows = values.by_id(reading.database, [id_ for id_, _ in found])
    there = [(rows[id_], score) for id_, score in found if id_ in rows]
    if within is None:
        yield from there
        return
    counts = contained(np.array([row for row, _ in there], np.int64), within)
    yield from (each for each, counted in zip(there, counts, strict=True) if counted)


def _every(reading: Reading, neighbours: Neighbours, k: int, within: Rows) -> list[tuple[int, float]]:
    best: list[tuple[int, float]] = []
    for first in range(0, len(within), _GROUP):
        ids = values.ids_of(reading.database, within[first : first + _GROUP].tolist())
        if ids:
            best = _best([*best, *_allowed(reading, neighbours.compared(ids), None)], k)
    return best


def _best(found: Iterable[tuple[int, float]], k: int) -> list[tuple[int, float]]:
    return sorted(found, key=lambda each: (-each[1], each[0]))[:k]
