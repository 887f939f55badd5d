"""sentence-transformers: PyTorch, ONNX Runtime or OpenVINO below, its own defaults above."""

from typing import Any

import numpy as np
import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer

from engines import Vectors


class SentenceTransformers:
    """One loaded model."""

    bare_texts = False
    version = sentence_transformers.__version__

    def __init__(self, model: SentenceTransformer, precision: str) -> None:
        """Wrap `model`."""
        self._model, self.precision = model, precision

    def embed(self, texts: list[str], role: str) -> Vectors:  # noqa: ARG002
        """Return one unit vector per text."""
        vectors = self._model.encode(texts, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(vectors, dtype=np.float32)


def load(folder: str, threads: int, *, backend: str = "torch", precision: str = "default") -> SentenceTransformers:
    """Load the folder with one backend; `precision` is "default" or the backend's fast one."""
    build = {"torch": _torch, "onnx": _onnx, "openvino": _openvino}[backend]
    return build(folder, threads, precision)


def _torch(folder: str, threads: int, precision: str) -> SentenceTransformers:
    torch.set_num_threads(threads)
    options = {} if precision == "default" else {"dtype": torch.bfloat16}
    model = SentenceTransformer(folder, device="cpu", model_kwargs=options)
    used = next(model.parameters()).dtype
    return SentenceTransformers(model, {torch.float32: "fp32", torch.bfloat16: "bf16"}[used])


def _onnx(folder: str, threads: int, precision: str) -> SentenceTransformers:
    from onnxruntime import SessionOptions

    torch.set_num_threads(threads)
    session = SessionOptions()
    session.intra_op_num_threads = threads
    file = "onnx/model.onnx" if precision == "default" else "onnx/model_qint8.onnx"
    options = {"file_name": file, "provider": "CPUExecutionProvider", "session_options": session}
    model = SentenceTransformer(folder, backend="onnx", device="cpu", model_kwargs=options)
    return SentenceTransformers(model, "fp32" if precision == "default" else "int8")


def _openvino(folder: str, threads: int, precision: str) -> SentenceTransformers:
    torch.set_num_threads(threads)
    options: dict[str, Any] = {"ov_config": {"INFERENCE_NUM_THREADS": threads}}
    if precision == "int8":  # optimum's own int8: weights of 8 bits, activations quantised as they come
        options["load_in_8bit"] = True
    model = SentenceTransformer(folder, backend="openvino", device="cpu", model_kwargs=options)
    model.encode(["warm"])  # compiles the model, after which it tells its precision
    used = model[0].auto_model.request.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return SentenceTransformers(model, "int8" if precision == "int8" else {"f32": "fp32"}.get(used, used))
