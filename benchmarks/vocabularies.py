"""Tokenizers of the real kinds and sizes: BERT WordPiece from a vocabulary, and a synthetic 250k Unigram."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDPIECE_SIZE = 30_522
UNIGRAM_SIZE = 250_002
_MARKS = "!\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~"
# Sounds that made-up syllables begin and end with, per script.
_SOUNDS = {
    "latin": ("b c d f g h k l m n p r s t v w z st tr sh", "a e i o u ai ou en er is on"),
    "cyrillic": ("б в г д ж з к л м н п р с т ф х ч ш", "а е и о у ы я ов ен ст"),
    "greek": ("β γ δ θ κ λ μ ν π ρ σ τ φ χ", "α ε η ι ο υ ου αι ος"),
    "arabic": ("ب ت ج د ر س ع ف ق ك ل م ن ه", "ا و ي ان ين"),
    "devanagari": ("क ग च ज ट त द न प ब म र ल व स ह", "ा ि ी े ो ान"),
}


def _made_up_words(script: str) -> Iterator[str]:
    """Yield every word of one syllable, of two, of three ..., without end."""
    first, last = _SOUNDS[script]
    syllables = [a + b for a in first.split() for b in last.split()]
    for length in itertools.count(1):
        yield from map("".join, itertools.product(syllables, repeat=length))


def generated_wordpiece_vocabulary() -> list[str]:
    """Return 30,522 pieces laid out as in bert-base-uncased: special tokens, characters, words, ## pieces."""
    head = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    head += [f"[unused{i}]" for i in range(99, 994)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    head += [*_MARKS, *letters, "query", "passage", *(f"##{c}" for c in letters + "0123456789")]
    words = [*dict.fromkeys(itertools.islice(_made_up_words("latin"), 60_000))]
    picked = [words[i] for i in np.random.default_rng(0).permutation(len(words))]
    taken = set(head)
    whole = [w for w in picked if w not in taken][: (WORDPIECE_SIZE - len(head)) * 4 // 5]
    pieces = [f"##{w}" for w in picked[len(whole) :] if f"##{w}" not in taken]
    return head + whole + pieces[: WORDPIECE_SIZE - len(head) - len(whole)]


def read_wordpiece_vocabulary(path: Path) -> list[str]:
    """Return the pieces of a vocab.txt, which must have bert-base-uncased's size."""
    pieces = path.read_text(encoding="utf-8").splitlines()
    if len(pieces) != WORDPIECE_SIZE:
        raise SystemExit(f"{path} has {len(pieces)} pieces; E5's English models have {WORDPIECE_SIZE}")
    return pieces


def wordpiece(pieces: list[str]) -> Tokenizer:
    """Return the lower-casing BERT tokenizer over `pieces`."""
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer


def unigram(size: int = UNIGRAM_SIZE) -> Tokenizer:
    """Return a Unigram tokenizer of `size` pieces with XLM-RoBERTa's special ids and framing."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁query", "▁passage", ":", *_MARKS.replace(":", "")]
    ideographs = [chr(c) for c in range(0x4E00, 0x4E00 + 4_000)]
    streams = [_made_up_words(script) for script in _SOUNDS]
    characters = sorted({c for sounds in _SOUNDS.values() for c in "".join(sounds) if not c.isspace()})
    seen = dict.fromkeys([*pieces, *characters, *ideographs])
    for number, word in enumerate(_round_robin(streams)):
        if len(seen) >= size - 1:
            break
        seen.setdefault(word if number % 10 < 3 else f"▁{word}")
    names = [*itertools.islice(seen, size - 1), "<mask>"]
    # Zipf's law: the log-probability falls with the logarithm of the rank.
    scores = [0.0] * 4 + list(-4.0 - np.log(np.arange(1, size - 4)) * 0.9) + [0.0]
    tokenizer = Tokenizer(models.Unigram(list(zip(names, scores, strict=True)), unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return tokenizer


def _round_robin(streams: list[Iterator[str]]) -> Iterator[str]:
    while True:
        for stream in streams:
            yield next(stream)
