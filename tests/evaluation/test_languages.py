import json

import numpy as np
import pytest

from efive.errors import InputError
from efive.evaluation.languages import gaps, mixed_pool, parallel_pool
from efive.vectors import normalize


def texts(count, seed=0, dimension=16):
    return normalize(np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32))


def shifted(vectors, axis, by):
    """The same texts on an island of their own: all moved the same way."""
    moved = vectors.copy()
    moved[:, axis] += by
    return normalize(moved)


def test_gaps_by_hand():
    rows = gaps({"de": 0.6, "eng_Latn": 0.8, "fi": 0.9})
    assert [row["language"] for row in rows] == ["fi", "eng_Latn", "de"]
    assert [row["to_best"] for row in rows] == pytest.approx([0, 0.1, 0.3])
    assert [row["to_english"] for row in rows] == pytest.approx([-0.1, 0, 0.2])
    assert [row["to_english"] for row in gaps({"de": 0.5, "enm": 0.5})] == [None, None]


def test_a_pool_that_prefers_its_own_language_by_construction():
    base = texts(40)
    seen = parallel_pool({"de": shifted(base, 0, 4), "en": shifted(base, 1, 4)}, k=5)
    for figures in seen["languages"].values():
        assert figures["own_share"] == 1
        assert figures["by_chance"] == pytest.approx(39 / 79)
        assert figures["preference"] == pytest.approx(79 / 39)
        assert figures["translation_first"] == 0
    json.dumps(seen, allow_nan=False)


def test_a_pool_without_bias():
    base = texts(40)
    seen = parallel_pool(dict.fromkeys(("de", "en", "fi"), base), k=2)["mean"]
    assert seen["translation_first"] == 1
    assert seen["own_share"] == 0  # two translations are nearer than anything else
    near = parallel_pool({code: normalize(base + 1e-3 * texts(40, n)) for n, code in enumerate("abc")}, k=60)["mean"]
    assert near["preference"] == pytest.approx(1, abs=0.1)


def test_recall_falls_where_other_languages_are_in_the_way():
    # The English answer is further from the German question than the German one, and a French text is the nearest.
    question = np.array([[1, 0, 0]], np.float32)
    documents = normalize(np.array([[0.8, 0.6, 0], [1, 0.1, 0], [0, 0, 1]], np.float32))
    seen = mixed_pool(question, ["de"], documents, ["de", "fr", "de"], [[0]], k=1)["languages"]["de"]
    assert (seen["recall_alone"], seen["recall_mixed"], seen["drop"]) == (1, 0, 1)
    assert (seen["own_share"], seen["by_chance"], seen["preference"]) == (0, pytest.approx(2 / 3), 0)


def test_only_answers_in_the_question_s_language_count():
    documents = np.eye(3, dtype=np.float32)
    seen = mixed_pool(documents[:2], ["de", "en"], documents, ["de", "en", "en"], [[0, 1], []], k=1)
    assert seen["languages"]["de"]["recall_mixed"] == 1
    assert seen["languages"]["en"]["recall_mixed"] is None
    assert seen["languages"]["en"]["drop"] is None
    assert seen["mean"]["recall_mixed"] == 1
    json.dumps(seen, allow_nan=False)


def test_more_queries_than_are_taken_at_a_time():
    base = texts(1100)
    assert parallel_pool({"de": base, "en": base}, k=1)["mean"]["translation_first"] == 1
    codes = ["de", "en"] * 550
    seen = mixed_pool(base, codes, base, codes, [[row] for row in range(1100)], k=1)["mean"]
    assert (seen["recall_alone"], seen["recall_mixed"]) == (1, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixed_pool(texts(2), ["de"], texts(2), ["de", "de"], [[0], [1]]), "2 queries, 1 languages"),
        (lambda: mixed_pool(texts(2)[:0], [], texts(1), ["de"], []), "there is no query"),
        (lambda: mixed_pool(texts(1), ["de"], texts(1), ["en"], [[0]]), "no document is in 'de'"),
        (lambda: parallel_pool({"de": texts(2)}), "1 languages"),
        (lambda: parallel_pool({"de": texts(2), "en": texts(3)}), r"\[2, 3\] texts"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(InputError, match=message):
        call()
