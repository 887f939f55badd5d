"""What is indexed: documents, their sections, their metadata."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from efive.errors import InputError

Value = str | int | float | bool | list[str]
"""What a field of metadata may hold."""
Metadata = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document that no passage reaches out of."""

    start: int
    """First character of the document's text."""
    end: int
    """Behind the last character."""
    headings: tuple[str, ...] = ()
    """From the outermost to the section's own; every passage is embedded and found with them."""
    page: int | None = None
    """Number of the page that it is on, from 1, where there are pages."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text with a name."""

    id: str
    """Unique in a collection: adding a document of the same id replaces the one before."""
    text: str
    metadata: Metadata = field(default_factory=dict)
    """What `where` can ask for."""
    sections: Sequence[Section] = ()
    """In order, not overlapping; none means that the whole text is one section without headings."""
    lines: Sequence[int] = ()
    """The line of the source, from 1, that each line of `text` comes from; none means that they are the same.

    The last one stands for all lines that follow, so one is enough for a text that comes from one line.
    """


_LARGEST = 2**53
"""Beyond it, numbers that differ by one compare as equal."""


def check_metadata(metadata: Metadata, document: str) -> None:
    """Refuse metadata that no collection can keep.

    Raises:
        InputError: naming the document and the field.
    """
    for name, value in flat(metadata):
        if not name or any(c in name for c in "\n\r\t\0"):
            raise InputError(f"document {document!r}: {name!r} is no name for a field of metadata")
        if isinstance(value, float) and not isfinite(value):
            raise InputError(f"document {document!r}: metadata {name!r} is {value}, which is no number to compare with")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise InputError(f"document {document!r}: metadata {name!r} is {value}; keep so large a number as text")
        is_list = isinstance(value, list) and all(isinstance(v, str) for v in value)
        if not (isinstance(value, str | bool | int | float) or is_list):
            raise InputError(
                f"document {document!r}: metadata {name!r} is {type(value).__name__}; "
                "use text, a number, true or false, or a list of texts"
            )


def flat(metadata: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the fields of metadata; those of nested objects are named `outer.inner`, empty (null) ones left out."""
    for name, value in metadata.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        elif value is not None:
            yield f"{above}{name}", value
