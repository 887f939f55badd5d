"""From a search's body to what is asked for."""

from typing import Any

from efive.server.elastic.errors import ElasticError, illegal, unsupported
from efive.server.elastic.queries.aggregations import parse_aggregations
from efive.server.elastic.queries.bodies import Body
from efive.server.elastic.queries.highlight_parsing import highlights
from efive.server.elastic.queries.parsing import parse
from efive.server.elastic.queries.plan import BY_SCORE, WINDOW, Fused, Key, Search, Shown
from efive.server.elastic.queries.retriever_parsing import ranking

_REFUSED = (
    "collapse", "rescore", "suggest", "script_fields", "runtime_mappings", "indices_boost",
    "pit", "slice", "rank", "sub_searches", "explain", "profile", "terminate_after", "ext",
)  # fmt: skip
"""Not supported; what is false, empty or 0 asks for nothing."""
_NO_EFFECT = ("timeout", "stats")
_MODES = ("min", "max", "sum", "avg")


def parse_search(value: dict[str, Any]) -> Search:
    """Return the search that a body asks for.

    Raises:
        ElasticError: naming what cannot be used.
    """
    body = Body("search", value)
    for name in _REFUSED:
        if body.take(name):
            raise unsupported(f"[{name}] in a search")
    for name in _NO_EFFECT:
        body.take(name)
    offset, size = body.whole("from", 0), body.whole("size")
    assert offset is not None
    ranked = ranking(body, size)
    if size is None:  # fused rankings show all that they have ranked
        size = ranked.window if isinstance(ranked, Fused) else 10
    _check_window(offset, size)
    sort, after = _sort(body.listed("sort")), body.take("search_after")
    if isinstance(ranked, Fused) and after is not None:
        raise illegal("cannot specify [retriever] and [search_after]")
    filter_ = body.take("post_filter")
    found = Search(
        ranked, offset, size, sort, _after(after, sort, offset), None if filter_ is None else parse(filter_),
        body.number("min_score"), body.flag("track_scores"), _count(body.take("track_total_hits")),
        _shown(body), parse_aggregations(body.take("aggs", body.take("aggregations"))),
    )  # fmt: skip
    body.done()
    return found


def _check_window(offset: int, size: int) -> None:
    if offset < 0:
        raise illegal(f"[from] parameter cannot be negative but was [{offset}]")
    if size < 0:
        raise illegal(f"[size] parameter cannot be negative, found [{size}]")
    if offset + size > WINDOW:
        raise illegal(
            f"Result window is too large, from + size must be less than or equal to: [{WINDOW}] but was "
            f"[{offset + size}]. See the scroll api for a more efficient way to request large data sets. This limit "
            "can be set by changing the [index.max_result_window] index level setting."
        )


def _count(given: object) -> int | None:
    if given is None:
        return WINDOW
    if given in (True, "true"):
        return None
    if given in (False, "false"):
        return 0
    try:
        number = int(str(given))
    except ValueError:
        raise illegal(f"[track_total_hits] must be true, false or a number, not [{given}]") from None
    if number < -1:
        raise illegal(f"[track_total_hits] parameter must be positive or equals to -1, got {number}")
    return max(number, 0)  # -1 is Elasticsearch's other word for false


def _sort(given: list[Any]) -> tuple[Key, ...]:
    return tuple(key for each in given for key in _keys(each)) or BY_SCORE


def _keys(given: Any) -> list[Key]:  # noqa: ANN401 - JSON
    if isinstance(given, str):
        name, _, order = given.partition(":")
        return [_key(name, {"order": order} if order else {})]
    if isinstance(given, dict):
        return [_key(name, {"order": how} if isinstance(how, str) else how) for name, how in given.items()]
    raise illegal(f"malformed sort format: {given!r} is neither a field nor an object")


def _key(name: str, how: object) -> Key:
    if name in {"_script", "_geo_distance"}:
        raise unsupported(f"[{name}] sort")
    body = Body("field_sort", how)
    order = (body.text("order") or ("desc" if name == "_score" else "asc")).lower()
    if order not in {"asc", "desc"}:
        raise illegal(f"No enum constant for sort order [{order}]: it is asc or desc")
    missing, mode = body.take("missing"), body.text("mode")
    if missing not in (None, "_first", "_last"):
        raise unsupported("[sort] with a value for [missing]")
    if mode is not None and mode not in _MODES:
        raise unsupported(f"[sort] with [mode] {mode}")
    if body.take("nested") is not None:
        raise unsupported("[sort] with [nested]")
    body.take("numeric_type")
    unmapped = body.text("unmapped_type") is not None
    found = Key(name, order == "desc", missing == "_first", mode, unmapped, body.text("format"))
    body.done()
    return found


def _after(given: Any, sort: tuple[Key, ...], offset: int) -> tuple[object, ...] | None:  # noqa: ANN401
    if given is None:
        return None
    if not isinstance(given, list):
        raise illegal("[search_after] must be a list of values")
    if offset > 0:
        raise ElasticError(
            400, "action_request_validation_exception",
            "Validation Failed: 1: `from` parameter must be set to 0 when `search_after` is used;",
        )  # fmt: skip
    if len(given) != len(sort):
        raise illegal(f"search_after has {len(given)} value(s) but sort has {len(sort)}.")
    return tuple(given)


def _shown(body: Body) -> Shown:
    given = body.take("_source")
    source, includes, excludes, vectors = True, list[Any](), list[Any](), False
    if given is None:
        pass
    elif isinstance(given, bool):
        source = given
    elif isinstance(given, dict):
        inner = Body("_source", given)
        includes = inner.listed("includes") + inner.listed("include")
        excludes = inner.listed("excludes") + inner.listed("exclude")
        vectors = not inner.flag("exclude_vectors", default=True)
        inner.done()
    elif given in ("true", "false"):
        source = given == "true"
    else:
        includes = given if isinstance(given, list) else [given]
    fields = [_format(each) for each in body.listed("fields") + body.listed("docvalue_fields")]
    stored = body.listed("stored_fields")
    if any(name not in {"_none_", "_source"} for name in stored):
        raise unsupported("[stored_fields] other than _none_")
    return Shown(
        source and stored != ["_none_"], tuple(map(str, includes)), tuple(map(str, excludes)), vectors, tuple(fields),
        body.flag("version"), body.flag("seq_no_primary_term"), highlights(body.take("highlight")),
    )  # fmt: skip


def _format(given: object) -> tuple[str, str | None]:
    if isinstance(given, str):
        return given, None
    body = Body("fields", given)
    found = body.needed("field"), body.text("format")
    body.take("include_unmapped")
    body.done()
    return found
