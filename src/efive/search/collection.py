"""Collection: documents, kept with the space that they are embedded in, and searched."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from efive.encoder import Encoder
from efive.errors import CollectionError, InputError
from efive.jsonlines import encodable
from efive.search import calibrating, exporting, searching, sentences
from efive.search.adding import Added, Adding, Divide, Refusal, Report, with_document
from efive.search.asking import SearchOptions, Where, checked, condition
from efive.search.calibrating import Fitted
from efive.search.confidence import SAMPLE, Background
from efive.search.documents import Document, Metadata
from efive.search.folder import Folder, keep_calibration
from efive.search.generation import Generation, Opened
from efive.search.passages import check
from efive.search.searching import Hit, Question
from efive.search.store import Entry, Snapshot
from efive.search.upkeep import Upkeep
from efive.search.wanted import Wanted, vectors_named
from efive.space import Space
from efive.vectors import Floats

_GROUP = 256
"""Documents that are read together."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a collection holds."""

    documents: int
    passages: int
    bytes: int
    """On the disk."""
    space: Space
    window: int
    """Tokens of a passage."""
    overlap: int
    """Tokens that neighbouring passages share, at most."""
    vectors: str
    """How vectors are kept."""
    calibration: Fitted | None


class Collection:
    """A collection on this machine. Safe to use from several threads; close it, or use it in a `with` block.

    Any number of processes may search while one writes. The first call that writes makes this process the writer,
    until the collection is closed.
    """

    def __init__(self, folder: Folder, encoder: Encoder | None, wanted: Wanted) -> None:
        """Put the parts together. Use `Collection.open`."""
        self._folder = folder
        self._encoder = encoder
        self._opened = Opened(folder, encoder, wanted)
        self._writing = self._opened.writing
        self._upkeep: Upkeep | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        encoder: Encoder | None = None,
        *,
        create: bool = True,
        window: int | None = None,
        overlap: int | None = None,
        vectors: str = "float16",
        model: str = "",
    ) -> Self:
        """Open a collection, or prepare a new one, which is made when the first document is added.

        Args:
            path: its folder.
            encoder: embeds documents and queries; without one there is full text search only, and no adding.
            create: whether a collection that does not exist is made.
            window: tokens of a passage; None is what the model is best at. For new collections, as what follows.
            overlap: tokens that neighbouring passages share, at most; None is a quarter of the window.
            vectors: `float32`, `float16`, `int8` or `binary`.
            model: what the encoder's model is called, so that the command line finds it again.

        Raises:
            CollectionNotFoundError: if there is none and `create` is false.
            SpaceMismatchError: if it was embedded in another space than the encoder's.
            CollectionError: if its files are damaged, or of a later efive.
            InputError: for an address that is no folder, or an option that does not exist.
        """
        if "://" in str(path):
            raise InputError(f"{path}: a collection is a folder on this machine; other stores are not supported yet")
        wanted = Wanted(window, overlap, vectors_named(vectors), model)
        collection = cls(Folder(Path(path).expanduser()), encoder, wanted)
        if collection._folder.exists or not create:
            collection._opened.current()
        return collection

    @property
    def path(self) -> Path:
        """The collection's folder."""
        return self._folder.path

    @property
    def space(self) -> Space:
        """The space that its passages are embedded in."""
        return self._opened.current().settings.space

    def snapshot(self) -> Snapshot:
        """Return the collection as it is now, for those who search it in a way of their own.

        Raises:
            CollectionNotFoundError: if nothing has been added yet.
        """
        return self._opened.current().store.snapshot()

    # -- reading -------------------------------------------------------------------------------------------------

    def search(self, text: str, k: int = 10, **options: Unpack[SearchOptions]) -> list[Hit]:
        """Return the documents that answer `text`, best first, each by its best passage.

        Args:
            text: a question or some words, without prefix.
            k: hits to return.
            **options: see `SearchOptions`.

        Raises:
            InputError: for an empty text, or an option that cannot be used.
            CollectionError: if `min_confidence` is asked of a collection that is not calibrated.
        """
        asked = checked(k, options)
        if not text.strip():
            raise InputError("the query is empty")
        if asked.mode != "text" and self._encoder is None:
            raise InputError(f"mode {asked.mode} needs an encoder; open the collection with one, or use mode text")
        generation = self._opened.current()
        snapshot, known = generation.store.snapshot(), generation.calibration
        if asked.min_confidence is not None and known is None:
            raise CollectionError(
                f"{self._folder.path} is not calibrated, so there is no confidence; "
                f"`efive collections calibrate -c {self._folder.path.absolute()}` does it"
            )
        question = Question(text, None)
        if asked.mode != "text" and self._encoder is not None:
            vector = self._encoder.embed_queries([text]).vectors[0]
            background = _background(generation, snapshot)
            question = Question(text, vector, _spread(background, vector))
        return searching.search(snapshot, question, asked, None if known is None else known.calibration)

    def get(self, ids: Iterable[str]) -> list[Document]:
        """Return those of the documents that are there, in the order of `ids`."""
        return self.snapshot().documents(_names(ids))

    def ids(self, where: Where | None = None) -> Iterator[str]:
        """Yield the ids of all documents, or of those that `where` holds for."""
        return self.snapshot().ids(condition(where))

    def digests(self, ids: Iterable[str] | None = None) -> dict[str, str]:
        """Return the digests of all documents, or of those of `ids` that are there: they change with what is stored."""
        return self.snapshot().digests(None if ids is None else _names(ids))

    def entries(self) -> Iterator[Entry]:
        """Yield every document with its passages and vectors, in the order of their ids."""
        snapshot = self.snapshot()
        names = iter(sorted(snapshot.ids()))
        while group := list(islice(names, _GROUP)):
            yield from snapshot.entries(group)

    def highlight(self, text: str, hits: Sequence[Hit]) -> list[Hit]:
        """Return hits of the query `text`; where no word of it matches, the sentence nearest to it is highlighted."""
        return list(hits) if self._encoder is None else sentences.highlighted(self._encoder, text, hits)

    def export(self, output: str | Path, *, vectors: bool = False, progress: Report | None = None) -> int:
        """Write all documents to a .jsonl or .parquet file that `efive index` reads again; return how many.

        Raises:
            InputError: if the suffix is another.
        """
        return exporting.export(self.entries(), Path(output), vectors=vectors, progress=progress or _nothing)

    def stats(self) -> Stats:
        """Say what the collection holds."""
        open_ = self._opened.current()
        counts, settings = open_.store.snapshot().counts(), open_.settings
        return Stats(
            counts.documents,
            counts.passages,
            open_.store.bytes(),
            settings.space,
            settings.shape.window,
            settings.shape.overlap,
            settings.vectors,
            open_.calibration,
        )

    # -- writing -------------------------------------------------------------------------------------------------

    def add(
        self,
        documents: Iterable[Document],
        *,
        progress: Report | None = None,
        refused: Refusal | None = None,
        divide: Divide | None = None,
        encoder: Encoder | None = None,
    ) -> Added:
        """Add documents; one whose id is there already replaces it, and is embedded only if its text has changed.

        Args:
            documents: any number, also a generator; memory stays bounded.
            progress: called with the number of documents that have just become safe on the disk.
            refused: called with what is wrong about each document that cannot be stored, which is then left out;
                None makes the first one an error, after those before it are stored.
            divide: makes the passages of a document and what the model reads of them, prefix included; None: windows
                of the collection's size. What is stored already under the same text stays as it was divided.
            encoder: embeds instead of the collection's own; the caller sees to it that its space is the same.

        When passages have become many, the indices that pay by then are built in a thread; searches go on.

        Raises:
            InputError: for a document that cannot be stored.
            CollectionBusyError: if another process writes.
            StoreError: if the disk is full; what was reported as safe is.
        """
        with self._writing:
            encoder = encoder or self._needed_encoder()
            store = self._opened.writable()
            upkeep = self._upkeep = self._upkeep or Upkeep(store)
            shape = self._opened.current().settings.shape
            report = progress or _nothing
            return Adding(store, encoder, shape, report, refused, wrote=upkeep.wrote, divide=divide).run(documents)

    def update(self, id_: str, *, text: str | None = None, metadata: Metadata | None = None) -> None:
        """Change a document's text, or all of its metadata, which needs no embedding.

        Raises:
            InputError: if there is no such document.
        """
        with self._writing:
            store = self._opened.writable()
            found = store.snapshot().entries([id_])
            if not found:
                raise InputError(f"there is no document {id_!r}")
            document = found[0].document
            if metadata is not None:
                document = replace(document, metadata=metadata)
            check(document)
            if text is None or text == document.text:
                store.replace([with_document(found[0], document)])
            else:
                self.add([replace(document, text=text, sections=(), lines=())])

    def delete(self, ids: Iterable[str] | None = None, *, where: Where | None = None) -> int:
        """Remove documents by id or by a condition, and return how many there were.

        Raises:
            InputError: if neither or both are given, or the condition is empty.
        """
        if (ids is None) == (where is None):
            raise InputError("give either ids or a condition")
        wanted = condition(where)
        if ids is None and wanted is None:
            raise InputError("the condition is empty and would remove everything; `not exists(nothing)` does so")
        with self._writing:
            store = self._opened.writable()
            snapshot = store.snapshot()
            names = list(snapshot.ids(wanted) if ids is None else snapshot.digests(_names(ids)))
            store.remove(names)
            return len(names)

    def maintain(self) -> None:
        """Build the indices that pay by now; searches go on meanwhile."""
        with self._writing:
            if self._upkeep is not None:
                self._upkeep.wait()
            self._opened.writable().maintain()

    def rebuild(self) -> None:
        """Merge the files, cover all passages by the indices, calibrate anew."""
        with self._writing:
            self._opened.writable().maintain(force=True)
            if self._encoder is not None:
                self.calibrate()

    def calibrate(self) -> Fitted | None:
        """Measure what scores mean here, for confidences; None if there are too few documents for that."""
        with self._writing:
            encoder = self._needed_encoder()
            store = self._opened.writable()
            snapshot = store.snapshot()
            fitted = calibrating.calibrate(snapshot, encoder)
            generation = self._opened.current()
            keep_calibration(generation.path, None if fitted is None else fitted.to_dict())
            generation.calibration = fitted
            return fitted

    def calibrate_if_grown(self) -> Fitted | None:
        """Calibrate if that has not been done, or on less than half or more than twice as many passages."""
        with self._writing:
            generation = self._opened.current()
            known, total = generation.calibration, generation.store.snapshot().counts().passages
            if known is not None and known.passages / 2 <= total <= known.passages * 2:
                return known
            return self.calibrate()

    def _needed_encoder(self) -> Encoder:
        if self._encoder is None:
            raise InputError("this needs an encoder; open the collection with one")
        return self._encoder

    def close(self) -> None:
        """Let go of the collection, so that another process can write; a second call does nothing."""
        with self._writing:
            try:
                if self._upkeep is not None:
                    self._upkeep.wait()
            finally:
                self._upkeep = None
                self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _names(ids: Iterable[str]) -> list[str]:
    if isinstance(ids, str):
        raise InputError("ids is one str; pass a list of ids, [id] for a single one")
    return [encodable(name, "an id") for name in ids]


def _background(generation: Generation, snapshot: Snapshot) -> Background | None:
    """Return the background, sampled anew whenever the collection has doubled or halved."""
    total, known = snapshot.counts().passages, generation.background
    if known is None or not known[0] / 2 <= total <= known[0] * 2:
        if total < 2:
            return None
        known = generation.background = total, Background(snapshot.sample(SAMPLE)[1])
    return known[1]


def _spread(background: Background | None, query: Floats) -> tuple[float, float]:
    """Return mean and standard deviation of a query's cosines with the background; 0 and 1 where there is none."""
    if background is None:
        return 0.0, 1.0
    mean, deviation = background.of(query[None])
    return float(mean[0]), float(deviation[0])


def _nothing(_count: int) -> None:
    """Report progress to nobody."""
