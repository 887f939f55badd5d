"""Which candidates become negatives.

Those that score close to the positive are taken for answers that nobody marked and dropped (NV-Retriever, arXiv
2407.15831, section 3.2, "TopK-PercPos" and "TopK-MarginPos").
"""

from dataclasses import dataclass

import numpy as np

from efive.errors import InputError
from efive.nearest import Floats, Rows

PICKS = ("random", "hardest")
LANGUAGES = ("any", "same")


@dataclass(frozen=True, slots=True)
class Mining:
    """What to take for a negative."""

    negatives: int = 7
    """How many a query gets at most."""
    from_rank: int = 10
    """First rank taken, from 1; the query's own positives have no rank."""
    to_rank: int = 100
    """Last rank taken."""
    max_ratio: float | None = 0.95
    """Drop candidates that score this share of the positive or more; None drops none. For cosines only."""
    margin: float = 0.0
    """Drop candidates that score the positive's score less this, or more."""
    pick: str = "random"
    """`random`, or `hardest`: those with the highest scores."""
    languages: str = "any"
    """`same` ranks only passages in the positive's language, and those whose language is not known."""
    seed: int = 0
    """Of the random choice."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not 1 <= self.from_rank <= self.to_rank:
            raise InputError(f"ranks {self.from_rank} to {self.to_rank} are none; ranks begin with 1")
        if not 1 <= self.negatives <= self.to_rank - self.from_rank + 1:
            raise InputError(
                f"{self.negatives} negatives cannot come from ranks {self.from_rank} to {self.to_rank}; "
                "widen the ranks or ask for fewer"
            )
        if self.max_ratio is not None and not 0 < self.max_ratio <= 1:
            raise InputError(
                f"max_ratio is {self.max_ratio}; it is a share of the positive's score, above 0 and up to 1"
            )
        if self.margin < 0:
            raise InputError(f"margin is {self.margin}; it must not be negative")
        if self.pick not in PICKS or self.languages not in LANGUAGES:
            raise InputError(f"pick is one of {', '.join(PICKS)}, languages one of {', '.join(LANGUAGES)}")


def choose(scores: Floats, positive: float, options: Mining, number: int) -> tuple[Rows, int]:
    """Choose among candidates by their `scores` (n,), of which those too near to `positive` are false negatives.

    Returns the chosen indices, and how many candidates were dropped. `number` is the example's: with the seed it
    decides the random choice, so that a run that goes on chooses as one that was never interrupted.
    """
    limit = positive - options.margin
    if options.max_ratio is not None:  # of a negative score a share is more: then the score itself is the limit
        limit = min(limit, positive * options.max_ratio)
    left = np.flatnonzero(scores < limit)
    if options.pick == "hardest":
        chosen = left[np.argsort(-scores[left], kind="stable")][: options.negatives]
    else:
        random = np.random.default_rng([options.seed, number])
        chosen = random.permutation(left)[: options.negatives]
    return chosen, len(scores) - len(left)
