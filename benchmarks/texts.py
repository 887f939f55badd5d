"""Texts of exact token counts, made of a tokenizer's own pieces, so that every machine gets the same mix."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

Lengths = npt.NDArray[np.int64]
MIXES = {
    "a": "queries of 8-16 tokens",
    "b": "passages of 116 tokens on average, up to 512",
    "c": "passages of 512 tokens",
}
PREFIXES = {"a": "query: ", "b": "passage: ", "c": "passage: "}
MAX_TOKENS = 512
_SHORTEST = 8


def lengths(mix: str, count: int, seed: int = 0) -> Lengths:
    """Return how many tokens each text has, prefix and special tokens included.

    (a) is uniform on 8-16, (b) log-normal (median 90, sigma 0.75, cut at 512), (c) always 512.
    """
    rng = np.random.default_rng((seed, ord(mix)))
    if mix == "a":
        return rng.integers(8, 17, count)
    if mix == "b":
        drawn = np.round(rng.lognormal(np.log(90), 0.75, count)).astype(np.int64)
        return drawn.clip(_SHORTEST, MAX_TOKENS)
    return np.full(count, MAX_TOKENS, dtype=np.int64)


def token_counts(tokenizer: Tokenizer, texts: Sequence[str]) -> Lengths:
    """Count each text's tokens, special tokens included, nothing padded or cut."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return np.array([len(e.ids) for e in tokenizer.encode_batch_fast(list(texts))], dtype=np.int64)


class TextMaker:
    """Composes bare texts whose count of tokens, once prefixed, is exactly the one asked for."""

    def __init__(self, tokenizer: Tokenizer, seed: int = 0) -> None:
        """Pick a few thousand words that tokenise to one, two or three tokens without an unknown one."""
        self._tokenizer = tokenizer
        self._rng = np.random.default_rng(seed)
        pieces = sorted(tokenizer.get_vocab(with_added_tokens=False))
        metaspace = any(p.startswith("▁") for p in pieces)
        opens = [p.startswith("▁") if metaspace else not p.startswith("##") for p in pieces]
        stems = [p.lstrip("▁").removeprefix("##") for p in pieces]
        usable = [len(s) > 1 and s.isalpha() for s in stems]
        starts = [s for s, first, ok in zip(stems, opens, usable, strict=True) if ok and first]
        tails = [s for s, first, ok in zip(stems, opens, usable, strict=True) if ok and not first]
        words = self._sample(starts, 4_000)
        for _ in range(2):
            heads, ends = self._sample(words, 3_000), self._sample(tails, 3_000)
            words += [head + end for head, end in zip(heads, ends, strict=True)]
        bare = [e.ids for e in tokenizer.encode_batch(words, add_special_tokens=False)]
        unknown = tokenizer.token_to_id("<unk>" if metaspace else "[UNK]")
        self._by_count: dict[int, list[str]] = {1: [], 2: [], 3: []}
        for word, ids in zip(words, bare, strict=True):
            if len(ids) in self._by_count and unknown not in ids:
                self._by_count[len(ids)].append(word)

    def _sample(self, items: list[str], count: int) -> list[str]:
        return [items[i] for i in self._rng.integers(0, len(items), count)]

    def text(self, tokens: int) -> str:
        """Return words of `tokens` tokens altogether: three in four words are one token, the rest longer."""
        sizes = self._rng.choice([1, 2, 3], size=tokens, p=[0.75, 0.17, 0.08])
        sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), tokens, side="right"))]
        sizes = np.append(sizes, np.ones(tokens - int(sizes.sum()), dtype=np.int64))
        return " ".join(self._sample(self._by_count[int(size)], 1)[0] for size in sizes)

    def corpus(self, mix: str, count: int, seed: int = 0) -> list[str]:
        """Return `count` bare texts of the mix; with the mix's prefix their lengths are `lengths(...)`."""
        wanted, prefix = lengths(mix, count, seed), PREFIXES[mix]
        overhead = len(self._tokenizer.encode(prefix.strip()).ids)
        texts = [self.text(int(n) - overhead) for n in wanted]
        if not np.array_equal(token_counts(self._tokenizer, [prefix + t for t in texts]), wanted):
            raise RuntimeError(f"the tokenizer joins words: texts of mix {mix!r} miss their lengths")
        return texts
