"""The order of hits by other things than their scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.server.elastic import dates
from efive.server.elastic.errors import ElasticError, illegal
from efive.server.elastic.indices.mapping import FieldType
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries.bodies import LARGEST
from efive.server.elastic.queries.plan import Key
from efive.server.elastic.queries.ranking import Hits

_OWN = ("_score", "_doc", "_shard_doc", "_id", "_seq_no")


def values_of(reading: Reading, key: Key) -> dict[int, Any]:
    """Return what an index's documents are sorted by.

    Raises:
        ElasticError: if they cannot be sorted by this.
    """
    if key.field in {"_id", "_seq_no"}:
        return dict(reading.database.execute(f"SELECT row, {key.field[1:]} FROM document"))  # noqa: S608
    if key.field in _OWN:
        return {}
    field = reading.mapping.fields.get(key.field)
    if field is None:
        if key.unmapped:
            return {}
        raise ElasticError(400, "query_shard_exception", f"No mapping found for [{key.field}] in order to sort on")
    if field.type in {FieldType.TEXT, FieldType.SEMANTIC_TEXT, FieldType.DENSE_VECTOR, FieldType.OBJECT}:
        raise illegal(
            f"Fielddata is disabled on [{key.field}] in [{reading.index}]: fields of type [{field.type}] cannot be "
            "sorted by. Please use a keyword field instead."
        )
    column = "text" if field.type is FieldType.KEYWORD else "number"
    which = key.mode or ("max" if key.descending else "min")
    if column == "text" and which not in {"min", "max"}:
        raise illegal(f"unsupported sort mode [{which}] on a keyword field")
    query = f"SELECT row, {which}({column}) FROM value WHERE field = ? GROUP BY row"  # noqa: S608
    found = dict(reading.database.execute(query, (key.field,)))
    if field.type is FieldType.DATE and key.format:
        shown = {value: dates.shown(value, key.format) for value in set(found.values())}
        return {row: _Dated(value, shown[value]) for row, value in found.items()}
    return found


class _Dated(int):
    """A date that sorts by its milliseconds and shows as its format says."""

    text: str

    def __new__(cls, value: float, text: str) -> "_Dated":
        made = super().__new__(cls, value)
        made.text = text
        return made


def plain(key: Key, value: Any) -> object:  # noqa: ANN401
    """Return a sort value as hits show it."""
    if key.field == "_score":
        return np.float32(value)
    return value.text if isinstance(value, _Dated) else value


def document(place: int, row: int) -> int:
    """Return what a document is sorted by if that is its place among all."""
    return (place << 40) + row


def in_order(
    hits: Hits, keys: Sequence[Key], sorts: Sequence[Sequence[Mapping[int, Any]]], after: Sequence[object] | None
) -> tuple[npt.NDArray[np.intp], list[tuple[Any, ...]]]:
    """Return the order of hits, and the values that each is sorted by, in that order.

    Args:
        hits: in any order.
        keys: what to sort by, the first one first.
        sorts: for each index, for each key: row -> value.
        after: only what comes behind these values; None: all.
    """
    places, rows, scores = hits.places.tolist(), hits.rows.tolist(), hits.scores.tolist()
    columns = [_column(key, number, places, rows, scores, sorts) for number, key in enumerate(keys)]
    order = sorted(range(len(rows)), key=lambda at: (places[at], rows[at]))
    for key, column in reversed(list(zip(keys, columns, strict=True))):
        there = [at for at in order if column[at] is not None]
        lacking = [at for at in order if column[at] is None]
        try:
            there.sort(key=column.__getitem__, reverse=key.descending)
        except TypeError:
            raise illegal(f"the field [{key.field}] is of different types in the indices that are searched") from None
        order = lacking + there if key.missing_first else there + lacking
    values = [tuple(column[at] for column in columns) for at in order]
    if after is not None:
        behind = _behind(keys, tuple(_as_given(key, value) for key, value in zip(keys, after, strict=True)))
        kept = [n for n, each in enumerate(values) if behind(each)]
        order, values = [order[n] for n in kept], [values[n] for n in kept]
    return np.array(order, np.intp), values


def _column(
    key: Key, number: int, places: list[int], rows: list[int], scores: list[float],
    sorts: Sequence[Sequence[Mapping[int, Any]]],
) -> list[Any]:  # fmt: skip
    if key.field == "_score":
        return scores
    if key.field in {"_doc", "_shard_doc"}:
        return [document(place, row) for place, row in zip(places, rows, strict=True)]
    return [sorts[place][number].get(row) for place, row in zip(places, rows, strict=True)]


def _as_given(key: Key, value: object) -> object:
    if key.format and isinstance(value, str):
        return dates.span(value, f"{key.format}||{dates.DEFAULT}")[0]
    if value is not None and not isinstance(value, str | int | float):
        raise illegal(f"[search_after] cannot have [{value}] for the field [{key.field}]")
    if key.field == "_score" and isinstance(value, int | float) and abs(value) <= LARGEST:
        return float(np.float32(value))  # as it was before it was written
    return value


def _behind(keys: Sequence[Key], after: tuple[Any, ...]) -> Any:  # noqa: ANN401 - a function of such tuples
    def compared(one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
        for key, a, b in zip(keys, one, other, strict=True):
            if a is None or b is None:
                if a is not b:
                    return (-1 if key.missing_first else 1) * (1 if a is None else -1)
                continue
            if a != b:
                return (1 if a > b else -1) * (-1 if key.descending else 1)
        return 0

    def behind(values: tuple[Any, ...]) -> bool:
        try:
            return compared(values, after) > 0
        except TypeError:
            raise illegal("[search_after] has values of other types than the fields that are sorted by") from None

    return behind
