"""`efive evaluate` and `efive compare` with a tiny model. The commands are called by themselves."""

import json

import pytest
from click.testing import CliRunner

from efive.cli.compare import command as compare
from efive.cli.embed import command as embed
from efive.cli.evaluate import command as evaluate
from efive.errors import InputError
from efive.evaluation.results import Run

ANIMALS = ["cat", "dog", "cow", "hen", "pig", "fox", "owl", "bee", "ant", "rat", "bat", "elk"]


@pytest.fixture
def animals(tmp_path):
    folder = tmp_path / "data" / "animals_en"
    (folder / "qrels").mkdir(parents=True)
    lines = [{"_id": f"d{n}", "title": name, "text": f"the {name} sleeps"} for n, name in enumerate(ANIMALS)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = [{"_id": f"q{n}", "text": f"where is the {name}?"} for n, name in enumerate(ANIMALS)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in asked))
    judged = "".join(f"q{n}\td{n}\t1\n" for n in range(len(ANIMALS)))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


def call(command, *arguments):
    result = CliRunner().invoke(command, [str(a) for a in arguments], prog_name="efive")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def measure(animals, bert):
    def call_it(*arguments):
        return call(evaluate, "--model", bert, "--task", animals, "--threads", "1", *arguments)

    return call_it


def test_a_folder_is_measured_shown_and_written(measure, tmp_path):
    result = measure("--json", tmp_path / "run.json", "--html", tmp_path / "run.html")
    assert result.exit_code == 0, result.stderr
    assert "ndcg_at_10" in result.stdout
    assert "hybrid" in result.stdout
    run = Run.read(tmp_path / "run.json")
    [task] = run.tasks
    assert task.systems.keys() == {"bm25", "model", "hybrid_rrf", "hybrid_normalised", "hybrid_tuned"}
    assert task.systems["bm25"].scores["ndcg_at_10"] == 1
    assert {len(found) for found in task.systems["model"].best.values()} == {10}
    assert task.extras["texts"]["queries"]["q0"] == "where is the cat?"
    assert task.extras["recall"]["bm25"][0] == 1
    assert run.extras["map"]["labels"] == ["en"] * len(ANIMALS)
    assert task.contamination
    assert run.command.startswith("efive")
    assert "where is the cat?" in (tmp_path / "run.html").read_text()


def test_the_model_alone_without_texts(measure, tmp_path):
    result = measure("--no-baselines", "--no-texts", "--markdown", "--json", tmp_path / "run.json", "--limit", 3)
    [task] = Run.read(tmp_path / "run.json").tasks
    assert task.systems.keys() == {"model"}
    assert "texts" not in task.extras
    assert "where is" not in (tmp_path / "run.json").read_text()
    assert "drawn with seed 0" in task.data["sampled"]
    assert "| animals_en | en |" in result.stdout


def test_prefix_policies_are_recorded(measure, tmp_path):
    measure("--no-baselines", "--prefix-policy", "none", "--json", tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json").tasks[0].roles == {"queries": "raw", "documents": "raw"}
    measure("--no-baselines", "--prefix-policy", "bitext=none", "--json", tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json").tasks[0].roles == {"queries": "query", "documents": "passage"}
    assert "the policies are standard" in measure("--prefix-policy", "bitext=all").stderr


def test_a_name_is_looked_for_below_data(animals, bert):
    result = call(evaluate, "--model", bert, "--data", animals.parent, "--task", "animals_en", "--no-baselines")
    assert result.exit_code == 0
    assert "animals_en" in result.stdout


@pytest.mark.parametrize(
    ("gate", "code", "said"),
    [
        ("ndcg_at_10>=0", 0, ""),
        ("animals_*:ndcg_at_10>1", 1, "animals_en: ndcg_at_10 is"),
        ("f1>=0", 2, "--require f1>=0 fits nothing that was measured"),
        ("cats:ndcg_at_10>=0", 2, "there is no such task; the tasks are animals_en"),
        ("ndcg_at_10", 2, "'ndcg_at_10' is no requirement"),
    ],
)
def test_the_gate_has_three_answers(measure, gate, code, said):
    result = measure("--no-baselines", "--require", gate)
    assert result.exit_code == code
    assert said in result.stderr


def test_a_task_that_fails_is_named_and_is_no_success(measure, animals):
    empty = [{"_id": f"d{n}", "text": ""} for n in range(len(ANIMALS))]
    (animals / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in empty))
    result = measure("--no-baselines")
    assert result.exit_code == 1
    assert "animals_en: " in result.stderr
    assert "not measured: animals_en" in result.stdout


def test_a_broken_line_is_named_before_anything_is_measured(measure, animals):
    with (animals / "corpus.jsonl").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(InputError, match="line 13"):
        measure()


def test_the_task_of_instruct_models_is_another_option_here():
    flags = [[option.opts for option in each.params if option.name == "task"] for each in (evaluate, embed)]
    assert flags == [[["--instruct"]], [["--task"]]]


def test_nothing_to_measure_and_nowhere_to_write_are_told_at_once(measure, bert, tmp_path):
    assert "name a --task" in call(evaluate, "--model", bert).stderr
    with pytest.raises(InputError, match="is no folder"):
        measure("--json", tmp_path / "missing" / "run.json")


def test_comparing_two_runs(measure, tmp_path):
    a, b, html = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.html"
    measure("--no-baselines", "--json", a)
    measure("--no-baselines", "--prefix-policy", "none", "--json", b)
    same = call(compare, a, a, "--require-no-loss")
    assert same.exit_code == 0
    assert "same" in same.stdout
    result = call(compare, a, b, "--html", html, "--resamples", 200)
    assert result.exit_code == 0
    assert "roles differ" in result.stderr
    assert "200 paired bootstrap resamples" in result.stdout
    assert "Gains and losses" in html.read_text()


def test_a_loss_beyond_chance_can_be_an_error(measure, tmp_path):
    measure("--no-baselines", "--json", tmp_path / "a.json")
    values = json.loads((tmp_path / "a.json").read_text())
    model = values["tasks"][0]["systems"]["model"]
    for name, change in (("a", 0.0), ("b", -0.5)):
        model["by_query"] = {f"q{n}": 0.7 + change for n in range(12)}
        model["scores"] = dict.fromkeys(model["scores"], 0.7 + change)
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    assert call(compare, tmp_path / "a.json", tmp_path / "b.json").exit_code == 0
    result = call(compare, tmp_path / "a.json", tmp_path / "b.json", "--require-no-loss")
    assert result.exit_code == 1
    assert "animals_en: ndcg_at_10 lost 0.5000" in result.stderr
    assert call(compare, tmp_path / "b.json", tmp_path / "a.json", "--require-no-loss").exit_code == 0
