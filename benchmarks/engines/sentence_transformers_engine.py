"""sentence-transformers: PyTorch, ONNX Runtime or OpenVINO below, its own defaults above."""

import time
from typing import Any

import numpy as np
import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer

from engines import Vectors

_DEFAULT_BATCH = 32
_BATCHES = (32, 64, 128, 256, 512, 1024)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class SentenceTransformers:
    """One loaded model."""

    bare_texts = False
    version = sentence_transformers.__version__

    def __init__(self, model: SentenceTransformer, precision: str, *, tuned: bool = False) -> None:
        """Wrap `model`; where `tuned`, `warm` looks for its best batch size."""
        self._model, self.precision, self._tuned = model, precision, tuned
        self._batch = _DEFAULT_BATCH

    def embed(self, texts: list[str], role: str) -> Vectors:  # noqa: ARG002
        """Return one unit vector per text."""
        vectors = self._model.encode(texts, batch_size=self._batch, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(vectors, dtype=np.float32)

    def warm(self, texts: list[str], role: str) -> None:
        """Embed the texts, and keep the batch size that does it fastest."""
        seconds = {}
        for size in _BATCHES if self._tuned else (_DEFAULT_BATCH,):
            self._batch = size
            try:
                self.embed(texts[: 2 * size], role)
                start = time.perf_counter()
                self.embed(texts, role)
            except torch.OutOfMemoryError:
                break
            seconds[size] = time.perf_counter() - start
        self._batch = min(seconds, key=seconds.__getitem__)


def load(folder: str, threads: int, *, backend: str = "torch", **options: str) -> SentenceTransformers:
    """Load the folder with one backend; option `precision` is the backend's fast one, or "default"."""
    torch.set_num_threads(threads)
    build = {"torch": _torch, "onnx": _onnx, "openvino": _openvino}[backend]
    return build(folder, threads, **options)


def _torch(
    folder: str,
    threads: int,  # noqa: ARG001
    *,
    precision: str = "default",
    device: str = "cpu",
    attention: str = "default",
    batch: str = "default",
) -> SentenceTransformers:
    options: dict[str, Any] = {} if precision == "default" else {"dtype": _DTYPES[precision]}
    if attention != "default":
        options["attn_implementation"] = attention
    model = SentenceTransformer(folder, device=device, model_kwargs=options)
    names = {dtype: name for name, dtype in _DTYPES.items()}
    return SentenceTransformers(model, names[next(model.parameters()).dtype], tuned=batch == "best")


def _onnx(folder: str, threads: int, precision: str = "default") -> SentenceTransformers:
    from onnxruntime import SessionOptions

    session = SessionOptions()
    session.intra_op_num_threads = threads
    file = "onnx/model.onnx" if precision == "default" else "onnx/model_qint8.onnx"
    options = {"file_name": file, "provider": "CPUExecutionProvider", "session_options": session}
    model = SentenceTransformer(folder, backend="onnx", device="cpu", model_kwargs=options)
    return SentenceTransformers(model, "fp32" if precision == "default" else "int8")


def _openvino(folder: str, threads: int, precision: str = "default") -> SentenceTransformers:
    options: dict[str, Any] = {"ov_config": {"INFERENCE_NUM_THREADS": threads}}
    if precision == "int8":  # optimum's own int8: weights of 8 bits, activations quantised as they come
        options["load_in_8bit"] = True
    model = SentenceTransformer(folder, backend="openvino", device="cpu", model_kwargs=options)
    model.encode(["warm"])  # compiles the model, after which it tells its precision
    used = model[0].auto_model.request.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return SentenceTransformers(model, "int8" if precision == "int8" else {"f32": "fp32"}.get(used, used))
