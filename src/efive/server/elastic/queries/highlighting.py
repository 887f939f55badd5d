"""The parts of fields that match: passages of semantic_text fields, marked words of the others."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from efive.search.store import Entry
from efive.search.terms import Span, highlights
from efive.server.elastic.errors import unsupported
from efive.server.elastic.indices.mapping import Field, FieldType
from efive.server.elastic.indices.mapping import Mapping as IndexMapping
from efive.server.elastic.queries.evaluation import Embedded
from efive.server.elastic.queries.expanding import shown_parts, vector_of
from efive.server.elastic.queries.paths import matcher, texts_at
from efive.server.elastic.queries.plan import Highlight
from efive.server.elastic.queries.tree import Knn, Match, Phrase, Query, Semantic, Term, Terms
from efive.vectors import Floats

_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


class Highlighter:
    """Highlights documents of one index for one search."""

    def __init__(
        self, mapping: IndexMapping, asked: Sequence[Highlight], queries: Sequence[Query], embedded: Embedded
    ) -> None:
        self._mapping = mapping
        self._embedded = embedded
        self._fields = [
            (field, each, [part for query in ((each.query,) if each.query else queries) for part in
                           shown_parts(query, mapping)])
            for each in asked
            for path, field in mapping.fields.items()
            if path == each.field or matcher(each.field).fullmatch(path)
        ]  # fmt: skip
        for field, each, _ in self._fields:
            if each.type == "semantic" and field.type is not FieldType.SEMANTIC_TEXT and each.field == field.path:
                raise unsupported(f"the [semantic] highlighter on the field [{field.path}] of type [{field.type}]")
            if each.type not in {None, "semantic"} and field.type is FieldType.SEMANTIC_TEXT:
                raise unsupported(f"the [{each.type}] highlighter on the semantic_text field [{field.path}]")

    def wants_chunks(self, path: str) -> bool:
        """Say whether passages of a field are needed."""
        return any(field.path == path for field, _, _ in self._fields)

    def marked(self, source: Mapping[str, Any], chunks: Mapping[str, Entry]) -> dict[str, list[str]]:
        """Return the fragments of a document, by field."""
        found: dict[str, list[str]] = {}
        for field, how, parts in self._fields:
            if field.type is FieldType.SEMANTIC_TEXT:
                fragments = self._passages(field, how, parts, chunks.get(field.path))
            else:
                texts = texts_at(source, field.of or field.path)
                fragments = _fragments(texts, _asked(parts, field if how.own_field_only else None), how, field)
            if fragments:
                found[field.path] = fragments
        return found

    def _passages(self, field: Field, how: Highlight, parts: Iterable[Query], entry: Entry | None) -> list[str]:
        vectors = list(self._vectors(field, parts))
        if entry is None or not vectors:
            return []
        scores = np.max(np.stack([entry.vectors @ vector for vector in vectors]), axis=0)
        best = np.argsort(-scores, kind="stable")[: how.fragments or None].tolist()
        return [entry.passages[place].text for place in (best if how.by_score else sorted(best))]

    def _vectors(self, field: Field, parts: Iterable[Query]) -> Iterable[Floats]:
        for part in parts:
            if isinstance(part, Knn | Semantic | Match) and part.field == field.path:
                asked = vector_of(part, self._mapping)
                if isinstance(part, Knn) and part.vector is not None:
                    yield part.vector
                elif asked is not None:
                    yield self._embedded[asked]


def _asked(parts: Iterable[Query], field: Field | None) -> list[str]:
    """Return the texts that queries ask for in a field; None: in any."""
    texts: list[str] = []
    for part in parts:
        if not isinstance(part, Match | Phrase | Term | Terms | Semantic) or (field and part.field != field.path):
            continue
        match part:
            case Match() | Term():
                texts.append(str(part.value))
            case Terms():
                texts += map(str, part.values)
            case _:
                texts.append(part.text)
    return texts


def _fragments(texts: Sequence[str], asked: Sequence[str], how: Highlight, field: Field) -> list[str]:
    found: list[tuple[int, int, str]] = []
    for text in texts:
        spans = _spans(text, asked, field)
        for start, end in [(0, len(text))] if how.fragments == 0 else _pieces(text, how.length):
            inside = [span for span in spans if start <= span[0] < end]
            if inside:
                found.append((len(inside), len(found), _marked(text, (start, end), inside, how)))
    if not found and how.without_match and texts:
        return [texts[0][: how.without_match]]
    # The fragments with the most matches, then, unless their order is by score, as they stand in the text.
    best = sorted(found, key=lambda each: (-each[0], each[1]))[: how.fragments or None]
    return [text for _, _, text in (best if how.by_score else sorted(best, key=lambda each: each[1]))]


def _spans(text: str, asked: Sequence[str], field: Field) -> list[Span]:
    if field.type is not FieldType.TEXT:
        return [(0, len(text))] if text in asked else []
    return highlights(text, "\n".join(asked)) if asked else []


def _pieces(text: str, length: int) -> list[Span]:
    """Return sentences, short ones joined up to `length`."""
    ends = [found.end() for found in _SENTENCE.finditer(text)]
    pieces: list[Span] = []
    start = 0
    for end in [*ends, len(text)]:
        if pieces and end - pieces[-1][0] <= length:
            pieces[-1] = pieces[-1][0], end
        elif end > start:
            pieces.append((start, end))
        start = end
    return pieces


def _marked(text: str, piece: Span, spans: Sequence[Span], how: Highlight) -> str:
    parts, at = [], piece[0]
    for start, end in spans:
        parts += [_encoded(text[at:start], how), how.before, _encoded(text[start:end], how), how.after]
        at = end
    return ("".join(parts) + _encoded(text[at : max(piece[1], at)], how)).strip()


def _encoded(text: str, how: Highlight) -> str:
    return html.escape(text) if how.html else text
