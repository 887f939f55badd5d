"""From JSON to how matching parts of fields are shown."""

from dataclasses import replace
from typing import Any

from efive.server.elastic.errors import illegal, unsupported
from efive.server.elastic.queries.bodies import Body
from efive.server.elastic.queries.parsing import parse
from efive.server.elastic.queries.plan import Highlight

_TYPES = ("unified", "plain", "fvh", "semantic")
_REFUSED = ("matched_fields", "fragmenter", "boundary_chars", "boundary_scanner_locale", "phrase_limit", "options")


def highlights(value: object) -> tuple[Highlight, ...]:
    """Return what the `highlight` of a search's body asks for, field by field.

    Raises:
        ElasticError: naming what cannot be used.
    """
    if value is None:
        return ()
    body = Body("highlight", value)
    fields = body.take("fields", {})
    common = _options(Highlight(""), body)
    body.done()
    found = []
    for each in fields if isinstance(fields, list) else [fields]:
        for name, options in Body("highlight_field", each).items():
            inner = Body("highlight_field", options)
            found.append(_options(replace(common, field=name), inner))
            inner.done()
    return tuple(found)


def _options(base: Highlight, body: Body) -> Highlight:
    """Return `base`, changed as an object says."""
    for name in _REFUSED:
        if body.take(name) is not None:
            raise unsupported(f"[highlight] with [{name}]")
    for name in ("boundary_scanner", "boundary_max_scan", "force_source", "max_analyzed_offset", "tags_schema"):
        body.take(name)  # where fragments end is left to the highlighter anyway
    type_ = body.text("type", base.type)
    if type_ is not None and type_ not in _TYPES:
        raise illegal(f"unknown highlighter type [{type_}] for the field [{base.field}]")
    query = body.take("highlight_query")
    changed: dict[str, Any] = {
        "type": type_,
        "fragments": body.whole("number_of_fragments", base.fragments),
        "length": body.whole("fragment_size", base.length),
        "before": _first(body.listed("pre_tags"), base.before),
        "after": _first(body.listed("post_tags"), base.after),
        "by_score": body.text("order", "score" if base.by_score else None) == "score",
        "own_field_only": body.flag("require_field_match", default=base.own_field_only),
        "without_match": body.whole("no_match_size", base.without_match),
        "html": body.text("encoder", "html" if base.html else None) == "html",
        "query": base.query if query is None else parse(query),
    }
    return replace(base, **changed)


def _first(given: list[Any], otherwise: str) -> str:
    return str(given[0]) if given else otherwise
