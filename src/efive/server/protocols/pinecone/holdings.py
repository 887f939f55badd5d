"""What a namespace holds: vectors as they were sent, or records that are documents of a collection."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from efive.errors import InputError
from efive.search.collection import Collection
from efive.search.conditions import Condition
from efive.search.documents import Document
from efive.search.folder import Folder, settings_of
from efive.search.lance.table import LanceStore
from efive.search.raw import Metric, RawVector
from efive.search.searching import Options, Question, search
from efive.search.store import Snapshot
from efive.search.wanted import codec_of
from efive.vectors import Floats


class Holding(Protocol):
    """What can be asked of every namespace; `efive.search.raw.RawVectors` is one. All of it takes its time."""

    def get(self, ids: Sequence[str]) -> list[RawVector]:
        """Return those that are there, in the order of `ids`."""

    def ids(self, where: Condition | None = None) -> Iterator[str]:
        """Yield all ids, or those that `where` holds for."""

    def count(self, where: Condition | None = None) -> int:
        """Return how many there are."""

    def nearest(self, query: Floats, limit: int, where: Condition | None = None) -> list[tuple[str, float]]:
        """Return the ids that are most like `query` with their scores, best first."""

    def remove(self, ids: Sequence[str]) -> None:
        """Remove those of the ids that are there."""

    def change(self, ids: Sequence[str], changed: Callable[[RawVector], RawVector]) -> None:
        """Store what `changed` makes of those that are there."""

    def close(self) -> None:
        """Let go."""


class Records:
    """Documents of a collection that is embedded by its own model. Each counts by its best passage."""

    def __init__(self, collection: Collection, text: str, metric: Metric) -> None:
        """Take a collection that may not be there yet; its first record makes it.

        Args:
            collection: of the namespace.
            text: the name of the field that is embedded.
            metric: how scores are written; unit vectors have the same order by any.
        """
        self.collection = collection
        self._folder = Folder(collection.path)
        self._text, self._metric = text, metric
        self._reader: tuple[tuple[int, int], LanceStore] | None = None

    def add(self, documents: Sequence[Document]) -> None:
        """Embed and store documents in place of those of the same ids."""
        self.collection.add(documents)

    def get(self, ids: Sequence[str]) -> list[RawVector]:
        """Return records, the text among their metadata, each with the vector of its first passage."""
        snapshot = self._snapshot()
        entries = snapshot.entries(ids) if snapshot and ids else []
        found = {
            e.document.id: RawVector(e.document.id, e.vectors[0], {**e.document.metadata, self._text: e.document.text})
            for e in entries
        }
        return [found[id_] for id_ in ids if id_ in found]

    def ids(self, where: Condition | None = None) -> Iterator[str]:
        """Yield all ids, or those that `where` holds for."""
        snapshot = self._snapshot()
        return snapshot.ids(where) if snapshot else iter(())

    def count(self, where: Condition | None = None) -> int:
        """Return how many records there are."""
        snapshot = self._snapshot()
        return snapshot.counts(where).documents if snapshot else 0

    def nearest(self, query: Floats, limit: int, where: Condition | None = None) -> list[tuple[str, float]]:
        """Return the ids whose passages are most like `query` with their scores, best first."""
        snapshot = self._snapshot()
        if snapshot is None:
            return []
        hits = search(snapshot, Question("", query), Options(k=limit, where=where, mode="dense"), None)
        return [(hit.document, self._score(hit.score)) for hit in hits]

    def _score(self, cosine: float) -> float:
        return 2 - 2 * cosine if self._metric is Metric.EUCLIDEAN else cosine

    def remove(self, ids: Sequence[str]) -> None:
        """Remove those of the ids that are there."""
        if self._folder.exists:
            self.collection.delete(ids)

    def change(self, ids: Sequence[str], changed: Callable[[RawVector], RawVector]) -> None:
        """Store what `changed` makes of those that are there; a text that changed is embedded anew.

        Raises:
            InputError: for a vector that changed, or a text that is none.
        """
        before = self.get(ids)
        documents = {document.id: document for document in self.collection.get(ids)} if before else {}
        self.add([self._changed(documents[old.id], old, changed(old)) for old in before if old.id in documents])

    def _changed(self, document: Document, old: RawVector, new: RawVector) -> Document:
        if new.values is not old.values:
            raise InputError("this index embeds its records itself: change the text, not the values")
        metadata = dict(new.metadata)
        text = metadata.pop(self._text)
        if not isinstance(text, str):
            raise InputError(f"record {document.id!r}: {self._text!r} must be text")
        sections = document.sections if text == document.text else ()
        return replace(document, text=text, metadata=metadata, sections=sections)

    def _snapshot(self) -> Snapshot | None:
        """Return the newest state, or None before the first record. A migration may have changed the generation."""
        if not self._folder.exists:
            return None
        seen = self._folder.changed()
        reader = self._reader
        if reader is None or reader[0] != seen:
            path = self._folder.generation()
            reader = self._reader = seen, LanceStore(path, codec_of(settings_of(path)))
        return reader[1].snapshot()

    def close(self) -> None:
        """Let go: the collection belongs to the server."""
        self._reader = None
