"""`efive train` as people type it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from efive.cli import cli
from efive.cli.train import _settings
from efive.training.runs import read_log


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    with path.open("w") as file:
        for i in range(40):
            file.write(json.dumps({"query": f"question {i * 31}", "passage": f"the answer is {i * 31}"}) + "\n")
    return path


def efive(*arguments: object):
    return CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)


def options(**more):
    names = ("config", "teacher", "model", "max_steps", "epochs", "batch", "negatives", "learning_rate", "temperature",
             "query_tokens", "passage_tokens", "lora_rank", "precision", "device", "seed", "save_every", "teacher_role",
             "matryoshka", "held_out")  # fmt: skip
    return dict.fromkeys(names) | {"data": ("d",), "dev": (), "others": (), "symmetric": False} | more


def test_pairs_end_to_end(bert, pairs, tmp_path):
    run = tmp_path / "run"
    done = efive(
        "train", "pairs", "--data", pairs, "--model", bert, "--output", run, "--max-steps", 4, "--batch", 8,
        "--held-out", 8, "--temperature", 0.05, "--save-every", 2, "--set", "learning.decay=0.5", "--set", "workers=1",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "step 0: pairs nDCG@10" in done.stderr
    assert f"the model is {run / 'model'}" in done.stderr
    config = json.loads((run / "config.json").read_text())
    assert config["loss"]["temperature"] == 0.05
    assert config["learning"]["decay"] == 0.5
    assert config["sources"][0]["held_out"] == 8
    assert len([line for line in read_log(run) if "loss" in line]) == 4


def test_the_same_command_again_says_that_it_is_done(bert, pairs, tmp_path):
    command = ("train", "pairs", "--data", pairs, "--model", bert, "--output", tmp_path / "run", "--max-steps", 1,
               "--batch", 8)  # fmt: skip
    assert efive(*command).exit_code == 0
    again = efive(*command)
    assert again.exit_code == 1
    assert "finished run" in again.stderr


def test_options_win_over_the_file_and_the_file_over_the_verb(tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('batch = 7\nnegatives = 3\n[learning]\nwarmup = 5.0\n[[sources]]\npath = "x"\nweight = 2.0\n')
    values = _settings("supervised", options(config=config, batch=9, data=(), held_out=4))
    assert (values["batch"], values["negatives"], values["objective"]) == (9, 3, "contrastive")
    assert values["learning"] == {"warmup": 5.0}
    assert values["sources"] == [{"path": "x", "weight": 2.0, "held_out": 4}]


def test_a_verbs_learning_rate_survives_other_learning_settings():
    values = _settings("distil", options(others=("learning.clip=2.0",), matryoshka="64,32", lora_rank=8))
    assert values["learning"] == {"rate": 3e-5, "clip": 2.0}
    assert values["loss"]["matryoshka"] == [64, 32]
    assert values["lora"] == {"rank": 8}


def test_verbs_do_not_change_each_other():
    _settings("distil", options(learning_rate=1.0))
    assert _settings("distil", options())["learning"] == {"rate": 3e-5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "learning.speed=1"], "unknown field `speed`"),
        (["--set", "objective=imitate"], "strings need quotes"),
        (["--set", "batch='many'"], "Expected `int`"),
        (["--matryoshka", "64;32"], "commas between them"),
        (["--learning-rate", "-1"], "learning.rate"),
    ],
)
def test_bad_settings_are_one_line(bert, pairs, tmp_path, arguments, message):
    done = efive("train", "pairs", "--data", pairs, "--model", bert, "--output", tmp_path / "run", *arguments)
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_no_data_is_an_error(bert, tmp_path):
    done = efive("train", "pairs", "--model", bert, "--output", tmp_path / "run")
    assert done.exit_code == 1
    assert "--data" in done.stderr


def test_bad_records_are_named_and_can_be_left_out(bert, pairs, tmp_path):
    with pairs.open("a") as file:
        file.write("{broken\n")
    command = ("train", "pairs", "--data", pairs, "--model", bert, "--output", tmp_path / "run", "--max-steps", 1,
               "--batch", 8)  # fmt: skip
    refused = efive(*command)
    assert refused.exit_code == 1
    assert "pairs.jsonl, line 41" in refused.stderr
    assert "--skip-bad" in refused.stderr
    assert efive(*command, "--skip-bad", 1).exit_code == 0


def test_recipe_refuses_what_is_none(pairs, bert, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text("x = 1\n")
    done = efive("train", "recipe", recipe, "--data", pairs, "--teacher", bert, "--output", tmp_path / "run")
    assert done.exit_code == 1
    assert "has no [[step]]" in done.stderr
