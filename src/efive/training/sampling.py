"""Which examples make a batch: a pure function of seed, source and how many batches came before.

Nothing is shuffled in memory. The order of an epoch is a keyed permutation that is computed where it is needed
(a Feistel network, cycle-walking to the size of the set), so a set of any size costs nothing, every process
computes the same batch, and a run resumes from a few counters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]
_ROUNDS = 6
_MIX = np.uint64(0x9E3779B97F4A7C15)


def permuted(positions: Longs, size: int, key: int) -> Longs:
    """Return where a permutation of 0 … size - 1, one per `key`, sends `positions`.

    Args:
        positions: (k,) int64, each in 0 … size - 1.
        size: of the set, at least 1.
        key: any whole number.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    shift = np.uint64(half)
    keys = np.random.SeedSequence(key % (1 << 63)).generate_state(_ROUNDS, np.uint64)
    values = positions.astype(np.uint64)
    moving = np.ones(len(values), dtype=bool)
    # The network permutes the next power of four; a value outside goes through it again until it is inside.
    while moving.any():
        left, right = values[moving] >> shift, values[moving] & mask
        for round_key in keys:
            mixed = (right ^ round_key) * _MIX
            mixed ^= mixed >> np.uint64(29)
            mixed *= _MIX
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        values[moving] = (left << shift) | right
        moving = values >= size
    return values.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Examples that may stand in one batch: a set, or one language of it."""

    source: int
    weight: float
    """Share of the batches, relative to the other strata's."""
    size: int
    batch: int
    """Examples of one batch."""
    examples: Longs | None = None
    """(size,) rows of the set; None where they are all of it."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One batch: examples of one stratum."""

    source: int
    stratum: int
    number: int
    """How many batches of this stratum came before."""
    examples: Longs
    """(b,) rows of the set."""
    epochs: Longs
    """(b,) how often each example was drawn before."""


@dataclass
class Sampler:
    """Draws batches; its state is one counter per stratum and the number of draws."""

    strata: Sequence[Stratum]
    seed: int
    drawn: list[int] = field(default_factory=list)
    """Batches drawn of each stratum."""

    def __post_init__(self) -> None:
        self.drawn = self.drawn or [0] * len(self.strata)
        total = sum(stratum.weight for stratum in self.strata)
        self._shares = np.asarray([stratum.weight / total for stratum in self.strata])

    def next(self) -> Draw:
        """Return the next batch: strata by weight, examples of each without repetition until all were drawn."""
        rng = np.random.default_rng([self.seed, sum(self.drawn)])
        chosen = int(rng.choice(len(self.strata), p=self._shares))
        draw = self.draw(chosen, self.drawn[chosen])
        self.drawn[chosen] += 1
        return draw

    def draw(self, chosen: int, number: int) -> Draw:
        """Return the batch `number` of a stratum."""
        stratum = self.strata[chosen]
        batch = min(stratum.batch, stratum.size)
        # A batch never straddles two epochs, so that no example stands in it twice; the rest waits its turn in the
        # next epoch's order.
        per_epoch = stratum.size // batch
        epoch, place = divmod(number, per_epoch)
        order = permuted(np.arange(place * batch, (place + 1) * batch), stratum.size, hash_of(self.seed, chosen, epoch))
        examples = order if stratum.examples is None else stratum.examples[order]
        return Draw(stratum.source, chosen, number, np.asarray(examples), np.full(batch, epoch, dtype=np.int64))


def hash_of(*numbers: int) -> int:
    """Return one number of several, the same everywhere."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def rotated(count: int, wanted: int, offset: int) -> Longs:
    """Return which `wanted` of `count` hard negatives an epoch takes: consecutive, going round the list.

    The rule of SimLM's loader: epoch e of seed s begins at (e + s) * wanted, modulo the length. At most `count`,
    so that none is taken twice.
    """
    return (offset * wanted + np.arange(min(wanted, count), dtype=np.int64)) % max(1, count)
