"""What lies behind a figure: how scores are distributed, which documents are hubs, where texts lie. Pure.

Vectors are rows of unit length and come from one space; results are plain JSON, for `TaskResult.extras`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.errors import InputError
from efive.nearest import Floats, Halves, Rows

Summary = dict[str, Any]
Values = npt.NDArray[np.float64]

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
HUB_DEPTH = 10
_BINS = 50
_MOST_HUBS = 5
_BATCH = 1024
# Cosines of these lie between -1 and 1 but for rounding.
_ROUNDING = 1e-3


# -- scores ----------------------------------------------------------------------------------------------------------


def score_distributions(
    queries: Floats,
    documents: Halves | Floats,
    relevant: Sequence[Sequence[int]],
    *,
    pairs: int = 20_000,
    seed: int = 0,
) -> Summary:
    """Compare the cosines of related pairs with those of as many unrelated pairs as `pairs`, drawn at random.

    Returns:
        `related` and `unrelated` (count, mean, deviation, percentiles, histogram), `edges` of the histograms' bins,
        `auc`, the chance that a related pair has the higher cosine, and `overlap` of the histograms: 1 if they are
        the same, 0 if they have nothing in common.

    Raises:
        InputError: if lengths or dimensions do not fit, if nothing is related or everything is.
    """
    if len(relevant) != len(queries):
        raise InputError(f"{len(queries)} queries and the relevant documents of {len(relevant)}: one list for each")
    asked = np.repeat(np.arange(len(relevant)), [len(rows) for rows in relevant])
    answers = np.array([row for rows in relevant for row in rows], dtype=np.int64)
    if not len(answers):
        raise InputError("no pair is related; scores of related pairs need some")
    if not 0 <= answers.min() <= answers.max() < len(documents):
        raise InputError(f"a relevant row is {answers.max()} (lowest {answers.min()}) of {len(documents)} documents")
    near = pair_cosines(queries, documents, asked, answers)
    far = pair_cosines(queries, documents, *_unrelated(asked, answers, (len(queries), len(documents)), pairs, seed))
    return compared(near, far)


def compared(related: npt.ArrayLike, unrelated: npt.ArrayLike) -> Summary:
    """Return the summary of `score_distributions` for two sets of cosines.

    Raises:
        InputError: if either is empty or not finite.
    """
    near, far = (np.asarray(values, dtype=np.float64).ravel() for values in (related, unrelated))
    both = np.concatenate([near, far])
    if not len(near) or not len(far) or not np.isfinite(both).all():
        raise InputError(f"{len(near)} related and {len(far)} unrelated scores; both are needed, and finite")
    low, high = both.min(), both.max()
    edges = np.linspace(low, high if high > low else low + _ROUNDING, _BINS + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (near, far)]
    return {
        "related": _summary(near, edges),
        "unrelated": _summary(far, edges),
        "edges": edges.round(4).tolist(),
        "auc": auc(near, far),
        "overlap": float(np.minimum(*shares).sum()),
    }


def auc(related: Values, unrelated: Values) -> float:
    """Return the chance that one of `related` is above one of `unrelated`; equals count half (Mann and Whitney)."""
    ordered = np.sort(unrelated)
    below = np.searchsorted(ordered, related, side="left") + np.searchsorted(ordered, related, side="right")
    return float(below.mean() / (2 * len(ordered)))


def pair_cosines(left: Halves | Floats, right: Halves | Floats, i: Rows, j: Rows) -> Values:
    """Return the cosine of row i of `left` with row j of `right`, pair by pair.

    Raises:
        InputError: if the dimensions differ.
    """
    if left.shape[1] != right.shape[1]:
        raise InputError(f"dimensions differ: {left.shape[1]} and {right.shape[1]}")
    parts = [
        np.einsum("nd,nd->n", left[i[at : at + _BATCH]], right[j[at : at + _BATCH]], dtype=np.float64)
        for at in range(0, len(i), _BATCH)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _unrelated(asked: Rows, answers: Rows, shape: tuple[int, int], pairs: int, seed: int) -> tuple[Rows, Rows]:
    """Draw pairs that nobody judged relevant, with replacement."""
    queries, documents = shape
    known = np.unique(asked * documents + answers)
    total = queries * documents
    if len(known) == total:
        raise InputError("every document is relevant to every query; there are no unrelated pairs")
    random = np.random.default_rng(seed)
    if 2 * len(known) > total:  # few are left: draw among them
        drawn = random.choice(np.setdiff1d(np.arange(total), known, assume_unique=True), size=pairs)
    else:
        drawn = np.empty(0, dtype=np.int64)
        while len(drawn) < pairs:
            more = random.integers(total, size=pairs)
            drawn = np.concatenate([drawn, more[~np.isin(more, known)]])
    return drawn[:pairs] // documents, drawn[:pairs] % documents


def _summary(values: Values, edges: Values) -> Summary:
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "deviation": float(values.std()),
        "percentiles": {str(p): float(np.percentile(values, p)) for p in PERCENTILES},
        "histogram": np.histogram(values, edges)[0].tolist(),
    }


# -- hubs ------------------------------------------------------------------------------------------------------------


def hubness(found: Rows, documents: int) -> Summary:
    """Say how evenly the documents share the first places (Radovanović et al., JMLR 11, 2010).

    Args:
        found: (queries, k) rows of the documents that were found, -1 for none.
        documents: in the corpus.

    Returns:
        `skewness` of N_k, the number of queries that have a document among their first k; `hub_share`, the share of
        queries that the most frequent document comes up for; `never`, the share of documents that come up for no
        query (anti-hubs); both of the latter by chance (`skewness_by_chance`, `never_by_chance`), as if k documents
        were drawn for each query; `hubs`, the most frequent rows with their counts.

    Raises:
        InputError: for a row that is not in the corpus, or nothing found.
    """
    rows = found[found >= 0]
    if not len(rows):
        raise InputError("nothing was found for any query; hubness needs results")
    if rows.max() >= documents:
        raise InputError(f"row {rows.max()} was found in a corpus of {documents} documents")
    counts = np.bincount(rows, minlength=documents)
    queries, k = len(found), found.shape[1]
    share = min(1.0, len(rows) / (queries * documents))
    hubs = np.lexsort((np.arange(documents), -counts))[:_MOST_HUBS]
    return {
        "k": k,
        "queries": queries,
        "documents": documents,
        "skewness": _skewness(counts),
        "skewness_by_chance": (1 - 2 * share) / math.sqrt(queries * share * (1 - share)) if share < 1 else 0.0,
        "hub_share": float(counts.max() / queries),
        "never": float((counts == 0).mean()),
        "never_by_chance": float((1 - share) ** queries),
        "hubs": [[int(row), int(counts[row])] for row in hubs],
    }


def _skewness(counts: Rows) -> float:
    """Return the third standardised moment, 0 where nothing varies."""
    above = counts - counts.mean()
    deviation = above.std()
    return float((above**3).mean() / deviation**3) if deviation > 0 else 0.0


# -- the map ---------------------------------------------------------------------------------------------------------


def plane(vectors: Halves | Floats, labels: Sequence[str], *, most: int = 1000, seed: int = 0) -> Summary:
    """Project a sample of the vectors onto their first two principal components.

    Args:
        vectors: (rows, dimension).
        labels: one a row, such as languages; they are kept with the points.
        most: rows to draw.
        seed: of the draw.

    Returns:
        `points` (rows, 2), their `labels` and `rows`, `explained` (the share of the variance on each axis) and `of`,
        how many rows there were.

    Raises:
        InputError: if labels and vectors are not as many, or fewer than 2.
    """
    if len(labels) != len(vectors) or len(vectors) < 2:
        raise InputError(f"{len(vectors)} vectors and {len(labels)} labels; a map needs as many, and 2 at least")
    rows = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:most])
    centred = np.asarray(vectors[rows], dtype=np.float64)
    centred -= centred.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    # A component may point either way; its largest part is made positive, so that the map is the same anywhere.
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    points = np.zeros((len(rows), 2))
    points[:, : len(axes)] = centred @ axes.T
    variance = (sizes**2).sum()
    explained = (sizes[:2] ** 2 / variance).tolist() if variance > 0 else []
    return {
        "points": points.round(4).tolist(),
        "labels": [labels[row] for row in rows],
        "rows": rows.tolist(),
        "explained": [*explained, 0.0, 0.0][:2],
        "of": len(vectors),
    }
