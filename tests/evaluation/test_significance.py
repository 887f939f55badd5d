import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.evaluation.significance import holm, paired_bootstrap


def test_no_difference_has_no_interval_and_no_significance():
    found = paired_bootstrap(np.zeros(50))
    assert (found.mean, found.low, found.high, found.p, found.queries) == (0, 0, 0, 1, 50)


def test_a_constant_shift_is_certain():
    found = paired_bootstrap(np.full(50, 0.1))
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)
    assert found.p == pytest.approx(1 / 10_001)


def test_agrees_with_the_normal_approximation_where_it_holds():
    values = np.random.default_rng(1).normal(0.01, 0.2, 2000)
    found = paired_bootstrap(values)
    error = values.std() / np.sqrt(2000)
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    from scipy.stats import norm

    assert found.p == pytest.approx(2 * norm.sf(abs(values.mean()) / error), rel=0.1)


def test_the_other_way_round_is_the_mirror_image():
    values = np.random.default_rng(2).normal(0.1, 1, 80)
    there, back = paired_bootstrap(values, name="t"), paired_bootstrap(-values, name="t")
    assert (back.mean, back.p) == (-there.mean, there.p)
    assert [back.low, back.high] == pytest.approx([-there.high, -there.low])


def test_seed_and_name_decide_the_resamples():
    values = np.random.default_rng(3).normal(0.1, 1, 80)
    assert paired_bootstrap(values, name="a", seed=1) == paired_bootstrap(values, name="a", seed=1)
    assert paired_bootstrap(values, name="a", seed=1) != paired_bootstrap(values, name="a", seed=2)
    assert paired_bootstrap(values, name="a", seed=1) != paired_bootstrap(values, name="b", seed=1)


def test_false_alarms_are_as_rare_as_promised():
    random = np.random.default_rng(4)
    alarms = [paired_bootstrap(random.normal(0, 1, 60), seed=n, resamples=500).p < 0.05 for n in range(400)]
    assert 0.02 < np.mean(alarms) < 0.09


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lowers_nothing_and_keeps_the_order(values):
    corrected = holm(values)
    assert all(after >= before for before, after in zip(values, corrected, strict=True))
    assert [corrected[i] for i in np.argsort(values, kind="stable")] == sorted(corrected)
