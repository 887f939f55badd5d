"""What a collection asks of the store that keeps its passages.

A store keeps rows and finds them; it embeds nothing and knows no encoder. Everything that is written is one batch,
stored wholly or not at all. Everything that is read comes from a snapshot: the collection as it was at one moment,
which stays readable while others write.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from efive.search.conditions import Condition
from efive.search.documents import Document, Metadata
from efive.vectors import Floats

Rows = npt.NDArray[np.uint64]
"""Names of passages within one snapshot."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A window of a document: what has a vector and what is found."""

    document: str
    number: int
    """Its place among the document's passages, from 0."""
    text: str
    start: int
    """First character in the document's text."""
    end: int
    """Behind the last character."""
    line: int
    """Line of the source on which it starts, from 1."""
    page: int | None
    headings: tuple[str, ...]
    metadata: Metadata
    """The document's."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document as it is stored: with its digest and its passages, embedded."""

    document: Document
    digest: str
    """Of text, metadata and sections: says whether a document has changed."""
    passages: Sequence[Passage]
    terms: Sequence[str]
    """What full text search finds each passage by: terms, separated by spaces."""
    vectors: Floats
    """(passages, dimension) float32, unit length."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Passages that one kind of search found, best first."""

    rows: Rows
    documents: list[str]
    scores: Floats
    """(n,) cosines, or BM25 scores."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is."""

    documents: int
    passages: int


class Snapshot(Protocol):
    """A collection at one moment. Safe to use from several threads."""

    @property
    def dimension(self) -> int:
        """Numbers of a vector."""

    def dense(self, query: Floats, limit: int, where: Condition | None, *, exact: bool = False) -> Matches:
        """Return the passages with the highest cosines; `exact` compares with every one of them."""

    def compared(self, query: Floats, ids: Sequence[str]) -> list[tuple[str, float]]:
        """Return those of the documents that are there, each with the cosine of its best passage, in any order."""

    def text(self, terms: Sequence[str], limit: int, where: Condition | None) -> Matches:
        """Return the passages with the highest BM25 scores."""

    def vectors(self, rows: Rows) -> Floats:
        """Return the vectors of `rows`, in their order: (n, dimension) float32."""

    def passages(self, rows: Rows) -> list[Passage]:
        """Return `rows` in their order."""

    def sample(self, size: int) -> tuple[list[str], Floats]:
        """Return at most `size` passages, spread evenly, the same ones each time: their documents and vectors."""

    def documents(self, ids: Sequence[str]) -> list[Document]:
        """Return those of the documents that are there, in the order of `ids`."""

    def digests(self, ids: Sequence[str] | None) -> dict[str, str]:
        """Return the digests of those of the documents that are there; None asks for all."""

    def ids(self, where: Condition | None = None) -> Iterator[str]:
        """Yield the ids of all documents, or of those that `where` holds for, in no particular order."""

    def entries(self, ids: Sequence[str]) -> list[Entry]:
        """Return documents with all that is stored of them."""

    def counts(self, where: Condition | None = None) -> Counts:
        """Count documents and passages."""


class Store(Protocol):
    """Keeps passages. One process writes; any number may read."""

    def snapshot(self) -> Snapshot:
        """Return the newest state."""

    def replace(self, entries: Sequence[Entry]) -> None:
        """Store documents in place of those of the same ids, all or none; they are on the disk when this returns.

        Raises:
            StoreError: if it cannot be written; the store is as it was before.
        """

    def remove(self, ids: Sequence[str]) -> None:
        """Remove documents, all or none."""

    def maintain(self, *, force: bool = False) -> None:
        """Build and tidy up what makes search fast, if that pays by now; searches go on meanwhile."""

    def bytes(self) -> int:
        """Return how much disk it takes."""

    def close(self) -> None:
        """Let go of the store."""
