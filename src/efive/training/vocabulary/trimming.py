"""Cut a model down to the vocabulary that some texts use: same vectors for them, a smaller table of rows."""

import copy
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from efive.errors import InputError, ModelError
from efive.models import checkpoint
from efive.models.architecture import Kind
from efive.models.tensors import Tensor
from efive.text.tokenizer import TextTokenizer

_TABLE = "embeddings.word_embeddings.weight"
_BATCH = 1024  # texts


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What trimming did."""

    rows_before: int
    rows_after: int
    megabytes_before: float
    """Of the table of rows as the folder stores it; 1 MB is 10⁶ bytes."""
    megabytes_after: float


def used_ids(tokenizer: Tokenizer, texts: Iterable[str]) -> set[int]:
    """Return the ids that `texts` use, read once in a stream."""
    backend = TextTokenizer(copy.deepcopy(tokenizer))
    used: set[int] = set()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            used.update(*(ids.tolist() for ids in backend.encode(batch)))
            batch = []
    used.update(*(ids.tolist() for ids in backend.encode(batch)))
    return used


def trim_vocabulary(
    folder: Path,
    output: Path,
    *,
    texts: Iterable[str] = (),
    keep: Iterable[str] = (),
    characters: bool = True,
) -> Trimmed:
    """Write the model in `folder` to `output` with only the pieces that are used, renumbered.

    A text whose pieces are all kept has the same pieces, and so the same vector, as before. Special tokens, bytes and
    the model's prefixes are always kept. A text with other pieces is written with smaller ones.

    Args:
        folder: A model folder with a Unigram or WordPiece vocabulary.
        output: A new or empty folder.
        texts: What the pieces are kept for; each is read with every prefix of the model.
        keep: More pieces by name.
        characters: Whether every piece of one character is kept, so that other texts can still be written.

    Raises:
        ModelError: for a BPE vocabulary, whose pieces are made of each other, and for e5-mistral.
        InputError: if a piece of `keep` is not in the vocabulary, or `output` is not empty.
    """
    read = checkpoint.read(folder)
    content: dict[str, Any] = json.loads(read.tokenizer_file.read_text(encoding="utf-8"))
    kind = content["model"].get("type")
    if kind not in {"Unigram", "WordPiece"} or read.architecture.kind is Kind.MISTRAL:
        raise ModelError(
            f"{folder} has a {kind} vocabulary, whose pieces are made of each other; only Unigram and WordPiece can "
            "be trimmed"
        )
    tokenizer = Tokenizer.from_file(str(read.tokenizer_file))
    prompts = (read.prompts.query, read.prompts.passage)
    kept = used_ids(tokenizer, (prompt + text for text in ["", *prompts] for prompt in prompts))
    kept |= used_ids(tokenizer, (prompt + text for text in texts for prompt in prompts))
    kept |= _by_name(tokenizer, keep) | _always(content, characters=characters)
    order = np.array(sorted(kept), dtype=np.int64)
    old = read.tensors[_TABLE]
    half = old.dtype == "F16"
    table = Tensor("F16", old.values[order]) if half else Tensor("F32", old.rows(order))
    with tempfile.TemporaryDirectory() as place:
        _write_tokenizer_files(read.folder, Path(place), _renumbered(content, order.tolist()))
        pad = int(np.searchsorted(order, read.architecture.pad_id))
        changed = replace(
            read,
            folder=Path(place),
            architecture=replace(read.architecture, vocabulary=len(order), pad_id=pad),
            tensors={**read.tensors, _TABLE: table},
        )
        checkpoint.write(changed, output)
    width = old.shape[1] * (2 if half else 4) / 1e6
    return Trimmed(old.shape[0], len(order), old.shape[0] * width, len(order) * width)


def _by_name(tokenizer: Tokenizer, names: Iterable[str]) -> set[int]:
    found = set()
    for name in names:
        index = tokenizer.token_to_id(name)
        if index is None:
            raise InputError(f"the vocabulary has no piece {name!r}")
        found.add(index)
    return found


def _pieces(content: dict[str, Any]) -> dict[int, str]:
    """Return the vocabulary by id, added tokens included."""
    vocabulary = content["model"]["vocab"]
    if isinstance(vocabulary, dict):
        pieces = {index: piece for piece, index in vocabulary.items()}
    else:
        pieces = {index: piece for index, (piece, _) in enumerate(vocabulary)}
    return pieces | {token["id"]: token["content"] for token in content["added_tokens"]}


def _always(content: dict[str, Any], *, characters: bool) -> set[int]:
    """Return the ids that any text may need: special tokens, bytes, `unk`, and single characters if asked."""
    kept = {token["id"] for token in content["added_tokens"]}
    unknown = content["model"].get("unk_id")
    kept |= {unknown} if unknown is not None else set()
    if isinstance(content["model"]["vocab"], list):
        # The cost of an unknown character is reckoned from the lowest score: it must stay what it was.
        scores = [score for _, score in content["model"]["vocab"]]
        kept.add(scores.index(min(scores)))
    for index, piece in _pieces(content).items():
        if len(piece) == 6 and piece.startswith("<0x") and content["model"].get("byte_fallback"):
            kept.add(index)
        if characters and len(piece.removeprefix("##").removeprefix("▁")) <= 1:
            kept.add(index)
        if piece == content["model"].get("unk_token"):
            kept.add(index)
    return kept


def _renumbered(content: dict[str, Any], order: list[int]) -> dict[str, Any]:
    """Return the tokenizer.json with only the ids of `order`, which become 0, 1, 2 and so on."""
    new = {old: index for index, old in enumerate(order)}
    content = copy.deepcopy(content)
    model = content["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {piece: new[old] for piece, old in model["vocab"].items() if old in new}
    else:
        model["vocab"] = [entry for old, entry in enumerate(model["vocab"]) if old in new]
        model["unk_id"] = new.get(model["unk_id"])
    for token in content["added_tokens"]:
        token["id"] = new[token["id"]]
    _renumber_processor(content.get("post_processor"), new)
    if content.get("padding"):
        content["padding"]["pad_id"] = new[content["padding"]["pad_id"]]
    return content


def _renumber_processor(processor: Any, new: dict[int, int]) -> None:  # noqa: ANN401 - JSON is untyped
    """Put new ids into the part of a tokenizer.json that writes special tokens, in place."""
    if not isinstance(processor, dict):
        return
    for part in processor.get("processors", []):
        _renumber_processor(part, new)
    for token in (processor.get("special_tokens") or {}).values():
        token["ids"] = [new[old] for old in token["ids"]]
    for name in ("sep", "cls"):
        if isinstance(processor.get(name), list):
            processor[name][1] = new[processor[name][1]]


def _write_tokenizer_files(source: Path, place: Path, content: dict[str, Any]) -> None:
    """Write tokenizer.json and copy what says nothing of ids; other files hold the old vocabulary."""
    (place / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (source / name).is_file():
            config = json.loads((source / name).read_text(encoding="utf-8"))
            config.pop("added_tokens_decoder", None)  # ids of the old vocabulary
            (place / name).write_text(json.dumps(config, ensure_ascii=False) + "\n", encoding="utf-8")
