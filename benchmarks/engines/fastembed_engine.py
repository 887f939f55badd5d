"""FastEmbed over a local ONNX file, with its default batches (256, in the order given)."""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

from engines import Vectors


class FastEmbed:
    """One loaded model."""

    bare_texts = False
    precision = "fp32"

    def __init__(self, model: TextEmbedding) -> None:
        """Wrap `model`."""
        self._model = model
        self.version = version("fastembed")

    def embed(self, texts: list[str], role: str) -> Vectors:  # noqa: ARG002
        """Return one unit vector per text."""
        return np.stack(list(self._model.embed(texts))).astype(np.float32)


def load(folder: str, threads: int) -> FastEmbed:
    """Register the folder as a custom model and load it."""
    size = json.loads((Path(folder) / "config.json").read_text())["hidden_size"]
    name = f"local/{Path(folder).name}"
    TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=name),
        dim=size,
        model_file="onnx/model.onnx",
    )
    return FastEmbed(TextEmbedding(name, specific_model_path=folder, threads=threads))
