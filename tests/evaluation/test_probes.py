"""Probes: figures by hand."""

import numpy as np
import pytest

from efive.errors import InputError
from efive.evaluation.probes import Labelled, bitext, classification, clustering, draws, similarity
from efive.vectors import normalize


def test_accuracy_and_f1_of_four_sentences_by_hand():
    right = np.eye(4, dtype=np.float32)
    left = right.copy()
    left[2] = normalize(np.array([[0, 0.9, 0.1, 0]]))[0]  # the third finds the second's translation
    found = bitext(left, right)
    assert found.by_row.tolist() == [1, 1, 0, 1]
    # F1 of the four: 1; precision 1/2 and recall 1; 0; 1
    assert found.scores["accuracy"] == 0.75
    assert found.scores["f1"] == pytest.approx((1 + 2 / 3 + 0 + 1) / 4)
    # back, the third translation is nearest to the third sentence all the same
    assert found.scores["accuracy_back"] == found.scores["f1_back"] == 1
    assert found.scores["accuracy_both"] == 0.875


def test_correlations_by_hand():
    angles = np.array([0.0, 0.3, 0.9, 1.4])
    left = np.tile(np.array([[1, 0]], dtype=np.float32), (4, 1))
    right = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = similarity(left, right, [5, 4, 1, 2]).scores
    assert found["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found["pearson"] == pytest.approx(np.corrcoef(np.cos(angles), [5, 4, 1, 2])[0, 1])


def test_judgements_that_are_all_the_same_are_refused():
    with pytest.raises(InputError, match="all pairs are judged the same"):
        similarity(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), [3, 3])


def test_draws_take_eight_of_each_label_or_all():
    labels = ["many"] * 50 + ["few"] * 3
    found = draws(labels, 0)
    assert len(found) == 10
    for rows in found:
        assert len(set(rows)) == len(rows) == 11
        assert sorted(rows)[-3:] == [50, 51, 52]
    assert len({tuple(sorted(rows)) for rows in found}) == 10
    assert draws(labels, 0) == found != draws(labels, 1)


def apart(count, seed=0):
    """Two groups of vectors that a line divides."""
    random = np.random.default_rng(seed)
    sides = np.repeat([1.0, -1.0], count)
    vectors = np.stack([sides, random.normal(0, 0.3, 2 * count)], axis=1)
    return Labelled(normalize(vectors), ["a"] * count + ["b"] * count)


def test_labels_that_a_line_divides_are_told_apart():
    train, test = apart(30), apart(20, 1)
    found = classification(train, test, draws(train.labels, 0), 0)
    assert found.scores == {"accuracy": 1, "f1": 1}
    assert found.note == "10 draws, standard deviation of accuracy 0.0000"


def test_each_texts_share_of_draws_and_f1_over_labels():
    train = apart(30)
    test = Labelled(apart(2).vectors, ["a", "b", "b", "b"])  # the second is labelled wrongly
    found = classification(train, test, draws(train.labels, 0), 0)
    assert found.by_row.tolist() == [1, 0, 1, 1]
    assert found.scores["accuracy"] == 0.75
    assert found.scores["f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_one_label_is_refused():
    with pytest.raises(InputError, match="the same label"):
        classification(Labelled(np.eye(2, dtype=np.float32), ["a", "a"]), apart(2), [[0, 1]], 0)


def test_groups_that_lie_apart_are_found_and_chance_is_near_0():
    groups = apart(60)
    assert clustering(groups.vectors, groups.labels, 0).scores["v_measure"] == pytest.approx(1)
    mixed = np.random.default_rng(0).permutation(groups.labels).tolist()
    assert clustering(groups.vectors, mixed, 0).scores["v_measure"] < 0.2
    assert clustering(groups.vectors, mixed, 0).scores == clustering(groups.vectors, mixed, 0).scores
