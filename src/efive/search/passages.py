"""From a document to the passages that are embedded and found."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from efive.encoder import Encoder
from efive.errors import InputError
from efive.search.documents import Document, Section, check_metadata
from efive.search.store import Passage
from efive.search.terms import index_terms
from efive.text.chunking import Span

_JOIN = " > "


@dataclass(frozen=True, slots=True)
class Shape:
    """How documents are divided. The same for all documents of a collection."""

    window: int
    """Tokens of a passage, headings, prefix and special tokens included."""
    overlap: int
    """Tokens that neighbouring passages share, at most."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A document divided, not embedded yet."""

    document: Document
    digest: str
    passages: list[Passage]
    inputs: list[str]
    """What the encoder reads for each passage: its headings and its text."""
    terms: list[str]


Windows = Callable[[str, str], tuple[str, Sequence[Span]]]
"""Divides the text of a section, below its headings; returns the headings that fit, and characters (start, end)."""


def draft(document: Document, encoder: Encoder, shape: Shape) -> Draft:
    """Divide a document into passages of a shape, section by section.

    Raises:
        InputError: naming the document, if it has no text or cannot be divided.
    """

    def windows(text: str, context: str) -> tuple[str, Sequence[Span]]:
        return encoder.windows(text, size=shape.window, overlap=shape.overlap, context=context)

    return divided(document, windows)


def divided(document: Document, windows: Windows) -> Draft:
    """Divide a document into passages, section by section.

    Raises:
        InputError: naming the document, if it has no text or cannot be divided.
    """
    check(document)
    made = Draft(document, digest(document), [], [], [])
    starts = _line_starts(document.text)
    for section in document.sections or [Section(0, len(document.text))]:
        text = document.text[section.start : section.end]
        if not text.strip():
            continue
        context = _JOIN.join(section.headings) + "\n" if section.headings else ""
        try:
            context, spans = windows(text, context)
        except InputError as error:
            raise InputError(f"document {document.id!r}: {error}") from None
        for start, end in spans:
            first = section.start + start
            made.passages.append(
                Passage(
                    document=document.id,
                    number=len(made.passages),
                    text=text[start:end],
                    start=first,
                    end=section.start + end,
                    line=_line(first, starts, document.lines),
                    page=section.page,
                    headings=section.headings,
                    metadata=document.metadata,
                )
            )
            made.inputs.append(context + text[start:end])
            made.terms.append(index_terms(context + text[start:end]))
    if not made.passages:
        raise InputError(f"document {document.id!r} has no text in its sections")
    return made


def check(document: Document) -> None:
    """Refuse a document that cannot be stored.

    Raises:
        InputError: naming the document.
    """
    if not document.id or "\x1f" in document.id or "\n" in document.id:
        raise InputError(f"{document.id!r} is no id of a document: it must be text on one line, and not empty")
    if not document.text.strip():
        raise InputError(f"document {document.id!r} has no text")
    for text, what in ((document.id, "id"), (document.text, "text")):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"document {document.id!r}: its {what} has a lone surrogate at character {error.start}: "
                "it was decoded wrongly"
            ) from None
    check_metadata(document.metadata, document.id)


def digest(document: Document) -> str:
    """Return a digest of what is embedded and one of the rest, joined by a colon."""
    sections = [(s.start, s.end, s.headings, s.page) for s in document.sections]
    embedded = _hash([document.text, sections])
    return f"{embedded}:{_hash([dict(document.metadata), list(document.lines)])}"


def _hash(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _line_starts(text: str) -> list[int]:
    starts = [0]
    while found := text.find("\n", starts[-1]) + 1:
        starts.append(found)
    return starts


def _line(position: int, starts: Sequence[int], lines: Sequence[int]) -> int:
    """Return the source's line, from 1, of the character at `position`."""
    number = bisect_right(starts, position) - 1
    return lines[min(number, len(lines) - 1)] if lines else number + 1
