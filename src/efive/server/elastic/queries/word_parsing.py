"""From JSON to queries of words: `match`, `match_phrase`, `multi_match`."""

from typing import Any

from efive.server.elastic.errors import illegal, unsupported
from efive.server.elastic.queries.bodies import Body, field_of, scalar
from efive.server.elastic.queries.minimum import check_at_least
from efive.server.elastic.queries.tree import Match, MultiMatch, Phrase, Query

_NO_EFFECT = (
    "prefix_length", "max_expansions", "fuzzy_transpositions", "fuzzy_rewrite",
    "auto_generate_synonyms_phrase_query",
)  # fmt: skip
_KINDS = ("best_fields", "most_fields", "cross_fields", "phrase")


def _words(body: Body) -> dict[str, Any]:
    """Return what match and multi_match say about the words of their text."""
    operator = (body.text("operator") or "or").lower()
    if operator not in {"and", "or"}:
        raise illegal(f"operator needs to be either [AND] or [OR], but not [{operator}]")
    fuzziness = str(body.take("fuzziness", 0)).upper()
    if fuzziness not in {"0", "0.0"}:
        raise unsupported(f"[{body.what}] with [fuzziness] {fuzziness}")
    if body.text("analyzer") is not None:
        raise unsupported(f"[{body.what}] with [analyzer]")
    for name in _NO_EFFECT:
        body.take(name)
    return {
        "every_word": operator == "and",
        "at_least": check_at_least(body.take("minimum_should_match")),
        "lenient": body.flag("lenient"),
    }


def match(what: str, value: object) -> Query:
    """Return a match query."""
    field, body = field_of(what, value, "query")
    text, words, common = scalar(body, "query"), _words(body), body.common()
    empty = (body.text("zero_terms_query") or "none").lower()
    if empty not in {"none", "all"}:
        raise illegal(f"Unsupported zero_terms_query value [{empty}]")
    body.done()
    return Match(field, text, all_if_empty=empty == "all", **words, **common)


def phrase(what: str, value: object) -> Query:
    """Return a phrase query."""
    field, body = field_of(what, value, "query")
    text, common = scalar(body, "query"), body.common()
    if body.whole("slop", 0):
        raise unsupported("[match_phrase] with [slop]")
    if body.text("analyzer") is not None:
        raise unsupported("[match_phrase] with [analyzer]")
    _refuse_all_if_empty(body)
    body.done()
    return Phrase(field, str(text), **common)


def multi_match(what: str, value: object) -> Query:
    """Return a multi_match query."""
    body = Body(what, value)
    text, words, common = scalar(body, "query"), _words(body), body.common()
    kind = body.text("type") or "best_fields"
    if kind not in _KINDS:
        raise unsupported(f"[multi_match] of type [{kind}]")
    if body.whole("slop", 0):
        raise unsupported("[multi_match] with [slop]")
    tie = body.number("tie_breaker")
    _refuse_all_if_empty(body)
    fields = tuple(_boosted(str(each)) for each in body.listed("fields"))
    body.done()
    return MultiMatch(text, fields, kind, tie, **words, **common)


def _refuse_all_if_empty(body: Body) -> None:
    if (body.text("zero_terms_query") or "none").lower() != "none":
        raise unsupported(f"[{body.what}] with [zero_terms_query] other than none")


def _boosted(field: str) -> tuple[str, float]:
    name, caret, boost = field.partition("^")
    try:
        return name, float(boost) if caret else 1.0
    except ValueError:
        raise illegal(f"[multi_match] cannot read the boost of [{field}]") from None
