"""What `efive evaluate` and `efive compare` refuse or warn of, before anything is measured in vain."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from runs import bitext, run

from efive.cli.compare import command as compare
from efive.cli.evaluate import command as evaluate
from efive.errors import InputError


@pytest.fixture
def pairs(tmp_path):
    file = tmp_path / "one" / "faq.jsonl"
    file.parent.mkdir()
    lines = [{"query": f"where is {n}?", "passage": f"{n} is here"} for n in range(4)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def call(command, *arguments):
    result = CliRunner().invoke(command, [str(a) for a in arguments], prog_name="efive")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_two_tasks_of_one_name_would_be_mixed_up(pairs, bert, tmp_path):
    other = tmp_path / "two" / "faq.jsonl"
    other.parent.mkdir()
    other.write_text(pairs.read_text())
    with pytest.raises(InputError, match="two tasks are called 'faq'"):
        call(evaluate, "--model", bert, "--task", pairs, "--task", other)


def test_a_policy_of_a_name_that_nothing_has_is_refused(pairs, bert):
    result = call(evaluate, "--model", bert, "--task", pairs, "--prefix-policy", "bitxt=none")
    assert result.exit_code == 2
    assert "'bitxt' is no kind and no task; the kinds are retrieval" in result.stderr


def test_options_of_tasks_do_nothing_to_a_suite_and_are_refused(pairs, bert):
    result = call(evaluate, "--model", bert, "--suite", "small", "--data", pairs.parent, "--split", "dev")
    assert result.exit_code == 2
    assert "--split: for --task only" in result.stderr


def test_a_loss_that_nothing_tests_is_warned_of(tmp_path):
    before = bitext("t", "de-en", 0.9)
    for name, task in (("a", before), ("b", replace(bitext("t", "de-en", 0.5), data=before.data))):
        run(task).write(tmp_path / f"{name}.json")
    result = call(compare, tmp_path / "a.json", tmp_path / "b.json", "--require-no-loss")
    assert "warning: t (de-en): f1 lost 0.4000, which is not tested" in result.stderr
    assert "warning" not in call(compare, tmp_path / "b.json", tmp_path / "a.json").stderr
