"""Measuring what scores mean in a collection: sentences of its passages, asked while their document is held back."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from efive.encoder import Encoder
from efive.errors import InputError
from efive.search.confidence import LEAST, SAMPLE, Background, Calibration, fit, z_scores
from efive.search.sentences import sentences
from efive.search.store import Entry, Snapshot
from efive.vectors import Floats

_QUERIES = 300
"""Documents that are asked for a sentence: the share below a confidence is then known to about 3 points."""
_DEPTHS = (50, 1_000)
"""Passages that are looked through for one of another document."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibration, and how much the collection held when it was made."""

    calibration: Calibration
    passages: int

    def describe(self) -> str:
        """Return how it was fitted, in words."""
        made = self.calibration
        return (
            f"calibrated on {made.queries} sentences out of {self.passages} passages; "
            f"the best hits of unanswered ones follow a Gumbel distribution to within {made.distance:.2f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self.calibration), "passages": self.passages}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`."""
        known = dict(values)
        passages = known.pop("passages")
        return cls(Calibration(**known), passages)


def calibrate(snapshot: Snapshot, encoder: Encoder) -> Fitted | None:
    """Ask sentences of the collection, and fit what the best passages of other documents score.

    The same collection gives the same calibration.

    Returns:
        None if there are too few documents for confidences to mean anything.
    """
    names = sorted(snapshot.ids())
    if len(names) < LEAST:
        return None
    chosen = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(_QUERIES, len(names))).astype(int))]
    entries = snapshot.entries(chosen)
    asked = encoder.embed_queries([_sentence(entry) for entry in entries]).vectors
    best = [_best_of_others(snapshot, q, entry.document.id) for q, entry in zip(asked, entries, strict=True)]
    answered = [place for place, score in enumerate(best) if score is not None]
    owners, sample = snapshot.sample(SAMPLE)
    own = np.array([[owner == entries[place].document.id for owner in owners] for place in answered])
    try:
        means, deviations = Background(sample).of(asked[answered], own)
        calibration = fit(z_scores([score for score in best if score is not None], means, deviations))
    except InputError:
        return None
    return Fitted(calibration, snapshot.counts().passages)


def _sentence(entry: Entry) -> str:
    """Return a sentence of a document, drawn by its name."""
    draw = random.Random(entry.document.id)  # noqa: S311 - no secret
    text = draw.choice(entry.passages).text
    start, end = draw.choice(_long_ones(sentences(text), len(text)))
    return text[start:end]


def _long_ones(spans: Sequence[tuple[int, int]], length: int) -> Sequence[tuple[int, int]]:
    """Return the longer half of some sentences: headings, list marks and the like ask nothing."""
    if not spans:
        return [(0, length)]
    return sorted(spans, key=lambda span: span[0] - span[1])[: (len(spans) + 1) // 2]


def _best_of_others(snapshot: Snapshot, query: Floats, own: str) -> float | None:
    """Return the best cosine of a passage of another document, or None if there is none within reach."""
    for depth in _DEPTHS:
        found = snapshot.dense(query, depth, None)
        others = [score for name, score in zip(found.documents, found.scores.tolist(), strict=True) if name != own]
        if others:
            return float(others[0])
        if len(found) < depth:
            break
    return None
