"""A corpus as vectors: documents are read one by one, cut into windows, and embedded unless the cache has them."""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from efive.encoder import Encoder
from efive.errors import InputError
from efive.evaluation.cache import EmbeddingCache, Vectors, Watch, unwatched
from efive.inputs import Role
from efive.nearest import Rows


@dataclass(frozen=True, slots=True)
class Shape:
    """How documents are divided; see `efive.search.passages`."""

    window: int
    """Tokens of a window, prefix and special tokens included."""
    overlap: int
    """Tokens that neighbouring windows share, at most."""

    @classmethod
    def of(cls, encoder: Encoder, window: int | None = None, overlap: int | None = None) -> "Shape":
        """Return the shape asked for; None is the model's own window, and a quarter of it as overlap."""
        size = encoder.window if window is None else window
        return cls(size, size // 4 if overlap is None else overlap)


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of a corpus, numbered in its order, and the vectors of their windows."""

    ids: list[str]
    owners: Rows
    """(windows,) the document of each window, ascending. A document without text has no window."""
    vectors: Vectors
    """Of the windows."""

    def windows_of(self, document: int) -> Rows:
        """Return the windows of a document."""
        first, end = np.searchsorted(self.owners, [document, document + 1])
        return np.arange(first, end)


def embed_documents(
    corpus: Iterable[tuple[str, str]],
    cache: EmbeddingCache,
    shape: Shape,
    role: Role,
    *,
    total: int | None = None,
    watch: Watch = unwatched,
    what: str = "documents",
) -> Documents:
    """Embed the windows of the documents of `corpus`, ids and texts. Memory holds their ids and no text.

    Args:
        corpus: read once.
        cache: takes and gives vectors.
        shape: how documents are divided.
        role: with which windows are embedded.
        total: documents, if that is known.
        watch: told of documents whose vectors are there.
        what: is embedded, for `watch`.

    Raises:
        InputError: naming a document that cannot be divided, or whose id came before.
    """
    asked = _beside_prefix(cache.encoder, shape, role)
    ids: list[str] = []
    owners, ends = array("q"), array("q")

    def windows() -> Iterator[str]:
        for document, (name, text) in enumerate(corpus):
            ids.append(name)
            parts = _windows(name, text, cache.encoder, asked)
            owners.extend([document] * len(parts))
            ends.append(len(owners))
            yield from parts

    with watch(what, total, 0) as step:
        vectors = cache.embed(windows(), role, _Progress(ends, step))
    if len(set(ids)) < len(ids):
        raise InputError(f"the id {_repeated(ids)!r} is of two documents; ids must differ")
    return Documents(ids, np.array(owners, dtype=np.int64), vectors)


def _beside_prefix(encoder: Encoder, shape: Shape, role: Role) -> Shape:
    """Return the shape to ask of `Encoder.windows`, which leaves room for the prefix of passages whatever the role."""
    if role is Role.PASSAGE:
        return shape
    passage, own = (encoder.embed(["a"], each).usage[0].tokens_seen for each in (Role.PASSAGE, role))
    most = max(shape.window, encoder.max_tokens)
    return replace(shape, window=min(shape.window + passage - own, most))


def _windows(name: str, text: str, encoder: Encoder, shape: Shape) -> list[str]:
    if not text.strip():
        return []
    try:
        _, spans = encoder.windows(text, size=shape.window, overlap=shape.overlap)
    except InputError as error:
        raise InputError(f"document {name!r}: {error}") from None
    return [text[start:end] for start, end in spans]


def _repeated(ids: list[str]) -> str:
    return Counter(ids).most_common(1)[0][0]


class _Progress:
    """Turns windows that are done into documents that are done."""

    def __init__(self, ends: "array[int]", step: Callable[[int], object]) -> None:
        self._ends, self._step = ends, step
        self._windows = self._documents = 0

    def __call__(self, windows: int) -> None:
        self._windows += windows
        documents = bisect_right(self._ends, self._windows)
        self._step(documents - self._documents)
        self._documents = documents
