from dataclasses import replace

from efive.evaluation.finishing import finish
from efive.evaluation.runner import Settings, evaluate
from efive.evaluation.tasks import About, Bitext, Retrieval

PAIRS = Bitext(About("t", "de-en", ("f1",), "0", ""), ["eins", "zwei"], ["one", "two"])
ASKED = Retrieval(
    About("n", "en", ("ndcg_at_10",), "0", ""), {"q": "1?"}, {"q": {"a": 1}}, lambda: iter([("a", "1"), ("b", "2")]), 2
)


def test_what_stands_beside_a_run(encoder, tmp_path):
    run = finish(evaluate(encoder, [PAIRS]), [PAIRS], encoder, tmp_path, drawn=True)
    assert run.tasks[0].contamination
    assert run.extras["map"]["labels"] == ["de", "de", "en", "en"]
    assert "notes" not in run.extras


def test_what_goes_wrong_is_a_note_and_the_figures_stay(encoder, tmp_path):
    def gone():
        raise OSError("disk gone")

    measured = evaluate(encoder, [PAIRS, ASKED], Settings(baselines=()))
    torn = [replace(PAIRS, left=[None, None]), replace(ASKED, corpus=gone)]  # the one has no map, the other no texts
    run = finish(measured, torn, encoder, tmp_path, drawn=True)
    assert run.tasks[0].contamination
    assert run.tasks[1] == measured.tasks[1]
    first, second = run.extras["notes"]
    assert first == "n: published figures, contamination and texts are missing: OSError: disk gone"
    assert second.startswith("the map is missing: TypeError: ")
    assert "map" not in run.extras
