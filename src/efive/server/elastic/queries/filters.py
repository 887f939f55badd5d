"""Queries of values, as sets of documents: `term`, `range`, `exists` and the like."""

from collections.abc import Sequence
from datetime import datetime

from efive.search.terms import query_terms
from efive.server.elastic.errors import illegal
from efive.server.elastic.indices.mapping import Field, FieldType
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries import values, words
from efive.server.elastic.queries.matches import NO_ROWS, NOTHING, Matches, Rows, best, constant, rows_of
from efive.server.elastic.queries.tree import Exists, Ids, Pattern, Range, Scalar, Terms

_WITHOUT_VALUES = frozenset({FieldType.OBJECT, FieldType.DENSE_VECTOR, FieldType.SEMANTIC_TEXT, FieldType.TEXT})


def rows(reading: Reading, query: Terms | Range | Exists | Ids | Pattern, now: datetime) -> Rows:
    """Return the documents that a query lets through.

    Raises:
        ElasticError: if the field cannot be asked so.
    """
    database = reading.database
    if isinstance(query, Ids):
        return rows_of(values.by_id(database, query.values).values())
    if isinstance(query, Exists):
        return values.having(database, query.field)
    if isinstance(query, Terms):
        return having(reading, query.field, query.values, now, scoring=False).rows
    found = reading.mapping.fields.get(query.field)
    if found is None:
        return NO_ROWS
    if isinstance(query, Range):
        return values.between(database, _comparable(found), query, now)
    if found.type is not FieldType.KEYWORD:
        raise illegal(
            "Can only use prefix and wildcard queries on keyword fields - "
            f"not on [{query.field}] which is of type [{found.type}]"
        )
    return values.like(database, found, query.glob, any_case=query.any_case)


def having(
    reading: Reading, name: str, asked: Sequence[Scalar], now: datetime, *, any_case: bool = False, scoring: bool
) -> Matches:
    """Return the documents that have one of some values in a field.

    Args:
        reading: the index.
        name: of the field, or `_id`, `_index`.
        asked: the values.
        now: what dates such as `now/d` count from.
        any_case: whether "A" is "a".
        scoring: whether a rare value of a keyword field scores more than a common one.

    Raises:
        ElasticError: if the field has no values to compare, or cannot have one of these.
    """
    database = reading.database
    if name == "_id":
        return constant(rows_of(values.by_id(database, [str(value) for value in asked]).values()))
    if name == "_index":
        return constant(values.everything(database)) if reading.index in asked else NOTHING
    found = reading.mapping.fields.get(name)
    if found is None:
        return NOTHING
    if found.type is FieldType.TEXT:
        # Words are cut as the field's are: its full-text table knows no others.
        terms = [(str(value), len(set(query_terms(str(value))))) for value in asked]
        return best([words.words(database, name, text, count, None) for text, count in terms])
    having = values.equal(database, _comparable(found), asked, now, any_case=any_case)
    if not scoring or found.type is not FieldType.KEYWORD:
        return constant(having)
    return constant(having, words.idf(values.count_of(database, name), len(having)))


def _comparable(found: Field) -> Field:
    """Return a field that has values to compare."""
    if found.type in _WITHOUT_VALUES:
        raise illegal(f"Field [{found.path}] of type [{found.type}] does not support term and range queries")
    return found
