"""Whether queries have changed: two periods compared. Pure, and seeded where chance has a part."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.errors import DependencyError, InputError
from efive.vectors import Floats

_BINS = 10
_MOST = 500
"""Vectors of either period that are compared: more see smaller changes, at the square of the cost."""
_PERMUTATIONS = 999


def stability(before: npt.ArrayLike, now: npt.ArrayLike) -> dict[str, float]:
    """Return the population stability index of some numbers against an earlier period.

    PSI = Σ (q - p) ln(q / p) over ten bins, at the deciles of the period before. As a rule of thumb, below 0.1
    nothing has changed, beyond 0.25 much has. With few numbers it is large by chance too: by (bins - 1)(1 / n + 1 / m)
    on average, which is `by_chance`.

    Raises:
        InputError: if either is empty or not finite.
    """
    old, new = (np.asarray(values, dtype=np.float64).ravel() for values in (before, now))
    if not len(old) or not len(new) or not np.isfinite(np.concatenate([old, new])).all():
        raise InputError(f"{len(old)} numbers before and {len(new)} now; both are needed, and finite")
    edges = np.unique(np.quantile(old, np.linspace(0, 1, _BINS + 1)[1:-1]))
    counts = np.stack([_counts(np.searchsorted(edges, v, side="right"), len(edges) + 1) for v in (old, new)])
    counts = counts[:, counts.any(axis=0)] + 0.5  # half a number more in each bin keeps the logarithm finite
    p, q = counts / counts.sum(axis=1, keepdims=True)
    return {
        "psi": float(((q - p) * np.log(q / p)).sum()),
        "by_chance": (len(p) - 1) * (1 / len(old) + 1 / len(new)),
        "before": len(old),
        "now": len(new),
    }


def _counts(bins: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    return np.bincount(bins, minlength=count).astype(np.float64)


def energy(before: Floats, now: Floats, *, seed: int = 0) -> dict[str, Any]:
    """Compare two samples of vectors by their energy distance (Székely and Rizzo, 2013).

    2 E|X - Y| - E|X - X'| - E|Y - Y'|: 0 if both come from one distribution, and more than 0 if not. How much is by
    chance is seen by mixing both and dividing them anew, 999 times.

    Args:
        before: (queries, dimension).
        now: (queries, dimension), of the same space.
        seed: of the samples (at most 500 of each) and of the permutations.

    Returns:
        `distance`; `p`, the share of divisions at random with as great a distance: below 0.01, something has changed;
        `before` and `now`, how many vectors were compared.

    Raises:
        InputError: if there are fewer than 2 of either, or dimensions differ.
    """
    if min(len(before), len(now)) < 2 or before.shape[1] != now.shape[1]:
        raise InputError(f"vectors of shapes {before.shape} and {now.shape}; 2 of each at least, of one dimension")
    random = np.random.default_rng(seed)
    old, new = (np.asarray(v[random.permutation(len(v))[:_MOST]], dtype=np.float64) for v in (before, now))
    distances = _distances(np.concatenate([old, new]))
    first = np.zeros(len(distances), dtype=bool)
    first[: len(old)] = True
    masks = np.stack([first, *(random.permutation(first) for _ in range(_PERMUTATIONS))])
    found = _energies(distances, masks)
    # Rounding must not decide between divisions that are the same.
    as_great = int((found[1:] >= found[0] - 1e-12).sum())
    return {
        "distance": float(found[0]),
        "p": (1 + as_great) / (1 + _PERMUTATIONS),
        "before": len(old),
        "now": len(new),
    }


def _distances(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    squares = (vectors**2).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * vectors @ vectors.T, 0)))


def _energies(distances: npt.NDArray[np.float64], masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the energy distance of each division: (divisions, rows) says which rows are the first sample's."""
    one, other = masks.astype(np.float64), (~masks).astype(np.float64)
    to_one, to_other = one @ distances, other @ distances
    n, m = one.sum(axis=1), other.sum(axis=1)
    between = (to_one * other).sum(axis=1) / (n * m)
    within = (to_one * one).sum(axis=1) / n**2 + (to_other * other).sum(axis=1) / m**2
    return np.asarray(2 * between - within)


def clusters(vectors: Floats, *, seed: int = 0, most: int = 12) -> npt.NDArray[np.int64]:
    """Group vectors by k-means; return the number of each one's group.

    There are about as many groups as the square root of half the vectors, and `most` at most.

    Raises:
        DependencyError: if scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans  # noqa: PLC0415 - only content gaps need it
    except ImportError:
        raise DependencyError("content gaps need scikit-learn: pip install 'efive[evaluate]'") from None
    distinct = len(np.unique(vectors, axis=0))
    count = max(1, min(most, distinct, round(math.sqrt(len(vectors) / 2))))
    found = KMeans(count, n_init=4, random_state=seed).fit_predict(vectors)
    return np.asarray(found, dtype=np.int64)
