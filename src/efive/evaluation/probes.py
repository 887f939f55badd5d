"""Tasks that need no ranking: translations, similarity, classification, clustering. Vectors in, figures out."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.errors import DependencyError, InputError
from efive.nearest import QUERIES, Floats, Rows, nearest

PER_LABEL = 8
DRAWS = 10
_STEPS = 100
_CLUSTERED = 2048
"""Texts of each draw that is clustered."""
_BATCH = 512
_MISSING = "this task needs scikit-learn and scipy: pip install 'efive[evaluate]'"


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe measured."""

    scores: dict[str, float]
    by_row: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """The accuracy of each text, where there is such a thing."""
    note: str = ""


def bitext(left: Floats, right: Floats) -> Probed:
    """Take the nearest row of `right` for each of `left` (n, dim) as its translation; row i belongs to row i.

    `accuracy` is what LASER and XTREME report, `f1` (mean over sentences, weighted) what MTEB does. `_back` is the
    other way, `accuracy_both` the mean of the two ways.
    """
    there, back = neighbours(left, right, 1)[:, 0], neighbours(right, left, 1)[:, 0]
    own = np.arange(len(left))
    scores = {
        "accuracy": float((there == own).mean()),
        "f1": _f1(own, there, "weighted"),
        "accuracy_back": float((back == own).mean()),
        "f1_back": _f1(own, back, "weighted"),
    }
    scores["accuracy_both"] = (scores["accuracy"] + scores["accuracy_back"]) / 2
    return Probed(scores, (there == own).astype(np.float64))


def neighbours(left: Floats, right: Floats, k: int) -> Rows:
    """Return the `k` nearest rows of `right` for each of `left`, (n, k), however many they are."""
    parts = range(0, len(left), QUERIES)
    return np.concatenate([nearest(left[first : first + QUERIES], right, k).rows for first in parts])


def _f1(true: npt.NDArray[Any], predicted: npt.NDArray[Any], average: str) -> float:
    try:
        from sklearn.metrics import f1_score  # noqa: PLC0415 - optional
    except ImportError:
        raise DependencyError(_MISSING) from None
    return float(f1_score(true, predicted, average=average, zero_division=0))


def similarity(left: Floats, right: Floats, judged: Sequence[float]) -> Probed:
    """Correlate the cosines of rows of `left` and `right` (n, dim) with people's scores."""
    try:
        from scipy import stats  # noqa: PLC0415 - optional
    except ImportError:
        raise DependencyError(_MISSING) from None
    if len(set(judged)) < 2:
        raise InputError("all pairs are judged the same; no correlation can be computed")
    cosines = np.einsum("nd,nd->n", left, right)
    found = {"spearman": stats.spearmanr(cosines, judged), "pearson": stats.pearsonr(cosines, judged)}
    return Probed({name: float(result.statistic) for name, result in found.items()})


def draws(labels: Sequence[str], seed: int, *, per_label: int = PER_LABEL, times: int = DRAWS) -> list[list[int]]:
    """Draw rows to train on, `per_label` of each label or all that it has, as MTEB does."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(times):
        taken: dict[str, list[int]] = {}
        for row in random.permutation(len(labels)).tolist():
            rows = taken.setdefault(labels[row], [])
            if len(rows) < per_label:
                rows.append(row)
        found.append([row for rows in taken.values() for row in rows])
    return found


@dataclass(frozen=True, slots=True)
class Labelled:
    """Vectors with labels."""

    vectors: Floats
    labels: Sequence[str]


def classification(train: Labelled, test: Labelled, subsets: Sequence[Sequence[int]], seed: int) -> Probed:
    """Fit a logistic regression on each of `subsets`, rows of `train`, and take the mean of its figures on `test`.

    As MTEB does, at most 100 steps of the solver, whether it has converged or not. `f1` is the mean over labels.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 - optional
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    except ImportError:
        raise DependencyError(_MISSING) from None
    if len(set(train.labels)) < 2:
        raise InputError("all training texts have the same label; there is nothing to tell apart")
    true, known = np.array(test.labels), np.array(train.labels)
    right, f1 = np.zeros((len(subsets), len(true))), []
    for number, subset in enumerate(subsets):
        probe = LogisticRegression(max_iter=_STEPS, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(train.vectors[list(subset)], known[list(subset)])
        predicted = probe.predict(test.vectors)
        right[number] = predicted == true
        f1.append(_f1(true, predicted, "macro"))
    scores = {"accuracy": float(right.mean()), "f1": float(np.mean(f1))}
    return Probed(scores, right.mean(axis=0), _spread("accuracy", right.mean(axis=1)))


def clustering(vectors: Floats, labels: Sequence[str], seed: int) -> Probed:
    """Cluster draws of at most 2,048 texts, with replacement, by mini-batch k-means with a cluster for each label.

    `v_measure` is the mean of ten draws, as MTEB's, which are larger: 16,384 out of a part of the texts.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415 - optional
        from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
        from sklearn.metrics import v_measure_score  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn
    except ImportError:
        raise DependencyError(_MISSING) from None
    known = np.array(labels)
    clusters = len(np.unique(known))
    random = np.random.default_rng(seed)
    found = []
    for number in range(DRAWS):
        rows = random.choice(len(known), min(len(known), _CLUSTERED))
        means = MiniBatchKMeans(min(clusters, len(rows)), batch_size=_BATCH, n_init="auto", random_state=seed + number)
        # Threads that wait for each other cost more than so little work: thirty times as much on a busy machine.
        with (
            threadpool_limits(1),
            warnings.catch_warnings(),
        ):  # a small draw may have fewer different texts than there are labels
            warnings.simplefilter("ignore", ConvergenceWarning)
            assigned = means.fit_predict(vectors[rows])
        found.append(v_measure_score(known[rows], assigned))
    return Probed({"v_measure": float(np.mean(found))}, note=_spread("v_measure", np.array(found)))


def _spread(what: str, values: npt.NDArray[np.float64]) -> str:
    return f"{len(values)} draws, standard deviation of {what} {values.std():.4f}"
