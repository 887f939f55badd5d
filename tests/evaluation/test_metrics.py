"""Measures of rankings: trec_eval's answers, worked out by hand."""

import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.errors import InputError
from efive.evaluation.metrics import depth, measure, ordered


def value(name, judged, ranking):
    return measure(judged, ranking, [name])[name].mean


def ranked(*documents):
    return [(document, float(-place)) for place, document in enumerate(documents)]


def test_ndcg_has_linear_gain():
    judged = {"q": {"three": 3, "one": 1, "zero": 0}}
    found = {"q": ranked("one", "zero", "three")}
    reached, ideal = 1 / math.log2(2) + 3 / math.log2(4), 3 / math.log2(2) + 1 / math.log2(3)
    assert value("ndcg_at_10", judged, found) == pytest.approx(reached / ideal)
    assert value("ndcg_at_2", judged, found) == pytest.approx(1 / ideal)


def test_of_equal_scores_the_last_id_comes_first():
    tie = {"q": [("10", 0.5), ("9", 0.5), ("a", 0.5)]}
    ranks = {document: 1 / value("mrr", {"q": {document: 1}}, tie) for document in ("a", "9", "10")}
    assert ranks == pytest.approx({"a": 1, "9": 2, "10": 3})


def test_scores_that_are_the_same_in_float32_are_equal():
    assert [document for document, _ in ordered({"a": 1 + 1e-12, "b": 1.0}, 2)] == ["b", "a"]
    assert value("mrr", {"q": {"b": 1}}, {"q": [("a", 1 + 1e-12), ("b", 1.0)]}) == 1


def test_a_judged_query_that_is_not_in_the_run_counts_0_and_one_that_is_not_judged_not_at_all():
    judged = {"found": {"d": 1}, "missing": {"d": 1}, "empty": {"d": 1}}
    found = measure(judged, {"found": ranked("d"), "unjudged": ranked("x"), "empty": []}, ["ndcg_at_10", "mrr_at_10"])
    for name in ("ndcg_at_10", "mrr_at_10"):
        assert found[name].by_query == {"found": 1, "missing": 0, "empty": 0}
        assert found[name].mean == pytest.approx(1 / 3)


def test_mrr_is_cut_at_its_depth():
    found = {"q": ranked(*(f"d{place}" for place in range(1, 201)))}
    assert value("mrr_at_10", {"q": {"d11": 1}}, found) == 0
    assert value("mrr_at_100", {"q": {"d11": 1}}, found) == pytest.approx(1 / 11)
    assert value("mrr_at_100", {"q": {"d101": 1}}, found) == 0


def test_several_relevant_documents():
    judged = {"q": {"a": 1, "b": 2, "c": 1, "no": 0}}
    found = {"q": ranked("a", "no", "b", "x")}
    assert value("recall_at_2", judged, found) == pytest.approx(1 / 3)
    assert value("recall_at_100", judged, found) == pytest.approx(2 / 3)
    assert value("success_at_1", judged, found) == 1
    assert value("precision_at_5", judged, found) == pytest.approx(2 / 5)
    assert value("map", judged, found) == pytest.approx((1 + 2 / 3) / 3)


ids = st.sampled_from("abcdefghij")
runs = st.dictionaries(st.sampled_from("123"), st.dictionaries(ids, st.sampled_from([0.0, 0.25, 0.5]), min_size=1))
qrels = st.dictionaries(st.sampled_from("1234"), st.dictionaries(ids, st.integers(0, 3), min_size=1), min_size=1)


@given(qrels, runs)
def test_they_are_those_of_trec_eval(judged, run):
    theirs = {"ndcg_at_5": "nDCG@5", "recall_at_5": "R@5", "map": "AP", "mrr": "RR", "precision_at_5": "P@5"}
    parsed = {name: ir_measures.parse_measure(text) for name, text in theirs.items()}
    expected = ir_measures.pytrec_eval.calc_aggregate(parsed.values(), judged, run)
    found = measure(judged, {query: list(hits.items()) for query, hits in run.items()}, list(theirs))
    for name, measured in parsed.items():
        assert found[name].mean == pytest.approx(expected[measured]), name


def test_depth_is_that_of_the_deepest_measure():
    assert depth(["ndcg_at_10", "recall_at_100"]) == 100
    assert depth(["ndcg_at_10", "map"]) == 1000


@pytest.mark.parametrize("name", ["recall", "accuracy", "ndcg_at_0", "ndcg@10"])
def test_what_is_no_measure_is_refused(name):
    with pytest.raises(InputError, match="is no measure of rankings; there are ndcg_at_10"):
        measure({"q": {"d": 1}}, {}, [name])


def test_nothing_judged_is_refused():
    with pytest.raises(InputError, match="no query is judged"):
        measure({}, {}, ["map"])


def test_values_are_plain_floats():
    assert type(value("ndcg_at_10", {"q": {"d": 1}}, {"q": [("d", np.float32(1))]})) is float
