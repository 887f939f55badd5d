"""From JSON to queries that compare vectors: `semantic`, and `knn` in its three places."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from efive.server.elastic.errors import illegal, invalid_action, unsupported
from efive.server.elastic.queries.bodies import Body
from efive.server.elastic.queries.tree import Knn, Query, Semantic
from efive.vectors import Floats

_MOST = 10_000
"""Neighbours, and candidates to be one, of a kNN search."""
Filters = Callable[[list[Any]], tuple[Query, ...]]


def semantic(what: str, value: object) -> Query:
    """Return a semantic query."""
    body = Body(what, value)
    found = Semantic(body.needed("field"), body.needed("query"), **body.common())
    body.done()
    return found


def knn(what: str, value: object, filters: Filters) -> Knn:
    """Return a kNN search.

    Args:
        what: its name, for errors.
        value: JSON.
        filters: parses its filters.

    Raises:
        ElasticError: naming what cannot be used.
    """
    body = Body(what, value)
    field = body.needed("field")
    vector, (model, text) = body.take("query_vector"), _builder(body)
    if (vector is None) == (text is None):
        raise illegal(
            f"[{what}] either [query_vector_builder] or [query_vector] must be provided"
            if vector is None
            else f"[{what}] cannot provide both [query_vector_builder] and [query_vector]"
        )
    k, candidates = body.whole("k"), body.whole("num_candidates")
    _check_counts(k, candidates)
    for name in ("inner_hits", "rescore_vector"):
        if body.take(name) is not None:
            raise unsupported(f"[{what}] with [{name}]")
    found = Knn(
        field, None if vector is None else vector_of(vector), model, text, k,
        filters(body.listed("filter")), body.number("similarity"), **body.common(),
    )  # fmt: skip
    if (visited := body.number("visit_percentage")) is not None and not 0 <= visited <= 100:
        raise illegal(f"[visit_percentage] must be between 0.0 and 100.0, got [{visited}]")
    body.done()
    return found


def _builder(body: Body) -> tuple[str | None, str | None]:
    given = body.take("query_vector_builder")
    if given is None:
        return None, None
    for name, value in Body("query_vector_builder", given).items():
        if name == "text_embedding":
            inner = Body(name, value)
            found = inner.text("model_id"), inner.needed("model_text")
            inner.done()
            return found
        raise unsupported(f"[query_vector_builder] of type [{name}]")
    raise illegal("[query_vector_builder] is empty; it needs [text_embedding]")


def _check_counts(k: int | None, candidates: int | None) -> None:
    if k is not None and k < 1:
        raise illegal("[k] must be greater than 0")
    if candidates is not None:
        if candidates < 1:
            raise illegal("[num_candidates] must be greater than 0")
        if k is not None and candidates < k:
            raise illegal(f"[num_candidates] cannot be less than [k]: [{candidates}] < [{k}]")
        if candidates > _MOST:
            raise illegal(f"[num_candidates] cannot exceed [{_MOST}]")
    if k is not None and k > _MOST:
        raise invalid_action(f"[k] cannot exceed [{_MOST}]")


def vector_of(given: object) -> Floats:
    """Return a vector that a request writes as a list of numbers.

    Raises:
        ElasticError: if it is none.
    """
    if isinstance(given, str):
        raise unsupported("a [query_vector] that is written as text")
    numbers = isinstance(given, list) and all(
        isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= sys.float_info.max for x in given
    )
    if not numbers or not given:
        raise illegal("[query_vector] must be a list of finite numbers")
    with np.errstate(over="ignore"):
        vector = np.array(given, np.float32)
    if not np.isfinite(vector).all():
        raise illegal("[query_vector] has a number that is too large for a 32 bit float")
    return vector
