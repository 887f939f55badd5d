import io
import re

from rich.console import Console
from runs import bitext, run, task

from efive.evaluation import table
from efive.evaluation.languages import gaps
from efive.evaluation.results import Failure, Quoted, Run, SystemResult


def terminal(one, width=80):
    console = Console(file=io.StringIO(), width=width)
    table.show(one, console)
    return console.file.getvalue()


def line(text, beginning):
    return re.sub(r"\s+", " ", next(each for each in text.splitlines() if each.strip().startswith(beginning))).strip()


def test_systems_stand_side_by_side_and_quoted_rows_say_so():
    text = terminal(run())
    assert line(text, "task") == "task language bm25 model"
    assert line(text, "mrtydi-sw") == "mrtydi-sw sw 0.300 0.438"
    assert line(text, "multilingual") == "multilingual-e5-small¹ quoted – 0.654"
    assert line(text, "¹") == "¹ its card"
    assert "MRR as published" in text
    assert line(text, "space") == "space e5-0123"


def test_published_systems_stand_under_those_of_their_kind():
    quoted = [Quoted("BM25 (tuned)", {"mrr_at_100": 0.396}, "a"), Quoted("BM25+mDPR", {"mrr_at_100": 0.405}, "b")]
    one = task(quoted=quoted)
    one.systems["hybrid_rrf"] = SystemResult({"mrr_at_100": 0.5, "recall_at_100": 0.9})
    grid = table.grids(run(one))[0]
    assert grid.columns == ("bm25", "model", "hybrid_rrf")
    rows = {row.label: row.cells for row in grid.rows if row.look == "quoted"}
    assert rows == {"BM25 (tuned)": ("0.396", "–", "–"), "BM25+mDPR": ("–", "–", "0.405")}


def test_the_best_of_a_row_is_marked_and_a_published_figure_is_not():
    rows = table.grids(run())[0].rows
    assert [(row.label, row.best) for row in rows if row.look == "measured"] == [
        ("mrtydi-sw", {1}),  # mrr: the model
        ("mrtydi-sw", {0}),  # recall: BM25
    ]
    assert all(not row.best for row in rows if row.look == "quoted")


def test_the_model_alone_has_a_column_for_each_measure_and_a_mean():
    grid = table.grids(run(bitext("a", "de-en", 0.5), bitext("b", "fr-en", 0.8)))[0]
    assert grid.columns == ("f1",)
    assert [(row.label, row.cells) for row in grid.rows] == [
        ("a", ("0.500",)),
        ("b", ("0.800",)),
        ("mean of 2", ("0.650",)),
    ]


def test_notes_that_differ_in_numbers_and_languages_are_one():
    grid = table.grids(run(bitext("a", "de-en", 0.5), bitext("b", "fr-en", 0.8)))[0]
    assert grid.remarks == ("… sentences look for their nearest", "sampled: … of 100 pairs")
    assert grid.notes == ()


def test_what_is_not_of_every_task_is_a_footnote_of_those_that_it_is_of():
    tasks = [task("a", contamination=["trained on it"]), task("b"), task("c", contamination=["trained on it"])]
    grid = table.grids(run(*tasks))[0]
    assert grid.notes[0] == "trained on it"
    marks = {row.label: row.marks for row in grid.rows if row.look == "measured"}
    assert marks == {"a": "¹", "b": "", "c": "¹"}


def test_failures_are_told():
    one = run()
    one.failed.append(Failure("broken", "retrieval", "en", "qrels, line 3: no such query"))
    assert "not measured: broken: qrels, line 3" in terminal(one)
    assert "Not measured: broken" in table.markdown(one)


def pool(language, own):
    figures = {"queries": 5, "own_share": own, "by_chance": 0.5, "preference": own / 0.5}
    figures |= {"recall_alone": 0.9, "recall_mixed": None, "drop": None}
    return {
        "set": "xquad", "k": 10, "documents": {language: 3, "en": 3}, "sampled": "5 of 9 queries",
        "languages": {language: figures}, "mean": figures,
    }  # fmt: skip


def test_languages_have_tables_of_their_own():
    one = run()
    scores = {f"l{n:02}": n / 40 for n in range(30)} | {"en": 0.5}
    gap = {"set": "xquad", "kind": "retrieval", "measure": "ndcg_at_10", "languages": gaps(scores)}
    one.extras["languages"] = {"gaps": [gap], "pools": [pool("de", 0.75)]}
    _, gaps_grid, pool_grid = table.grids(one)
    rows = gaps_grid.rows
    assert [row.language for row in rows] == ["", "l29", "en", *(f"l{n:02}" for n in range(11, -1, -1))]
    assert rows[-1].cells == ("0.000", "0.725", "0.500")
    assert "the last 12 of 31" in gaps_grid.remarks[1]
    assert pool_grid.rows[1].cells == ("0.750", "0.500", "1.500", "0.900", "–", "–")
    assert pool_grid.remarks[1] == "xquad: 6 documents; 5 of 9 queries"
    assert "one pool of languages" in terminal(one)
    assert "| **xquad, ndcg_at_10** |" in table.markdown(one)


def test_notes_are_told():
    one = run()
    one.extras["notes"] = ["the map is missing: no room"]
    assert "note: the map is missing: no room" in terminal(one)
    assert "Note: the map is missing" in table.markdown(one)


def test_markdown():
    one = task("a|b", quoted=[Quoted("<b>", {"mrr_at_100": 0.5}, "https://example.org/*")])
    text = table.markdown(run(one))
    assert "| task | language | bm25 | model |" in text
    assert "| a\\|b | sw | 0.300 | **0.438** |" in text
    assert "| *\\<b>*¹ | quoted | – | 0.500 |" in text
    assert len({each.replace("\\|", "").count("|") for each in text.splitlines() if each.startswith("|")}) == 1


def test_a_narrow_terminal_keeps_numbers_whole():
    text = terminal(run(task("a-task-of-a-very-long-name-that-does-not-fit")), width=40)
    assert "0.438" in text
    assert "0.300" in text


def test_a_run_round_trips_through_its_file(tmp_path):
    one = run(task(), bitext("b", "fr-en", 0.8))
    one.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == one
