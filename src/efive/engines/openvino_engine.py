"""The general CPU engine: OpenVINO, no torch, bf16 / int8 / fp32."""

import queue
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.engines.base import EngineInfo, Floats, Precision, TokenBatch
from efive.engines.hardware import Hardware
from efive.engines.openvino_graph import build
from efive.engines.openvino_import import hint, ov, props
from efive.errors import EngineError
from efive.models.architecture import Kind
from efive.models.checkpoint import Checkpoint

# Micro-batches that stay in the second-level cache beat large ones; see dev/LOG.md.
_TOKEN_BUDGET = 512
# A new input shape makes every node prepare again, which costs as much as the arithmetic of one short query.
_SINGLE_STEP = 16


class OpenVinoEngine:
    """One compiled graph, one inference request per processor."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision, hardware: Hardware, threads: int) -> None:
        """Compile the graph.

        Raises:
            EngineError: for a kind or precision that this engine has not.
        """
        architecture = checkpoint.architecture
        if architecture.kind is Kind.MISTRAL:
            raise EngineError(
                "the openvino engine has no Mistral kind; use engine='torch' (pip install 'efive[torch]')"
            )
        if precision in {Precision.FP16, Precision.FP8}:
            raise EngineError(f"the openvino engine has fp32, bf16 and int8; {precision} is the torch engine's")
        core = ov.Core()
        native = hardware.native_bf16 and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision is Precision.BF16 and not native:
            raise EngineError(
                f"{hardware.processor} has no bfloat16 instructions, so bf16 would be slower than fp32 here; "
                "use precision='fp32' or 'int8'"
            )
        self._tables = _Tables(checkpoint)
        compiled = core.compile_model(
            build(architecture, checkpoint.tensors, int8=precision is Precision.INT8),
            "CPU",
            _properties(precision, threads, architecture.hidden, native_bf16=native),
        )
        self._weights = (
            sum(
                4 * int(np.prod(t.shape))
                for name, t in checkpoint.tensors.items()
                if not name.startswith("embeddings.")
            )
            // {Precision.FP32: 1, Precision.BF16: 2, Precision.INT8: 4}[precision]
        )
        streams = int(compiled.get_property(props.num_streams))
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams):
            self._requests.put(compiled.create_infer_request())
        self.info = EngineInfo(
            name="openvino",
            precision=precision,
            device="cpu",
            dimension=architecture.hidden,
            token_budget=_TOKEN_BUDGET,
            padded=True,
            parallel=streams,
        )

    def warmup(self) -> None:
        """Run one short input on every stream."""
        ids = np.zeros((1, 8), dtype=np.int32)
        for _ in range(self.info.parallel):
            self.embed(TokenBatch(ids, np.array([8], dtype=np.int32)))

    def embed(self, batch: TokenBatch) -> Floats:
        """Return mean-pooled vectors (n, hidden) in float32."""
        request = self._requests.get()
        try:
            if request is None:
                raise EngineError("the encoder is closed; load it again")
            ids = _steady(batch.ids, self._tables.longest)
            result = request.infer([self._tables.embed(ids), batch.lengths], share_inputs=True)
            return np.array(result[0], dtype=np.float32)
        finally:
            self._requests.put(request)

    def memory_bytes(self) -> int:
        """Return the bytes of packed weights; the embedding tables stay in the mapped file."""
        return self._weights

    def close(self) -> None:
        """Wait for what is running and release the compiled graph."""
        for _ in range(self.info.parallel):
            self._requests.get()
        for _ in range(self.info.parallel):
            self._requests.put(None)  # what a late caller gets


def _properties(precision: Precision, threads: int, hidden: int, *, native_bf16: bool) -> dict[Any, Any]:
    exact = precision is Precision.FP32 or not native_bf16
    properties: dict[Any, Any] = {
        hint.inference_precision: ov.Type.f32 if exact else ov.Type.bf16,
        props.inference_num_threads: threads,
        # Small models run best one thread a stream; larger ones share threads, so that one query is fast too.
        props.num_streams: max(1, threads // max(1, hidden // 384)),
        hint.enable_cpu_pinning: False,
    }
    if not exact:
        # Else the plugin puts its fused attention back (see openvino_graph), which only fp32 gains from, on long texts.
        properties["SNIPPETS_MODE"] = "DISABLE"
    if precision is Precision.INT8:
        properties[hint.dynamic_quantization_group_size] = 128
    return properties


def _steady(ids: npt.NDArray[np.int32], longest: int) -> npt.NDArray[np.int32]:
    """Widen a single input to a multiple of `_SINGLE_STEP`, so that one after the other has the same shape.

    The lengths mask what is added. Batches stay as they are: they are large enough to pay for a new shape.
    """
    count, length = ids.shape
    wanted = min(-(-length // _SINGLE_STEP) * _SINGLE_STEP, longest)
    if count > 1 or wanted <= length:
        return ids
    widened = np.zeros((1, wanted), dtype=np.int32)
    widened[:, :length] = ids
    return widened


class _Tables:
    """Word, position and token-type rows, summed outside the graph."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        tensors, first = checkpoint.tensors, checkpoint.architecture.first_position
        self._words = tensors["embeddings.word_embeddings.weight"]
        positions = tensors["embeddings.position_embeddings.weight"].floats()[first:]
        types = tensors["embeddings.token_type_embeddings.weight"].floats()
        self._positions: Floats = positions + types[0]
        self.longest = len(positions)

    def embed(self, ids: npt.NDArray[np.int32]) -> Floats:
        """Return the graph's input (n, length, hidden) for ids (n, length)."""
        embedded = self._words.rows(ids)
        embedded += self._positions[: ids.shape[1]]
        return embedded
