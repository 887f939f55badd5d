"""`efive evaluate --mteb` with tasks made here."""

import importlib
import importlib.util
import os

import made_tasks
import pytest
from click.testing import CliRunner

from efive.cli.evaluate import command
from efive.errors import InputError
from efive.evaluation.results import Run

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("mteb"), reason="mteb is not installed: pip install 'efive[mteb]'"
)


@pytest.fixture
def measure(bert, monkeypatch, tmp_path):
    registry = importlib.import_module("mteb.get_tasks")._TASKS_REGISTRY
    for name, kind in (("Made", "Retrieval"), ("Alike", "STS")):
        monkeypatch.setitem(registry, name, type(made_tasks.make(name, kind)))
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "0")

    def call(*arguments):
        options = ["--model", bert, "--precision", "fp32", "--json", tmp_path / "run.json", *arguments]
        result = CliRunner().invoke(command, [str(a) for a in options], prog_name="efive")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def test_tasks_of_mteb_are_in_the_run_beside_our_own(measure, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "pairs.jsonl").write_text('{"query": "a?", "passage": "a"}\n{"query": "b?", "passage": "b"}\n')
    gates = ["--require", "Made:ndcg_at_10>=0", "--require", "Alike:spearman>=-1"]
    html = tmp_path / "run.html"
    result = measure("--task", tmp_path / "own", "--mteb", "Made", "--mteb", "Alike", "--html", html, *gates)
    assert result.exit_code == 0, result.stderr
    run = Run.read(tmp_path / "run.json")
    assert [(task.name, task.kind) for task in run.tasks] == [
        ("pairs", "retrieval"), ("Made", "retrieval"), ("Alike", "similarity"),
    ]  # fmt: skip
    assert run.tasks[2].roles == {"texts": "query"}
    assert all(task.contamination for task in run.tasks)
    assert "mteb" in run.versions
    assert "Made" in result.stdout
    assert "Alike" in html.read_text()
    assert (os.environ["HF_HUB_OFFLINE"], os.environ["HF_DATASETS_OFFLINE"]) == ("1", "1")


def test_results_are_taken_up_from_the_cache_by_policy(measure, tmp_path):
    def cost(*more):
        assert measure("--mteb", "Alike", "--cache", tmp_path / "cache", *more).exit_code == 0
        return Run.read(tmp_path / "run.json").tasks[0]

    first, again, other = cost(), cost(), cost("--mteb-policy", "mteb")
    assert first.cost["texts"] > 0
    assert again.cost == {}
    assert again.systems == first.systems
    assert (other.roles, other.cost["texts"]) == ({"texts": "raw"}, first.cost["texts"])
    assert (tmp_path / "cache" / "mteb").is_dir()


def test_data_that_is_not_here_is_a_failure_with_the_way_to_it(measure, tmp_path):
    result = measure("--mteb", "STS12", "--mteb", "Alike")
    assert result.exit_code == 1
    assert "STS12: the task's data is not on this machine" in result.stderr
    run = Run.read(tmp_path / "run.json")
    assert [(each.name, each.kind) for each in run.failed] == [("STS12", "similarity")]
    assert "`efive evaluate --mteb STS12 --download`" in run.failed[0].reason
    assert [task.name for task in run.tasks] == ["Alike"]


def test_the_network_is_used_where_that_is_asked_for(measure):
    assert measure("--mteb", "Alike", "--download").exit_code == 0
    assert (os.environ["HF_HUB_OFFLINE"], os.environ["HF_DATASETS_OFFLINE"]) == ("0", "0")


def test_names_are_looked_at_before_anything_is_measured(measure):
    with pytest.raises(InputError, match="no benchmark 'Unheard'"):
        measure("--mteb", "Unheard")
    result = measure("--mteb", "Made", "--require", "Maid:ndcg_at_10>0")
    assert result.exit_code == 2
    assert "the tasks are Made" in result.stderr
