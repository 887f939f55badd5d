"""The arithmetic of the bundled model's figures."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from figures import pieces, tables
from figures.retrieval import Collection, ndcg


def collection(**more):
    fields = {
        "name": "made up",
        "ids": ["a", "b", "c"],
        "texts": ["the cat sleeps", "a dog barks at the cat", "water is wet"],
        "question_ids": ["q", "r"],
        "questions": ["who barks?", "WATER"],
        "judged": {"q": {"b": 1}, "r": {"c": 1}},
    }
    return Collection(**fields | more)


def test_a_collection_is_read_with_titles(tmp_path):
    documents = [{"_id": "a", "title": "Cats", "text": "sleep"}, {"_id": "b", "text": "dogs bark"}]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "who barks?"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n")
    read = Collection.read(tmp_path)
    assert (read.ids, read.texts) == (["a", "b"], ["Cats sleep", "dogs bark"])
    assert (read.question_ids, read.questions, read.judged) == (["q"], ["who barks?"], {"q": {"b": 1}})


def test_ndcg_of_ranks_one_and_two():
    scores = np.array([[0.1, 0.9, 0.3], [0.9, 0.1, 0.8]], dtype=np.float32)
    assert ndcg(scores, collection(), collection()) == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_equal_scores_keep_the_passages_order():
    tied = collection(ids=["z", "b", "y"], question_ids=["q"], questions=["?"], judged={"q": {"b": 1}})
    assert ndcg(np.zeros((1, 3), dtype=np.float32), tied, tied) == pytest.approx(1 / np.log2(3))


def test_pieces_per_word_and_bytes(bert, tmp_path):
    (tmp_path / "eng_Latn.txt").write_text("a b\n", encoding="utf-8")
    (tmp_path / "zho_Hans.txt").write_text("\U0001f9ff\U0001f9ff\n", encoding="utf-8")
    found = pieces.fertility(bert, tmp_path)
    assert found["eng_Latn"] == {"unit": "word", "pieces": 1.0, "bytes": 0.0}
    assert found["zho_Hans"]["unit"] == "character"
    assert found["zho_Hans"]["bytes"] == 1.0


def test_numbers_as_cards_write_them():
    assert [tables.short(v) for v in (0.5, -0.05, 1.0, None)] == [".500", "-.050", "1.000", "–"]
    assert tables.percent(41.66) == "41.7"


def test_tables_in_markdown():
    assert tables.table(["a", "b"], [["x", ".500"]]) == "| a | b |\n|---|--:|\n| x | .500 |"
    with pytest.raises(ValueError, match="3 cells under 2 heads"):
        tables.table(["a", "b"], [["x", "y", "z"]])
    wrapped = tables.pairs({"a": "1", "b": "2", "c": "3"}, ("l", "%"), 2)
    assert wrapped.splitlines()[-2:] == ["| a | 1 | b | 2 |", "| c | 3 |  |  |"]
    scores = {"x": {"model": 0.5, "bm25": 0.25}, "y": {"model": 0.7, "bm25": 0.75, "teacher": 0.9}}
    assert tables.by_system(scores, {"model": 0.6}, "set").splitlines()[2:] == [
        "| x | .500 | .250 | – |",
        "| y | .700 | .750 | .900 |",
        "| mean | .600 | – | – |",
    ]


def test_cosines_a_line_for_each_set_and_language():
    spread = {"mean": 0.1, "p5": -0.1, "p95": 0.3}
    found = {"XQuAD": {"en": {"unrelated": spread, "related": spread | {"mean": 0.6}}}, "FLORES": {}}
    assert tables.cosine_rows(found) == [["XQuAD, en", ".100", "-.100", ".300", ".600", "-.100", ".300"]]
