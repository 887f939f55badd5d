"""Counts in bounded memory, held against counting everything."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.training.data.tallies import OTHERS, Histogram, Names, Repeats, Repetitions, script_of


def counted(values):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram.distribution()


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=200))
def test_a_distribution_is_that_of_the_values(values):
    found = counted(values)
    assert (found.count, found.minimum, found.maximum) == (len(values), min(values), max(values))
    assert found.mean == pytest.approx(sum(values) / len(values))
    for percent, near in ((5, found.p5), (50, found.p50), (95, found.p95), (99, found.p99)):
        exact = int(np.percentile(values, percent, method="inverted_cdf"))
        assert exact * 63 / 64 <= near <= exact


def test_small_values_are_exact():
    found = counted([*range(100)])
    assert (found.p5, found.p50, found.p95, found.p99) == (4, 49, 94, 98)
    assert Histogram().distribution() is None


def test_a_histogram_stays_small():
    histogram = Histogram()
    for value in range(0, 10_000_000, 101):
        histogram.add(value)
    assert len(histogram._buckets) <= 128 + 64 * 17


@given(st.lists(st.tuples(st.text(max_size=2), st.text(max_size=2)), max_size=60))
def test_repetitions_are_exact_while_they_fit(items):
    repeats = Repeats(128)
    for item in items:
        repeats.add(*item)
    assert repeats.result() == Repetitions(len(items) - len(set(items)), exact=True)


def test_one_item_many_times_needs_one_place():
    repeats = Repeats(8)
    for number in range(1000):
        repeats.add(str(number % 4))
    assert repeats.result() == Repetitions(996, exact=True)


def test_beyond_the_limit_it_is_an_estimate():
    repeats = Repeats(4096)
    for number in range(60_000):
        repeats.add(str(number % 40_000))  # a third are repetitions
    found = repeats.result()
    assert not found.exact
    assert found.repeated == pytest.approx(20_000, rel=0.1)
    assert len(repeats._hashes) == 4096
    never = Repeats(64)
    for number in range(10_000):
        never.add(str(number))
    assert never.result() == Repetitions(0, exact=False)


def test_parts_are_kept_apart():
    repeats = Repeats(8)
    repeats.add("ab", "c")
    repeats.add("a", "bc")
    repeats.add("abc")
    assert repeats.result().repeated == 0


def test_names_are_bounded():
    names = Names()
    for number in range(1500):
        names.add(f"{number:04}")
    names.add("0007")
    counts = names.counts()
    assert len(counts) == 1001
    assert list(counts.items())[:2] == [(OTHERS, 500), ("0007", 2)]
    assert Counter(counts.values())[1] == 999


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("how long", "latin"),
        ("größer", "latin"),
        ("где 12 находится x", "cyrillic"),
        ("北京", "cjk"),
        ("ひらがな", "hiragana"),
        ("한국어", "hangul"),
        ("हिन्दी", "devanagari"),
        ("12 + 30", "none"),
        ("", "none"),
        ("a" * 64 + "я" * 1000, "latin"),
    ],
)
def test_scripts(text, script):
    assert script_of(text) == script
