"""The arithmetic of the bundled model's figures."""

import sys
from pathlib import Path

import ir_measures
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from figures import bm25, pieces, sentences, tables
from figures.retrieval import Collection, Dense, fused, ndcg, z_scores

from efive import Encoder


def collection(**more):
    fields = {
        "name": "made up",
        "ids": ["a", "b", "c"],
        "texts": ["the cat sleeps", "a dog barks at the cat", "water is wet"],
        "question_ids": ["q", "r"],
        "questions": ["who barks?", "WATER"],
        "judged": [ir_measures.Qrel("q", "b", 1), ir_measures.Qrel("r", "c", 1)],
    }
    return Collection(**fields | more)


def test_z_scores_by_row():
    scores = np.array([[1, 2, 3], [5, 5, 5]], dtype=np.float32)
    found = z_scores(scores)
    assert found[0] == pytest.approx([-np.sqrt(1.5), 0, np.sqrt(1.5)])
    assert found[1] == pytest.approx([0, 0, 0]), "a system that cannot tell has no say"


def test_fusion_ignores_each_system_s_scale():
    lexical = np.array([[9, 1, 0]], dtype=np.float32)
    dense = np.array([[0.1, 0.9, 0.2]], dtype=np.float32)
    assert fused(1000 * lexical + 7, dense / 10) == pytest.approx(fused(lexical, dense), abs=1e-5)
    assert fused(lexical, dense).argmax() == 0
    assert fused(lexical, dense, share=0.1).argmax() == 1


def test_ndcg_of_ranks_one_and_two():
    scores = np.array([[0.1, 0.9, 0.3], [0.9, 0.1, 0.8]], dtype=np.float32)
    assert ndcg(scores, collection(), collection()) == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_equal_scores_keep_the_passages_order():
    judged = [ir_measures.Qrel("q", "b", 1)]
    tied = collection(ids=["z", "b", "y"], question_ids=["q"], questions=["?"], judged=judged)
    assert ndcg(np.zeros((1, 3), dtype=np.float32), tied, tied) == pytest.approx(1 / np.log2(3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The CAT's ﬁsh", ["the", "cat", "s", "fish"]),
        ("हिन्दी शब्द", ["हिन्दी", "शब्द"]),
        ("東京に3回", ["東", "京", "に", "東京", "京に", "3", "回"]),
        ("사람이 왔다", ["사람", "람이", "왔다"]),
        ("ราคา บ", ["ราค", "าคา", "บ"]),
        ("?!", []),
    ],
)
def test_terms_of_a_text(text, expected):
    assert bm25.terms(text) == expected


def test_bm25_finds_the_word_and_survives_questions_without_any():
    made = collection(questions=["who barks?", "¿?"])
    scores = bm25.BM25().scores(made, made)
    assert scores.shape == (2, 3)
    assert scores[0].argmax() == 1
    assert not scores[1].any()


def test_a_long_passage_counts_by_its_best_window(bert):
    long = "tree house river stone " * 60 + "the yellow submarine sings"
    made = collection(texts=["a cat", long, "wet"], questions=["yellow submarine", "a cat"])
    with Encoder.load(bert, max_tokens=32, precision="fp32") as encoder:
        windows = encoder.embed_passages([long], overflow="chunk", overlap=8)
        asked = encoder.embed_queries(made.questions).vectors
        expected = (windows.vectors @ asked.T).max(axis=0)
        assert len(windows) > 3
        assert Dense(encoder).scores(made, made)[:, 1] == pytest.approx(expected, abs=1e-5)
        bare = encoder.embed(["wet"], "raw").vectors @ encoder.embed(made.questions, "raw").vectors.T
        assert Dense(encoder, raw=True).scores(made, made)[:, 2] == pytest.approx(bare[0], abs=1e-5)


def test_accuracy_is_the_mean_of_both_ways():
    left = np.eye(2, dtype=np.float32)
    right = np.array([[1, 0], [0.9, 0.5]], dtype=np.float32)
    assert sentences.accuracy(left, left) == 100
    assert sentences.accuracy(left, right) == 100 * (1 + 0.5) / 2


def test_percentiles_of_pairs():
    found = sentences.spread(np.arange(101) / 100)
    assert found == pytest.approx({"mean": 0.5, "p5": 0.05, "p95": 0.95})


def test_cosines_tell_translations_from_random_pairs():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1004, 64)).astype(np.float32)
    english = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = sentences.cosines({"fra_Latn": english.copy(), sentences.ENGLISH: english})
    assert found["fra_Latn"]["translations"]["p5"] == pytest.approx(1)
    assert abs(found["all"]["random"]["mean"]) < 0.02
    assert "translations" not in found[sentences.ENGLISH]
    rows = tables.cosine_rows(found)
    assert [row[0] for row in rows] == ["eng_Latn", "fra_Latn", "all"]
    assert rows[0][4:] == [tables.NONE] * 3


def test_lines_end_at_line_feeds_only(tmp_path):
    (tmp_path / "x").write_text("one\u2028still one\ntwo\n", encoding="utf-8")
    assert sentences.lines(tmp_path / "x") == ["one\u2028still one", "two"]


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
