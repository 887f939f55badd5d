"""What a search is asked for: its body as values, checked."""

from dataclasses import dataclass, field

from efive.server.elastic.queries.tree import Knn, Query

WINDOW = 10_000
"""Hits that can be paged through, as Elasticsearch's `index.max_result_window`."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A ranking that queries make: the sum of the scores of one query and of any kNN searches."""

    query: Query | None
    knn: tuple[Knn, ...] = ()
    least: float | None = None
    """Leave out what scores less."""

    @property
    def queries(self) -> tuple[Query, ...]:
        """All of them."""
        return (*(() if self.query is None else (self.query,)), *self.knn)


@dataclass(frozen=True, slots=True)
class Part:
    """A ranking that is fused with others."""

    ranking: "Ranking"
    weight: float = 1.0
    normalizer: str = "none"
    """Of linear: `none`, `minmax` or `l2_norm`."""


@dataclass(frozen=True, slots=True)
class Fused:
    """Rankings made into one: by ranks (rrf), or by scores (linear)."""

    parts: tuple[Part, ...]
    window: int
    """So many of each ranking count."""
    constant: int | None = None
    """Of rrf; None: linear."""
    least: float | None = None


Ranking = Leaf | Fused


def leaves(ranking: Ranking, size: int) -> list[tuple[Leaf, int]]:
    """Return the leaves of a ranking, in their order, each with how many hits of it count.

    Args:
        ranking: what is asked for.
        size: how many hits of it count.
    """
    if isinstance(ranking, Leaf):
        return [(ranking, size)]
    return [found for part in ranking.parts for found in leaves(part.ranking, ranking.window)]


def selective(ranking: Ranking) -> bool:
    """Say whether a ranking, or a part of it, leaves out hits by their scores."""
    if ranking.least is not None:
        return True
    return isinstance(ranking, Fused) and any(selective(part.ranking) for part in ranking.parts)


@dataclass(frozen=True, slots=True)
class Key:
    """What hits are sorted by: a field, `_score` or `_doc`."""

    field: str
    descending: bool = False
    missing_first: bool = False
    mode: str | None = None
    """Which of several values counts: min, max, sum or avg."""
    unmapped: bool = False
    """Whether an index may lack the field."""
    format: str | None = None


BY_SCORE = (Key("_score", descending=True),)
BY_DOCUMENT = (Key("_doc"),)


@dataclass(frozen=True, slots=True)
class Shown:
    """What hits show of their documents."""

    source: bool = True
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    vectors: bool = False
    """Whether the source has the vectors of dense_vector and semantic_text fields."""
    fields: tuple[tuple[str, str | None], ...] = ()
    """Names, with `*`, and formats."""
    version: bool = False
    seq_no: bool = False
    highlights: tuple["Highlight", ...] = ()


@dataclass(frozen=True, slots=True)
class Highlight:
    """How the matching parts of a field are shown."""

    field: str
    """Its name, with `*`."""
    type: str | None = None
    """`semantic` or words; None: as the field is."""
    fragments: int = 5
    """0: the whole text."""
    length: int = 100
    before: str = "<em>"
    after: str = "</em>"
    by_score: bool = False
    own_field_only: bool = True
    without_match: int = 0
    """Characters that are shown if nothing matches."""
    html: bool = False
    query: Query | None = None
    """What is highlighted instead of what is searched for."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One aggregation."""

    name: str
    kind: str
    field: str
    size: int = 10
    """Buckets of `terms`."""
    by_key: bool = False
    """Whether they are ordered by their keys; else by how many documents they have."""
    descending: bool = True
    inner: tuple["Aggregation", ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """One search."""

    ranking: Ranking
    offset: int = 0
    size: int = 10
    sort: tuple[Key, ...] = BY_SCORE
    after: tuple[object, ...] | None = None
    """Sort values of the last hit of the page before."""
    filter: Query | None = None
    """Which hits are shown, after all else."""
    least: float | None = None
    track_scores: bool = False
    count: int | None = WINDOW
    """Hits are counted up to so many; None: all; 0: not at all."""
    shown: Shown = field(default_factory=Shown)
    aggregations: tuple[Aggregation, ...] = ()

    @property
    def depth(self) -> int:
        """How many of the first hits are asked for, or passed over."""
        return max(self.offset + self.size, 1)

    @property
    def scored(self) -> bool:
        """Whether hits show scores."""
        return self.track_scores or any(key.field == "_score" for key in self.sort)
