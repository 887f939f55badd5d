"""Queries as a tree, checked: whatever exists can be asked of an index."""

from dataclasses import dataclass

from efive.vectors import Floats

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    boost: float = 1.0
    name: str | None = None
    """Hits show it among their `matched_queries`."""


@dataclass(frozen=True, slots=True)
class MatchAll(_Query):
    """Every document."""


@dataclass(frozen=True, slots=True)
class MatchNone(_Query):
    """No document."""


@dataclass(frozen=True, slots=True)
class Match(_Query):
    """Words of a text field, the meaning of a semantic_text field, the value of any other."""

    field: str
    value: Scalar
    every_word: bool = False
    at_least: str | None = None
    """Words that must match, as `minimum_should_match` says it."""
    all_if_empty: bool = False
    """Whether a text without words matches everything."""
    lenient: bool = False
    """Whether a text that the field cannot have matches nothing, instead of being an error."""


@dataclass(frozen=True, slots=True)
class Phrase(_Query):
    """Words of a text field, one behind the other."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class MultiMatch(_Query):
    """A text in several fields."""

    text: Scalar
    fields: tuple[tuple[str, float], ...]
    """Names, also with `*`, and boosts; none means all text and keyword fields."""
    kind: str = "best_fields"
    tie: float | None = None
    every_word: bool = False
    at_least: str | None = None
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Term(_Query):
    """One value of a field."""

    field: str
    value: Scalar
    any_case: bool = False


@dataclass(frozen=True, slots=True)
class Terms(_Query):
    """Any of some values of a field."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Range(_Query):
    """Values that lie between others."""

    field: str
    above: Scalar | None = None
    from_: Scalar | None = None
    below: Scalar | None = None
    to: Scalar | None = None
    format: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Exists(_Query):
    """Documents that have the field."""

    field: str


@dataclass(frozen=True, slots=True)
class Ids(_Query):
    """Documents by their ids."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pattern(_Query):
    """Texts of a keyword field that look so: `*` is any characters, `?` is one."""

    field: str
    glob: str
    """In SQLite's notation."""
    any_case: bool = False


@dataclass(frozen=True, slots=True)
class Bool(_Query):
    """Queries joined."""

    must: tuple["Query", ...] = ()
    should: tuple["Query", ...] = ()
    must_not: tuple["Query", ...] = ()
    filter: tuple["Query", ...] = ()
    at_least: str | None = None


@dataclass(frozen=True, slots=True)
class ConstantScore(_Query):
    """What a filter matches, all with one score."""

    filter: "Query"


@dataclass(frozen=True, slots=True)
class DisMax(_Query):
    """What any of some queries matches, with the best of their scores."""

    queries: tuple["Query", ...]
    tie: float = 0.0


@dataclass(frozen=True, slots=True)
class Semantic(_Query):
    """Passages of a semantic_text field that mean what a text asks for."""

    field: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Knn(_Query):
    """The documents whose vectors are nearest to one."""

    field: str
    vector: Floats | None = None
    model: str | None = None
    """What embeds `text`; None: what embeds the field."""
    text: str | None = None
    k: int | None = None
    """None: as many as the search asks for."""
    filter: tuple["Query", ...] = ()
    similarity: float | None = None
    """Leave out what is less similar, by the field's own measure."""


Query = (
    MatchAll | MatchNone | Match | Phrase | MultiMatch | Term | Terms | Range | Exists | Ids | Pattern
    | Bool | ConstantScore | DisMax | Semantic | Knn
)  # fmt: skip


def children(query: Query) -> tuple[Query, ...]:
    """Return the queries that a query is made of."""
    match query:
        case Bool():
            return (*query.must, *query.should, *query.must_not, *query.filter)
        case ConstantScore():
            return (query.filter,)
        case DisMax():
            return query.queries
        case Knn():
            return query.filter
        case _:
            return ()
