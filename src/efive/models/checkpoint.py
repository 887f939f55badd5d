"""A model folder in Hugging Face / sentence-transformers layout: read it, check it, write it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from efive.errors import InputError, ModelError, ModelFileError, ModelNotFoundError
from efive.inputs import E5_PROMPTS, Prompts
from efive.models import family
from efive.models.architecture import MAX_TOKENS, Architecture, Kind
from efive.models.tasks import DEFAULT_TASK, task_sentence
from efive.models.tensors import SCALE_SUFFIX, Tensor, open_pickled, open_safetensors, pack_rows

# Where the weights may lie, best first. An index names the shards of a split checkpoint.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Prefixes that task heads put before the encoder's own tensor names, and names of very old checkpoints.
_NAME_PREFIXES = ("bert.", "roberta.", "model.", "0.auto_model.")
_OLD_NAMES = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))

_PROMPTS_FILE = "config_sentence_transformers.json"
_BARE = "empty_prompts_are_meant"
"""There: sentence-transformers writes empty prompts for every model, E5's too; only with this they mean none."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "added_tokens.json",
)


@dataclass(frozen=True)
class Checkpoint:
    """A model folder, read and checked; tensors are memory-mapped views of its files."""

    folder: Path
    architecture: Architecture
    tensors: Mapping[str, Tensor] = field(repr=False)
    prompts: Prompts
    pooling: str
    """`mean` (all encoders) or `last` (e5-mistral)."""
    max_tokens: int
    instruct: bool
    """Whether queries carry an instruction that the caller may choose."""
    window: int | None = None
    """Tokens of the windows in which its long passages are best embedded, where its maker says so."""

    @property
    def tokenizer_file(self) -> Path:
        """The Rust tokenizer's file."""
        return self.folder / "tokenizer.json"

    def with_task(self, task: str) -> "Checkpoint":
        """Return the checkpoint with another instruction before its queries.

        Raises:
            InputError: if the model takes no instruction, or the task is unknown.
        """
        if not self.instruct:
            raise InputError(f"{self.folder.name} takes no instruction; leave `task` out")
        return replace(self, prompts=Prompts.instruct(task_sentence(task)))

    def with_max_tokens(self, max_tokens: int) -> "Checkpoint":
        """Return the checkpoint with another token limit.

        Raises:
            InputError: if the network cannot read that many tokens.
        """
        if not 8 <= max_tokens <= self.architecture.longest:
            raise InputError(
                f"max_tokens is {max_tokens}; {self.folder.name} can be set to 8 … {self.architecture.longest}"
            )
        return replace(self, max_tokens=max_tokens)


def read(folder: Path) -> Checkpoint:
    """Read a model folder.

    Raises:
        ModelNotFoundError: if there is no such folder.
        ModelFileError: naming the file that is missing, torn, oversized or of the wrong shape.
        ModelError: if the model is no E5 encoder.
    """
    if not folder.is_dir():
        raise ModelNotFoundError(f"{folder} is no model folder")
    config = _read_json(folder / "config.json")
    architecture = Architecture.from_config(config)
    prompts, instruct = _prompts(folder, architecture, config)
    return Checkpoint(
        folder=folder,
        architecture=architecture,
        tensors=_checked(architecture, _open_weights(folder), folder),
        prompts=prompts,
        pooling=_pooling(folder, architecture),
        max_tokens=_token_limit(folder, architecture),
        instruct=instruct,
        window=_window(folder),
    )


def _read_json(path: Path, *, optional: bool = False, kind: type = dict) -> Any:  # noqa: ANN401 - JSON is untyped
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if optional:
            return kind()
        raise ModelFileError(f"{path} is missing") from None
    except (ValueError, OSError, RecursionError) as error:
        raise ModelFileError(f"{path} is no readable JSON: {error}") from None
    if not isinstance(content, kind):
        raise ModelFileError(f"{path} holds a {type(content).__name__} where a {kind.__name__} belongs")
    return content


def _open_weights(folder: Path) -> dict[str, Tensor]:
    for name in _WEIGHTS:
        path = folder / name
        if not path.exists():
            continue
        files = [path]
        if path.suffix == ".json":
            listed = _read_json(path).get("weight_map")
            if not isinstance(listed, dict) or not listed:
                raise ModelFileError(f"{path} has no weight_map")
            files = [folder / _inside(shard, path) for shard in sorted(set(map(str, listed.values())))]
        found: dict[str, Tensor] = {}
        for file in files:
            found |= open_safetensors(file) if file.suffix == ".safetensors" else open_pickled(file)
        return {_canonical(key): tensor for key, tensor in found.items()}
    raise ModelFileError(f"{folder} has no weights: none of {', '.join(_WEIGHTS)} is there")


def _inside(shard: str, index: Path) -> str:
    if Path(shard).name != shard or "\\" in shard or Path(shard).suffix not in {".safetensors", ".bin"}:
        raise ModelFileError(f"{index} names {shard!r}, which is no weights file beside it")
    return shard


def _canonical(name: str) -> str:
    for prefix in _NAME_PREFIXES:
        name = name.removeprefix(prefix)
    for old, new in _OLD_NAMES:
        name = name.replace(old, new)
    return name


def _checked(architecture: Architecture, found: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    kept = {}
    for name, shape in architecture.tensors().items():
        if name not in found:
            raise ModelFileError(f"{folder}: the weights lack {name}, which config.json asks for")
        if found[name].shape != shape:
            raise ModelFileError(f"{folder}: {name} has shape {found[name].shape} where config.json asks for {shape}")
        kept[name] = found[name]
    return kept


def _pooling(folder: Path, architecture: Architecture) -> str:
    default = "last" if architecture.kind is Kind.MISTRAL else "mean"
    modules = _read_json(folder / "modules.json", optional=True, kind=list)
    if not modules:
        return default
    try:
        kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in modules}
    except (TypeError, KeyError):
        raise ModelFileError(f"{folder}/modules.json is no list of modules with type and path") from None
    if unknown := set(kinds) - {"Transformer", "Pooling", "Normalize"}:
        raise ModelError(f"{folder}/modules.json has {', '.join(sorted(unknown))}, which no E5 model has")
    file = folder / kinds.get("Pooling", "1_Pooling") / "config.json"
    pooling = _read_json(file, optional="Pooling" not in kinds)
    names = {"mean": "mean", "mean_tokens": "mean", "lasttoken": "last"}
    newer = pooling.get("pooling_mode", [])
    stated = [str(mode) for mode in (newer if isinstance(newer, list) else [newer])]
    stated += [
        key.removeprefix("pooling_mode_")
        for key, on in pooling.items()
        if key.startswith("pooling_mode_") and on is True
    ]
    if len({names.get(mode, mode) for mode in stated}) > 1 or any(mode not in names for mode in stated):
        raise ModelError(f"{file} pools by {' and '.join(stated)}; E5 pools by mean, e5-mistral by its last token")
    if pooling.get("include_prompt", True) is False:
        raise ModelError(f"{file} leaves the prompt out of the mean; E5 pools over its prefix too")
    return names[stated[0]] if stated else default


def _prompts(folder: Path, architecture: Architecture, config: dict[str, Any]) -> tuple[Prompts, bool]:
    """Registered prompts first, then what the model's name says, then what its kind says."""
    # The hub client's cache keeps a model in models--owner--name/snapshots/commit.
    cached = [part.replace("--", "/") for part in folder.resolve().parts if part.startswith("models--")]
    named = str(config.get("_name_or_path", ""))
    known = family.member_of_path(named, folder.resolve().name, _source(folder), *cached)
    instruct = known.instruct if known else architecture.kind is Kind.MISTRAL
    file = folder / _PROMPTS_FILE
    settings = _read_json(file, optional=True)
    registered: dict[str, str] = settings.get("prompts") or {}
    if not isinstance(registered, dict) or not all(isinstance(prompt, str) for prompt in registered.values()):
        raise ModelFileError(f"{file} has prompts that are no strings: {registered!r}")
    if registered.get("query") or settings.get(_BARE) is True:
        passage = registered.get("document", registered.get("passage", ""))
        query = registered.get("query", "")
        return Prompts(query, passage), instruct or query.startswith("Instruct:")
    if instruct:
        return Prompts.instruct(task_sentence(DEFAULT_TASK)), True
    return E5_PROMPTS, False


def _source(folder: Path) -> str:
    return str(_read_json(folder / "efive.json", optional=True).get("source", ""))


def _token_limit(folder: Path, architecture: Architecture) -> int:
    file = folder / "sentence_bert_config.json"
    settings = _read_json(file, optional=True)
    if settings.get("do_lower_case"):
        raise ModelError(
            f"{file} lower-cases texts outside the tokenizer, which no E5 model does; efive does not either"
        )
    stated = settings.get("max_seq_length") or MAX_TOKENS
    if isinstance(stated, bool) or not isinstance(stated, int) or stated < 1:
        raise ModelFileError(f"{file} says max_seq_length {stated!r}; that must be a whole number, at least 1")
    return min(stated, MAX_TOKENS, architecture.longest)


def _window(folder: Path) -> int | None:
    file = folder / _PROMPTS_FILE
    stated = _read_json(file, optional=True).get("passage_window")
    if stated is not None and (isinstance(stated, bool) or not isinstance(stated, int) or stated < 8):
        raise ModelFileError(f"{file} says passage_window {stated!r}; that must be a whole number of at least 8 tokens")
    return stated


def write(checkpoint: Checkpoint, folder: Path, *, compact: bool = False) -> None:
    """Write `checkpoint` as a folder that efive, sentence-transformers and transformers read alike.

    Weights are written as float32 (float16 stays float16), the prefixes are registered as prompts. A `compact`
    folder keeps matrices as int8 with a scale per row, a quarter of the size; only efive reads it, and its
    space is another, for its values are rounded.

    Raises:
        InputError: if `folder` exists and is not empty.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists and is no empty folder; name a new one")
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (checkpoint.folder / name).is_file():
            shutil.copyfile(checkpoint.folder / name, folder / name)
    tokenizer = folder / "tokenizer.json"
    if checkpoint.pooling == "last":
        tokenizer.write_text(json.dumps(with_end(_read_json(tokenizer)), ensure_ascii=False), encoding="utf-8")
    elif compact:  # the same content; a vocabulary on a line each takes twice the room
        dense = json.dumps(_read_json(tokenizer), ensure_ascii=False, separators=(",", ":"))
        tokenizer.write_text(dense, encoding="utf-8")
    for path, content in sidecars(checkpoint).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    layout = _compact if compact else _plain
    save_file(layout(checkpoint.tensors), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)  # the library's is 0600


def with_end(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a tokenizer.json that itself writes the `</s>` which e5-mistral pools.

    efive appends it where the file does not; other readers of a saved folder would not.
    """
    template = (tokenizer.get("post_processor") or {}).get("single")
    if not template or "</s>" in json.dumps(template):
        return tokenizer
    ids = [token["id"] for token in tokenizer["added_tokens"] if token["content"] == "</s>"]
    processor = tokenizer["post_processor"] | {"single": [*template, {"SpecialToken": {"id": "</s>", "type_id": 0}}]}
    processor["special_tokens"] = processor["special_tokens"] | {"</s>": {"id": "</s>", "ids": ids, "tokens": ["</s>"]}}
    return tokenizer | {"post_processor": processor}


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.ascontiguousarray(t.values if t.dtype == "F16" else t.floats()) for name, t in tensors.items()}


def _compact(tensors: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
    packed: dict[str, npt.NDArray[Any]] = {}
    for name, tensor in tensors.items():
        if len(tensor.shape) < 2:
            packed[name] = np.ascontiguousarray(tensor.floats())
            continue
        packed[name], packed[name + SCALE_SUFFIX] = pack_rows(tensor.floats())
    return packed


def sidecars(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the JSON files beside weights and tokenizer, by relative path."""
    # Vectors of efive are unit vectors, whether or not the folder that was read says so.
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    last = checkpoint.pooling == "last"
    return {
        "config.json": checkpoint.architecture.to_config(),
        "modules.json": [
            {"idx": int(n), "name": n, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for n, path, kind in modules
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": checkpoint.architecture.hidden,
            "pooling_mode_mean_tokens": not last,
            "pooling_mode_lasttoken": last,
            # E5's vectors are means over the prefix as well.
            "include_prompt": True,
        },
        "sentence_bert_config.json": {"max_seq_length": checkpoint.max_tokens, "do_lower_case": False},
        _PROMPTS_FILE: {
            "prompts": {"query": checkpoint.prompts.query, "document": checkpoint.prompts.passage},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        }
        | ({} if checkpoint.window is None else {"passage_window": checkpoint.window})
        | ({} if checkpoint.prompts.query else {_BARE: True}),
    }
