"""The benchmark's arithmetic: what its table says must follow from what it measured."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import measure
import shapes

from efive.models.family import FAMILY

SMALL = shapes.SHAPES["e5-small-v2"]


@pytest.mark.parametrize(("lengths", "expected"), [(np.arange(8, 17), 42.7e6), ([512] * 4, 51.9e6)])
def test_operations_of_e5_small(lengths, expected):
    assert measure.flops_per_token(SMALL, lengths) == pytest.approx(expected, rel=2e-3)


def test_operations_equal_the_package_s_own():
    for name, shape in shapes.SHAPES.items():
        own = FAMILY[name].architecture.arithmetic(120)
        assert measure.flops_per_token(shape, [120]) == pytest.approx(own)


def test_padding_of_sorted_batches():
    assert measure.sorted_padding([10] * 64) == 1
    assert measure.sorted_padding([100] + [10] * 31) == pytest.approx(3200 / 410)


def record(number, tokens, seconds):
    return {"round": number, "tokens": tokens, "wall_s": seconds, "cpu_s": 2 * seconds, "threads": 2}


def test_ratios_are_taken_within_a_round():
    ours = [record(0, 100, 1), record(1, 100, 4)]
    theirs = [record(0, 100, 2), record(1, 100, 8), record(2, 100, 1)]  # a slow round is slow for both
    spread = measure.ratio(ours, theirs, "wall")
    assert (spread.low, spread.middle, spread.high) == (2, 2, 2)
    assert measure.ratio(ours, [record(7, 1, 1)], "wall") is None


def test_share_of_the_limit():
    measured = record(0, 1, 2) | {"flops": 1e12, "precision": "bf16", "limit": {"bf16": 1e12}}
    assert measure.share_of_limit(measured, "wall") == 0.5
    assert measure.share_of_limit(measured, "cpu") == 0.5
    assert measure.share_of_limit(measured | {"precision": "int8"}, "wall") is None


def test_lowest_cosine():
    assert measure.min_cosine(np.eye(2, dtype=np.float32), np.float32([[2, 0], [1, 1]])) == pytest.approx(0.5**0.5)
