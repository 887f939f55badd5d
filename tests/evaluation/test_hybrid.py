"""Fusion of what the model and BM25 found."""

import numpy as np
import pytest

from efive.evaluation.cache import Vectors
from efive.evaluation.corpus import Documents
from efive.evaluation.hybrid import Sides, by_normalised_scores, by_rank, by_tuned_weight, halves
from efive.evaluation.metrics import measure
from efive.evaluation.retrieval import Asked, Cosines, named

IDS = ["right", "wrong", "other"]
RIGHT, WRONG = {0: 0.9, 1: 0.5}, {1: 0.9, 0: 0.5}


def test_reciprocal_ranks_by_hand():
    fused = by_rank({"q": {7: 0.9, 8: 0.8}}, {"q": {8: 12.0, 9: 3.0}})
    assert fused["q"] == pytest.approx({8: 1 / 62 + 1 / 61, 7: 1 / 61, 9: 1 / 62})
    assert list(fused["q"]) == [8, 7, 9]
    assert by_rank({"q": {7: 0.9}}, {}) == {"q": {7: 1 / 61}}


def test_normalised_scores_give_what_only_bm25_found_its_cosine():
    stored = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float16)
    documents = Documents(IDS, np.array([0, 1, 2]), Vectors(stored, np.arange(3)))
    asked = Asked(["q"], np.array([[1, 0]], dtype=np.float32))
    cosines = Cosines(asked, documents, 0)
    queries = {"q": "cat"}
    alone = by_normalised_scores({"q": {0: 1.0}}, {}, queries, cosines)["q"]
    fused = by_normalised_scores({"q": {0: 1.0}}, {"q": {2: 1e-9}}, queries, cosines)["q"]
    mean, deviation = cosines.backgrounds["q"]
    assert alone[0] == pytest.approx((1 - mean) / deviation)
    assert fused[2] == pytest.approx((0.6 - mean) / deviation, abs=1e-2)
    assert by_normalised_scores({"q": {0: 1.0}}, {"q": {2: 50.0}}, queries, cosines)["q"][2] > fused[0]


def tuned(model, text, judged):
    found = by_tuned_weight(Sides(model, text, IDS, 10), judged, "success_at_1", 0)
    return found, measure(judged, named(found.found, IDS, 10), ["success_at_1"])["success_at_1"].by_query


def test_a_weight_is_never_measured_on_the_queries_it_was_chosen_by():
    queries = [f"q{number}" for number in range(8)]
    judged = {query: {"right": 1} for query in queries}
    one, _ = halves(queries, 0)
    model = {query: RIGHT if query in one else WRONG for query in queries}  # one half needs the model,
    text = {query: WRONG if query in one else RIGHT for query in queries}  # the other needs BM25
    _, by_query = tuned(model, text, judged)
    assert set(by_query.values()) == {0}


def test_where_all_queries_want_the_same_the_weight_finds_it():
    queries = [f"q{number}" for number in range(8)]
    judged = {query: {"right": 1} for query in queries}
    found, by_query = tuned(dict.fromkeys(queries, WRONG), dict.fromkeys(queries, RIGHT), judged)
    assert set(by_query.values()) == {1}
    assert "of BM25 and the rest of the model for half of the queries" in found.note


def test_halves_depend_on_the_seed_and_not_on_the_order():
    queries = [str(number) for number in range(9)]
    one, other = halves(queries, 1)
    assert sorted(one + other) == queries
    assert abs(len(one) - len(other)) == 1
    assert halves(reversed(queries), 1) == (one, other)
    assert halves(queries, 2) != (one, other)


def test_a_query_that_only_one_side_answers_is_fused_too():
    judged = {"a": {"right": 1}, "b": {"right": 1}, "c": {"right": 1}}
    _, by_query = tuned({"a": RIGHT, "b": {}, "c": RIGHT}, {"b": RIGHT, "c": {}}, judged)
    assert by_query == {"a": 1, "b": 1, "c": 1}
