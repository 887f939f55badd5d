"""How vectors lie on the disk: float32, float16, int8 or binary. Pure.

E5's vectors fill a narrow cone: most of each vector is the same for all texts. int8 and binary therefore keep the
difference from a centre, which comes from texts that do not depend on the collection, so that nothing has to be
fitted again as a collection grows.

Both find candidates by the signs of the differences (Hamming distance) and score them anew: int8 by its numbers,
binary by its signs against the whole query.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from efive.vectors import Floats, normalize

Bits = npt.NDArray[np.uint8]


class Vectors(StrEnum):
    """A way to keep vectors. Bytes for one of 384 numbers: 1536, 768, 436, 52."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    BINARY = "binary"

    @property
    def compressed(self) -> bool:
        """Whether vectors are found by their signs and scored again."""
        return self in {Vectors.INT8, Vectors.BINARY}


@dataclass(frozen=True)
class Codec:
    """Vectors to columns and back."""

    kind: Vectors
    center: Floats
    """(dimension,) float32; unused for floats."""

    def bits(self, vectors: Floats) -> Bits:
        """Return the signs of the differences from the centre: (n, dimension / 8)."""
        signs: Bits = np.packbits(vectors > self.center, axis=-1)
        return signs

    def codes(self, vectors: Floats) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
        """Return int8 codes (n, dimension) and the number that multiplies each row's: (n,)."""
        difference = vectors - self.center
        scale = np.maximum(np.abs(difference).max(axis=1), 1e-12) / 127
        return np.round(difference / scale[:, None]).astype(np.int8), scale.astype(np.float32)

    def sizes(self, vectors: Floats) -> npt.NDArray[np.float32]:
        """Return what multiplies each row's signs: the mean size of its differences, (n,)."""
        sizes: Floats = np.abs(vectors - self.center).mean(axis=1).astype(np.float32)
        return sizes

    def from_codes(self, codes: npt.NDArray[np.int8], scale: Floats) -> Floats:
        """Return the unit vectors that `codes` stand for: (n, dimension) float32."""
        return normalize(self.center + codes.astype(np.float32) * scale[:, None])

    def from_bits(self, bits: Bits, sizes: Floats) -> Floats:
        """Return the unit vectors that signs and sizes stand for: (n, dimension) float32."""
        signs = np.unpackbits(bits, axis=1).astype(np.float32) * 2 - 1
        return normalize(self.center + signs * sizes[:, None])
