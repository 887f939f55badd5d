"""Models as eland packs them: traced TorchScript and a vocabulary, made with transformers alone."""

import hashlib
import json
import warnings
from pathlib import Path

import torch
import transformers


class Traced(torch.nn.Module):
    """What eland traces: the encoder, its mean over the text, and the length of the vector made 1."""

    def __init__(self, folder, pooling="mean"):
        super().__init__()
        self.model = transformers.AutoModel.from_pretrained(
            folder, attn_implementation="eager", add_pooling_layer=False, return_dict=False
        ).eval()
        self.pooling = pooling

    def forward(self, input_ids, attention_mask):
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask)[0]
        mask = attention_mask.unsqueeze(-1).expand_as(hidden).to(hidden.dtype)
        pooled = hidden[:, 0] if self.pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(pooled, p=2.0, dim=1)


def trace(folder: Path, target: Path, *, pooling: str = "mean", freeze: bool = True) -> Path:
    """Write the TorchScript of a model folder to `target`."""
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    return save(Traced(folder, pooling), (ids, torch.ones_like(ids)), target, freeze=freeze)


def save(module: torch.nn.Module, inputs: tuple, target: Path, *, freeze: bool = True) -> Path:
    """Trace a module and write it; torch says that tracing is old, and Elasticsearch takes nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(module.eval(), inputs)
        torch.jit.save(torch.jit.freeze(script) if freeze else script, target)
    return target


def vocabulary(folder: Path) -> dict:
    """The vocabulary of a model folder as eland uploads it."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    if model["type"] == "WordPiece":
        return {"vocabulary": [piece for piece, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]}
    return {"vocabulary": [piece for piece, _ in model["vocab"]], "scores": [score for _, score in model["vocab"]]}


def configuration(folder: Path, **more) -> dict:
    """The body of PUT as eland sends it."""
    shape = json.loads((folder / "config.json").read_text())
    wordpiece = (json.loads((folder / "tokenizer.json").read_text()))["model"]["type"] == "WordPiece"
    kind, lower = ("bert", {"do_lower_case": True}) if wordpiece else ("xlm_roberta", {})
    settings = {"tokenization": {kind: {"max_sequence_length": 512, **lower}}, "embedding_size": shape["hidden_size"]}
    return {
        "description": f"Model {folder} for task type 'text_embedding'",
        "model_type": "pytorch",
        "inference_config": {"text_embedding": settings},
        "input": {"field_names": ["text_field"]},
        "metadata": {"per_deployment_memory_bytes": 1, "per_allocation_memory_bytes": 2},
        **more,
    }


def package(folder: Path, repository: Path, name: str, **more) -> dict:
    """Put a model folder into a model repository; return its metadata."""
    repository.mkdir(parents=True, exist_ok=True)
    script = trace(folder, repository / f"{name}.pt").read_bytes()
    (repository / f"{name}.vocab.json").write_text(json.dumps(vocabulary(folder)))
    given = configuration(folder)
    metadata = {
        "packaged_model_id": name,
        "minimum_version": "11.0.0",
        "size": len(script),
        "sha256": hashlib.sha256(script).hexdigest(),
        "description": "a tiny model",
        "model_type": "pytorch",
        "inference_config": given["inference_config"],
        "prefix_strings": {"ingest": "passage: ", "search": "query: "},
        "tags": ["tiny"],
        "vocabulary_file": f"{name}.vocab.json",
        **more,
    }
    (repository / f"{name}.metadata.json").write_text(json.dumps(metadata))
    return metadata
