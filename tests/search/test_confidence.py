import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.errors import InputError
from efive.search.confidence import LEAST, Background, Calibration, confidence, fit, threshold, z_scores

CALIBRATION = Calibration(location=4.0, scale=0.7, queries=200, documents=100, distance=0.05)


def gumbel(count, location, scale, seed=0):
    return np.random.default_rng(seed).gumbel(location, scale, count)


def test_the_background_of_a_query():
    sample = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    mean, deviation = Background(sample).of(np.array([[1, 0], [0, 1]], np.float32))
    assert mean == pytest.approx([0, 1 / 3])
    assert deviation == pytest.approx([math.sqrt(2 / 3), math.sqrt(2) / 3])


def test_a_query_s_own_document_is_no_background():
    sample = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    query = np.array([[1, 0]], np.float32)
    mean, deviation = Background(sample).of(query, np.array([[True, False, False]]))
    assert (mean.item(), deviation.item()) == pytest.approx((-0.5, 0.5))
    with pytest.raises(InputError, match="fewer than 2 vectors"):
        Background(sample).of(query, np.array([[True, True, False]]))


def test_z_scores_by_hand():
    assert z_scores([[0.9, 0.7], [0.5, 0.5]], [[0.7], [0.5]], [[0.1], [0.0]]) == pytest.approx(
        np.array([[2, 0], [0, 0]])
    )


def test_a_fit_finds_what_the_values_were_drawn_from():
    found = fit(gumbel(5000, 4, 0.7), 500)
    assert (found.location, found.scale) == pytest.approx((4, 0.7), rel=0.05)
    assert found.queries == 5000
    assert found.distance < 1.36 / math.sqrt(5000)


def test_documents_that_are_there_twice_hardly_move_a_fit():
    values = gumbel(500, 4, 0.7)
    twice = values.copy()
    twice[:40] = 15.0
    moved = threshold(fit(twice, 100), 0.9) - threshold(fit(values, 100), 0.9)
    assert 0 <= moved < 0.6  # by moments it would be more than 3


def test_values_of_another_form_are_far_from_their_fit():
    assert fit(np.concatenate([gumbel(300, 3, 0.1), gumbel(300, 9, 0.1, seed=1)]), 100).distance > 0.15


def test_half_of_the_unanswered_questions_are_below_a_half():
    assert confidence(CALIBRATION, 4.0) == pytest.approx(math.exp(-1))
    assert (confidence(fit(gumbel(2000, 4, 0.7), 100), gumbel(2000, 4, 0.7, seed=1)) >= 0.9).mean() == pytest.approx(
        0.1, abs=0.03
    )


@given(st.floats(0.001, 0.999))
def test_threshold_is_the_inverse_of_confidence(least):
    assert confidence(CALIBRATION, threshold(CALIBRATION, least)) == pytest.approx(least)


@given(st.floats(-1e6, 1e6), st.floats(0, 100))
def test_confidence_grows_with_z_and_stays_between_0_and_1(z, more):
    low, high = confidence(CALIBRATION, [z, z + more])
    assert 0 <= low <= high <= 1


@given(st.floats(0.1, 10), st.floats(-5, 5))
def test_confidence_does_not_depend_on_the_unit_of_z(scale, shift):
    values = gumbel(100, 4, 0.7)
    moved = confidence(fit(values * scale + shift, 100), values * scale + shift)
    assert moved == pytest.approx(confidence(fit(values, 100), values), abs=1e-9)


def test_a_least_confidence_of_0_keeps_everything():
    assert threshold(CALIBRATION, 0) == -math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fit(gumbel(200, 4, 1), LEAST - 1),
            f"too few documents for confidences: {LEAST - 1}, at least {LEAST}",
        ),
        (lambda: fit(gumbel(LEAST - 1, 4, 1), 100), f"too few documents for confidences: {LEAST - 1}"),
        (lambda: fit([*gumbel(LEAST, 4, 1), math.nan], 100), "not finite"),
        (lambda: fit([1.0] * LEAST, 100), "the same best z"),
        (lambda: threshold(CALIBRATION, 1.0), "min_confidence 1.0"),
        (lambda: threshold(CALIBRATION, math.nan), "min_confidence nan"),
        (lambda: Background(np.zeros((1, 4), np.float32)), r"shape \(1, 4\)"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(InputError, match=message):
        call()
