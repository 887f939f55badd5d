import pytest

from efive.evaluation.beside import DEEP, beside, clipped, language_map, recall
from efive.evaluation.results import SystemResult, TaskResult
from efive.evaluation.tasks import About, Bitext, Retrieval


def about(name="mrtydi-sw", language="sw"):
    return About(name, language, ("mrr_at_100",), "0", "as published", ("Mr. TyDi",))


def asked():
    documents = {f"d{n}": f"document {n} " * 100 for n in range(200)}
    return Retrieval(
        about(), {"q1": "one?", "q2": "two?", "q3": "never"}, {"q1": {"d5": 1, "d7": 0}, "q2": {"d150": 2}},
        lambda: iter(documents.items()), 200,
    )  # fmt: skip


def result():
    found = [(f"d{n}", 1 - n / 200) for n in range(DEEP)]
    system = SystemResult({"mrr_at_100": 0.1}, {"q1": 0.2, "q2": 0.0}, {"q1": found, "q2": found})
    return TaskResult("mrtydi-sw", "retrieval", "sw", ["mrr_at_100"], "", {}, {}, {"model": system})


def test_what_stands_beside_a_retrieval_task(tmp_path):
    (tmp_path / "README.md").write_text("# Card\n\n## Training data\n\nTrained on Mr. TyDi.\n")
    found = beside(result(), asked(), tmp_path, keep=3)
    assert any("Mr. TyDi" in sentence for sentence in found.contamination)
    assert {"multilingual-e5-small", "BM25 (tuned)"} <= {entry.model for entry in found.quoted}
    assert [name for name, _ in found.systems["model"].best["q1"]] == ["d0", "d1", "d2"]
    assert found.extras["relevant"] == {"q1": ["d5"], "q2": ["d150"]}
    assert found.extras["texts"]["queries"] == {"q1": "one?", "q2": "two?"}
    documents = found.extras["texts"]["documents"]
    assert documents.keys() == {"d0", "d1", "d2", "d5", "d150"}  # shown, or relevant and not found
    assert documents["d1"].endswith("…")
    assert len(documents["d1"]) <= 401


def test_texts_can_be_left_out(tmp_path):
    assert "texts" not in beside(result(), asked(), tmp_path, texts=False).extras


def test_of_translations_the_texts_that_were_not_found_are_kept(tmp_path):
    system = SystemResult({"f1": 0.5}, {"0": 1.0, "1": 0.0}, each="accuracy")
    found = TaskResult("t", "bitext", "de-en", ["f1"], "", {}, {}, {"model": system})
    pairs = Bitext(about("t", "de-en"), ["eins", "zwei"], ["one", "two"])
    assert beside(found, pairs, tmp_path).extras["texts"]["queries"] == {"1": "zwei — two"}


def test_recall_by_depth():
    system = SystemResult({}, {}, {"q1": [("a", 3.0), ("b", 2.0), ("c", 1.0)], "q2": [("a", 1.0)]})
    curve = recall(system, {"q1": ["a", "c"], "q2": ["z"], "q3": [], "q4": ["a"]})
    assert curve[:4] == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3], abs=1e-4)
    assert (len(curve), curve[-1]) == (DEEP, curve[3])


def test_the_map_has_the_languages_of_both_sides(encoder):
    pairs = Bitext(about("t", "de-en"), ["Guten Morgen", "Danke"], ["Good morning", "Thanks"])
    found = language_map(encoder, [pairs, asked()], 0)
    assert sorted(found["labels"]) == ["de", "de", "en", "en", "sw", "sw", "sw"]
    assert len(found["points"]) == 7
    assert language_map(encoder, [], 0) == {}


def test_clipped_has_one_line():
    assert clipped("a\n\n b\tc", 10) == "a b c"
    assert clipped("abcdef", 3) == "abc…"
