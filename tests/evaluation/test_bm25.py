"""BM25: Lucene's formula, worked out by hand."""

import math

import pytest

from efive.evaluation.bm25 import BM25

TEXTS = ["cat cat dog", "dog", "bird fish"]


def part(tf, length, having, total=3, average=2.0):
    idf = math.log(1 + (total - having + 0.5) / (having + 0.5))
    return idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * length / average))


def test_scores_are_lucenes():
    found = BM25(TEXTS).search({"q": "dog cat", "twice": "bird bird"}, 10)
    assert list(found["q"]) == [0, 1]
    assert found["q"][0] == pytest.approx(part(2, 3, 1) + part(1, 3, 2), rel=1e-5)
    assert found["q"][1] == pytest.approx(part(1, 1, 2), rel=1e-5)
    assert found["twice"][2] == pytest.approx(2 * part(1, 2, 1), rel=1e-5)


def test_what_shares_no_term_is_not_found():
    assert BM25(TEXTS).search({"q": "horse", "empty": "", "marks": "?!"}, 10) == {"q": {}, "empty": {}, "marks": {}}
    assert BM25(["", "…"]).search({"q": "horse"}, 10) == {"q": {}}


def test_of_equal_scores_the_first_documents_stay():
    assert list(BM25(["x", "cat", "cat", "cat"]).search({"q": "cat"}, 2)["q"]) == [1, 2]


def test_common_terms_can_be_left_out():
    texts = ["the cat", "the dog", "the bird", "a fish"]
    assert len(BM25(texts).search({"q": "the cat"}, 10)["q"]) == 3
    without = BM25(texts, common=0.5)
    assert list(without.search({"q": "the cat"}, 10)["q"]) == [0]
    assert without.search({"q": "the"}, 10) == {"q": {}}
    assert without.note.endswith("without terms of more than 50% of the documents")


def test_scripts_without_spaces_have_terms():
    assert list(BM25(["東京の天気", "大阪の食べ物"]).search({"q": "東京"}, 10)["q"]) == [0]
