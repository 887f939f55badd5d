"""Files before they are read: their names, their bytes, what is known of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from efive.errors import InputError
from efive.search.documents import Document, Section, Value

Report = Callable[[str], None]
"""Told a sentence of what was left out and why."""


@dataclass(frozen=True, slots=True)
class Options:
    """How files are read."""

    kind: str | None = None
    """Reads every file as one of `kinds.KINDS`; None goes by the file's name."""
    text_field: str | None = None
    """The field of records that holds the text; None takes the first of the usual names that there is."""
    id_field: str | None = None
    """The field of records that holds the id; None takes `id` or `_id`, or else numbers them."""
    max_bytes: int = 64 << 20
    """The largest text that is read, as a file, as one record, or as the text of a PDF. Bounds memory."""
    skip: Report | None = None
    """Told of bad records, which are left out: ten of a file for the same reason, then how many more there were.

    None makes a bad record an error, and what follows it is not read.
    """
    notice: Report | None = None
    """Told of parts of good documents that are left out, such as columns that metadata cannot hold."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reader makes of a text: a document that has no name yet."""

    text: str
    sections: Sequence[Section] = ()
    title: str | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)
    lines: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A file that can be read as documents."""

    path: Path
    name: str
    """What its documents are named after: `path` in the way that people shall see it."""
    stream: BinaryIO | None = None
    """Read in place of `path`, for stdin."""

    @classmethod
    def of(cls, path: Path) -> "File":
        """Return the file at `path`, named after its path with forward slashes."""
        return cls(path, path.as_posix())

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Open the bytes; a stream is the caller's and stays open."""
        return nullcontext(self.stream) if self.stream else self.path.open("rb")

    def contents(self, max_bytes: int) -> bytes:
        """Return all bytes.

        Raises:
            InputError: if there are more than `max_bytes`.
        """
        with self.open() as opened:
            return _limited(opened, max_bytes)

    @contextmanager
    def seekable(self, max_bytes: int) -> Iterator[BinaryIO]:
        """Open the bytes for reading to and fro; those of a pipe are read whole first.

        Raises:
            InputError: if a pipe has more than `max_bytes`.
        """
        with self.open() as opened:
            is_file = not self.stream and opened.seekable()
            yield opened if is_file else BytesIO(_limited(opened, max_bytes))

    def metadata(self, kind: str) -> dict[str, Value]:
        """Return what is known of the file without reading it."""
        known: dict[str, Value] = {"path": self.name, "name": self.path.name, "kind": kind}
        if self.stream is None:
            with suppress(ValueError, OverflowError):  # a clock beyond the year 9999
                modified = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
                known["modified"] = modified.isoformat(timespec="seconds")
        return known

    def document(self, kind: str, parsed: Parsed) -> Document:
        """Return the document that the whole file is.

        Raises:
            InputError: if there is no text.
        """
        if not parsed.text.strip():
            raise InputError("it is empty: there is no text in it")
        title: dict[str, Value] = {"title": parsed.title} if parsed.title else {}
        metadata = {**parsed.metadata, **title, **self.metadata(kind)}
        return Document(self.name, parsed.text, metadata, parsed.sections, parsed.lines)


def _limited(opened: BinaryIO, max_bytes: int) -> bytes:
    raw = opened.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise InputError(f"it is larger than the limit of {mebibytes(max_bytes)}; split it, or raise the limit")
    return raw


def mebibytes(size: int) -> str:
    """Return `size` in bytes for people."""
    return f"{size / (1 << 20):.4g} MiB"
