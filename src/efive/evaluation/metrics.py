"""Measures of rankings as trec_eval computes them, by ir-measures.

Every judged query counts, one that found nothing as 0 (`trec_eval -c`). Documents are ranked by score, those of equal
score by id, the last first. nDCG has linear gain.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from efive.errors import DependencyError, InputError

Ranking = Mapping[str, Sequence[tuple[str, float]]]
"""Documents with their scores by query, best first."""
Rankings = dict[str, list[tuple[str, float]]]
Judged = Mapping[str, Mapping[str, int]]

_DEEP = 1000
"""Documents that a measure without a cut looks at, as trec_eval's runs have."""
_NAME = re.compile(r"(ndcg|mrr|recall|precision|success|map)(?:_at_([1-9]\d*))?")
_THEIRS = {"ndcg": "nDCG", "mrr": "RR", "recall": "R", "precision": "P", "success": "Success", "map": "AP"}
_WHOLE = {"ndcg", "mrr", "map"}
"""Measures that mean something without a cut."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure of some queries."""

    by_query: dict[str, float]
    """Of each judged query."""

    @property
    def mean(self) -> float:
        """Over all judged queries."""
        return fmean(self.by_query.values())


def depth(measures: Iterable[str]) -> int:
    """Return how many documents of each query the measures look at.

    Raises:
        InputError: for a name that is no measure of rankings.
    """
    return max(_parsed(name)[1] or _DEEP for name in measures)


def measure(judged: Judged, ranking: Ranking, measures: Sequence[str]) -> dict[str, Measured]:
    """Return the measures, each by query.

    Args:
        judged: relevance of documents by query; queries of `ranking` that are not judged do not count.
        ranking: what was found, at least `depth(measures)` documents where there are so many.
        measures: names such as `ndcg_at_10`, `mrr_at_100`, `recall_at_100`, `precision_at_5`, `success_at_1`, `map`.

    Raises:
        InputError: for a name that is no measure of rankings, or if nothing is judged.
    """
    if not judged:
        raise InputError("no query is judged; there is nothing to measure")
    ordered = {query: _ordered(ranking.get(query, ())) for query in judged}
    found = {}
    for name in measures:
        kind, cut = _parsed(name)
        # trec_eval's reciprocal rank knows no cut: the ranking is cut instead, as its option -M does.
        rows = {query: dict(documents[: cut or _DEEP]) for query, documents in ordered.items() if documents}
        found[name] = Measured(_trec_eval(judged, rows, kind, None if kind == "mrr" else cut))
    return found


def ordered(scores: Mapping[str, float], deep: int) -> list[tuple[str, float]]:
    """Return the first `deep` documents as trec_eval ranks them: by score in float32, of equals the last id first."""
    return _ordered(scores.items())[:deep]


def _ordered(documents: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    single = [(document, float(np.float32(score))) for document, score in documents]
    single.sort(key=lambda each: (each[1], each[0].encode()), reverse=True)
    return single


def _parsed(name: str) -> tuple[str, int | None]:
    """Return the kind of a measure and its cut."""
    match = _NAME.fullmatch(name)
    if not match or not (match[2] or match[1] in _WHOLE):
        raise InputError(
            f"{name!r} is no measure of rankings; there are {', '.join(f'{kind}_at_10' for kind in _THEIRS)} "
            f"with any number, and {', '.join(sorted(_WHOLE))} without one"
        )
    return match[1], int(match[2]) if match[2] else None


def _trec_eval(judged: Judged, run: Mapping[str, Mapping[str, float]], kind: str, cut: int | None) -> dict[str, float]:
    try:
        import ir_measures  # noqa: PLC0415 - optional
    except ImportError:
        raise DependencyError("measuring rankings needs ir-measures: pip install 'efive[evaluate]'") from None
    theirs: Any = getattr(ir_measures, _THEIRS[kind])
    wanted = theirs if cut is None else theirs @ cut
    qrels = {query: dict(documents) for query, documents in judged.items()}
    values = ir_measures.pytrec_eval.evaluator([wanted], qrels).iter_calc(run)
    by_query = {value.query_id: float(value.value) for value in values}
    return {query: by_query.get(query, 0.0) for query in judged}
