"""A BERT checkpoint of a few kilobytes, written with the safetensors and tokenizers libraries alone."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers import models as token_models

SHAPES = {
    "embeddings.word_embeddings.weight": (12, 8),
    "embeddings.position_embeddings.weight": (16, 8),
    "embeddings.token_type_embeddings.weight": (2, 8),
    "embeddings.LayerNorm.weight": (8,),
    "embeddings.LayerNorm.bias": (8,),
    "encoder.layer.0.attention.self.query.weight": (8, 8),
    "encoder.layer.0.attention.self.query.bias": (8,),
    "encoder.layer.0.attention.self.key.weight": (8, 8),
    "encoder.layer.0.attention.self.key.bias": (8,),
    "encoder.layer.0.attention.self.value.weight": (8, 8),
    "encoder.layer.0.attention.self.value.bias": (8,),
    "encoder.layer.0.attention.output.dense.weight": (8, 8),
    "encoder.layer.0.attention.output.dense.bias": (8,),
    "encoder.layer.0.attention.output.LayerNorm.weight": (8,),
    "encoder.layer.0.attention.output.LayerNorm.bias": (8,),
    "encoder.layer.0.intermediate.dense.weight": (20, 8),
    "encoder.layer.0.intermediate.dense.bias": (20,),
    "encoder.layer.0.output.dense.weight": (8, 20),
    "encoder.layer.0.output.dense.bias": (8,),
    "encoder.layer.0.output.LayerNorm.weight": (8,),
    "encoder.layer.0.output.LayerNorm.bias": (8,),
}
CONFIG = {
    "model_type": "bert",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "vocab_size": 12,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """Values that float16 and bfloat16 hold exactly: small multiples of 1/8."""
    random = np.random.default_rng(seed)
    return {name: (random.integers(-8, 9, shape) / 8).astype(np.float32) for name, shape in SHAPES.items()}


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write(folder: Path, *, seed: int = 0) -> Path:
    """Write config.json, tokenizer.json and model.safetensors, and return the folder."""
    write_json(folder / "config.json", CONFIG)
    save_file(tensors(seed), folder / "model.safetensors")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "query", "passage", ":", "a", "b", "c"]
    Tokenizer(token_models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]")).save(
        str(folder / "tokenizer.json")
    )
    return folder
