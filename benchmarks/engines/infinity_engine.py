"""Infinity through its Python engine, without HTTP: its queue forms the batches."""

import asyncio
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from infinity_emb import AsyncEmbeddingEngine, EngineArgs

from engines import Vectors


class Infinity:
    """One started engine and the event loop it lives in."""

    bare_texts = False
    precision = "fp32"

    def __init__(self, arguments: EngineArgs) -> None:
        """Start the engine."""
        self.version = version("infinity-emb")
        self._loop = asyncio.new_event_loop()
        self._engine = AsyncEmbeddingEngine.from_args(arguments)
        self._loop.run_until_complete(self._engine.astart())

    def embed(self, texts: list[str], role: str) -> Vectors:  # noqa: ARG002
        """Return one unit vector per text."""
        vectors, _ = self._loop.run_until_complete(self._engine.embed(sentences=texts))
        return np.asarray(vectors, dtype=np.float32)


def _flat_copy(folder: Path) -> Path:
    """Return a folder of links with model.onnx at its top: optimum 2 finds no other file for Infinity 0.0.78."""
    flat = folder.parent / "infinity" / folder.name
    flat.mkdir(parents=True, exist_ok=True)
    for file in (*folder.glob("*.json"), *folder.glob("*.txt"), *folder.glob("onnx/model.onnx*")):
        link = flat / file.name
        if not link.exists():
            link.symlink_to(file.resolve())
    return flat


def _limit_onnxruntime(threads: int) -> None:
    """Give every ONNX Runtime session the thread count, which Infinity has no option for.

    Left alone, ONNX Runtime starts a thread per core and pins each to its own, whatever the process may use.
    """
    import onnxruntime

    build = onnxruntime.InferenceSession.__init__

    def limited(self: object, path: object, sess_options: object = None, **options: object) -> None:
        sess_options = sess_options or onnxruntime.SessionOptions()
        sess_options.intra_op_num_threads = threads
        build(self, path, sess_options, **options)

    onnxruntime.InferenceSession.__init__ = limited


def load(folder: str, threads: int, *, engine: str = "torch") -> Infinity:
    """Load the folder in fp32: "torch", or "optimum", which is ONNX Runtime.

    Infinity's ONNX engine pools the first token and prefers quantised files unless told otherwise;
    E5 needs the mean, and the row is the unquantised one.
    """
    torch.set_num_threads(threads)
    if engine == "optimum":
        _limit_onnxruntime(threads)
        os.chdir(_flat_copy(Path(folder)))
        folder = "."
    arguments = EngineArgs(
        model_name_or_path=folder,
        engine=engine,
        device="cpu",
        dtype="float32",
        pooling_method="mean",
        onnx_do_not_prefer_quantized=True,
        model_warmup=False,
    )
    return Infinity(arguments)
