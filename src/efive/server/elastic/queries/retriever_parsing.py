"""From JSON to rankings: retrievers, or a query with kNN searches beside it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from efive.server.elastic.errors import illegal, unparsable, unsupported
from efive.server.elastic.queries import vector_parsing
from efive.server.elastic.queries.bodies import LARGEST, Body
from efive.server.elastic.queries.parsing import parse, parse_all
from efive.server.elastic.queries.plan import WINDOW, Fused, Leaf, Part, Ranking
from efive.server.elastic.queries.tree import Bool, MatchAll, Query

_DEEPEST = 10
_UNSUPPORTED = frozenset({"text_similarity_reranker", "rule", "pinned", "rescorer", "random_reranker", "diversify"})
_NORMALIZERS = ("none", "minmax", "l2_norm")


def ranking(body: Body, size: int | None) -> Ranking:
    """Return what the `retriever`, or `query` and `knn`, of a search's body ask for.

    Args:
        body: of the search.
        size: how many hits it says that it wants; None: nothing.

    Raises:
        ElasticError: naming what cannot be used.
    """
    query, knn, retriever = body.take("query"), body.listed("knn"), body.take("retriever")
    if retriever is None:
        sections = tuple(vector_parsing.knn("knn", each, parse_all) for each in knn)
        if query is None:
            return Leaf(None if sections else MatchAll(), sections)
        return Leaf(parse(query), sections)
    for name, value in (("query", query), ("knn", knn), ("sort", "sort" in body), ("min_score", "min_score" in body)):
        if value:
            raise illegal(f"cannot specify [retriever] and [{name}]")
    return _retriever(retriever, (), size, 0)


def _retriever(value: object, filters: tuple[Query, ...], size: int | None, depth: int) -> Ranking:
    """Return a retriever as a ranking; `filters` of those around it hold for it too."""
    if depth > _DEEPEST:
        raise illegal(f"retrievers are nested more than {_DEEPEST} levels deep")
    named = list(Body("retriever", value).items())
    if len(named) != 1:
        raise unparsable("[retriever] malformed, it must have exactly one type")
    name, inner = named[0]
    if name in _UNSUPPORTED:
        raise unsupported(f"[{name}] retriever")
    if name not in _PARSERS:
        raise unparsable(f"unknown retriever [{name}]")
    body = Body(name, inner)
    if name != "knn":  # there it is the query's own
        filters += parse_all(body.listed("filter"))
        body.take("_name")
    found = _PARSERS[name](body, filters, size, depth)
    body.done()
    return found


def _standard(body: Body, filters: tuple[Query, ...], _size: int | None, _depth: int) -> Ranking:
    for name in ("sort", "search_after", "terminate_after", "collapse"):
        if body.take(name):
            raise unsupported(f"[standard] retriever with [{name}]")
    given = body.take("query")
    query = MatchAll() if given is None else parse(given)
    return Leaf(Bool(must=(query,), filter=filters) if filters else query, least=body.number("min_score"))


def _knn(body: Body, filters: tuple[Query, ...], _size: int | None, _depth: int) -> Ranking:
    least = body.number("min_score")
    found = vector_parsing.knn("knn", dict(body.items()), parse_all)
    if found.k is None:
        raise illegal("Required [k]: a [knn] retriever needs it")
    return Leaf(None, (replace(found, filter=found.filter + filters),), least)


def _window(body: Body, size: int | None) -> int:
    window = body.whole("rank_window_size")
    if window is None:
        return max(size or 0, 10)
    if window < 1 or window > WINDOW:
        raise illegal(f"[rank_window_size] must be between 1 and [{WINDOW}], got [{window}]")
    if size is not None and window < size:
        raise illegal(f"[{body.what}] [rank_window_size: {window}] must be greater than or equal to [size: {size}]")
    return window


def _check_simple(body: Body) -> None:
    """Refuse the short form that names fields and a text in place of retrievers."""
    if body.take("fields") is not None or body.take("query") is not None:
        raise unsupported(f"[{body.what}] retriever with [fields] and [query]")


def _rrf(body: Body, filters: tuple[Query, ...], size: int | None, depth: int) -> Ranking:
    _check_simple(body)
    constant, least = body.whole("rank_constant", 60), body.number("min_score")
    assert constant is not None
    if constant < 1:
        raise illegal(f"[rank_constant] must be greater or equal to [1] for [rrf], got [{constant}]")
    window = _window(body, size)
    parts = []
    for each in body.listed("retrievers"):
        weight = 1.0
        if isinstance(each, dict) and "retriever" in each:
            weighted = Body("rrf", each)
            each, weight = weighted.take("retriever"), _weight(weighted)  # noqa: PLW2901
            weighted.done()
        parts.append(Part(_retriever(each, filters, window, depth + 1), weight))
    if len(parts) < 2:
        raise illegal(f"[rrf] needs at least two [retrievers], got [{len(parts)}]")
    return Fused(tuple(parts), window, constant, least)


def _linear(body: Body, filters: tuple[Query, ...], size: int | None, depth: int) -> Ranking:
    _check_simple(body)
    normalizer, least, window = body.text("normalizer") or "none", body.number("min_score"), _window(body, size)
    parts = []
    for each in body.listed("retrievers"):
        inner = Body("linear", each)
        weight, own = _weight(inner), inner.text("normalizer") or normalizer
        if own not in _NORMALIZERS:
            raise illegal(f"Unknown normalizer [{own}]: there are {', '.join(_NORMALIZERS)}")
        parts.append(Part(_retriever(inner.take("retriever"), filters, window, depth + 1), weight, own))
        inner.done()
    if not parts:
        raise illegal("[linear] needs [retrievers]")
    return Fused(tuple(parts), window, None, least)


def _weight(body: Body) -> float:
    weight = body.number("weight")
    if weight is not None and weight < 0:
        raise illegal(f"[weight] must be non-negative, got [{weight}]")
    if weight is not None and weight > LARGEST:
        raise illegal(f"[weight] must be a number of 32 bits, not {weight:g}")
    return 1.0 if weight is None else weight


_PARSERS: dict[str, Callable[[Body, tuple[Query, ...], int | None, int], Ranking]] = {
    "standard": _standard,
    "knn": _knn,
    "rrf": _rrf,
    "linear": _linear,
}


def any_ranking(value: dict[str, Any]) -> Ranking:
    """Return the ranking of a body that has nothing but `query`: of count, of delete by query."""
    body = Body("query", value)
    found = ranking(body, None)
    body.done()
    return found
