"""Small stores of made-up passages, without an encoder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from efive.search.documents import Document, Section
from efive.search.lance.codec import Codec, Vectors
from efive.search.lance.table import LanceStore
from efive.search.store import Entry, Passage

DIMENSION = 256
CENTER = np.full(DIMENSION, 0.9 / np.sqrt(DIMENSION), np.float32)


def cone(count: int, seed: int, near: np.ndarray | None = None) -> np.ndarray:
    """Return unit vectors that share a direction, as E5's do; `near` gives the centres of clusters."""
    rng = np.random.default_rng(seed)
    rest = rng.standard_normal((count, DIMENSION))
    if near is not None:
        rest = near[rng.integers(len(near), size=count)] + 0.8 * rest
    found = CENTER + 0.03 * rest
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def entry(
    name: str, vectors: np.ndarray, terms: Sequence[str] = ("",), metadata: Mapping[str, object] | None = None
) -> Entry:
    """Return a document with a passage for each vector."""
    known = dict(metadata or {})
    passages = [
        Passage(name, n, f"text {n}", 7 * n, 7 * n + 6, 1, None, ("Heading",), known) for n in range(len(vectors))
    ]
    outline = [Section(0, 6, ("Heading",), 1)]
    document = Document(name, " ".join(p.text for p in passages), known, outline, [1])
    return Entry(document, f"digest of {name}", passages, [*terms, *[""] * (len(vectors) - len(terms))], vectors)


def entries(count: int, first: int = 0, near: np.ndarray | None = None) -> list[Entry]:
    """Return documents of one passage each, named by numbers from `first` on; each has a term of its own."""
    vectors = cone(count, first, near)
    numbers = range(first, first + count)
    return [entry(str(n), v[None], [f"w{n} all"], {"tenth": n % 10}) for n, v in zip(numbers, vectors, strict=True)]


def store(folder: Path, kind: Vectors = Vectors.FLOAT32) -> LanceStore:
    """Return an empty store."""
    return LanceStore(folder, Codec(kind, CENTER), create=True)


def nearest(stored: list[Entry], query: np.ndarray, count: int) -> list[str]:
    """Return the documents of the highest cosines, by numpy."""
    scores = np.concatenate([one.vectors for one in stored]) @ query
    return [stored[i].document.id for i in np.argsort(-scores)[:count]]
