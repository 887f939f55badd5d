"""Vectors as they were given: their numbers, their scores by each metric, their life on the disk."""

import numpy as np
import pytest

from efive.search.conditions import from_mapping
from efive.search.raw import Metric, RawVector, RawVectors

SCORES = {
    Metric.COSINE: lambda rows, query: rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query),
    Metric.DOTPRODUCT: lambda rows, query: rows @ query,
    Metric.EUCLIDEAN: lambda rows, query: np.square(rows - query).sum(axis=1),
}


def vectors(count, dimension, scale=1.0):
    rows = np.random.default_rng(dimension).normal(size=(count, dimension), scale=scale).astype(np.float32)
    return rows, [RawVector(f"v{i}", row, {"even": i % 2 == 0}) for i, row in enumerate(rows)]


@pytest.mark.parametrize("dimension", [1, 3, 100, 1536])
@pytest.mark.parametrize("metric", Metric)
def test_scores_are_the_metric_s_and_values_come_back_as_they_were(tmp_path, metric, dimension):
    rows, given = vectors(200, dimension, scale=1e-3)
    held = RawVectors(tmp_path / "set", dimension, metric)
    held.put(given)
    query = np.random.default_rng(0).normal(size=dimension).astype(np.float32)
    scores = np.where(np.arange(200) % 2 == 0, SCORES[metric](rows, query), np.nan)
    best = np.argsort(scores if metric is Metric.EUCLIDEAN else -scores, kind="stable")[:7]
    found = held.nearest(query, 7, from_mapping({"even": True}))
    np.testing.assert_allclose([score for _, score in found], scores[best], rtol=1e-5, atol=1e-7)
    if dimension > 1:  # where cosines are more than two
        assert [name for name, _ in found] == [f"v{i}" for i in best]
    np.testing.assert_array_equal([each.values for each in held.get(["v9", "none", "v3"])], rows[[9, 3]])
    held.close()


@pytest.mark.parametrize("dimension", [10, 128, 132])
def test_many_vectors_are_indexed_whatever_their_dimension(tmp_path, dimension):
    rows, given = vectors(10_500, dimension)
    held = RawVectors(tmp_path, dimension, Metric.COSINE)
    for start in range(0, len(given), 3_500):
        held.put(given[start : start + 3_500])
    held.close()  # waits for the index, and would say what failed
    for row in (5, 6_000, 10_499):
        scores = SCORES[Metric.COSINE](rows, rows[row])
        found = held.nearest(rows[row], 5)
        assert found[0][0] == f"v{row}"
        np.testing.assert_allclose([score for _, score in found], np.sort(scores)[::-1][:5], atol=1e-5)


def test_what_is_put_changed_and_removed_is_there_again(tmp_path):
    _, given = vectors(5, 4)
    held = RawVectors(tmp_path, 4, Metric.COSINE)
    held.put(given)
    held.put([given[0], RawVector("v0", np.ones(4, np.float32), {"new": "yes"})])  # the last of equal ids counts
    held.remove(["v1", "none"])
    held.change(["v2", "none"], lambda old: RawVector(old.id, -old.values, {**old.metadata, "changed": True}))
    again = RawVectors(tmp_path, 4, Metric.COSINE)
    assert sorted(again.ids()) == ["v0", "v2", "v3", "v4"]
    assert again.count() == 4
    assert list(again.ids(from_mapping({"changed": True}))) == ["v2"]
    first, second = again.get(["v0", "v2"])
    assert (first.values.tolist(), first.metadata) == ([1, 1, 1, 1], {"new": "yes"})
    np.testing.assert_array_equal(second.values, -given[2].values)
