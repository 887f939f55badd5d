"""The native CPU engine: our own kernels on x86-64, texts flat and without padding, bf16 / int8 / fp32."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from efive.engines.base import EngineInfo, Floats, Precision, TokenBatch
from efive.engines.native_import import extension, instruction_sets, refusal
from efive.engines.native_packed import Bytes, packed_file
from efive.engines.native_workspaces import Workspaces
from efive.errors import EngineError
from efive.models.architecture import Architecture, Kind
from efive.models.checkpoint import Checkpoint
from efive.models.digests import of_checkpoint

if TYPE_CHECKING:
    from efive.engines import _native

_TOKEN_BUDGET = 512


class NativeEngine:
    """One set of packed weights, a workspace for each batch at once."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        precision: Precision,
        threads: int,
        *,
        threads_per_batch: int = 1,
        isa: str | None = None,
        cache: Path | None = None,
    ) -> None:
        """Pack the weights.

        Args:
            checkpoint: a BERT or XLM-R encoder.
            precision: the number format of matrix products; with int8 attention runs in bf16 or fp32.
            threads: processors to use.
            threads_per_batch: how many of them an `embed` call gets; `threads // threads_per_batch` calls may run at
                once. With 1, a small batch that comes alone gets more.
            isa: the instruction set, one of `instruction_sets(precision, emulated=True)`; None takes the best offered.
            cache: where packed weights are kept for the next start and for other processes; None keeps none.

        Raises:
            EngineError: where the extension, the processor, the precision or the shape does not allow it.
        """
        architecture = checkpoint.architecture
        _refuse(architecture, precision, isa)
        self.isa = isa or instruction_sets(precision)[0]
        self._encoder = _load(checkpoint, self.isa, precision, cache)
        self._workspaces = Workspaces(threads, threads_per_batch)
        self.info = EngineInfo(
            name="native",
            precision=precision,
            device="cpu",
            dimension=architecture.hidden,
            token_budget=_TOKEN_BUDGET,
            padded=False,
            parallel=self._workspaces.count,
        )

    def warmup(self) -> None:
        """Run one short input."""
        self.embed(TokenBatch(np.zeros((1, 8), dtype=np.int32), np.array([8], dtype=np.int32)))

    def embed(self, batch: TokenBatch) -> Floats:
        """Return mean-pooled vectors (n, hidden) in float32."""
        ids = np.ascontiguousarray(batch.ids, dtype=np.int32)
        lengths = np.ascontiguousarray(batch.lengths, dtype=np.int32)
        vectors = np.empty((len(ids), self.info.dimension), dtype=np.float32)
        # Batches of a list hold more than half the budget, all but the last.
        with self._workspaces.one(small=int(lengths.sum()) <= _TOKEN_BUDGET // 2) as workspace:
            self._encoder.embed(workspace, ids, lengths, vectors)
        return vectors

    def memory_bytes(self) -> int:
        """Return the bytes of packed weights, shared where a cache keeps them; the word table stays in its file."""
        return self._encoder.bytes

    def close(self) -> None:
        """Wait for what is running and release the weights."""
        self._workspaces.close()
        del self._encoder


def _refuse(shape: Architecture, precision: Precision, isa: str | None) -> None:
    """Raise what keeps this engine from running a model of `shape`."""
    if why := refusal(shape, precision):
        elsewhere = "engine='torch' (pip install 'efive[torch]')" if shape.kind is Kind.MISTRAL else "engine='auto'"
        raise EngineError(f"{why}; use {elsewhere}")
    here = instruction_sets(precision)
    if isa is not None and isa not in instruction_sets(precision, emulated=True):
        raise EngineError(f"the native engine has no {precision} with {isa} here; there is {', '.join(here)}")


def _load(checkpoint: Checkpoint, isa: str, precision: Precision, cache: Path | None) -> "_native.Encoder":
    """Build the encoder from weights that are packed already, or pack them."""
    file = cache and packed_file(cache, lambda: of_checkpoint(checkpoint, cache)[0], [isa, str(precision)])
    if not file:
        return _packed(checkpoint, isa, precision)
    kept = file.read()
    if kept is None:
        file.write(_packed(checkpoint, isa, precision).packed)
        kept = file.read()  # now it shares its memory with those that come later
    return _packed(checkpoint, isa, precision) if kept is None else _bound(checkpoint, isa, precision, kept)


def _bound(checkpoint: Checkpoint, isa: str, precision: Precision, packed: Bytes | None) -> "_native.Encoder":
    """Return an encoder that reads the word table where it lies, in the mapped file."""
    shape = checkpoint.architecture
    words = checkpoint.tensors["embeddings.word_embeddings.weight"]
    stored, values = (words.dtype, words.values) if words.dtype != "F64" else ("F32", words.floats())
    encoder: _native.Encoder = extension.Encoder(
        isa,
        str(precision),
        shape.heads,
        shape.feed_forward,
        shape.layers,
        shape.longest,
        shape.norm_eps,
        stored,
        np.ascontiguousarray(values),
        np.zeros(0, dtype=np.float32) if words.scales is None else np.ascontiguousarray(words.scales, np.float32),
        packed,
    )
    return encoder


def _packed(checkpoint: Checkpoint, isa: str, precision: Precision) -> "_native.Encoder":
    """Return an encoder with weights packed in its own memory."""
    shape, tensors = checkpoint.architecture, checkpoint.tensors

    def floats(name: str) -> Floats:
        return np.ascontiguousarray(tensors[name].floats())

    def pair(name: str) -> tuple[Floats, Floats]:
        return floats(f"{name}.weight"), floats(f"{name}.bias")

    encoder = _bound(checkpoint, isa, precision, None)
    positions = floats("embeddings.position_embeddings.weight")[shape.first_position :]
    encoder.set_embeddings(
        positions + floats("embeddings.token_type_embeddings.weight")[0], *pair("embeddings.LayerNorm")
    )
    # The kernel's softmax is in powers of two, so the queries take the logarithm along with the usual scale.
    scale = np.float32(shape.head_dim**-0.5 * math.log2(math.e))
    for layer in range(shape.layers):
        name = f"encoder.layer.{layer}"
        (query, key, value) = (pair(f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        encoder.set_layer(
            layer,
            np.concatenate([query[0] * scale, key[0], value[0]]),
            np.concatenate([query[1] * scale, key[1], value[1]]),
            *pair(f"{name}.attention.output.dense"),
            *pair(f"{name}.attention.output.LayerNorm"),
            *pair(f"{name}.intermediate.dense"),
            *pair(f"{name}.output.dense"),
            *pair(f"{name}.output.LayerNorm"),
        )
    return encoder
