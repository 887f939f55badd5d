import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.errors import InputError
from efive.search.fusion import normalised, reciprocal_rank

COSINES = st.dictionaries(st.integers(0, 20), st.floats(-1, 1), min_size=1)
SCORES = st.floats(0, 100)
RANKINGS = st.lists(st.lists(st.integers(0, 20), unique=True), max_size=4)


def test_normalised_by_hand():
    found = normalised({"a": 0.9, "b": 0.8}, {"b": 6.0}, background=(0.7, 0.1), terms=list("abcdefghi"))
    assert found == pytest.approx({"a": 2.0, "b": 1 + 3.5 * 6 / 3})
    assert list(found) == ["b", "a"]


def test_what_many_passages_reach_counts_little():
    cosines = dict.fromkeys(range(12), 0.5)
    texts = {0: 8.0} | dict.fromkeys(range(1, 12), 6.0)
    found = normalised(cosines, texts, background=(0.5, 0.1), terms=["a"])
    assert found[0] == pytest.approx(0.5 * 8 + 3 * (8 - 6))
    assert found[1] == pytest.approx(0.5 * 6)


def test_a_repeated_term_counts_as_a_longer_query():
    found = normalised(
        {"a": 0.0}, {"a": 10.0}, background=(0, 1), terms=["x", "x", "x", "x", "y", "z", "z", "z"], text_weight=2
    )
    assert found == pytest.approx({"a": 2 * 3.5 * 10 / math.sqrt(16 + 1 + 9)})


def test_reciprocal_rank_by_hand():
    found = reciprocal_rank([["a", "b"], ["b", "c"]], [1, 2], k=60)
    assert found == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 2 / 61, "c": 2 / 62})
    assert list(found) == ["b", "c", "a"]


@given(COSINES, st.data(), SCORES)
def test_more_text_never_lowers_a_row(cosines, data, more):
    key = data.draw(st.sampled_from(sorted(cosines)))
    texts = data.draw(st.dictionaries(st.sampled_from(sorted(cosines)), SCORES))
    before = list(normalised(cosines, texts, background=(0.5, 0.1), terms=list("abcd")))
    after = list(
        normalised(cosines, texts | {key: texts.get(key, 0) + more}, background=(0.5, 0.1), terms=list("abcd"))
    )
    assert after.index(key) <= before.index(key)


@given(COSINES, st.floats(0.01, 1), st.lists(st.text()))
def test_without_text_the_vectors_decide(cosines, deviation, terms):
    found = normalised(cosines, {}, background=(0.5, deviation), terms=terms)
    assert [cosines[key] for key in found] == pytest.approx(sorted(cosines.values(), reverse=True))


@given(COSINES, st.dictionaries(st.integers(0, 20), SCORES), st.floats(0.1, 10), st.floats(-1, 1))
def test_the_scale_of_the_space_does_not_matter(cosines, texts, scale, shift):
    texts = {key: score for key, score in texts.items() if key in cosines}
    moved = {key: scale * cosine + shift for key, cosine in cosines.items()}
    found = normalised(cosines, texts, background=(0.5, 0.1), terms=list("abcd"))
    other = normalised(moved, texts, background=(scale * 0.5 + shift, scale * 0.1), terms=list("abcd"))
    assert other == pytest.approx(found, abs=1e-6)


@given(RANKINGS)
def test_equal_rankings_are_exchangeable(rankings):
    found = reciprocal_rank(rankings)
    assert found == reciprocal_rank(rankings[::-1])
    assert list(found.values()) == sorted(found.values(), reverse=True)


@given(st.lists(st.integers(), unique=True, min_size=1), st.floats(0.1, 10))
def test_one_ranking_stays_as_it_is(ranking, weight):
    assert list(reciprocal_rank([ranking], [weight])) == ranking
    assert list(reciprocal_rank([ranking, ranking])) == ranking


def test_equal_scores_keep_the_order_of_the_rows():
    assert list(normalised({"z": 0.5, "a": 0.5}, {}, background=(0, 1), terms=["a"])) == ["z", "a"]
    assert list(reciprocal_rank([["z"], ["a"]])) == ["z", "a"]


def test_vectors_that_are_all_alike_leave_the_text():
    found = normalised({"a": 0.5, "b": 0.5}, {"b": 1.0}, background=(0.5, 0.0), terms=["a"], text_weight=1)
    assert found == {"b": 3.5, "a": 0.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normalised({}, {"a": 1}, background=(0, 1), terms=["a"]), "'a' has a text score but no cosine"),
        (lambda: normalised({"a": math.nan}, {}, background=(0, 1), terms=["a"]), "cosine of row 'a' is nan"),
        (lambda: normalised({"a": 0}, {"a": math.inf}, background=(0, 1), terms=["a"]), "text score of row 'a' is inf"),
        (lambda: normalised({}, {}, background=(0, 1), terms=["a"], text_weight=-1), "weight -1"),
        (lambda: reciprocal_rank([["a"]], [1, 2]), "2 weights for 1 rankings"),
        (lambda: reciprocal_rank([["a", "a"]]), "twice"),
        (lambda: reciprocal_rank([["a"]], [math.nan]), "weight nan"),
        (lambda: reciprocal_rank([["a"]], k=-1), "k=-1"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(InputError, match=message):
        call()
