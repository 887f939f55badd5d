"""The order of the data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.training.sampling import Sampler, Stratum, permuted, rotated


@given(st.integers(1, 3000), st.integers(0, 2**63 - 1))
def test_an_epoch_visits_every_example_once(size, key):
    assert np.array_equal(np.sort(permuted(np.arange(size), size, key)), np.arange(size))


def test_orders_differ_by_key_and_look_shuffled():
    orders = [permuted(np.arange(10_000), 10_000, key) for key in (1, 2)]
    assert (orders[0] == orders[1]).mean() < 0.01
    for order in orders:
        assert abs(np.corrcoef(np.arange(10_000), order)[0, 1]) < 0.05
        assert (np.abs(np.diff(order)) == 1).mean() < 0.01


def test_a_sampler_goes_on_from_its_counters():
    strata = [Stratum(0, 1.0, 100, 8), Stratum(1, 3.0, 50, 8)]
    whole = Sampler(strata, 7)
    draws = [whole.next() for _ in range(60)]
    half = Sampler(strata, 7)
    for _ in range(23):
        half.next()
    again = Sampler(strata, 7, list(half.drawn))
    for expected in draws[23:]:
        draw = again.next()
        assert (draw.source, draw.examples.tolist()) == (expected.source, expected.examples.tolist())


def test_a_batch_has_no_example_twice_and_an_epoch_none_before_all():
    sampler = Sampler([Stratum(0, 1.0, 21, 5)], 0)
    for _ in range(3):  # epochs of 4 batches; one example rests
        seen = np.concatenate([sampler.next().examples for _ in range(4)])
        assert len(set(seen.tolist())) == 20


def test_weights_are_shares_of_the_batches():
    sampler = Sampler([Stratum(0, 1.0, 1000, 4), Stratum(1, 3.0, 1000, 4)], 0)
    sources = [sampler.next().source for _ in range(2000)]
    assert np.mean(sources) == pytest.approx(0.75, abs=0.03)


def test_a_small_set_makes_small_batches():
    assert sorted(Sampler([Stratum(0, 1.0, 3, 64)], 0).next().examples) == [0, 1, 2]


def test_negatives_rotate_as_simlm_says():
    # offset * wanted, modulo the length: epoch 0 takes 0 and 1, epoch 1 takes 2 and 3, epoch 2 goes round
    assert [rotated(5, 2, epoch).tolist() for epoch in range(4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]
    assert rotated(2, 4, 0).tolist() == [0, 1]
    assert rotated(0, 4, 3).tolist() == []
