"""Counts over streams of any length in bounded memory: distributions, names, repetitions."""

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from unicodedata import name as unicode_name

import numpy as np

_EXACT = 128
"""Values below are counted exactly; above, 64 buckets for each doubling."""
_NAMES = 1000
OTHERS = "(others)"
_FIRST_LETTERS = 64


@dataclass(frozen=True, slots=True)
class Distribution:
    """How values are spread; percentiles are at most 1/64 too small, the rest is exact."""

    count: int
    mean: float
    minimum: int
    p5: int
    p50: int
    p95: int
    p99: int
    maximum: int


class Histogram:
    """A distribution of integers from 0, in at most 128 + 64 · log2(largest / 128) buckets."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._sum = 0
        self._minimum: int | None = None
        self._maximum = 0

    def add(self, value: int) -> None:
        """Count `value`."""
        shift = max(0, value.bit_length() - _EXACT.bit_length() + 1)
        self._buckets[value >> shift << shift] += 1
        self._sum += value
        self._minimum = value if self._minimum is None else min(self._minimum, value)
        self._maximum = max(self._maximum, value)

    def distribution(self) -> Distribution | None:
        """Return what was counted; None if nothing was. A percentile is the smallest value with that share below it."""
        if self._minimum is None:
            return None
        values = sorted(self._buckets)
        below = list(accumulate(self._buckets[value] for value in values))
        count = below[-1]
        p5, p50, p95, p99 = (
            max(self._minimum, values[int(np.searchsorted(below, -(-count * percent // 100)))])
            for percent in (5, 50, 95, 99)
        )
        return Distribution(count, self._sum / count, self._minimum, p5, p50, p95, p99, self._maximum)


class Names:
    """How often each name came; after a thousand different ones, new names count as `(others)`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count `name`."""
        known = name in self._counts or len(self._counts) < _NAMES
        self._counts[name if known else OTHERS] += 1

    def counts(self) -> dict[str, int]:
        """Return the counts, most frequent first, names that came equally often by the alphabet."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Repetitions:
    """How many items had come before."""

    repeated: int
    exact: bool
    """False for an estimate from a sample of the items, taken by their hash."""


class Repeats:
    """Counts repeated items by their 64-bit hashes, 8 bytes each, never more than `limit` of them.

    It is exact up to `limit` / 2 different items. Beyond, those with an odd last bit of their hash are no longer
    looked at, then those with an odd bit before it, and so on; each repetition that is seen then stands for 2, 4, …
    """

    def __init__(self, limit: int) -> None:
        self._hashes = np.empty(limit, dtype=np.uint64)
        self._held = 0
        self._repeated = 0
        self._level = 0

    def add(self, *parts: str) -> None:
        """Count an item, which is made of `parts`."""
        digest = blake2b(digest_size=8)
        for part in parts:
            coded = part.encode()
            digest.update(len(coded).to_bytes(8, "little"))
            digest.update(coded)
        value = int.from_bytes(digest.digest(), "little")
        if value & ((1 << self._level) - 1):
            return
        self._hashes[self._held] = value
        self._held += 1
        if self._held == len(self._hashes):
            self._compact()

    def result(self) -> Repetitions:
        """Return how many items were repetitions of an earlier one."""
        self._unite()
        return Repetitions(self._repeated, self._level == 0)

    def _unite(self) -> None:
        """Hold each hash once."""
        different = np.unique(self._hashes[: self._held])
        self._repeated += self._held - len(different) << self._level
        self._held = len(different)
        self._hashes[: self._held] = different

    def _compact(self) -> None:
        self._unite()
        while self._held > len(self._hashes) // 2:
            self._level += 1
            kept = self._hashes[: self._held]
            kept = kept[kept & np.uint64((1 << self._level) - 1) == 0]
            self._held = len(kept)
            self._hashes[: self._held] = kept


def script_of(text: str) -> str:
    """Return the script of most of the first 64 letters of `text`, in lower case; `none` if it has no letter.

    It is the first word of the letters' Unicode names: latin, cyrillic, arabic, devanagari, cjk, hiragana, hangul.
    """
    scripts: Counter[str] = Counter()
    for letter in text:
        if letter.isalpha():
            scripts["latin" if letter.isascii() else unicode_name(letter, "unknown").split()[0].lower()] += 1
            if scripts.total() == _FIRST_LETTERS:
                break
    return scripts.most_common(1)[0][0] if scripts else "none"
