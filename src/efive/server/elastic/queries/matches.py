"""Sets of documents with scores, and what queries make of them. Rows are those of one index."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from efive.vectors import Floats

Rows = npt.NDArray[np.int64]
"""Documents, in ascending order, each once."""
NO_ROWS: Rows = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Matches:
    """Documents that a query matches."""

    rows: Rows
    scores: Floats
    """(n,) float32, one for each row."""

    def __len__(self) -> int:
        return len(self.rows)

    def within(self, allowed: Rows | None) -> "Matches":
        """Return those that are among `allowed`; None allows all."""
        if allowed is None:
            return self
        keep = contained(self.rows, allowed)
        return Matches(self.rows[keep], self.scores[keep])

    def times(self, boost: float) -> "Matches":
        """Return the same with all scores multiplied."""
        return self if boost == 1 else Matches(self.rows, self.scores * np.float32(boost))


NOTHING = Matches(NO_ROWS, np.empty(0, np.float32))


def constant(rows: Rows, score: float = 1.0) -> Matches:
    """Return rows that all have one score."""
    return Matches(rows, np.full(len(rows), score, np.float32))


def scored(scores: Mapping[int, float]) -> Matches:
    """Return rows with scores of their own."""
    rows = np.fromiter(scores, np.int64, len(scores))
    order = np.argsort(rows)
    return Matches(rows[order], np.fromiter(scores.values(), np.float32, len(scores))[order])


def rows_of(found: Iterable[int]) -> Rows:
    """Return rows in their order, each once."""
    return np.unique(np.fromiter(found, np.int64))


def contained(rows: Rows, among: Rows) -> npt.NDArray[np.bool_]:
    """Say of each row whether it is among others."""
    if not len(among):
        return np.zeros(len(rows), np.bool_)
    places = np.minimum(np.searchsorted(among, rows), len(among) - 1)
    found: npt.NDArray[np.bool_] = among[places] == rows
    return found


def union(parts: Sequence[Rows]) -> Rows:
    """Return the rows of any part."""
    return reduce(np.union1d, parts, NO_ROWS)


def narrowed(allowed: Rows | None, by: Rows) -> Rows:
    """Return the rows that are allowed still; None allows all."""
    return by if allowed is None else by[contained(by, allowed)]


def table(parts: Sequence[Matches], rows: Rows) -> Floats:
    """Return the scores that each part gives to `rows`, which have all of theirs: (parts, rows), NaN where none."""
    scores = np.full((len(parts), len(rows)), np.nan, np.float32)
    for place, part in enumerate(parts):
        scores[place, np.searchsorted(rows, part.rows)] = part.scores
    return scores


def summed(parts: Sequence[Matches]) -> Matches:
    """Return what any part matches, with the sum of its scores."""
    if len(parts) == 1:
        return parts[0]
    rows = union([part.rows for part in parts])
    return Matches(rows, np.nansum(table(parts, rows), axis=0, dtype=np.float32))


def best(parts: Sequence[Matches], tie: float = 0.0) -> Matches:
    """Return what any part matches, with the best of its scores and `tie` times the others."""
    rows = union([part.rows for part in parts])
    if not len(rows):
        return NOTHING
    scores = np.nan_to_num(table(parts, rows), nan=0.0)
    highest = scores.max(axis=0)
    return Matches(rows, (highest + np.float32(tie) * (scores.sum(axis=0) - highest)).astype(np.float32))


def often(parts: Sequence[Matches], times: int) -> Rows:
    """Return the rows that at least so many parts match."""
    found = np.concatenate([part.rows for part in parts]) if parts else NO_ROWS
    rows, counts = np.unique(found, return_counts=True)
    kept: Rows = rows[counts >= times]
    return kept
