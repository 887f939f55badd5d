"""Runs that are killed, interrupted or given again in another way: nothing is lost, mixed or overwritten."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny

from efive import Encoder
from efive.cli.journal import Journal
from efive.errors import InputError

COUNT = 4000
SUFFIXES = ["jsonl", "parquet", "npy"]


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    words = " ".join(tiny.TEXTS).split()
    file = tmp_path_factory.mktemp("big") / "big.txt"
    file.write_text("".join(f"{n} {' '.join(words[n % 150 :][:12])}\n" for n in range(COUNT)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def expected(big, encoder):
    return encoder.embed_passages(big.read_text(encoding="utf-8").splitlines()).vectors


def written(output: Path) -> tuple[list | None, np.ndarray]:
    """Ids and vectors of an output."""
    if output.suffix == ".npy":
        return None, np.load(output)
    if output.suffix == ".parquet":
        rows = pq.read_table(output).to_pylist()
    else:
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    return [row["id"] for row in rows], np.array([row["vector"] for row in rows], dtype=np.float32)


def notes(output: Path) -> Path:
    return output.with_name(output.name + ".progress.json")


def noted(output: Path) -> dict:
    return json.loads(notes(output).read_text(encoding="utf-8"))


@pytest.fixture
def stop_after(monkeypatch):
    """Press Ctrl-C right before the n-th note of the next run; what was written for it is on disk."""

    def arrange(count: int):
        note, calls = Journal.note, []

        def interrupted(self, records, reached):
            calls.append(records)
            if len(calls) == count:
                monkeypatch.setattr(Journal, "note", note)
                raise KeyboardInterrupt
            note(self, records, reached)

        monkeypatch.setattr(Journal, "note", interrupted)

    return arrange


@pytest.fixture
def computed(monkeypatch):
    """How many texts each run gives to the encoder."""
    counts, stream = [], Encoder.stream

    def counted(self, texts, role, **options):
        counts.append(0)

        def count():
            for text in texts:
                counts[-1] += 1
                yield text

        return stream(self, count(), role, **options)

    monkeypatch.setattr(Encoder, "stream", counted)
    return counts


@pytest.fixture
def complete(expected, close):
    """Say whether an output has all rows in order, and nothing of the work is left beside it."""

    def check(output: Path) -> bool:
        ids, vectors = written(output)
        alone = [p.name for p in output.parent.glob(f"{output.name}*")] == [output.name]
        return ids in (None, list(range(COUNT))) and close(vectors, expected) and alone

    return check


@pytest.fixture
def send(break_off):
    """Start a command, send it a signal after its first note, and return its exit code, stdout and stderr."""
    return lambda command, number: break_off(number, notes(command[-1]), *command, "--threads", 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_run_goes_on(send, efive, model, big, complete, computed, suffix, tmp_path):  # noqa: PLR0917
    output = tmp_path / f"out.{suffix}"
    command = ["embed", "--role", "passage", *model, big, "-o", output]
    assert send(command, signal.SIGKILL)[0] == -signal.SIGKILL
    assert not output.exists()
    before = noted(output)["records"]
    assert 0 < before < COUNT
    result = efive(*command)
    assert result.code == 0, result.err
    assert computed == [COUNT - before]
    assert complete(output)


def test_control_c_is_130_and_loses_nothing(send, efive, model, big, complete, tmp_path):
    output = tmp_path / "out.jsonl"
    command = ["embed", "--role", "passage", *model, big, "-o", output]
    code, out, err = send(command, signal.SIGINT)
    done = noted(output)["records"]
    assert (code, out) == (130, b"")
    assert err == (
        f"efive: interrupted after {done} texts; they are safe, the same command (without --restart) goes on\n"
    )
    assert 0 < done < COUNT
    assert efive(*command).code == 0
    assert complete(output)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_written_after_the_last_note_is_cut_off(  # noqa: PLR0917
    efive, model, big, complete, computed, stop_after, suffix, tmp_path
):
    output = tmp_path / f"out.{suffix}"
    command = ["embed", "--role", "passage", *model, big, "-o", output]
    stop_after(3)
    assert efive(*command).code == 130
    before = noted(output)["records"]
    part = output.with_name(output.name + ".part")
    if suffix == "parquet":
        assert len(list(part.iterdir())) == 3  # one of them not noted
        shutil.copy(part / "000000000.parquet", part / "000000099.parquet")
    else:
        assert part.stat().st_size > noted(output)["reached"]
        with part.open("ab") as file:
            file.write(b'{"id": 99, "vec' * 1_000_000)  # longer than what is still to come
    assert efive(*command).code == 0
    assert computed[1] == COUNT - before
    assert complete(output)


def test_restart_begins_anew(efive, model, big, computed, stop_after, tmp_path):
    output = tmp_path / "out.npy"
    command = ["embed", "--role", "passage", *model, big, "-o", output]
    stop_after(3)
    assert efive(*command).code == 130
    assert efive(*command, "--restart").code == 0
    assert computed[1] == COUNT
    assert len(written(output)[1]) == COUNT


def test_a_restart_that_dies_at_once_leaves_no_old_notes(efive, model, big, stop_after, tmp_path):
    output = tmp_path / "out.jsonl"
    command = ["embed", "--role", "passage", *model, big, "-o", output]
    stop_after(3)
    assert efive(*command).code == 130
    stop_after(1)
    result = efive(*command, "--restart")
    assert (result.code, "after 0 texts" in result.err) == (130, True)
    assert not notes(output).exists()


@pytest.fixture
def small(tmp_path):
    file = tmp_path / "in.txt"
    file.write_text("".join(f"text {n}\n" for n in range(1100)))
    return file


@pytest.fixture
def interrupted(efive, model, small, stop_after, tmp_path):
    """A command that was interrupted after its first block, and its output."""
    output = tmp_path / "out.jsonl"
    command = ["embed", "--role", "passage", *model, small, "-o", output]
    stop_after(2)
    assert efive(*command).code == 130
    assert noted(output)["records"] == 128
    return command, output


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--role", "query"], "role (was passage, is query)"),
        (["--overflow", "start"], "overflow (was end, is start)"),
        (["--with-text"], "with-text (was False, is True)"),
        (["--precision", "bf16"], "space (was e5-"),
        (["--to", "npy"], "output format (was jsonl, is npy)"),
        (["--from", "jsonl"], "input format (was text, is jsonl)"),
    ],
)
def test_other_options_are_refused_with_what_changed(efive, interrupted, extra, words):
    command, output = interrupted
    before = noted(output), output.with_name("out.jsonl.part").read_bytes()
    result = efive(*command, *extra)
    assert result.code == 1
    assert words in result.err
    assert "--restart" in result.err
    assert (noted(output), output.with_name("out.jsonl.part").read_bytes()) == before


def test_other_input_is_refused(efive, interrupted, small, tmp_path):
    command, _ = interrupted
    small.write_text(small.read_text() + "more\n")
    result = efive(*command)
    assert result.code == 1
    assert "another input size (was " in result.err
    other = tmp_path / "other.txt"
    other.write_text("a\n")
    result = efive(*[other if argument == small else argument for argument in command])
    assert f"input (was {small}, is {other})" in result.err


def test_a_pipe_does_not_go_on_with_a_files_run(efive, interrupted):
    command, output = interrupted
    before = output.with_name("out.jsonl.part").read_bytes()
    result = efive("embed", *command[1:-3], "-o", output, stdin="a\n")
    assert result.code == 1
    assert "reads a pipe" in result.err
    assert output.with_name("out.jsonl.part").read_bytes() == before


@pytest.mark.parametrize("what", ["short", "gone"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_part_that_was_altered_is_refused(efive, model, small, stop_after, tmp_path, suffix, what):
    output = tmp_path / f"out.{suffix}"
    command = ["embed", "--role", "passage", *model, small, "-o", output]
    stop_after(2)
    assert efive(*command).code == 130
    part = output.with_name(output.name + ".part")
    target = part / "000000000.parquet" if suffix == "parquet" else part
    if what == "gone" or suffix == "parquet":
        target.unlink()
    else:
        target.write_bytes(target.read_bytes()[: noted(output)["reached"] - 1])
    result = efive(*command)
    assert result.code == 1
    assert f"{part} is not what the notes beside it say" in result.err
    assert efive(*command, "--restart").code == 0
    assert len(written(output)[1]) == 1100


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run": 5}', '{"run": {}, "records": "many", "reached": 0}'])
def test_damaged_notes_are_refused(tmp_path, content):
    output = tmp_path / "out.jsonl"
    notes(output).write_text(content)
    with pytest.raises(InputError, match=r"out\.jsonl\.progress\.json is damaged; use --restart"):
        Journal(output, {"input": "x"}).begin(restart=False)
    assert notes(output).exists()
    Journal(output, {"input": "x"}).begin(restart=True)
    assert not notes(output).exists()


@pytest.mark.parametrize("stdin", [True, False])
def test_a_finished_output_is_never_overwritten_silently(efive, model, tmp_path, stdin):
    output, file = tmp_path / "out.jsonl", tmp_path / "in.txt"
    file.write_text("a\n")
    command = ["embed", "--role", "passage", *model, *([] if stdin else [file]), "-o", output]
    assert efive(*command, stdin="a\n").code == 0
    before = output.read_bytes()
    result = efive(*command, stdin="b\n")
    assert result.code == 1
    assert f"{output} exists; name another --output, or use --restart" in result.err
    assert output.read_bytes() == before
    assert efive(*command, "--role", "query", "--restart", stdin="b\n").code == 0
    assert output.read_bytes() != before


def test_interrupted_pipes_say_that_they_cannot_go_on(efive, model, stop_after, tmp_path):
    stdin = "".join(f"text {n}\n" for n in range(1100))
    stop_after(2)
    result = efive("embed", "--role", "query", *model, "-o", tmp_path / "out.jsonl", stdin=stdin)
    assert result.code == 130
    assert "interrupted after 128 texts; input from a pipe cannot be taken up again" in result.err
    assert not notes(tmp_path / "out.jsonl").exists()
    assert efive("embed", "--role", "query", *model, "-o", tmp_path / "out.jsonl", stdin="a\n").code == 0
    assert written(tmp_path / "out.jsonl")[0] == [0]
    stop_after(1)
    result = efive("embed", "--role", "query", *model, stdin=stdin)
    assert result.code == 130
    assert "--output" in result.err


def test_a_run_stopped_by_a_broken_line_goes_on_with_skip_invalid(efive, model, computed, tmp_path):
    file, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text("".join(f'"text {n}"\n' if n != 1050 else "{broken\n" for n in range(1100)))
    command = ["embed", "--role", "passage", *model, file, "-o", output]
    result = efive(*command)
    assert result.code == 1
    assert "line 1051: broken JSON" in result.err
    assert noted(output)["records"] == 1050
    result = efive(*command, "--skip-invalid")
    assert result.code == 0
    assert "skipped" in result.err
    assert computed[1] == 49
    assert written(output)[0] == [n for n in range(1100) if n != 1050]


def test_somebody_elses_folder_is_not_deleted(efive, model, small, tmp_path):
    part = tmp_path / "out.jsonl.part"
    part.mkdir()
    (part / "mine.txt").write_text("keep")
    result = efive("embed", "--role", "passage", *model, small, "-o", tmp_path / "out.jsonl")
    assert result.code == 1
    assert "out.jsonl.part" in result.err
    assert (part / "mine.txt").read_text() == "keep"
