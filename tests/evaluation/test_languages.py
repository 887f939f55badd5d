import json

import numpy as np
import pytest

from efive.evaluation.languages import gaps, pool_figures


def test_gaps_by_hand():
    rows = gaps({"de": 0.6, "eng_Latn": 0.8, "fi": 0.9})
    assert [row["language"] for row in rows] == ["fi", "eng_Latn", "de"]
    assert [row["to_best"] for row in rows] == pytest.approx([0, 0.1, 0.3])
    assert [row["to_english"] for row in rows] == pytest.approx([-0.1, 0, 0.2])
    assert [row["to_english"] for row in gaps({"de": 0.5, "enm": 0.5})] == [None, None]


def pool(mixed, alone, asked_in, written_in, relevant):
    return pool_figures(np.array(mixed), np.array(alone), asked_in, written_in, relevant)


def test_a_pool_by_hand():
    written = ["de", "de", "en", "en", "en"]
    seen = pool([[2, 0], [2, -1]], [[0, 1], [2, 3]], ["de", "en"], written, [[0, 1], [2]])
    assert seen["k"] == 2
    assert seen["languages"]["de"] == {
        "queries": 1, "own_share": 0.5, "by_chance": 0.4, "preference": 1.25,
        "recall_alone": 1, "recall_mixed": 0.5, "drop": 0.5,
    }  # fmt: skip
    english = seen["languages"]["en"]
    assert (english["own_share"], english["preference"], english["drop"]) == (1, pytest.approx(1 / 0.6), 0)
    assert seen["mean"]["own_share"] == 0.75
    assert seen["mean"]["drop"] == 0.25
    json.dumps(seen, allow_nan=False)


def test_only_answers_in_the_question_s_language_count():
    seen = pool([[0], [1]], [[0], [1]], ["de", "en"], ["de", "en", "en"], [[0, 1], []])
    assert seen["languages"]["de"]["recall_mixed"] == 1
    assert seen["languages"]["en"]["recall_mixed"] is None
    assert seen["languages"]["en"]["drop"] is None
    assert seen["mean"]["recall_mixed"] == 1
    json.dumps(seen, allow_nan=False)
