"""Documents on their way into a store: what is new is divided, embedded and stored, block by block."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from efive.encoder import Encoder
from efive.errors import InputError
from efive.inputs import Role
from efive.search.documents import Document
from efive.search.passages import Draft, Shape, check, digest, draft
from efive.search.store import Entry, Store
from efive.vectors import Floats

# Documents that are looked up together, to see which have changed.
_LOOKED_UP = 256

Report = Callable[[int], object]
"""Called with the number of documents that have just become safe."""
Refusal = Callable[[InputError], object]
"""Called with what is wrong about a document that is left out."""
Divide = Callable[[Document], Draft]
"""Makes the passages of a document, in another way than the collection does."""


@dataclass(slots=True)
class Added:
    """What became of the documents of one call."""

    new: int = 0
    """Embedded and stored for the first time, or anew because their text has changed."""
    unchanged: int = 0
    """Stored already, just as they are."""
    metadata: int = 0
    """Stored already but for their metadata, which was replaced."""
    refused: int = 0
    """Left out: no text, or metadata that cannot be kept."""
    passages: int = 0
    """Passages that were embedded."""


@dataclass
class Adding:
    """One call: where the documents go and who wants to know."""

    store: Store
    encoder: Encoder
    shape: Shape
    report: Report
    refused: Refusal | None
    """None: the first document that is refused ends the call, after those before it are stored."""
    wrote: Report = lambda _passages: None
    """Called with the number of passages that were just written."""
    divide: Divide | None = None
    """Divides a document, and puts the prefix before what the model reads; None: into windows of the collection's
    shape, whose prefix the encoder adds."""
    done: Added = field(default_factory=Added)
    waiting: deque[Draft] = field(default_factory=deque)
    """Documents that are divided, and not stored yet."""

    def run(self, documents: Iterable[Document]) -> Added:
        """Store what has changed, and return when all of it is safe.

        Raises:
            InputError: for a document that is refused, where nobody takes refusals.
        """
        broken: list[InputError] = []

        def inputs() -> Iterator[str]:
            try:
                for document in self._changed(iter(documents)):
                    if made := self._draft(document):
                        self.waiting.append(made)
                        yield from made.inputs
            except InputError as error:
                broken.append(error)

        loose = np.empty((0, self.encoder.dimension), dtype=np.float32)
        role = Role.PASSAGE if self.divide is None else Role.RAW
        for part in self.encoder.stream(inputs(), role):
            loose = np.concatenate([loose, part.vectors])
            entries, loose = _complete(self.waiting, loose)
            self._store(entries)
        if broken:
            raise broken[0]
        return self.done

    def _draft(self, document: Document) -> Draft | None:
        try:
            return draft(document, self.encoder, self.shape) if self.divide is None else self.divide(document)
        except InputError as error:
            self._refuse(error)
            return None

    def _changed(self, documents: Iterator[Document]) -> Iterator[Document]:
        """Yield the documents that have to be embedded; of equal ids the last one counts."""
        while group := list(islice(documents, _LOOKED_UP)):
            latest, broken = self._sound(group)
            known = self.store.snapshot().digests(list(latest))
            # What is about to be replaced is no measure of what comes after it.
            known |= dict.fromkeys((made.document.id for made in self.waiting), "")
            moved = []
            for name, document in latest.items():
                stored = known.get(name, "")
                wanted = digest(document)
                if stored == wanted:
                    self.done.unchanged += 1
                    self.report(1)
                elif stored.split(":")[0] == wanted.split(":")[0]:
                    moved.append(document)
                else:
                    yield document
            self._replace_metadata(moved)
            if broken:
                raise broken

    def _sound(self, group: list[Document]) -> tuple[dict[str, Document], InputError | None]:
        """Return the documents that can be stored, by id, up to the first refused one if nobody takes refusals."""
        latest: dict[str, Document] = {}
        for document in group:
            try:
                check(document)
            except InputError as error:
                if self.refused is None:
                    return latest, error
                self._refuse(error)
            else:
                latest[document.id] = document
        return latest, None

    def _refuse(self, error: InputError) -> None:
        if self.refused is None:
            raise error
        self.refused(error)
        self.done.refused += 1

    def _replace_metadata(self, documents: list[Document]) -> None:
        if not documents:
            return
        stored = {entry.document.id: entry for entry in self.store.snapshot().entries([d.id for d in documents])}
        self.store.replace([with_document(stored[document.id], document) for document in documents])
        self.done.metadata += len(documents)
        self.report(len(documents))

    def _store(self, entries: list[Entry]) -> None:
        # Two documents of the same id in one batch: the later one counts.
        latest = {entry.document.id: entry for entry in entries}
        self.store.replace(list(latest.values()))
        self.wrote(sum(len(entry.passages) for entry in latest.values()))
        self.done.new += len(latest)
        self.done.passages += sum(len(entry.passages) for entry in entries)
        if entries:
            self.report(len(entries))


def with_document(entry: Entry, document: Document) -> Entry:
    """Return what is stored of a document with other metadata and lines; its text must be the same."""
    passages = [replace(passage, metadata=document.metadata) for passage in entry.passages]
    return replace(entry, document=document, digest=digest(document), passages=passages)


def _complete(waiting: deque[Draft], vectors: Floats) -> tuple[list[Entry], Floats]:
    """Return the documents all of whose vectors are there, and the vectors that are left."""
    entries, used = [], 0
    while waiting and used + len(waiting[0].passages) <= len(vectors):
        made = waiting.popleft()
        own = vectors[used : used + len(made.passages)]
        entries.append(Entry(made.document, made.digest, made.passages, made.terms, own))
        used += len(own)
    return entries, vectors[used:]
