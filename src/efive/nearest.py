"""Exact nearest neighbours by cosine over vectors on disk, in bounded memory."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from efive.errors import InputError

if TYPE_CHECKING:
    from efive.encoder import Encoder

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Rows = npt.NDArray[np.int64]
Allowed = Callable[[int, int], npt.NDArray[np.bool_]]
"""Called with a first and an end row of the corpus; says which of them each query may find, (queries, rows)."""

QUERIES = 1024
"""Queries to take at a time: with `BLOCK`, 32 MiB of scores."""
BLOCK = 8192
"""Rows of the corpus to take at a time."""
_STORED = np.dtype("<f2")


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest rows of some queries, best first; of equal scores the lower row comes first."""

    rows: Rows
    """(queries, k); -1 where the corpus has no more."""
    scores: Floats
    """(queries, k) cosines; -inf where the corpus has no more."""


def nearest(
    queries: Floats,
    corpus: Halves | Floats,
    k: int,
    *,
    block: int = BLOCK,
    allowed: Allowed | None = None,
) -> Nearest:
    """Find the `k` rows of `corpus` (n, dim) with the highest inner product with each of `queries` (q, dim).

    Unit vectors are assumed, so that inner products are cosines. Memory is q * (block + k) scores; a corpus that is
    memory-mapped is read once, block by block.

    Raises:
        InputError: if the dimensions differ.
    """
    if queries.shape[1] != corpus.shape[1]:
        raise InputError(f"dimensions differ: queries of {queries.shape[1]}, a corpus of {corpus.shape[1]}")
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    for first in range(0, len(corpus), block):
        part = np.asarray(corpus[first : first + block], dtype=np.float32)
        found = queries @ part.T
        if allowed is not None:
            found[~allowed(first, first + len(part))] = -np.inf
        better = found > scores[:, -1:]  # later rows must beat the k-th, so of equals the first stays
        for query in np.flatnonzero(better.any(axis=1)):
            new = np.flatnonzero(better[query])
            if len(new) > k:  # above all in the first block: sort few
                new = new[found[query, new] >= np.partition(found[query, new], -k)[-k]]
            both = np.concatenate([scores[query], found[query, new]])
            order = np.argsort(-both, kind="stable")[:k]
            scores[query] = both[order]
            rows[query] = np.concatenate([rows[query], new + first])[order]
    return Nearest(rows, scores)


def better_than(queries: Floats, corpus: Halves | Floats, own: Floats, *, block: int = BLOCK) -> Rows:
    """Count for each of `queries` (q, dim) the rows of `corpus` with a higher cosine than `own` (q,)."""
    counts = np.zeros(len(queries), dtype=np.int64)
    for first in range(0, len(corpus), block):
        part = np.asarray(corpus[first : first + block], dtype=np.float32)
        counts += (queries @ part.T > own[:, None]).sum(axis=1)
    return counts


class GrowingArray:
    """A .npy file that grows block by block; its header counts the whole ones, so a torn run loses one at most."""

    def __init__(self, path: Path, width: int | None, dtype: npt.DTypeLike) -> None:
        """Open or begin the file for rows of `width` values of `dtype` (None: for plain values).

        Raises:
            InputError: if the file is there and is something else.
        """
        self.path = path
        self._shape = () if width is None else (width,)
        self._dtype = np.dtype(dtype)
        self._row_bytes = self._dtype.itemsize * (width or 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._file = path.open("r+b")
        self.rows = 0
        """Rows that are safe."""
        if path.stat().st_size:
            self._take_up()
        else:
            self._head()
        self._start = self._header_bytes
        self._file.truncate(self._start + self.rows * self._row_bytes)
        self._file.seek(0, os.SEEK_END)

    def _take_up(self) -> None:
        try:
            np.lib.format.read_magic(self._file)
            shape, _fortran, dtype = np.lib.format.read_array_header_1_0(self._file)
        except ValueError:
            raise self._unfit() from None
        self._header_bytes = self._file.tell()
        self.rows = shape[0]
        whole = self._header_bytes + self.rows * self._row_bytes
        if shape[1:] != self._shape or dtype != self._dtype or self.path.stat().st_size < whole:
            raise self._unfit()

    def _unfit(self) -> InputError:
        self._file.close()
        return InputError(f"{self.path} is damaged or not of this run; delete it, or use --restart to begin anew")

    def _head(self) -> None:
        """Write the header; numpy leaves room in it for the first dimension to grow."""
        self._file.seek(0)
        described = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._shape),
        }
        np.lib.format.write_array_header_1_0(self._file, described)
        self._header_bytes = self._file.tell()

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write a block: the values first, and when they are on disk, the header that counts them."""
        self._file.seek(self._start + self.rows * self._row_bytes)
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).tobytes())
        self._settle()
        self.rows += len(values)
        self._head()
        self._settle()

    def _settle(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> "GrowingArray":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_rows(path: Path) -> npt.NDArray[Any]:
    """Map the rows of a .npy file into memory, to be read from disk as they are used."""
    if np.load(path, mmap_mode="r", allow_pickle=False).size == 0:
        return np.asarray(np.load(path, allow_pickle=False))  # nothing cannot be mapped
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def stored_vectors(
    path: Path, texts: Iterable[str], encoder: "Encoder", role: str, done: Callable[[int], object]
) -> Halves:
    """Embed `texts` into `path`, going on after the rows that are there, and map them: (n, dim) float16.

    float16 moves a cosine of unit vectors by less than 0.001 and halves disk and reading. `done` is told of each
    block, the rows that were there included.
    """
    with GrowingArray(path, encoder.dimension, _STORED) as file:
        done(file.rows)
        for part in encoder.stream(islice(texts, file.rows, None), role):
            file.append(part.vectors)
            done(len(part))
    return open_rows(path)
