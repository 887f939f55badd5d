"""From JSON to queries."""

from collections.abc import Callable, Mapping
from typing import Any

from efive.server.elastic.errors import illegal, unparsable, unsupported
from efive.server.elastic.queries import value_parsing, vector_parsing, word_parsing
from efive.server.elastic.queries.bodies import Body
from efive.server.elastic.queries.minimum import check_at_least
from efive.server.elastic.queries.tree import Bool, ConstantScore, DisMax, MatchAll, MatchNone, Query

_DEEPEST = 30
"""Elasticsearch's own limit (`indices.query.bool.max_nested_depth`)."""
_UNSUPPORTED = frozenset({
    "boosting", "combined_fields", "common", "distance_feature", "function_score", "fuzzy", "geo_bounding_box",
    "geo_distance", "geo_grid", "geo_polygon", "geo_shape", "has_child", "has_parent", "intervals",
    "match_bool_prefix", "match_phrase_prefix", "more_like_this", "nested", "parent_id", "percolate", "pinned",
    "query_string", "rank_feature", "regexp", "rule", "script", "script_score", "shape", "simple_query_string",
    "span_containing", "span_first", "span_multi", "span_near", "span_not", "span_or", "span_term",
    "span_within", "sparse_vector", "terms_set", "text_expansion", "type", "weighted_tokens", "wrapper",
})  # fmt: skip


def parse(value: object, depth: int = 0) -> Query:
    """Return the query that `value`, JSON, writes.

    Raises:
        ElasticError: naming what cannot be used.
    """
    if not isinstance(value, Mapping):
        raise unparsable("[_na] query malformed, must start with start_object")
    if not value:
        raise illegal("query malformed, empty clause found")
    if depth > _DEEPEST:
        raise illegal(f"The nested depth of the query exceeds the maximum nested depth for queries set in [{_DEEPEST}]")
    (name, body), *more = value.items()
    if more:
        raise unparsable(f"[{name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]")
    if name in _UNSUPPORTED:
        raise unsupported(f"[{name}] query")
    if name in _JOINING:
        return _JOINING[name](name, body, depth + 1)
    if name not in _PARSERS:
        raise unparsable(f"unknown query [{name}]")
    return _PARSERS[name](name, body)


def parse_all(values: list[Any], depth: int = 0) -> tuple[Query, ...]:
    """Return queries of a list, as a clause of `bool` or a `filter` has it."""
    return tuple(parse(value, depth) for value in values)


def _nothing_else(kind: type[MatchAll | MatchNone]) -> Callable[[str, object], Query]:
    def parser(what: str, value: object) -> Query:
        body = Body(what, value)
        common = body.common()
        body.done()
        return kind(**common)

    return parser


def _bool(what: str, value: object, depth: int) -> Query:
    body = Body(what, value)
    if "mustNot" in body:
        raise illegal("[bool] unknown field [mustNot]; it is [must_not]")
    must, should, must_not, filter_ = (
        parse_all(body.listed(name), depth) for name in ("must", "should", "must_not", "filter")
    )
    at_least = check_at_least(body.take("minimum_should_match"))
    found = Bool(must, should, must_not, filter_, at_least, **body.common())
    body.take("adjust_pure_negative")
    body.done()
    return found


def _constant_score(what: str, value: object, depth: int) -> Query:
    body = Body(what, value)
    inner = body.take("filter")
    if inner is None:
        raise unparsable("[constant_score] requires a 'filter' element")
    found = ConstantScore(parse(inner, depth), **body.common())
    body.done()
    return found


def _dis_max(what: str, value: object, depth: int) -> Query:
    body = Body(what, value)
    queries = parse_all(body.listed("queries"), depth)
    if not queries:
        raise unparsable("[dis_max] requires 'queries' field with at least one clause")
    found = DisMax(queries, body.number("tie_breaker") or 0.0, **body.common())
    body.done()
    return found


def _knn(what: str, value: object, depth: int) -> Query:
    return vector_parsing.knn(what, value, lambda given: parse_all(given, depth))


_JOINING: dict[str, Callable[[str, object, int], Query]] = {
    "bool": _bool,
    "constant_score": _constant_score,
    "dis_max": _dis_max,
    "knn": _knn,
}
_PARSERS: dict[str, Callable[[str, object], Query]] = {
    "match_all": _nothing_else(MatchAll),
    "match_none": _nothing_else(MatchNone),
    "match": word_parsing.match,
    "match_phrase": word_parsing.phrase,
    "multi_match": word_parsing.multi_match,
    "term": value_parsing.term,
    "terms": value_parsing.terms,
    "range": value_parsing.range_,
    "exists": value_parsing.exists,
    "ids": value_parsing.ids,
    "prefix": value_parsing.prefix,
    "wildcard": value_parsing.wildcard,
    "semantic": vector_parsing.semantic,
}
