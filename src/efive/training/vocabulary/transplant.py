"""Put a new vocabulary under an English encoder: its layers stay, its rows are computed from the old ones.

A piece that English uses gets the mean of the teacher's rows of its WordPieces. A foreign piece gets the mean of the
rows of the English pieces that it is aligned with in translated texts. Pieces of both are mixed by frequency
(in the manner of Tran, arXiv 2002.07306, and of WECHSEL, arXiv 2112.06598).
"""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from efive.errors import InputError, ModelError
from efive.inputs import E5_PROMPTS
from efive.models import checkpoint
from efive.models.architecture import MAX_TOKENS, Kind
from efive.models.tensors import Tensor
from efive.training.vocabulary.alignment import Alignment, AlignmentOptions, align, best_of_each
from efive.training.vocabulary.tokenizer import SPECIAL, write_tokenizer

Floats = npt.NDArray[np.float32]
_TABLE = "embeddings.word_embeddings.weight"
_TEACHER_SPECIAL = ("[CLS]", "[PAD]", "[SEP]", "[UNK]")  # in the order of SPECIAL
_SPACE = "▁"
_AT_ONCE = 1 << 16  # rows gathered at a time: bounds the memory


@dataclass(frozen=True, slots=True)
class RowOptions:
    """How a foreign piece's row follows from its translations."""

    exponent: float = 1.0
    """Power of the translation probabilities: above 1 the best ones count more."""
    top: int = 12
    """Translations that count."""
    norm: float = 0.0
    """0 keeps the shorter norm of a mean, 1 restores the mean norm of the rows that it was made of."""
    english: float = 1.0
    """Weight of an occurrence in English against one in another language, where a piece has both."""
    null: float = 0.0
    """How far a piece that often translates nothing is drawn to the mean row, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What texts say about the pieces of a new vocabulary."""

    english: npt.NDArray[np.int64]
    """Occurrences in English; (vocabulary,)."""
    foreign: npt.NDArray[np.int64]
    """Occurrences in other languages' sides of the bitext; (vocabulary,)."""
    null: npt.NDArray[np.float64]
    """Share of the foreign occurrences that translate nothing; (vocabulary,)."""
    source: npt.NDArray[np.int64]
    """Foreign piece of each translation, sorted; (n,)."""
    target: npt.NDArray[np.int64]
    """Its English piece; (n,)."""
    weight: npt.NDArray[np.float64]
    """Its probability, mean over the languages by the piece's frequency; (n,)."""


def gather(
    tokenizer: Tokenizer,
    bitext: Mapping[str, Iterable[tuple[str, str]]],
    *,
    english: Iterable[str] = (),
    options: AlignmentOptions | None = None,
    threads: int = 1,
) -> Evidence:
    """Count and align the pieces of texts.

    Args:
        tokenizer: The new vocabulary.
        bitext: By language, pairs of an English text and its translation.
        english: More English texts, only counted.
        options: See `AlignmentOptions`; its limits hold for each language.
        threads: Languages that are aligned at once.

    Raises:
        InputError: if a language has no pair that can be aligned.
    """
    size = tokenizer.get_vocab_size()
    counts = np.zeros(size, dtype=np.int64)
    for ids in _ids(tokenizer, list(english)):
        np.add.at(counts, ids, 1)

    def align_language(pairs: Iterable[tuple[str, str]]) -> Alignment:
        texts = list(pairs)
        foreign, own = ([pair[side] for pair in texts] for side in (1, 0))
        return align(_ids(tokenizer, foreign), _ids(tokenizer, own), size, options)

    with ThreadPoolExecutor(threads) as pool:
        return _merge(list(pool.map(align_language, bitext.values())), counts)


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
    rows: list[npt.NDArray[np.int32]] = []
    for start in range(0, len(texts), 4096):
        batch = tokenizer.encode_batch_fast(texts[start : start + 4096], add_special_tokens=False)
        rows += [np.array(encoding.ids, dtype=np.int32) for encoding in batch]
    return rows


def _merge(found: Sequence[Alignment], counts: npt.NDArray[np.int64]) -> Evidence:
    """Join the languages: a piece of several means what it means in each, by its frequency there."""
    size = len(counts)
    foreign = sum((one.counts for one in found), np.zeros(size, dtype=np.int64))
    counts = sum((one.english_counts for one in found), counts)
    null = sum((one.null * one.counts for one in found), np.zeros(size)) / np.maximum(foreign, 1)
    none = np.zeros(0, dtype=np.int64)
    keys = np.concatenate([none, *(one.foreign * size + one.english for one in found)])
    weights = np.concatenate([np.zeros(0), *(one.weight * one.counts[one.foreign] for one in found)])
    unique, place = np.unique(keys, return_inverse=True)
    source = unique // size
    weight = np.bincount(place, weights=weights, minlength=len(unique)) / np.maximum(foreign[source], 1)
    return Evidence(counts, foreign, null, source, unique % size, weight)


def rows(
    table: Floats, teacher: Tokenizer, tokenizer: Tokenizer, evidence: Evidence, options: RowOptions | None = None
) -> Floats:
    """Return the rows of the new vocabulary, float32 (vocabulary, hidden).

    Args:
        table: The teacher's rows (its vocabulary, hidden).
        teacher: The teacher's WordPiece tokenizer.
        tokenizer: The new vocabulary.
        evidence: What `gather` found with it.
        options: See `RowOptions`.
    """
    options = options or RowOptions()
    own, known = _own_rows(table, teacher, tokenizer)
    mean = table.mean(axis=0)
    translated, aligned = _translated_rows(own, known, evidence, options)
    if options.null:
        share = (options.null * evidence.null).astype(np.float32)[:, None]
        translated = (1 - share) * translated + share * mean
    weight_en = np.where(known, options.english * evidence.english, 0.0)
    weight_en = np.where(known & ~aligned & (weight_en == 0), 1.0, weight_en)
    weight_foreign = np.where(aligned, evidence.foreign, 0)
    total = np.maximum(weight_en + weight_foreign, 1e-9)
    share = (weight_en / total).astype(np.float32)[:, None]
    made = share * own + (1 - share) * translated
    made[~known & ~aligned] = mean
    ids = teacher.get_vocab()
    for name, old in zip(SPECIAL, _TEACHER_SPECIAL, strict=True):
        made[tokenizer.token_to_id(name)] = table[ids[old]]
    return np.ascontiguousarray(made, dtype=np.float32)


def _translated_rows(
    own: Floats, known: npt.NDArray[np.bool_], evidence: Evidence, options: RowOptions
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    usable = np.flatnonzero(known[evidence.target] & (evidence.english[evidence.target] > 0))
    kept = usable[best_of_each(evidence.source[usable], evidence.weight[usable], options.top)]
    source, target = evidence.source[kept], evidence.target[kept]
    power = evidence.weight[kept] ** options.exponent
    size = len(own)
    share = (power / np.bincount(source, weights=power, minlength=size)[source]).astype(np.float32)
    made = np.zeros_like(own)
    for start in range(0, len(source), _AT_ONCE):
        part = np.s_[start : start + _AT_ONCE]
        np.add.at(made, source[part], share[part, None] * own[target[part]])
    norms = np.linalg.norm(own, axis=1)
    wanted = np.bincount(source, weights=share * norms[target], minlength=size).astype(np.float64, copy=False)
    return _rescaled(made, wanted, options.norm), np.bincount(source, minlength=size) > 0


def _rescaled(made: Floats, wanted: npt.NDArray[np.float64], power: float) -> Floats:
    norms = np.linalg.norm(made, axis=1)
    factor = np.where(norms > 0, wanted / np.maximum(norms, 1e-9), 1.0) ** power
    scaled: Floats = made * factor.astype(np.float32)[:, None]
    return scaled


def _own_rows(table: Floats, teacher: Tokenizer, tokenizer: Tokenizer) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the mean of the teacher's rows of each piece's surface, and which pieces the teacher can write."""
    vocabulary = teacher.get_vocab()
    made = np.zeros((tokenizer.get_vocab_size(), table.shape[1]), dtype=np.float32)
    known = np.zeros(len(made), dtype=bool)
    for piece, index in tokenizer.get_vocab().items():
        surface = piece.removeprefix(_SPACE)
        text = teacher.normalizer.normalize_str(surface) if teacher.normalizer else surface
        ids = _wordpieces(text, vocabulary, starts=piece.startswith(_SPACE))
        if ids and not (len(piece) == 6 and piece.startswith("<0x")):
            made[index], known[index] = table[ids].mean(axis=0), True
    return made, known


def _wordpieces(text: str, vocabulary: Mapping[str, int], *, starts: bool) -> list[int]:
    """Cut `text` as WordPiece does, its first word as the inside of a word unless `starts`; [] if it cannot."""
    ids: list[int] = []
    for word in text.split():
        place = 0
        while place < len(word):
            mark = "" if starts and place == 0 else "##"
            ends = range(len(word), place, -1)
            found = next((end for end in ends if mark + word[place:end] in vocabulary), None)
            if found is None and place == 0 and not starts:
                mark, found = "", next((end for end in ends if word[:end] in vocabulary), None)
            if found is None:
                return []
            ids.append(vocabulary[mark + word[place:found]])
            place = found
        starts = True
    return ids


def transplant(
    teacher_folder: Path,
    tokenizer: Tokenizer,
    evidence: Evidence,
    output: Path,
    *,
    options: RowOptions | None = None,
) -> None:
    """Write the teacher with a new vocabulary to the folder `output`, with E5's prompts.

    Args:
        teacher_folder: An English BertModel with a WordPiece tokenizer.
        tokenizer: The new vocabulary, as `train_tokenizer` makes it.
        evidence: What `gather` found with it.
        output: A new or empty folder; see `models.checkpoint.write`.
        options: See `RowOptions`.

    Raises:
        ModelError: if the teacher is no BERT with WordPiece.
        InputError: if `output` is not empty, or the evidence is of another vocabulary.
    """
    read = checkpoint.read(teacher_folder)
    teacher = _teacher_tokenizer(read)
    if len(evidence.english) != tokenizer.get_vocab_size():
        raise InputError(
            f"the evidence is of {len(evidence.english)} pieces, the tokenizer has {tokenizer.get_vocab_size()}"
        )
    made = rows(read.tensors[_TABLE].floats(), teacher, tokenizer, evidence, options)
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer(tokenizer, Path(folder))
        changed = replace(
            read,
            folder=Path(folder),
            architecture=replace(read.architecture, vocabulary=len(made), pad_id=SPECIAL.index("<pad>")),
            tensors={**read.tensors, _TABLE: Tensor("F32", made)},
            prompts=E5_PROMPTS,
            max_tokens=min(MAX_TOKENS, read.architecture.longest),
        )
        checkpoint.write(changed, output)


def _teacher_tokenizer(read: checkpoint.Checkpoint) -> Tokenizer:
    content: dict[str, Any] = json.loads(read.tokenizer_file.read_text(encoding="utf-8"))
    if read.architecture.kind is not Kind.BERT or content["model"]["type"] != "WordPiece":
        raise ModelError(
            f"{read.folder} is {read.architecture.kind} with {content['model']['type']}; "
            "the teacher of a transplant is a BERT with WordPiece"
        )
    return Tokenizer.from_file(str(read.tokenizer_file))
