"""`efive monitor` on logs that were written by hand. The command is called by itself."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner

from efive.cli.monitor import command
from efive.errors import InputError
from efive.evaluation.query_log import Logged
from efive.vectors import normalize


def write(path, count=60, collection="notes", space="e5-1", vectors=None, **values):
    lines = []
    for n in range(count):
        weak = n % 3 == 0
        lines.append(
            Logged(
                time=datetime(2026, 5, 4, tzinfo=UTC) + timedelta(minutes=n), hash=str(n), hits=0 if n == 0 else 5,
                cosine=None if n == 0 else 0.8, confidence=None if n == 0 else 0.1 if weak else 0.9, mode="hybrid",
                collection=collection, space=space, milliseconds=n + 1.0, query=f"secret number {n}",
                vector=None if vectors is None else vectors[n],
            ).to_json()
        )  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def run():
    def call(*arguments):
        result = CliRunner().invoke(command, [str(a) for a in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def vectors():
    return normalize(np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32))


def test_for_people_without_texts(run, tmp_path, vectors):
    log = write(tmp_path / "log", vectors=vectors)
    shown = run(log, "--baseline", log).stdout
    assert "notes, space e5-1\n" in shown
    assert "  queries           60 (60 different)\n" in shown
    assert "  nothing found     1.7%\n" in shown
    assert "  unsure            32.2% (below 0.5, of 59 with a confidence)\n" in shown
    assert "50 %: 30.5" in shown
    assert "PSI 0.000" in shown
    assert "p = 1.000" in shown
    assert "asked in vain 1" in shown
    assert "secret" not in shown
    assert "secret number" in run(log, "--with-texts").stdout


def test_for_programs(run, tmp_path):
    log = write(tmp_path / "log")
    with log.open("a") as file:
        file.write(write(tmp_path / "more", 3, "other", "").read_text())
    rows = [json.loads(line) for line in run(log, "--json", "--threshold", 1).stdout.splitlines()]
    assert [(row["collection"], row["space"], row["queries"]) for row in rows] == [
        ("notes", "e5-1", 60),
        ("other", "", 3),
    ]
    assert rows[0]["low_confidence"] == 1
    assert rows[0]["gaps"] is None
    assert len(run(log, "--json", "-c", "other").stdout.splitlines()) == 1
    assert "space none: full text" in run(log, "-c", "other").stdout


def test_texts_are_embedded_by_the_model_of_their_space(run, tmp_path, model, encoder):
    own = write(tmp_path / "own", 30, space=encoder.space.fingerprint)
    (row,) = (json.loads(line) for line in run(own, "--embed", "--json", *model).stdout.splitlines())
    assert row["vectors_known"] == 30
    other = run(write(tmp_path / "other", 30), "--embed", "--json", *model)
    assert json.loads(other.stdout)["vectors_known"] == 0
    assert "e5-1 is not the space of the model" in other.stderr


def test_refuses_a_log_without_queries(run, tmp_path):
    log = write(tmp_path / "log")
    with pytest.raises(InputError, match="has no queries of the collection 'x'"):
        run(log, "-c", "x")
    log.write_text("")
    with pytest.raises(InputError, match=r"has no queries$"):
        run(log)
