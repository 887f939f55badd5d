"""What the model found, fused with what BM25 found: by rank, by normalised scores, by a tuned weight."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from efive.evaluation.metrics import Judged, depth, measure
from efive.evaluation.retrieval import Cosines, Found, Hits, named
from efive.search.fusion import normalised, reciprocal_rank
from efive.search.terms import query_terms

WEIGHTS = tuple(step / 20 for step in range(21))
"""Of BM25, that tuning tries; the rest is the model's."""
RRF_NOTE = "reciprocal rank fusion of both, k 60"
NORMALISED_NOTE = (
    "as hybrid search fuses: cosines above the query's background, BM25 of its words without function words, "
    "above that of the eleventh document"
)


def by_rank(model: Found, text: Found) -> Found:
    """Fuse by reciprocal rank."""
    return {query: reciprocal_rank([list(hits), list(text.get(query, {}))]) for query, hits in model.items()}


def by_normalised_scores(model: Found, text: Found, queries: Mapping[str, str], cosines: Cosines) -> Found:
    """Fuse as `efive.search` does; what only BM25 found gets its cosine too.

    `text` was found by `queries`, function words left out.
    """
    fused: Found = {}
    for query, hits in model.items():
        only = [document for document in text.get(query, {}) if document not in hits]
        known = hits | cosines.of(query, only)
        scored = {document: score for document, score in text.get(query, {}).items() if document in known}
        background = cosines.backgrounds.get(query, (0.0, 1.0))
        fused[query] = normalised(known, scored, background=background, terms=query_terms(queries[query]))
    return fused


@dataclass(frozen=True, slots=True)
class Sides:
    """What is interpolated."""

    model: Found
    text: Found
    ids: Sequence[str]
    """Of the documents."""
    depth: int
    """Documents of each query to return."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """An interpolation whose weight was chosen on other queries than it is measured on."""

    found: Found
    note: str


def by_tuned_weight(sides: Sides, judged: Judged, main: str, seed: int) -> Tuned:
    """Interpolate scores that are scaled to 0 to 1 for each query, as Mr. TyDi's BM25+mDPR does on its dev queries.

    The queries are halved by `seed`; each half is ranked with the weight that is best for `main` on the other. What
    only one side found gets the other's lowest score, 0.

    Args:
        sides: what was found; queries that they do not have count as 0 with any weight.
        judged: at least two queries.
        main: the measure that decides.
        seed: of the halves.
    """
    pairs = {query: _Pair.of(hits, sides.text.get(query, {})) for query, hits in sides.model.items()}
    values = [_main(sides, pairs, weight, judged, main) for weight in WEIGHTS]
    one, other = halves(judged, seed)
    chosen = _best_weight(values, one), _best_weight(values, other)
    weight_of = dict.fromkeys(one, chosen[1]) | dict.fromkeys(other, chosen[0])
    found = {query: pair.fused(weight_of[query], sides.depth) for query, pair in pairs.items() if query in weight_of}
    note = (
        f"{chosen[1]:.2f} of BM25 and the rest of the model for half of the queries, {chosen[0]:.2f} for the others: "
        f"each chosen by {main} on the other half, seed {seed}"
    )
    return Tuned(found, note)


def halves(queries: Iterable[str], seed: int) -> tuple[list[str], list[str]]:
    """Divide queries at random, whatever their order."""
    drawn = np.random.default_rng(seed).permutation(sorted(queries)).tolist()
    return drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]


def _main(sides: Sides, pairs: Mapping[str, "_Pair"], weight: float, judged: Judged, main: str) -> dict[str, float]:
    cut = min(sides.depth, depth([main]))
    found = {query: pair.fused(weight, cut) for query, pair in pairs.items()}
    return measure(judged, named(found, sides.ids, cut), [main])[main].by_query


def _best_weight(values: Sequence[Mapping[str, float]], queries: Iterable[str]) -> float:
    """Return the weight with the highest mean; of equal ones the one that is nearest to a half."""
    asked = list(queries)
    means = [fmean(by_query[query] for query in asked) for by_query in values]
    return max(zip(means, WEIGHTS, strict=True), key=lambda each: (round(each[0], 9), -abs(each[1] - 0.5)))[1]


@dataclass(frozen=True, slots=True)
class _Pair:
    """What both sides say of the documents that either found."""

    documents: npt.NDArray[np.int64]
    model: npt.NDArray[np.float64]
    text: npt.NDArray[np.float64]

    @classmethod
    def of(cls, model: Hits, text: Hits) -> "_Pair":
        documents = list(dict.fromkeys([*model, *text]))
        sides = [[side.get(document, 0.0) for document in documents] for side in (_scaled(model), _scaled(text))]
        return cls(np.array(documents, dtype=np.int64), np.array(sides[0]), np.array(sides[1]))

    def fused(self, weight: float, deep: int) -> Hits:
        scores = weight * self.text + (1 - weight) * self.model
        best = np.argsort(-scores, kind="stable")[:deep]
        return dict(zip(self.documents[best].tolist(), scores[best].tolist(), strict=True))


def _scaled(hits: Hits) -> Hits:
    """Scale scores to 0 to 1; if all are the same, they are 1."""
    if not hits:
        return {}
    low, high = min(hits.values()), max(hits.values())
    spread = high - low
    return {document: (score - low) / spread if spread > 0 else 1.0 for document, score in hits.items()}
