"""Vectors of texts that come again. One cache belongs to one deployment, so to one space; token ids hold the role."""

from collections.abc import Sequence

from cachetools import LRUCache

from efive.engines.base import Floats
from efive.text.tokenizer import TokenIds

_OVERHEAD = 300
"""Bytes that an entry takes beside its ids and its vector."""


class VectorCache:
    """Pooled vectors by token ids, the least recently used go first. Not safe for several threads."""

    def __init__(self, size: int) -> None:
        """Hold at most `size` bytes; 0 holds nothing."""
        self.hits = 0
        self.misses = 0
        self._vectors: LRUCache[bytes, Floats] = LRUCache(size, getsizeof=lambda v: v.nbytes + _OVERHEAD)

    def find(self, rows: Sequence[TokenIds]) -> list[Floats | None]:
        """Return each row's vector, or None."""
        if not self._vectors.maxsize:
            return [None] * len(rows)
        found = [self._vectors.get(row.tobytes()) for row in rows]
        known = sum(vector is not None for vector in found)
        self.hits += known
        self.misses += len(rows) - known
        return found

    def keep(self, rows: Sequence[TokenIds], vectors: Floats) -> None:
        """Keep the vectors (rows, dimension) of `rows`."""
        if self._vectors.maxsize >= vectors[:1].nbytes + _OVERHEAD:
            for row, vector in zip(rows, vectors, strict=True):
                self._vectors[row.tobytes()] = vector.copy()
