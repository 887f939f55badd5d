"""The native CPU engine: our own kernels on x86-64, texts flat and without padding, bf16 / int8 / fp32."""

import math
import queue
from typing import TYPE_CHECKING

import numpy as np

from efive.engines.base import EngineInfo, Floats, Precision, TokenBatch
from efive.engines.native_import import extension, instruction_sets, obstacle
from efive.errors import EngineError
from efive.models.architecture import Architecture, Kind
from efive.models.checkpoint import Checkpoint

if TYPE_CHECKING:
    from efive.engines import _native

_TOKEN_BUDGET = 512
_HEAD_SIZES = (16, 32, 64)
_WIDTH_STEP = 16


class NativeEngine:
    """One set of packed weights, one workspace per thread."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision, threads: int, *, isa: str | None = None) -> None:
        """Pack the weights.

        Args:
            checkpoint: a BERT or XLM-R encoder.
            precision: the number format of matrix products; with int8 attention runs in bf16 or fp32.
            threads: how many `embed` calls may run at once, each on one processor.
            isa: the instruction set, one of `instruction_sets(precision, emulated=True)`; None takes the best offered.

        Raises:
            EngineError: where the extension, the processor, the precision or the shape does not allow it.
        """
        architecture = checkpoint.architecture
        _refuse(architecture, precision, isa)
        self.isa = isa or instruction_sets(precision)[0]
        self._encoder = _load(checkpoint, self.isa, precision)
        self._workspaces: queue.SimpleQueue[_native.Workspace | None] = queue.SimpleQueue()
        for _ in range(threads):
            self._workspaces.put(extension.Workspace())
        self.info = EngineInfo(
            name="native",
            precision=precision,
            device="cpu",
            dimension=architecture.hidden,
            token_budget=_TOKEN_BUDGET,
            padded=False,
            parallel=threads,
        )

    def warmup(self) -> None:
        """Run one short input."""
        self.embed(TokenBatch(np.zeros((1, 8), dtype=np.int32), np.array([8], dtype=np.int32)))

    def embed(self, batch: TokenBatch) -> Floats:
        """Return mean-pooled vectors (n, hidden) in float32."""
        ids = np.ascontiguousarray(batch.ids, dtype=np.int32)
        lengths = np.ascontiguousarray(batch.lengths, dtype=np.int32)
        vectors = np.empty((len(ids), self.info.dimension), dtype=np.float32)
        workspace = self._workspaces.get()
        try:
            if workspace is None:
                raise EngineError("the encoder is closed; load it again")
            self._encoder.embed(workspace, ids, lengths, vectors)
        finally:
            self._workspaces.put(workspace)
        return vectors

    def memory_bytes(self) -> int:
        """Return the bytes of packed weights; the word table stays in the mapped file."""
        return self._encoder.bytes

    def close(self) -> None:
        """Wait for what is running and release the weights."""
        for _ in range(self.info.parallel):
            self._workspaces.get()
        for _ in range(self.info.parallel):
            self._workspaces.put(None)  # what a late caller gets
        del self._encoder


def _refuse(shape: Architecture, precision: Precision, isa: str | None) -> None:
    """Raise what keeps this engine from running a model of `shape`."""
    elsewhere = "use engine='auto'"
    if shape.kind is Kind.MISTRAL:
        raise EngineError("the native engine has no Mistral kind; use engine='torch' (pip install 'efive[torch]')")
    if missing := obstacle():
        raise EngineError(f"{missing}; {elsewhere}")
    if shape.head_dim not in _HEAD_SIZES or shape.hidden % _WIDTH_STEP or shape.feed_forward % _WIDTH_STEP:
        raise EngineError(
            f"the native engine has heads of 16, 32 and 64 components and widths that divide by {_WIDTH_STEP}; "
            f"this model has {shape.head_dim}, {shape.hidden} and {shape.feed_forward}; {elsewhere}"
        )
    here = instruction_sets(precision)
    if not here:
        raise EngineError(f"the native engine has no {precision} on this processor; use 'fp32' or 'int8'")
    if isa is not None and isa not in instruction_sets(precision, emulated=True):
        raise EngineError(f"the native engine has no {precision} with {isa} here; there is {', '.join(here)}")


def _load(checkpoint: Checkpoint, isa: str, precision: Precision) -> "_native.Encoder":
    """Build the encoder. Its floats are packed or copied; only the word table goes on living in the mapped file."""
    shape, tensors = checkpoint.architecture, checkpoint.tensors

    def floats(name: str) -> Floats:
        return np.ascontiguousarray(tensors[name].floats())

    def pair(name: str) -> tuple[Floats, Floats]:
        return floats(f"{name}.weight"), floats(f"{name}.bias")

    words = tensors["embeddings.word_embeddings.weight"]
    stored, values = (words.dtype, words.values) if words.dtype != "F64" else ("F32", words.floats())
    positions = floats("embeddings.position_embeddings.weight")[shape.first_position :]
    encoder: _native.Encoder = extension.Encoder(
        isa,
        str(precision),
        shape.heads,
        shape.feed_forward,
        shape.norm_eps,
        stored,
        np.ascontiguousarray(values),
        np.zeros(0, dtype=np.float32) if words.scales is None else np.ascontiguousarray(words.scales, np.float32),
        positions + floats("embeddings.token_type_embeddings.weight")[0],
        *pair("embeddings.LayerNorm"),
    )
    # The kernel's softmax is in powers of two, so the queries take the logarithm along with the usual scale.
    scale = np.float32(shape.head_dim**-0.5 * math.log2(math.e))
    for layer in range(shape.layers):
        name = f"encoder.layer.{layer}"
        (query, key, value) = (pair(f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        encoder.add_layer(
            np.concatenate([query[0] * scale, key[0], value[0]]),
            np.concatenate([query[1] * scale, key[1], value[1]]),
            *pair(f"{name}.attention.output.dense"),
            *pair(f"{name}.attention.output.LayerNorm"),
            *pair(f"{name}.intermediate.dense"),
            *pair(f"{name}.output.dense"),
            *pair(f"{name}.output.LayerNorm"),
        )
    return encoder
