"""A definition and a vocabulary become a model of the store, and only if its vectors are the definition's."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from efive.deployments import memory
from efive.encoder import Encoder
from efive.engines.base import Precision
from efive.errors import DependencyError, EfiveError, ModelError
from efive.inputs import Prompts, Role
from efive.models import torchscript
from efive.models.checkpoint import Checkpoint, sidecars
from efive.models.store import ModelStore
from efive.models.vocabulary import tokenizer_json
from efive.probe import PROBE
from efive.server.elastic.errors import ElasticError, illegal
from efive.server.elastic.models.configs import tokenization_of
from efive.server.elastic.models.uploads import Vocabulary
from efive.text.tokenizer import TextTokenizer
from efive.vectors import normalize

_AGREE = 0.9999
"""Cosine that our vectors must reach with the definition's on every probe."""

_COPIES, _PROCESS = 4, 512 << 20
"""What reading a TorchScript takes: so many times the file, and bytes of the process itself (448 MiB took 2.0 GiB)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model to be taken over."""

    model_id: str
    name: str
    """In the store."""
    config: Mapping[str, Any]
    """As PUT had it."""


def adopt(store: ModelStore, wanted: Wanted, work: Path, vocabulary: Vocabulary) -> None:
    """Take a model over; the folder `work` has its `definition.pt`, and is used up.

    Raises:
        ElasticError: if it is no encoder of the E5 family's kind, or our vectors are not its own.
    """
    staging = store.home / "incoming" / f"elastic-{wanted.name}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    digest = hashlib.sha256()
    with (work / torchscript.SCRIPT).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    try:
        _write_tokenizer(staging, wanted, vocabulary)
        texts = [text for pair in PROBE for text in pair]
        limit = _longest(wanted)
        tokenizer = TextTokenizer.load(staging / "tokenizer.json")
        rows = [tokenizer.cut(row, limit) for row in tokenizer.encode(texts)]
        _check_memory((work / torchscript.SCRIPT).stat().st_size)
        taken = torchscript.take(work, [row.tolist() for row in rows])
        _write_model(staging, wanted, taken, limit)
        _compare(staging, texts, taken)
        store.adopt(staging, wanted.name, source=source_of(wanted.model_id), revision=digest.hexdigest())
    except ElasticError:
        raise
    except DependencyError as error:
        raise illegal(str(error)) from None
    except EfiveError as error:
        raise illegal(f"the definition of [{wanted.model_id}] cannot be taken over: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def source_of(model_id: str) -> str:
    """Return what the store's manifest says of where a model came from."""
    return f"elasticsearch:{model_id}"


def _check_memory(size: int) -> None:
    """Refuse a definition of `size` bytes that there is no memory to read: the server's own would be at stake."""
    needed, free = _COPIES * size + _PROCESS, memory.available()
    if needed > free:
        raise ModelError(f"reading it needs about {needed >> 20} MiB of memory, and {free >> 20} MiB are free")


def _longest(wanted: Wanted) -> int:
    return int(tokenization_of(wanted.config["inference_config"]["text_embedding"])[1].get("max_sequence_length", 512))


def _write_tokenizer(folder: Path, wanted: Wanted, vocabulary: Vocabulary) -> None:
    kind, settings = tokenization_of(wanted.config["inference_config"]["text_embedding"])
    lower = bool(settings.get("do_lower_case", False))
    content = tokenizer_json(kind, vocabulary.vocabulary, vocabulary.scores, lower_case=lower)
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    special = ("[CLS]", "[SEP]", "[PAD]", "[UNK]") if kind == "bert" else ("<s>", "</s>", "<pad>", "<unk>")
    names = dict(zip(("cls_token", "sep_token", "pad_token", "unk_token"), special, strict=True))
    settings_file = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": _longest(wanted), **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings_file, indent=2) + "\n", encoding="utf-8")


def _write_model(folder: Path, wanted: Wanted, taken: torchscript.Taken, limit: int) -> None:
    shape = taken.architecture
    if limit > shape.longest:
        raise ModelError(f"[max_sequence_length] is {limit}; its table of positions has {shape.longest}")
    stated = wanted.config["inference_config"]["text_embedding"].get("embedding_size", shape.hidden)
    if stated != shape.hidden:
        raise ModelError(f"[embedding_size] is {stated}; its vectors have {shape.hidden} components")
    prefixes = wanted.config.get("prefix_strings") or {}
    prompts = Prompts(query=prefixes.get("search", ""), passage=prefixes.get("ingest", ""))
    model = Checkpoint(folder, shape, {}, prompts, "mean", limit, instruct=False)
    for path, content in sidecars(model).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with torchscript.opened(taken.weights) as source, (folder / "model.safetensors").open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def _compare(folder: Path, texts: list[str], taken: torchscript.Taken) -> None:
    """Hold our vectors against the definition's, text by text."""
    memory.require(taken.architecture, Precision.FP32, 1, "the comparison of its vectors with ours")
    with Encoder.load(folder, precision="fp32") as encoder:
        ours = encoder.embed(texts, Role.RAW).vectors
    if not np.isfinite(taken.vectors).all() or taken.vectors.shape != ours.shape:
        raise ModelError("its own vectors are not finite, or of another size than its weights")
    lowest = float((ours * normalize(taken.vectors.copy())).sum(axis=1).min())
    if lowest < _AGREE:
        raise ModelError(
            f"its vectors are not those of an E5 encoder with its weights: cosine {lowest:.4f} on the worst of "
            f"{len(texts)} texts, where {_AGREE} is asked for. It pools or attends in another way"
        )
