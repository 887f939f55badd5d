"""From a query to the documents of one index that match it, with scores.

Vectors are compared within what the rest of the query lets through, so that a filter beside a semantic query takes
no hits away: the k nearest are those of the documents that pass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import orjson

from efive.search.terms import query_terms
from efive.server.elastic.errors import ElasticError, illegal
from efive.server.elastic.indices.mapping import Field, FieldType
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries import filters, values, vectors, words
from efive.server.elastic.queries.expanding import compares_vectors, expanded, fields_of, vector_of
from efive.server.elastic.queries.matches import (
    NOTHING,
    Matches,
    Rows,
    best,
    constant,
    narrowed,
    often,
    summed,
    union,
)
from efive.server.elastic.queries.minimum import at_least
from efive.server.elastic.queries.paths import texts_at
from efive.server.elastic.queries.tree import (
    Bool,
    ConstantScore,
    DisMax,
    Knn,
    Match,
    MatchAll,
    MatchNone,
    MultiMatch,
    Phrase,
    Query,
    Semantic,
    Term,
)
from efive.vectors import Floats

Embedded = Mapping[tuple[str, str], Floats]
"""Vectors of texts, behind the names of what embedded them."""


@dataclass(slots=True)
class Evaluation:
    """Evaluates queries on one index, for one search."""

    reading: Reading
    embedded: Embedded = field(default_factory=dict)
    size: int = 10
    """Hits that are asked for: as many neighbours does a query find that says no number."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    named: dict[str, Rows] = field(default_factory=dict)
    """What the queries that have names match."""

    def matches(self, query: Query, within: Rows | None = None, *, scoring: bool = True) -> Matches:
        """Return what matches a query among the documents `within`; None is all.

        Args:
            query: what is asked.
            within: what has been let through already.
            scoring: whether scores count; filters need none.

        Raises:
            ElasticError: if a field cannot be asked so.
        """
        if within is not None and not len(within):
            return NOTHING
        found = self._of(query, within, scoring=scoring).within(within).times(query.boost)
        if query.name is not None:
            self.named[query.name] = union([self.named.get(query.name, found.rows), found.rows])
        return found

    def _of(self, query: Query, within: Rows | None, *, scoring: bool) -> Matches:
        match query:
            case Bool():
                found = self._bool(query, within, scoring=scoring)
            case ConstantScore(part):
                found = constant(self.matches(part, within, scoring=False).rows)
            case DisMax(queries, tie):
                found = best([self.matches(part, within, scoring=scoring) for part in queries], tie)
            case Match():
                found = self._match(query, within, scoring=scoring)
            case MultiMatch():
                found = self._multi_match(query, within, scoring=scoring)
            case Phrase():
                found = self._phrase(query, within)
            case Semantic():
                found = self._semantic(query, within)
            case Knn():
                found = self._knn(query, within)
            case Term(name, value, any_case):
                found = filters.having(self.reading, name, [value], self.now, any_case=any_case, scoring=scoring)
            case MatchAll():
                found = constant(values.everything(self.reading.database) if within is None else within)
            case MatchNone():
                found = NOTHING
            case _:
                found = constant(filters.rows(self.reading, query, self.now))
        return found

    def _field(self, name: str) -> Field | None:
        return self.reading.mapping.fields.get(name)

    def _match(self, query: Match, within: Rows | None, *, scoring: bool) -> Matches:
        found = self._field(query.field)
        if found is None:
            return NOTHING
        if found.type is FieldType.SEMANTIC_TEXT:
            return self._semantic(Semantic(query.field, str(query.value)), within)
        if found.type is not FieldType.TEXT:
            try:
                return filters.having(self.reading, query.field, [query.value], self.now, scoring=scoring)
            except ElasticError:
                if query.lenient:
                    return NOTHING
                raise
        terms = len(set(query_terms(str(query.value))))
        if not terms:
            return self.matches(MatchAll(), within) if query.all_if_empty else NOTHING
        needed = terms if query.every_word else at_least(query.at_least or "1", terms)
        return words.words(self.reading.database, query.field, str(query.value), needed, within)

    def _multi_match(self, query: MultiMatch, within: Rows | None, *, scoring: bool) -> Matches:
        if query.kind != "cross_fields":
            return self.matches(expanded(query, self.reading.mapping), within, scoring=scoring)
        # Each word counts by the field in which it scores best, as if all fields were one.
        fields = [(f, boost) for f, boost in fields_of(query, self.reading.mapping) if f.type is FieldType.TEXT]
        database, text = self.reading.database, str(query.text)
        by_field = [
            [part.within(within).times(boost) for part in words.term_matches(database, f.path, [text])]
            for f, boost in fields
        ]
        parts = [best(of_term, query.tie or 0.0) for of_term in zip(*by_field, strict=True)]
        if not parts:
            return NOTHING
        needed = len(parts) if query.every_word else at_least(query.at_least or "1", len(parts))
        return summed(parts).within(often(parts, max(needed, 1)))

    def _phrase(self, query: Phrase, within: Rows | None) -> Matches:
        found = self._field(query.field)
        if found is None:
            return NOTHING
        if found.type is not FieldType.TEXT:
            return self._match(Match(query.field, query.text), within, scoring=True)

        def texts(row: int) -> Iterable[str]:
            (source,) = self.reading.database.execute("SELECT source FROM document WHERE row = ?", (row,)).fetchone()
            return texts_at(orjson.loads(source), found.of or found.path)

        return words.phrase(self.reading.database, query.field, query.text, within, texts)

    def _semantic(self, query: Semantic, within: Rows | None) -> Matches:
        found = self._field(query.field)
        if found is None:
            return NOTHING
        if found.type is not FieldType.SEMANTIC_TEXT:
            raise illegal(f"Field [{query.field}] of type [{found.type}] does not support [semantic] queries")
        asked = vector_of(query, self.reading.mapping)
        if asked is None:
            return NOTHING
        return vectors.near(self.reading, found, self.embedded[asked], max(self.size, 10), within)

    def _knn(self, query: Knn, within: Rows | None) -> Matches:
        found = self._field(query.field)
        if found is None:
            return NOTHING
        vector = query.vector
        if vector is None:
            asked = vector_of(query, self.reading.mapping)
            if asked is None:
                raise illegal("[model_id] must not be null: [query_vector_builder] on a dense_vector field needs it")
            vector = self.embedded[asked]
        for part in query.filter:
            within = narrowed(within, self.matches(part, within, scoring=False).rows)
        if within is not None and not len(within):
            return NOTHING
        return vectors.near(self.reading, found, vector, query.k or self.size, within, query.similarity)

    def _bool(self, query: Bool, within: Rows | None, *, scoring: bool) -> Matches:
        allowed, scored = within, list[Matches]()
        required = [(part, False) for part in query.filter] + [(part, scoring) for part in query.must]
        meaning = [each for each in required if compares_vectors(each[0], self.reading.mapping)]
        plain = [each for each in required if each not in meaning]

        def require(parts: list[tuple[Query, bool]]) -> None:
            nonlocal allowed
            for part, counts in parts:
                found = self.matches(part, allowed, scoring=counts)
                allowed = found.rows
                if counts:
                    scored.append(found)

        require(plain)
        allowed = self._without(query.must_not, allowed)
        require(meaning)
        least = 0 if query.at_least is None else at_least(query.at_least, len(query.should))
        if query.should and not required:  # whatever is said: nothing else would let a document in
            least = max(least, 1)
        optional = [self.matches(part, allowed, scoring=scoring) for part in query.should]
        if least:
            allowed = narrowed(allowed, often(optional, least))
        if allowed is None:
            return constant(values.everything(self.reading.database))
        return _added(allowed, [*scored, *optional])

    def _without(self, refused: Iterable[Query], allowed: Rows | None) -> Rows | None:
        for part in refused:
            hits = self.matches(part, allowed, scoring=False).rows
            allowed = np.setdiff1d(
                values.everything(self.reading.database) if allowed is None else allowed, hits, assume_unique=True
            )
        return allowed


def _added(rows: Rows, parts: Iterable[Matches]) -> Matches:
    scores = np.zeros(len(rows), np.float32)
    for part in parts:
        inside = part.within(rows)
        scores[np.searchsorted(rows, inside.rows)] += inside.scores
    return Matches(rows, scores)
