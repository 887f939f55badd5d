"""Arithmetic on vectors: arrays in, arrays out, nothing known of texts or models."""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.errors import InputError

Floats = npt.NDArray[np.float32]


def normalize(vectors: Floats) -> Floats:
    """Scale each row of `vectors` (n, dim) to length 1, in float32. A zero row stays zero."""
    vectors = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit


def cut(vectors: Floats, dimension: int) -> Floats:
    """Keep the first `dimension` components of each row and normalise again (Matryoshka, arXiv 2205.13147).

    Only models trained for it keep their quality; E5's published checkpoints were not.

    Raises:
        InputError: if the vectors have fewer than `dimension` components.
    """
    if not 1 <= dimension <= vectors.shape[-1]:
        raise InputError(f"cannot cut vectors of {vectors.shape[-1]} dimensions to {dimension}")
    return normalize(vectors[..., :dimension])


def similarity(queries: Floats, passages: Floats) -> Floats:
    """Cosine of every row of `queries` (q, dim) with every row of `passages` (p, dim), as float32 (q, p)."""
    if queries.shape[-1] != passages.shape[-1]:
        raise InputError(f"dimensions differ: {queries.shape[-1]} and {passages.shape[-1]}")
    return np.asarray(normalize(queries) @ normalize(passages).T, dtype=np.float32)


def pack_int8(vectors: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Quantise each row to int8 with its own scale; `codes * scales` gives the row back to within scale / 2.

    Returns codes (n, dim) and scales (n, 1).
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    peak = np.max(np.abs(vectors), axis=-1, keepdims=True)
    scales: Floats = np.maximum(peak / 127, np.finfo(np.float32).tiny)
    return np.rint(vectors / scales).astype(np.int8), scales


def pack_binary(vectors: Floats) -> npt.NDArray[np.uint8]:
    """Keep the sign of each component: (n, dim) becomes uint8 (n, ceil(dim / 8)), most significant bit first."""
    return np.packbits(np.asarray(vectors) > 0, axis=-1)


def to_base64(vector: npt.NDArray[Any]) -> str:
    """Encode little-endian float32 components as OpenAI's `encoding_format: base64` does."""
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode("ascii")


def from_base64(text: str) -> Floats:
    """Decode `to_base64`."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)
