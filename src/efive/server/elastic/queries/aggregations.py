"""What the values of all hits add up to: counts by value, smallest, largest, sums."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from efive.server.elastic import dates
from efive.server.elastic.errors import illegal, unparsable, unsupported
from efive.server.elastic.indices.mapping import FieldType
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries.bodies import Body
from efive.server.elastic.queries.plan import Aggregation
from efive.server.elastic.queries.ranking import Hits

_MOST_BUCKETS = 65_536
_DEEPEST = 10
_WITHOUT_VALUES = frozenset({FieldType.TEXT, FieldType.SEMANTIC_TEXT, FieldType.DENSE_VECTOR, FieldType.OBJECT})
Key = tuple[int, int]
"""A document: the place of its index, its row."""


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one field of some documents."""

    type: FieldType | None
    values: Mapping[Key, Sequence[Any]]


def parse_aggregations(value: object, depth: int = 0) -> tuple[Aggregation, ...]:
    """Return what the `aggs` of a body ask for.

    Raises:
        ElasticError: naming what cannot be used.
    """
    if value is None:
        return ()
    if depth > _DEEPEST:
        raise illegal(f"aggregations are nested more than {_DEEPEST} levels deep")
    return tuple(_one(name, Body(name, each), depth) for name, each in Body("aggs", value).items())


def _one(name: str, body: Body, depth: int) -> Aggregation:
    inner = parse_aggregations(body.take("aggs", body.take("aggregations")), depth + 1)
    body.take("meta")
    kinds = list(body.items())
    if len(kinds) != 1:
        raise unparsable(f"Expected exactly one aggregation type under [{name}], found {len(kinds)}")
    kind, given = kinds[0]
    if kind not in _METRICS and kind != "terms":
        raise unsupported(f"the [{kind}] aggregation")
    if inner and kind != "terms":
        raise illegal(f"Aggregator [{name}] of type [{kind}] cannot accept sub-aggregations")
    options = Body(kind, given)
    field, size, order = options.needed("field"), options.whole("size", 10), options.take("order", {"_count": "desc"})
    for effectless in ("shard_size", "execution_hint", "precision_threshold", "show_term_doc_count_error"):
        options.take(effectless)
    options.done()
    assert size is not None
    if not 1 <= size <= _MOST_BUCKETS:
        raise illegal(f"[size] must be between 1 and {_MOST_BUCKETS}. Found [{size}] in [{name}]")
    if not isinstance(order, dict) or len(order) != 1 or not order.keys() <= {"_count", "_key"}:
        raise unsupported("[terms] with an [order] other than by [_count] or [_key]")
    ((by, direction),) = order.items()
    return Aggregation(name, kind, field, size, by == "_key", direction != "asc", inner)


def fields_of(asked: Iterable[Aggregation]) -> set[str]:
    """Return all fields that aggregations need."""
    return {field for each in asked for field in {each.field, *fields_of(each.inner)}}


def column(reading: Reading, place: int, field: str) -> Column:
    """Return the values of a field in one index.

    Raises:
        ElasticError: if it is a field that has none to compare.
    """
    found = reading.mapping.fields.get(field)
    if found is None:
        return Column(None, {})
    if found.type in _WITHOUT_VALUES:
        raise illegal(
            f"Fielddata is disabled on [{field}] in [{reading.index}]: fields of type [{found.type}] cannot be "
            "aggregated. Please use a keyword field instead."
        )
    which = "text" if found.type is FieldType.KEYWORD else "number"
    values: dict[Key, list[Any]] = {}
    for row, value in reading.database.execute(f"SELECT row, {which} FROM value WHERE field = ?", (field,)):  # noqa: S608
        values.setdefault((place, row), []).append(value)
    return Column(found.type, values)


def aggregated(
    asked: Sequence[Aggregation], hits: Hits, columns: Sequence[Mapping[str, Column]]
) -> dict[str, dict[str, Any]]:
    """Return the answers to aggregations.

    Args:
        asked: aggregations.
        hits: of all indices.
        columns: of each index, the columns by their fields.
    """
    together: dict[str, Column] = {}
    for field in fields_of(asked):
        parts = [each[field] for each in columns]
        types = {part.type for part in parts if part.type is not None}
        if len(types) > 1:
            raise illegal(f"the field [{field}] is of different types in the indices that are searched")
        together[field] = Column(next(iter(types), None), {k: v for part in parts for k, v in part.values.items()})
    keys = list(zip(hits.places.tolist(), hits.rows.tolist(), strict=True))
    return _answers(asked, keys, together)


def _answers(asked: Iterable[Aggregation], keys: Sequence[Key], columns: Mapping[str, Column]) -> dict[str, Any]:
    found = {}
    for each in asked:
        values = columns[each.field]
        if each.kind == "terms":
            found[each.name] = _terms(each, keys, columns)
        else:
            given = [value for key in keys for value in values.values.get(key, ())]
            if values.type is FieldType.KEYWORD and each.kind not in {"value_count", "cardinality"}:
                raise illegal(f"Field [{each.field}] of type [keyword] is not supported for aggregation [{each.kind}]")
            found[each.name] = _metric(each.kind, given, values.type)
    return found


def _terms(asked: Aggregation, keys: Sequence[Key], columns: Mapping[str, Column]) -> dict[str, Any]:
    values, documents = columns[asked.field], dict[Any, list[Key]]()
    for key in keys:
        for value in set(values.values.get(key, ())):
            documents.setdefault(value, []).append(key)
    order = sorted(documents, reverse=asked.by_key and asked.descending)
    if not asked.by_key:
        order.sort(key=lambda value: len(documents[value]), reverse=asked.descending)
    shown = order[: asked.size]
    buckets = []
    for value in shown:
        bucket: dict[str, Any] = {"key": value, "doc_count": len(documents[value])}
        if values.type is FieldType.BOOLEAN:
            bucket["key_as_string"] = "true" if value else "false"
        elif values.type is FieldType.DATE:
            bucket["key_as_string"] = dates.shown(value)
        buckets.append(bucket | _answers(asked.inner, documents[value], columns))
    others = sum(len(documents[value]) for value in order[asked.size :])
    return {"doc_count_error_upper_bound": 0, "sum_other_doc_count": others, "buckets": buckets}


def _metric(kind: str, values: list[Any], type_: FieldType | None) -> dict[str, Any]:
    if kind == "stats":
        return {"count": len(values)} | {name: _METRICS[name](values) for name in ("min", "max", "avg", "sum")}
    value = _METRICS[kind](values)
    if type_ is FieldType.DATE and kind in {"min", "max", "avg"} and value is not None:
        return {"value": value, "value_as_string": dates.shown(value)}
    return {"value": value}


def _avg(values: list[Any]) -> float | None:
    return math.fsum(values) / len(values) if values else None


_METRICS: dict[str, Callable[[list[Any]], Any]] = {
    "min": lambda values: float(min(values)) if values else None,
    "max": lambda values: float(max(values)) if values else None,
    "avg": _avg,
    "sum": math.fsum,
    "value_count": len,
    "cardinality": lambda values: len(set(values)),
    "stats": len,
}
