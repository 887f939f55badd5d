"""Vectors of texts that come again. One cache belongs to one deployment, so to one space; token ids hold the role."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from cachetools import LRUCache

from efive.engines.base import Floats
from efive.text.tokenizer import TokenIds

_OVERHEAD = 400
"""Bytes that an entry takes beside its vector."""


def key_of(row: TokenIds) -> bytes:
    """Return what stands for token ids: short, so that a cache of long texts stays within its size."""
    return blake2b(row.tobytes(), digest_size=16).digest()


class VectorCache:
    """Pooled vectors by `key_of` their rows, the least recently used go first. Not safe for several threads."""

    def __init__(self, size: int) -> None:
        """Hold at most `size` bytes; 0 holds nothing."""
        self._vectors: LRUCache[bytes, Floats] = LRUCache(size, getsizeof=lambda v: v.nbytes + _OVERHEAD)

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Floats]:
        """Return the vectors that are known."""
        found = {}
        for key in keys if self._vectors.maxsize else ():
            if (vector := self._vectors.get(key)) is not None:
                found[key] = vector
        return found

    def keep(self, keys: Sequence[bytes], vectors: Floats) -> None:
        """Keep the vectors (rows, dimension) of rows by their keys; what is not finite is not worth keeping."""
        if self._vectors.maxsize < vectors[:1].nbytes + _OVERHEAD or not np.isfinite(vectors).all():
            return
        for key, vector in zip(keys, vectors, strict=True):
            self._vectors[key] = vector.copy()
