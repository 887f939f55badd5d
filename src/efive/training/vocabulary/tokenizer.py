"""Vocabularies: train a multilingual Unigram tokenizer, measure it, cut a model down to the pieces that texts use.

Texts are normalised and cut into words by the parts of the final `tokenizers` tokenizer, so that training and use see
the same words; the pieces are found by sentencepiece's unigram trainer (Kudo, arXiv 1804.10959), which seeds from
counted words and gives the same file for the same input.
"""

import io
import json
import math
import string
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from efive.errors import DependencyError, InputError

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""Special tokens in the order of their ids, as XLM-RoBERTa has them."""
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_SPACE = "▁"
# Scripts that are written without spaces: a word mark before each clause would double their pieces.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# Arabic vowel signs and tatweel, Hebrew points: written in scripture and schoolbooks, never in questions.
_POINTS = "[\u0640\u064b-\u0652\u0670\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]"
_UNSPACED_PIECE = 8  # characters of the longest piece of a script without spaces
_MOST_COUNTED = 12_000_000  # strings
_MOST_SEEDS = 1_000_000
_LEAST_SEEN = 4  # times, for a string to become a candidate
_SIGN_SEEN = 20  # times, in any language, before a digit or punctuation mark gets a piece of its own
_SIGNS = {"Nd", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps"}  # Unicode categories


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a vocabulary is trained."""

    lowercase: bool = True
    coverage: float = 0.9999
    """Share of the characters in the weighted text that get a piece; the others become bytes."""
    characters: int = 50_000_000
    """Size of the weighted text; memory is about 30 bytes a character."""
    most_repeats: float = 4.0
    """Most times that a small language's text counts, however large its weight."""
    longest_piece: int = 16
    """In characters."""
    words: tuple[str, ...] = ("query", "passage")
    """Words that are one piece each in any case: E5's prefixes then cost two tokens."""
    threads: int = 2


def train_tokenizer(
    texts_by_language: Mapping[str, Iterable[str]],
    size: int,
    *,
    weights: Mapping[str, float] | None = None,
    options: TrainingOptions | None = None,
) -> Tokenizer:
    """Train a Unigram tokenizer with byte fallback.

    Args:
        texts_by_language: Texts of each language, read once in a stream. A key may name any group of texts ("ru/news"),
            for only the weights refer to it.
        size: Most pieces in all, special tokens, signs and 256 bytes included; few texts give fewer.
        weights: Share of the characters that each group gets in training, in any unit; a group that is not named
            gets 1. None weighs each by its length to the power 0.5.
        options: See `TrainingOptions`.

    Raises:
        InputError: if there is no text, a weight names no group, or `size` is too small for the texts' characters.
        DependencyError: if sentencepiece is not installed.
    """
    options = options or TrainingOptions()
    counter = WordCounter(lowercase=options.lowercase)
    counted: dict[str, Counter[str]] = {}
    for name, texts in texts_by_language.items():
        counted[name] = Counter()
        for text in texts:
            counter.add(counted[name], text)
    return train_from_counts(counted, size, weights=weights, options=options)


class WordCounter:
    """Counts the words of texts as the final tokenizer sees them."""

    def __init__(self, *, lowercase: bool = True) -> None:
        tokenizer = _empty(lowercase=lowercase)
        self._normalizer, self._pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer

    def add(self, words: Counter[str], text: str) -> None:
        """Count the words of `text` into `words`."""
        normal = self._normalizer.normalize_str(text)
        words.update([word for word, _ in self._pre_tokenizer.pre_tokenize_str(normal)])


def train_from_counts(
    counted: Mapping[str, Mapping[str, int]],
    size: int,
    *,
    weights: Mapping[str, float] | None = None,
    options: TrainingOptions | None = None,
) -> Tokenizer:
    """Train as `train_tokenizer` does, from the words of each group as `WordCounter` counts them.

    Raises:
        InputError: if there is no text, a weight names no group, or `size` is too small for the texts' characters.
        DependencyError: if sentencepiece is not installed.
    """
    options = options or TrainingOptions()
    lengths = {name: sum(n * len(word) for word, n in words.items()) for name, words in counted.items()}
    if not any(lengths.values()):
        raise InputError("there is no text to train a vocabulary on")
    factors = _factors(lengths, weights, options)
    merged: dict[str, float] = {}
    for name, words in counted.items():
        for word, count in words.items():
            merged[word] = merged.get(word, 0.0) + count * factors[name]
    signs = _signs(counted)
    pieces = _train(merged, size - len(signs) - len(options.words), options)
    return _assemble(_empty(lowercase=options.lowercase), pieces, signs, options.words)


def _empty(*, lowercase: bool) -> Tokenizer:
    """Return the tokenizer without its vocabulary: how texts are normalised and cut into words."""
    tokenizer = Tokenizer(Unigram([("<unk>", 0.0)], unk_id=0))
    steps = [
        normalizers.Nmt(),
        normalizers.NFKC(),
        normalizers.Replace(Regex(_POINTS), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ]
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Lowercase()] if lowercase else steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(rf"{_SPACE}(?=[{_UNSPACED}])"), "removed"),
            pre_tokenizers.Split(Regex(rf"{_SPACE}?\p{{Nd}}"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    return tokenizer


def _factors(
    lengths: Mapping[str, int], weights: Mapping[str, float] | None, options: TrainingOptions
) -> dict[str, float]:
    """Return what each group's counts are multiplied by so that its share of the characters is its weight."""
    if weights is None:
        weights = {name: math.sqrt(length) for name, length in lengths.items()}
    if unknown := sorted(set(weights) - set(lengths)):
        raise InputError(f"weights name {unknown[0]!r}, of which there are no texts; there are {', '.join(lengths)}")
    wanted = {name: weights.get(name, 1.0) for name, length in lengths.items() if length}
    unit = options.characters / sum(wanted.values())
    factors = {name: min(wanted[name] * unit / lengths[name], options.most_repeats) for name in wanted}
    return {name: factors.get(name, 0.0) for name in lengths}


def _is_sign(word: str) -> bool:
    """Tell whether `word` is a digit or a punctuation mark, which the pre-tokenizer always makes words of their own."""
    sign = word.removeprefix(_SPACE)
    return len(sign) == 1 and (sign in string.punctuation or unicodedata.category(sign) in _SIGNS)


def _signs(counted: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the pieces of the signs that the texts use, and of all that ASCII has."""
    always = (*string.digits, *(_SPACE + sign for sign in string.digits + string.punctuation))
    seen = Counter(dict.fromkeys(always, _SIGN_SEEN))
    for words in counted.values():
        for word, count in words.items():
            if _is_sign(word):
                seen[word] += count
    return sorted(word for word, count in seen.items() if count >= _SIGN_SEEN)


def _rounded(words: Mapping[str, float]) -> dict[str, int]:
    """Return whole numbers for the words' weights; what rounding leaves is carried over to the next word."""
    carried, whole = 0.0, {}
    for word in sorted(words):
        if _is_sign(word):
            continue
        carried += words[word]
        times = int(carried)
        carried -= times
        if times:
            whole[word] = times
    return whole


def _seeds(words: Mapping[str, int], longest: int) -> dict[str, int]:
    """Return the strings that may become pieces, and how often each occurs in the words.

    sentencepiece's own seeds come from a suffix array, in which a string counts only where different characters
    follow it; so it leaves out frequent words that are the beginning of no other, such as Vietnamese syllables.
    """
    counts: dict[str, int] = {}
    least = 1
    for word, times in words.items():
        reach = longest if word.startswith(_SPACE) else min(longest, _UNSPACED_PIECE)
        for start in range(len(word)):
            for stop in range(start + 2, min(start + reach, len(word)) + 1):
                part = word[start:stop]
                counts[part] = counts.get(part, 0) + times
        if len(counts) > _MOST_COUNTED:  # lossy counting (Manku and Motwani, VLDB 2002) bounds the memory
            least += 1
            counts = {part: n for part, n in counts.items() if n >= least}
    # A string that only ever occurs within one longer string is no candidate beside it.
    covered = {part for whole, n in counts.items() for part in (whole[1:], whole[:-1]) if counts.get(part) == n}
    kept = [(n * len(part), part) for part, n in counts.items() if n >= _LEAST_SEEN and part not in covered]
    return {part: counts[part] for _, part in sorted(kept, reverse=True)[:_MOST_SEEDS]}


def _train(words: Mapping[str, float], size: int, options: TrainingOptions) -> list[tuple[str, float]]:
    """Return pieces and log probabilities, without special tokens and bytes, best first."""
    try:
        import sentencepiece  # noqa: PLC0415 - only training needs it
    except ImportError:
        raise DependencyError("training a vocabulary needs sentencepiece: pip install 'efive[train]'") from None
    whole = _rounded(words)
    written = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder) / "seeds.tsv"
        lines = (f"{piece}\t{count}\n" for piece, count in _seeds(whole, options.longest_piece).items())
        with seeds.open("w", encoding="utf-8") as file:
            file.writelines(lines)
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=(word for word, times in whole.items() for _ in range(times)),
                model_writer=written,
                seed_sentencepieces_file=str(seeds),
                model_type="unigram",
                vocab_size=size,
                character_coverage=options.coverage,
                byte_fallback=True,
                hard_vocab_limit=False,  # few texts give fewer pieces
                normalization_rule_name="identity",  # texts are normalised already
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                split_by_unicode_script=False,
                split_by_number=False,
                max_sentencepiece_length=options.longest_piece,
                max_sentence_length=1 << 16,
                num_threads=options.threads,
                bos_id=0,
                pad_id=1,
                eos_id=2,
                unk_id=3,
                pad_piece="<pad>",
                minloglevel=2,
            )
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].rpartition("] ")[2]
            raise InputError(f"these texts give no vocabulary of {size} pieces besides signs: {reason}") from None
    model = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    skipped = {*SPECIAL, *_BYTES}
    # Rounded, so that a file that is read and written again stays the same to the byte.
    pieces = [(model.id_to_piece(i), round(float(model.get_score(i)), 6)) for i in range(model.get_piece_size())]
    return [(piece, score) for piece, score in pieces if piece not in skipped]


def _assemble(
    tokenizer: Tokenizer, pieces: list[tuple[str, float]], signs: list[str], words: Iterable[str]
) -> Tokenizer:
    known = {piece for piece, _ in pieces}
    lowest = min(score for _, score in pieces)
    table = [(name, 0.0) for name in (*SPECIAL, *_BYTES)] + pieces
    # A sign is a word of its own and has no rival, so its score decides nothing.
    table += [(sign, lowest) for sign in signs if sign not in known]
    tokenizer.model = Unigram(table, unk_id=SPECIAL.index("<unk>"), byte_fallback=True)
    scores = dict(table)
    for word in (_SPACE + word for word in words):
        if word not in known:
            # Just better than the best way to write it with other pieces.
            table.append((word, round(sum(scores[part.value] for part in tokenizer.model.tokenize(word)) + 0.01, 6)))
    tokenizer.model = Unigram(table, unk_id=SPECIAL.index("<unk>"), byte_fallback=True)
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json`, and the two files by which transformers' PreTrainedTokenizerFast reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    names |= {"cls_token": "<s>", "sep_token": "</s>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "padding_side": "right"}
    _write_json(folder / "tokenizer_config.json", config | names | {"clean_up_tokenization_spaces": False})
    _write_json(folder / "special_tokens_map.json", names)


def _write_json(path: Path, content: Any) -> None:  # noqa: ANN401 - JSON is untyped
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Fertility:
    """How finely a tokenizer cuts some texts; sums add up."""

    pieces: int
    fallen: int
    """Pieces that are bytes."""
    words: int
    """Words are what white space separates; punctuation marks count as pieces of theirs."""
    characters: int

    def __add__(self, other: "Fertility") -> "Fertility":
        return Fertility(
            self.pieces + other.pieces,
            self.fallen + other.fallen,
            self.words + other.words,
            self.characters + other.characters,
        )

    @property
    def pieces_per_word(self) -> float:
        """Mean number of pieces of a word."""
        return self.pieces / max(self.words, 1)

    @property
    def byte_share(self) -> float:
        """Share of the pieces that are bytes."""
        return self.fallen / max(self.pieces, 1)

    @property
    def pieces_per_character(self) -> float:
        """Mean number of pieces of a character: the measure for scripts without spaces."""
        return self.pieces / max(self.characters, 1)


def fertility(tokenizer: Tokenizer, texts: Iterable[str]) -> Fertility:
    """Return how many pieces `tokenizer` makes of `texts`, special tokens not counted."""
    pieces = fallen = words = characters = 0
    for text in texts:
        tokens = tokenizer.encode(text, add_special_tokens=False).tokens
        pieces += len(tokens)
        fallen += sum(len(token) == 6 and token.startswith("<0x") for token in tokens)
        words += len(text.split())
        characters += len(text)
    return Fertility(pieces, fallen, words, characters)
