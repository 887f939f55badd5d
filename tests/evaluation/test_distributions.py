import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.errors import InputError
from efive.evaluation.distributions import auc, compared, hubness, plane, score_distributions
from efive.nearest import nearest
from efive.vectors import normalize

CROSS = np.eye(4, dtype=np.float32)


def test_related_and_unrelated_pairs_by_hand():
    seen = score_distributions(CROSS, CROSS, [[0], [1], [2], [3]], pairs=100)
    assert seen["related"]["mean"] == 1
    assert seen["unrelated"]["mean"] == 0
    assert (seen["related"]["count"], seen["unrelated"]["count"]) == (4, 100)
    assert (seen["auc"], seen["overlap"]) == (1, 0)
    assert seen["unrelated"]["histogram"][0] == 100
    assert seen["related"]["histogram"][-1] == 4
    json.dumps(seen, allow_nan=False)


def test_related_pairs_are_never_drawn_as_unrelated():
    related = [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]  # what is left is each with itself
    seen = score_distributions(CROSS, CROSS, related, pairs=50)
    assert seen["unrelated"]["percentiles"]["1"] == 1
    assert seen["auc"] == 0


def test_the_draw_is_seeded():
    vectors = normalize(np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32))
    relevant = [[i] for i in range(50)]
    seen = [score_distributions(vectors, vectors, relevant, pairs=200, seed=seed) for seed in (1, 1, 2)]
    assert seen[0] == seen[1] != seen[2]


def test_percentiles_and_auc_by_hand():
    seen = compared([0.2, 0.4], np.arange(101) / 100)
    assert seen["unrelated"]["percentiles"] == pytest.approx({str(p): p / 100 for p in (1, 5, 25, 50, 75, 95, 99)})
    assert seen["auc"] == pytest.approx((20.5 + 40.5) / 202)


SCORES = st.lists(st.floats(-1, 1), min_size=1, max_size=20)


@given(SCORES, SCORES)
def test_auc_of_the_other_side_is_the_rest(a, b):
    near, far = np.array(a), np.array(b)
    assert auc(near, far) + auc(far, near) == pytest.approx(1)
    assert auc(near, far) == pytest.approx(np.mean([(x > y) + (x == y) / 2 for x in a for y in b]))


def test_the_same_scores_overlap_wholly():
    assert compared([0.1, 0.5, 0.5], [0.5, 0.1, 0.5])["overlap"] == pytest.approx(1)
    assert compared([0.5], [0.5])["overlap"] == 1


def test_a_hub_by_construction():
    # Document 0 is in every list; 1 to 4 come up once, 5 to 9 never.
    found = np.array([[0, 1], [0, 2], [3, 0], [0, 4]])
    seen = hubness(found, 10)
    counts = np.array([4, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    above = counts - 0.8
    assert seen["skewness"] == pytest.approx((above**3).mean() / (above**2).mean() ** 1.5)
    assert (seen["hub_share"], seen["never"], seen["hubs"][:2]) == (1, 0.5, [[0, 4], [1, 1]])
    assert seen["never_by_chance"] == pytest.approx(0.8**4)
    json.dumps(seen, allow_nan=False)


def test_a_vector_in_the_middle_becomes_a_hub_and_random_ones_do_not():
    random = np.random.default_rng(0)
    queries, documents = (random.normal(size=(n, 32)).astype(np.float32) for n in (400, 400))
    queries += 1  # all lean to one side, as texts do

    def searched():
        return hubness(nearest(normalize(queries), normalize(documents), 10).rows, 400)

    even = searched()
    documents[7] = 1.0  # the direction that all lean to
    hub = searched()
    assert hub["hubs"][0][0] == 7
    assert hub["hub_share"] > 0.9 > even["hub_share"]


def test_chance_is_what_random_results_give():
    found = np.array([np.random.default_rng(seed).permutation(500)[:10] for seed in range(300)])
    seen = hubness(found, 500)
    assert seen["skewness"] == pytest.approx(seen["skewness_by_chance"], abs=0.25)
    assert seen["never"] == pytest.approx(seen["never_by_chance"], abs=0.01)


def test_the_map_keeps_what_varies_most():
    vectors = np.zeros((6, 5), np.float32)
    vectors[:, 2] = [-3, -2, -1, 1, 2, 3]
    vectors[:, 4] = [1, -1, 0, 0, 1, -1]
    drawn = plane(vectors, list("aabbcc"))
    assert np.abs(drawn["points"])[:, 0] == pytest.approx([3, 2, 1, 1, 2, 3], abs=0.5)
    assert sum(drawn["explained"]) == pytest.approx(1)
    assert drawn["explained"][0] > drawn["explained"][1]
    assert drawn["labels"] == list("aabbcc")
    json.dumps(drawn, allow_nan=False)


def test_the_map_is_a_seeded_sample():
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    labels = [str(i) for i in range(60)]
    drawn = [plane(vectors, labels, most=20, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0]["rows"] != drawn[2]["rows"]
    assert (len(drawn[0]["points"]), drawn[0]["of"]) == (20, 60)
    assert drawn[0]["labels"] == [labels[row] for row in drawn[0]["rows"]]


def test_a_map_of_equal_vectors_is_one_point():
    drawn = plane(np.ones((3, 4), np.float32), ["a"] * 3)
    assert drawn["points"] == [[0, 0]] * 3
    assert drawn["explained"] == [0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: score_distributions(CROSS, CROSS, [[0]]), "4 queries and the relevant documents of 1"),
        (lambda: score_distributions(CROSS, CROSS, [[], [], [], []]), "no pair is related"),
        (lambda: score_distributions(CROSS, CROSS, [[4], [], [], []]), "4 .*of 4 documents"),
        (lambda: score_distributions(CROSS, CROSS, [[-1], [], [], []]), "lowest -1"),
        (lambda: score_distributions(CROSS, CROSS, [[0, 1, 2, 3]] * 4), "no unrelated pairs"),
        (lambda: compared([], [0.1]), "0 related and 1 unrelated"),
        (lambda: hubness(np.full((2, 3), -1), 5), "nothing was found"),
        (lambda: hubness(np.array([[5]]), 5), "row 5 .* 5 documents"),
        (lambda: plane(CROSS, ["a"]), "4 vectors and 1 labels"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(InputError, match=message):
        call()
