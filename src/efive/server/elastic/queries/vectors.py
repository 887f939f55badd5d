"""Scores of documents by their vectors, as Elasticsearch computes them."""

from collections.abc import Callable

from efive.server.elastic.errors import illegal
from efive.server.elastic.indices.mapping import Field, FieldType
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries.matches import NOTHING, Matches, Rows, scored
from efive.server.elastic.queries.nearest import Given, Neighbours, nearest, passages
from efive.vectors import Floats

_SCORES: dict[str, Callable[[float], float]] = {
    "cosine": lambda cosine: (1 + cosine) / 2,
    "dot_product": lambda product: (1 + product) / 2,
    "max_inner_product": lambda product: product + 1 if product >= 0 else 1 / (1 - product),
    "l2_norm": lambda negative: 1 / (1 - negative),
}
"""From similarities of `nearest`; of distances, they are negative squares."""


def near(
    reading: Reading, field: Field, vector: Floats, k: int, within: Rows | None, similarity: float | None = None
) -> Matches:
    """Return the `k` documents whose vectors in a field are nearest.

    Args:
        reading: the index.
        field: of type semantic_text or dense_vector.
        vector: (dimension,) float32.
        k: how many.
        within: only these documents; None: all.
        similarity: what a document must have at least; of l2_norm, the distance that it may have at most.

    Raises:
        ElasticError: for another type of field, another dimension.
    """
    measure = measure_of(field)
    neighbours = _neighbours(reading, field, vector, measure)
    if neighbours is None:
        return NOTHING
    found = nearest(reading, neighbours, k, within)
    if similarity is not None:
        least = -similarity * similarity if measure == "l2_norm" else similarity
        found = [each for each in found if each[1] >= least]
    return scored({row: _SCORES[measure](score) for row, score in found})


def measure_of(field: Field) -> str:
    """Return what makes two vectors of a field alike."""
    return "cosine" if field.type is FieldType.SEMANTIC_TEXT else str(field.options.get("similarity") or "cosine")


def _neighbours(reading: Reading, field: Field, vector: Floats, measure: str) -> Neighbours | None:
    if field.type is FieldType.SEMANTIC_TEXT:
        found = passages(reading.semantic.get(field.path), vector)
        if found is not None:
            _check(len(vector), found.snapshot.dimension)
        return found
    if field.type is not FieldType.DENSE_VECTOR:
        raise illegal(
            f"[knn] queries are only supported on [dense_vector, semantic_text] fields, "
            f"field [{field.path}] is of type [{field.type}]"
        )
    if "dims" in field.options:
        _check(len(vector), int(field.options["dims"]))
    stored = reading.vectors.get(field.path)
    return None if stored is None else Given(stored, vector, measure)


def _check(given: int, wanted: int) -> None:
    if given != wanted:
        raise illegal(f"the query vector has a different dimension [{given}] than the index vectors [{wanted}]")
