"""The compiled part of the native engine: src/native/module.cpp."""

from typing import Any

import numpy as np
import numpy.typing as npt

from efive.engines.base import Floats

def instruction_sets(precision: str, emulated: bool = False) -> list[str]: ...
def check(isa: str, precision: str) -> str: ...
def checksum(data: npt.NDArray[np.uint8]) -> int: ...

class Workspace:
    def __init__(self, threads: int = 1) -> None: ...

class Encoder:
    def __init__(
        self,
        isa: str,
        precision: str,
        heads: int,
        feed_forward: int,
        layers: int,
        longest: int,
        epsilon: float,
        word_type: str,
        words: npt.NDArray[Any],
        word_scales: Floats,
        packed: npt.NDArray[np.uint8] | None,
    ) -> None: ...
    def set_embeddings(self, positions: Floats, gain: Floats, bias: Floats) -> None: ...
    def set_layer(
        self,
        index: int,
        qkv: Floats,
        qkv_bias: Floats,
        output: Floats,
        output_bias: Floats,
        output_gain: Floats,
        output_shift: Floats,
        up: Floats,
        up_bias: Floats,
        down: Floats,
        down_bias: Floats,
        down_gain: Floats,
        down_shift: Floats,
    ) -> None: ...
    def embed(
        self, workspace: Workspace, ids: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], out: Floats
    ) -> None: ...
    @property
    def packed(self) -> npt.NDArray[np.uint8]: ...
    @property
    def bytes(self) -> int: ...
