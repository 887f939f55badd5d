"""The engine protocol: five methods over token ids."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Precision(StrEnum):
    """The number format of an engine's matrix products."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"
    FP8 = "fp8"


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Token ids of several inputs, padded on the right."""

    ids: npt.NDArray[np.int32]
    """(n, longest), special tokens included."""
    lengths: npt.NDArray[np.int32]
    """(n,) real tokens of each row."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is and how it likes to be fed."""

    name: str
    """`openvino`, `torch` or `native`."""
    precision: Precision
    """The number format of its matrix products."""
    device: str
    """`cpu`, `cuda:0`, `mps`; several with commas between them."""
    dimension: int
    """Components of a vector."""
    token_budget: int
    """Tokens of one batch, padding included where `padded`."""
    padded: bool
    """Whether a batch costs rows x longest (true) or the sum of its lengths (false)."""
    parallel: int
    """How many `embed` calls may run at once."""


class Engine(Protocol):
    """Computes pooled vectors. `embed` may be called from `info.parallel` threads at once."""

    @property
    def info(self) -> EngineInfo:
        """What this engine is."""

    def warmup(self) -> None:
        """Run once, so that the first real call is as fast as the others."""

    def embed(self, batch: TokenBatch) -> Floats:
        """Return the pooled vectors (n, dimension) in float32, not normalised."""

    def memory_bytes(self) -> int:
        """Return the bytes of weights that this engine holds besides the mapped file."""

    def close(self) -> None:
        """Release memory; the engine cannot be used afterwards."""
