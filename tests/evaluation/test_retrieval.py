"""Search by windows: equal to brute force over documents."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efive.evaluation.cache import EmbeddingCache, Vectors
from efive.evaluation.corpus import Documents, Shape
from efive.evaluation.retrieval import Asked, Cosines, named, numbers_of, rerank, search, without
from efive.evaluation.tasks import About, Reranking
from efive.inputs import Role

ABOUT = About("r", "en", ("map",), "", "")


def corpus(windows_of, seed):
    """Documents with so many windows each; whole numbers make sums exact and ties many."""
    owners = np.repeat(np.arange(len(windows_of)), windows_of)
    stored = np.random.default_rng(seed).integers(-2, 3, (len(owners), 4)).astype(np.float16)
    names = [f"d{number}" for number in range(len(windows_of))]
    return Documents(names, owners, Vectors(stored, np.arange(len(owners))))


def asked(count, seed):
    vectors = np.random.default_rng(seed).integers(-2, 3, (count, 4)).astype(np.float32)
    return Asked([f"q{number}" for number in range(count)], vectors)


@given(
    st.lists(st.integers(0, 5) | st.just(40), min_size=1, max_size=30),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(0, 99),
)
@settings(deadline=None)
def test_the_best_window_counts_and_nothing_is_missed(windows_of, depth, queries, seed):
    documents, questions = corpus(windows_of, seed), asked(queries, seed + 1)
    found = search(questions, documents, depth)
    for name, vector in zip(questions.ids, questions.vectors, strict=True):
        best = {}
        for owner, window in zip(documents.owners.tolist(), documents.vectors[:], strict=True):
            best[owner] = max(best.get(owner, -np.inf), float(vector @ window.astype(np.float32)))
        expected = sorted(best.values(), reverse=True)[:depth]
        assert list(found[name].values()) == expected
        assert all(best[document] == score for document, score in found[name].items())


def test_one_document_with_many_near_windows_hides_no_other():
    owners = np.array([0] * 40 + list(range(1, 10)))
    stored = np.array([[1.0]] * 40 + [[0.1 * number] for number in range(1, 10)], dtype=np.float16)
    documents = Documents([str(number) for number in range(10)], owners, Vectors(stored, np.arange(49)))
    found = search(Asked(["q"], np.ones((1, 1), dtype=np.float32)), documents, 5)
    assert list(found["q"]) == [0, 9, 8, 7, 6]


def test_rows_of_a_cache_in_any_order_are_searched_as_they_are_asked_for():
    stored = np.eye(3, dtype=np.float16)
    documents = Documents(["a", "b"], np.array([0, 1]), Vectors(stored, np.array([2, 0])))
    found = search(Asked(["q"], np.array([[1, 0, 0.5]], dtype=np.float32)), documents, 2)
    assert found == {"q": {1: 1.0, 0: 0.5}}


def test_a_documents_own_query_is_left_out_and_ids_come_in_trec_evals_order():
    found = without({"b": {0: 1.0, 1: 0.5, 2: 0.5}, "q": {1: 1.0}}, numbers_of(["x", "b", "c"], {"b", "q"}))
    assert named(found, ["x", "b", "c"], 5) == {"b": [("x", 1.0), ("c", 0.5)], "q": [("b", 1.0)]}


def test_cosines_of_any_document_are_those_of_its_best_window():
    documents, questions = corpus([2, 0, 3], 0), asked(2, 1)
    cosines = Cosines(questions, documents, 0)
    of = documents.vectors[:].astype(np.float32) @ questions.vectors[1]
    assert cosines.of("q1", [2, 1, 0]) == {2: of[2:].max(), 0: of[:2].max()}
    assert cosines.best_windows("q1", [2, 1]) == {2: 2 + of[2:].argmax()}
    assert cosines.of("q1", [1]) == {}
    assert set(cosines.backgrounds) == {"q0", "q1"}


def test_candidates_are_put_in_the_order_of_their_cosines(tmp_path, encoder):
    texts = {"same": "a cat sat", "other": "rates rise", "empty": ""}
    task = Reranking(ABOUT, {"q": "a cat sat", "r": "rates rise"}, {"q": texts, "r": texts}, {"q": {}, "r": {}})
    found = rerank(task, EmbeddingCache(tmp_path, encoder), Shape(64, 0), (Role.QUERY, Role.QUERY))
    assert {query: documents[0][0] for query, documents in found.items()} == {"q": "same", "r": "other"}
    assert found["q"][0][1] == pytest.approx(1, abs=1e-3)
    assert len(found["q"]) == 2
