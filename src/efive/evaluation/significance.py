"""Whether a difference over queries is more than chance: paired bootstrap and Holm's correction."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_BLOCK = 1 << 22
"""Random numbers that are held at once."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference and how sure of it one can be."""

    mean: float
    low: float
    high: float
    """The 95 % interval."""
    p: float
    """Two-sided: how often chance alone makes a difference this large. At least 1 / (resamples + 1)."""
    queries: int


def paired_bootstrap(
    differences: NDArray[np.float64], *, name: str = "", seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Return the mean of paired differences with its interval and p-value.

    Queries are drawn with replacement. The interval is that of percentiles; p is the share of resamples of the
    centred differences whose mean is as far from zero as the one observed (Efron and Tibshirani, 1993, 16.4).

    Args:
        differences: one a query, float64 (n,), n ≥ 1.
        name: of the task; each has its own random numbers, so that a task more or less changes no other's figures.
        seed: of the random numbers.
        resamples: how many.
    """
    count = len(differences)
    mean = float(differences.mean())
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    rows = max(1, _BLOCK // count)
    means = np.concatenate(
        [
            differences[random.integers(0, count, (min(rows, resamples - start), count))].mean(1)
            for start in range(0, resamples, rows)
        ]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    # Sums in another order differ in their last bits, which must not tell equal means apart.
    far = np.abs(means - mean) >= abs(mean) - 1e-12
    return Difference(mean, float(low), float(high), (1 + int(far.sum())) / (resamples + 1), count)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm, 1979): the chance of one false alarm among all stays below."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
