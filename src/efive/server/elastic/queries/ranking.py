"""From what queries match in each index to one ranking of hits. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from efive.server.elastic.queries.matches import NOTHING, Matches, Rows, constant, summed, union
from efive.server.elastic.queries.plan import Fused, Leaf, Part, Ranking, selective
from efive.vectors import Floats

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LeafMatches:
    """What one leaf of a ranking matches in one index."""

    query: Matches | None
    knn: tuple[Matches, ...]


@dataclass(frozen=True, slots=True)
class Hits:
    """Documents of several indices with scores."""

    places: Places
    """Which index, by its place among those that are searched."""
    rows: Rows
    scores: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, at: npt.NDArray[np.intp]) -> "Hits":
        """Return some of them."""
        return Hits(self.places[at], self.rows[at], self.scores[at])

    def in_order(self) -> "Hits":
        """Return them in the order of indices and documents."""
        return self.take(np.lexsort((self.rows, self.places)))

    def best_first(self, limit: int | None = None) -> "Hits":
        """Return them by their scores; of equal ones, in the order of indices and documents."""
        return self.take(np.lexsort((self.rows, self.places, -self.scores))[:limit])


def joined(parts: Sequence[Matches]) -> Hits:
    """Return what is found in each index as hits."""
    if not parts:
        return Hits(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    places = [np.full(len(part), place, np.int64) for place, part in enumerate(parts)]
    return Hits(
        np.concatenate(places), np.concatenate([part.rows for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )  # fmt: skip


def ranked(ranking: Ranking, found: Sequence[Sequence[LeafMatches]], default_k: int) -> tuple[Hits, Hits]:
    """Return the hits of a ranking, in no particular order, and all that totals and aggregations count.

    These are the same, but for rankings that are fused: what their parts match counts, also beyond their windows. Where
    hits are left out by their scores, only what is left counts, since the others have none.

    Args:
        ranking: what is asked for.
        found: what each of its leaves matches, index by index.
        default_k: neighbours of a kNN search that says no number.
    """
    left, parts = iter(found), list[Hits]()

    def of(ranking: Ranking, window: int | None) -> Hits:
        if isinstance(ranking, Leaf):
            hits = _leaf(ranking, next(left), default_k)
            parts.append(hits if ranking.query is not None else hits.best_first(window))
            return hits
        fused = _fused(ranking, [(part, of(part.ranking, ranking.window)) for part in ranking.parts])
        return at_least(fused, ranking.least)

    hits = of(ranking, None)
    if isinstance(ranking, Leaf) or selective(ranking):
        return hits, hits
    return hits, _together(parts, len(found[0]))


def _together(parts: Sequence[Hits], indices: int) -> Hits:
    return joined(
        [constant(union([part.rows[part.places == place] for part in parts])) for place in range(indices)]
    )  # fmt: skip


def at_least(hits: Hits, least: float | None) -> Hits:
    """Leave out hits that score less."""
    return hits if least is None else hits.take(np.flatnonzero(hits.scores >= np.float32(least)))


def _leaf(leaf: Leaf, found: Sequence[LeafMatches], default_k: int) -> Hits:
    """Add up the scores of a query and of kNN searches; of each of these, the nearest of all indices count."""
    parts = [[] if each.query is None else [each.query] for each in found]
    for number, section in enumerate(leaf.knn):
        near = [each.knn[number] for each in found]
        for place, kept in enumerate(_nearest(near, section.k or default_k)):
            parts[place].append(kept)
    return at_least(joined([summed(each) if each else NOTHING for each in parts]), leaf.least)


def _nearest(found: Sequence[Matches], k: int) -> list[Matches]:
    if len(found) == 1 or sum(map(len, found)) <= k:
        return list(found)
    best = joined(found).best_first(k)
    return [each.within(np.sort(best.rows[best.places == place])) for place, each in enumerate(found)]


def _fused(ranking: Fused, parts: Iterable[tuple[Part, Hits]]) -> Hits:
    scores: dict[tuple[int, int], float] = {}
    for part, hits in parts:
        first = hits.best_first(ranking.window)
        if ranking.constant is not None:
            values = part.weight / (ranking.constant + np.arange(1, len(first) + 1))
        else:
            values = part.weight * normalized(first.scores.astype(np.float64), part.normalizer)
        for place, row, value in zip(first.places.tolist(), first.rows.tolist(), values.tolist(), strict=True):
            scores[place, row] = scores.get((place, row), 0.0) + value
    keys = np.array(list(scores), np.int64).reshape(-1, 2)
    fused = Hits(keys[:, 0], keys[:, 1], np.fromiter(scores.values(), np.float32, len(scores)))
    return fused.best_first(ranking.window)


def normalized(scores: npt.NDArray[np.float64], how: str) -> npt.NDArray[np.float64]:
    """Return scores as `linear` adds them up: as they are, between 0 and 1, or as a vector of length 1."""
    if how == "none" or not len(scores):
        return scores
    if how == "l2_norm":
        length = float(np.linalg.norm(scores))
        return scores / length if length > 1e-6 else scores
    lowest, highest = float(scores.min()), float(scores.max())
    if highest - lowest < 1e-6:  # all alike: each is as good as the best
        return np.ones_like(scores)
    found: npt.NDArray[np.float64] = (scores - lowest) / (highest - lowest)
    return found


@dataclass(frozen=True, slots=True)
class IndexMatches:
    """What a search finds in one index."""

    leaves: Sequence[LeafMatches]
    """In the order of the ranking's."""
    allowed: Rows | None
    """What the search's last filter lets through; None: all."""
    sorts: Sequence[dict[int, object]]
    """For each key that is sorted by: row -> value; a row that has none is not in it."""
    newest: int
    """The number of the last write."""
    named: dict[str, Rows] = field(default_factory=dict)
