"""IBM model 1: the right translation wins, both directions count, limits hold."""

import numpy as np
import pytest

from efive.errors import InputError
from efive.training.vocabulary.alignment import AlignmentOptions, align, best_of_each

WORDS = 40


def corpus(pairs=800, seed=0):
    """Word i of the foreign language (ids 0 … 39) means word i + 40; both sides are shuffled."""
    rng = np.random.default_rng(seed)
    english = [rng.choice(WORDS, size=rng.integers(2, 9), replace=False) + WORDS for _ in range(pairs)]
    return [rng.permutation(ids) - WORDS for ids in english], english


def best(alignment):
    first = np.r_[True, alignment.foreign[1:] != alignment.foreign[:-1]]
    return alignment.foreign[first], alignment.english[first]


def test_each_word_finds_its_translation_whatever_the_order():
    foreign, english = best(align(*corpus(), 2 * WORDS))
    assert foreign.tolist() == list(range(WORDS))
    assert english.tolist() == [word + WORDS for word in range(WORDS)]


def test_a_word_that_translates_nothing_goes_to_null():
    foreign, english = corpus()
    particle = 2 * WORDS
    found = align([np.append(ids, particle) for ids in foreign], english, 2 * WORDS + 1)
    assert found.null[particle] > 0.4
    assert found.null[:WORDS].max() < 0.1


def test_the_diagonal_decides_between_words_that_always_come_together():
    foreign, english = [np.array([0, 1])] * 20, [np.array([2, 3])] * 20
    plain = align(foreign, english, 4, AlignmentOptions(diagonal=0))
    assert plain.weight == pytest.approx(0.5)
    near = align(foreign, english, 4, AlignmentOptions(diagonal=4))
    assert best(near)[1].tolist() == [2, 3]


def test_counts_are_of_the_pairs_that_are_used():
    foreign, english = [np.array([0, 0]), np.arange(9), np.array([], dtype=int)], [np.array([2])] * 3
    found = align(foreign, english, 10, AlignmentOptions(longest=5))
    assert found.pairs == 1
    assert found.counts[0] == 2
    assert found.english_counts[2] == 1


def test_links_are_bounded_by_leaving_pairs_out():
    foreign, english = corpus()
    found = align(foreign, english, 2 * WORDS, AlignmentOptions(most_links=5000))
    assert 50 < found.pairs < 300


def test_sides_of_different_length_and_empty_corpora_are_refused():
    with pytest.raises(InputError, match="2 foreign texts and 1"):
        align([np.array([1])] * 2, [np.array([1])], 3)
    with pytest.raises(InputError, match="no pair"):
        align([np.arange(99)], [np.array([1])], 100)


def test_the_best_of_each_group_come_first():
    groups, weight = np.array([7, 3, 7, 7, 3]), np.array([0.1, 0.5, 0.9, 0.4, 0.0])
    assert best_of_each(groups, weight, 2).tolist() == [1, 2, 3]
    assert best_of_each(np.zeros(0, dtype=np.int64), np.zeros(0), 2).tolist() == []
