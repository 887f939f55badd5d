"""From JSON to queries of values: `term`, `range`, `exists` and the like."""

from collections.abc import Mapping

from efive.server.elastic.errors import illegal, unparsable, unsupported
from efive.server.elastic.queries.bodies import Body, field_of, scalar
from efive.server.elastic.queries.tree import Exists, Ids, Pattern, Query, Range, Term, Terms

_MOST_TERMS = 65_536


def term(what: str, value: object) -> Query:
    """Return a term query."""
    field, body = field_of(what, value, "value")
    found = Term(field, scalar(body, "value"), body.flag("case_insensitive"), **body.common())
    body.done()
    return found


def terms(what: str, value: object) -> Query:
    """Return a terms query."""
    body = Body(what, value)
    common = body.common()
    named = list(body.items())
    if len(named) != 1:
        raise unparsable("[terms] query requires a field name" if not named else
                         "[terms] query does not support multiple fields")  # fmt: skip
    field, values = named[0]
    if isinstance(values, Mapping):
        raise unsupported("[terms] lookup")
    if not isinstance(values, list):
        raise unparsable(f"[terms] query does not support [{field}]: a list of values is needed")
    if len(values) > _MOST_TERMS:
        raise illegal(
            f"The number of terms [{len(values)}] used in the Terms Query request has exceeded the allowed maximum of "
            f"[{_MOST_TERMS}]."
        )
    if wrong := [each for each in values if not isinstance(each, str | int | float | bool)]:
        raise illegal(f"[terms] values must be single ones, not {wrong[0]!r}")
    return Terms(field, tuple(values), **common)


def range_(what: str, value: object) -> Query:
    """Return a range query."""
    field, body = field_of(what, value, "gte")
    relation = (body.text("relation") or "intersects").lower()
    if relation != "intersects":
        raise unsupported(f"[range] with [relation] {relation}")
    above, from_, below, to = (body.take(name) for name in ("gt", "gte", "lt", "lte"))
    if wrong := [each for each in (above, from_, below, to) if not isinstance(each, str | int | float | None)]:
        raise illegal(f"[range] values must be single ones, not {wrong[0]!r}")
    found = Range(field, above, from_, below, to, body.text("format"), body.text("time_zone"), **body.common())
    body.done()
    return found


def exists(what: str, value: object) -> Query:
    """Return an exists query."""
    body = Body(what, value)
    found = Exists(body.needed("field"), **body.common())
    body.done()
    return found


def ids(what: str, value: object) -> Query:
    """Return an ids query."""
    body = Body(what, value)
    found = Ids(tuple(str(each) for each in body.listed("values")), **body.common())
    body.done()
    return found


def prefix(what: str, value: object) -> Query:
    """Return a prefix query."""
    field, body = field_of(what, value, "value")
    found = Pattern(field, _escaped(str(scalar(body, "value"))) + "*", body.flag("case_insensitive"), **body.common())
    body.take("rewrite")
    body.done()
    return found


def wildcard(what: str, value: object) -> Query:
    """Return a wildcard query."""
    field, body = field_of(what, value, "value")
    pattern = str(scalar(body, "wildcard" if "wildcard" in body else "value"))
    glob, escaped = "", False
    for c in pattern:
        if escaped or c == "[":
            glob, escaped = glob + _escaped(c), False
        elif c == "\\":
            escaped = True
        else:
            glob += c
    found = Pattern(field, glob, body.flag("case_insensitive"), **body.common())
    body.take("rewrite")
    body.done()
    return found


def _escaped(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
