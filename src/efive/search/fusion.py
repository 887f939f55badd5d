"""Fuse the rows that vectors found with the rows that full text found. Pure: keys and scores in, keys and scores out.

Of each query, the vectors' side gives the cosines of its best rows and of the rows that only the text's side found,
which can always be computed. The text's side gives BM25 scores; a row that is not among them scores 0.

`normalised` adds two numbers of the same kind, so that neither side has to be trusted blindly:

- the cosine in standard deviations above the query's own background, its cosines with a sample of the collection;
- the BM25 score over the square root of the query's terms. It is a sum of a number for each term, and what such a sum
  is by chance grows so. A name that a Chinese question shares with an English text is one of twenty terms and counts
  little; a question whose every word is there counts much. What ten other passages reach counts a little: many texts
  share such words. What a passage has beyond that counts much: it stands out.

`benchmarks/fusion.py` measures it against reciprocal ranks, which ignore how sure each side is.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from efive.errors import InputError

Key = TypeVar("Key", bound=Hashable)

_COMMON, _OUTSTANDING = 0.5, 3.0
"""Weights of a text score, and of what it is above that of the row at `_RANK`, beside 1 for the vectors."""
_RANK = 10
_K = 60.0


def normalised(
    cosines: Mapping[Key, float],
    texts: Mapping[Key, float],
    *,
    background: tuple[float, float],
    terms: Iterable[str],
    text_weight: float = 1.0,
) -> dict[Key, float]:
    """Return the fused score of each row, best first; of equal scores, the one that `cosines` names first.

    Args:
        cosines: of every row that either side found.
        texts: BM25 scores of the rows that full text found.
        background: mean and standard deviation of the query's cosines with a sample of the collection.
        terms: of the query, with those that it repeats.
        text_weight: multiplies the part of full text; 0 leaves only the vectors.

    Raises:
        InputError: for a row without cosine, for scores that are not finite, for a weight below 0.
    """
    _check_weight(text_weight)
    if missing := [key for key in texts if key not in cosines]:
        raise InputError(f"row {missing[0]!r} has a text score but no cosine; compute it from its vector")
    _check_finite({"cosine": cosines, "text score": texts})
    mean, deviation = background
    # Of a collection whose vectors are all alike, the cosine says nothing.
    scale = 1 / deviation if deviation > 0 else 0.0
    share = text_weight / _length(terms)
    usual = sorted(texts.values(), reverse=True)[_RANK : _RANK + 1]
    common = usual[0] if usual else 0.0

    def fused(key: Key) -> float:
        text = texts.get(key, 0.0)
        return (cosines[key] - mean) * scale + share * (_COMMON * text + _OUTSTANDING * max(text - common, 0.0))

    return _ordered({key: fused(key) for key in cosines})


def reciprocal_rank(
    rankings: Sequence[Sequence[Key]], weights: Sequence[float] | None = None, *, k: float = _K
) -> dict[Key, float]:
    """Return the sum of weight / (k + rank) of each row, best first (Cormack, Clarke and Büttcher, SIGIR 2009).

    Of equal sums, the row that the earlier ranking names first comes first.

    Args:
        rankings: rows, best first; no row twice in a ranking.
        weights: one per ranking (default: 1 each).
        k: the larger, the less the first ranks stand out.

    Raises:
        InputError: if weights and rankings do not match, for a weight below 0, for a row that is ranked twice.
    """
    shares = [1.0] * len(rankings) if weights is None else weights
    if len(shares) != len(rankings):
        raise InputError(f"{len(shares)} weights for {len(rankings)} rankings; give each its own")
    if not k >= 0:
        raise InputError(f"k={k} must be at least 0")
    sums: dict[Key, list[float]] = {}
    for ranking, weight in zip(rankings, shares, strict=True):
        _check_weight(weight)
        if len(set(ranking)) < len(ranking):
            raise InputError("a ranking names a row twice")
        for rank, key in enumerate(ranking, 1):
            sums.setdefault(key, []).append(weight / (k + rank))
    # fsum: the order of the rankings must not decide between equals by a rounding error.
    return _ordered({key: math.fsum(parts) for key, parts in sums.items()})


def _length(terms: Iterable[str]) -> float:
    """Return the length of a query as a vector of counts: a term that it repeats adds the same number again."""
    return math.sqrt(sum(count**2 for count in Counter(terms).values())) or 1.0


def _ordered(scores: dict[Key, float]) -> dict[Key, float]:
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def _check_weight(weight: float) -> None:
    if not 0 <= weight < math.inf:
        raise InputError(f"weight {weight} must be a number from 0")


def _check_finite(sides: Mapping[str, Mapping[Key, float]]) -> None:
    for what, scores in sides.items():
        for key, score in scores.items():
            if not math.isfinite(score):
                raise InputError(f"the {what} of row {key!r} is {score}")
