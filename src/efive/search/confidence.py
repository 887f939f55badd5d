"""How sure a hit is: its score against what a collection gives to questions that it does not answer.

A cosine says little by itself, for models put all texts close together, and some queries closer than others. Two steps
make it comparable:

- z, the cosine in standard deviations above the query's own background: its cosines with a fixed sample of the
  collection's vectors.
- The best z of queries whose own document is left out. The maximum of many scores follows a Gumbel distribution, and
  two parameters are fitted to it. A confidence of 0.9 means: of 100 questions that the collection does not answer, 90
  have a best hit that is weaker than this one.

The queries that stand for unanswered questions are sentences of the collection's own passages. Real questions score a
little higher: `benchmarks/confidence.py` measures how many of them pass.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from efive.errors import InputError

Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SAMPLE = 1000
"""Vectors of a background: the standard deviation of 1,000 cosines is off by 2 %."""
LEAST = 20
"""Documents that a fit needs. With 20, the share of unanswered questions that pass 0.9 varies by 0.1 from one
collection to the next, with 60 by 0.05."""
_QUARTILES = (0.25, 0.75)


@dataclass(frozen=True, slots=True)
class Background:
    """A sample of a collection's vectors, which stands for all of them."""

    sample: Floats
    """(vectors, dimension) float32, unit length."""

    def __post_init__(self) -> None:
        if self.sample.ndim != 2 or len(self.sample) < 2:
            raise InputError(f"a background needs at least 2 vectors in rows, not shape {self.sample.shape}")

    def of(self, queries: Floats, left_out: Mask | None = None) -> tuple[Scores, Scores]:
        """Return mean and standard deviation of each query's cosines with the sample, (queries,) each.

        Args:
            queries: (queries, dimension) float32, unit length.
            left_out: (queries, vectors), True for vectors of the query's own document. They have to be left out when a
                calibration is fitted: in a collection of 30 documents they would widen the background so much that
                two of three unanswered questions would get a confidence of 0.9.

        Raises:
            InputError: if fewer than 2 vectors are left.
        """
        cosines = (queries @ self.sample.T).astype(np.float64)
        if left_out is None:
            return cosines.mean(axis=1), cosines.std(axis=1)
        if ((~left_out).sum(axis=1) < 2).any():
            raise InputError("a query's background has fewer than 2 vectors beside its own document")
        kept = np.ma.masked_array(cosines, left_out)
        return np.asarray(kept.mean(axis=1)), np.asarray(kept.std(axis=1))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The Gumbel distribution of the best z of questions that a collection does not answer."""

    location: float
    scale: float
    queries: int
    """That it was fitted to."""
    documents: int
    """That the queries were made of."""
    distance: float
    """Kolmogorov and Smirnov's: the farthest that fit and queries are apart, 0 to 1.

    Below 1.36 / sqrt(queries) it can be chance. Beyond 0.1, confidences are rough: the collection has many documents
    twice, or parts that differ much.
    """


def z_scores(cosines: npt.ArrayLike, mean: npt.ArrayLike, deviation: npt.ArrayLike) -> Scores:
    """Return how many standard deviations cosines are above their query's background; 0 where it does not vary."""
    above = np.asarray(cosines, dtype=np.float64) - np.asarray(mean, dtype=np.float64)
    spread = np.broadcast_to(np.asarray(deviation, dtype=np.float64), above.shape)
    return np.divide(above, spread, out=np.zeros_like(above), where=spread > 0)


def fit(best_z: npt.ArrayLike, documents: int | None = None) -> Calibration:
    """Fit a calibration to the best z that each of some queries found outside its own document.

    Quartiles are fitted, not moments: a few documents that are there twice, whose sentences find their copy, do not
    move them.

    Args:
        best_z: (queries,), each above the query's background without its own document.
        documents: that the queries were made of, a few queries each (default: one query each).

    Raises:
        InputError: for fewer than `LEAST` documents, for values that are not finite or all the same.
    """
    found = np.sort(np.asarray(best_z, dtype=np.float64).ravel())
    made_of = len(found) if documents is None else min(documents, len(found))
    if made_of < LEAST:
        raise InputError(
            f"too few documents for confidences: {made_of}, at least {LEAST} are needed. "
            "Add documents, or search without min_confidence"
        )
    if not np.isfinite(found).all():
        raise InputError("a z that confidences are fitted to is not finite")
    low, high = np.quantile(found, _QUARTILES)
    at_low, at_high = (-math.log(-math.log(share)) for share in _QUARTILES)
    scale = float(high - low) / (at_high - at_low)
    if not scale > 0:
        raise InputError("confidences cannot be fitted: half of the queries have the same best z; are texts repeated?")
    location = float(low) - scale * at_low
    return Calibration(location, scale, len(found), made_of, _distance(found, location, scale))


def confidence(calibration: Calibration, z: npt.ArrayLike) -> Scores:
    """Return the share of unanswered questions whose best hit is weaker than `z`, 0 to 1, in the shape of `z`."""
    return _gumbel(np.asarray(z, dtype=np.float64), calibration.location, calibration.scale)


def threshold(calibration: Calibration, least: float) -> float:
    """Return the z that has the confidence `least`: what hits need to be kept.

    Raises:
        InputError: if `least` is not between 0 and 1; 0 keeps everything, and nothing is certain.
    """
    if not 0 <= least < 1:
        raise InputError(f"min_confidence {least} must be from 0 to below 1")
    return calibration.location - calibration.scale * math.log(-math.log(least)) if least > 0 else -math.inf


def _gumbel(z: Scores, location: float, scale: float) -> Scores:
    # Far below, the inner exponential would overflow; the outer one is 0 long before.
    return np.asarray(np.exp(-np.exp(np.minimum(-(z - location) / scale, 700.0))))


def _distance(ordered: Scores, location: float, scale: float) -> float:
    fitted = _gumbel(ordered, location, scale)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max(np.abs(fitted - steps[:-1]).max(), np.abs(fitted - steps[1:]).max()))
