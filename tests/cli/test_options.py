"""What commands share: the progress bar, warnings as lines, where the store lies."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

import pytest
import tiny


@pytest.mark.parametrize("size", [(0, 0), (24, 0), (24, 100)])  # a terminal may not know its size: docker, CI
def test_a_bar_appears_on_a_terminal_and_stdout_stays_clean(start, model, tmp_path, size):
    file, out = tmp_path / "big.txt", tmp_path / "out"
    words = " ".join(tiny.TEXTS).split()
    file.write_text("".join(f"{n} {' '.join(words[n % 200 :][:40])}\n" for n in range(20_000)))
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with out.open("wb") as stdout:
        process = start("embed", "--role", "query", *model, "--threads", 1, file, stdout=stdout, stderr=end)
    os.close(end)
    shown = b""
    try:
        while b"texts/s" not in shown and (read := os.read(terminal, 4096)):
            shown += read
    except OSError:  # the terminal's way to say that the other side has closed
        pass
    process.kill()
    process.wait()
    os.close(terminal)
    assert b"/20000" in shown
    assert b"texts/s" in shown
    assert b"texts/s" not in out.read_bytes()


def test_nothing_but_messages_without_a_terminal(start, model, tmp_path):
    file = tmp_path / "big.txt"
    file.write_text("".join(f"{n} {' '.join(tiny.TEXTS[:6])}\n" for n in range(1500)))
    process = start("embed", "--role", "query", *model, "--threads", 1, file, stdout=subprocess.DEVNULL)
    assert process.communicate(timeout=240)[1] == b""
    assert process.returncode == 0


def test_warnings_are_lines_on_stderr(start, model):
    process = start("embed", "--role", "query", *model, "--text", "", "--text", "passage: x")
    out, err = process.communicate(timeout=240)
    assert len(out.splitlines()) == 2
    lines = err.decode().splitlines()
    assert [line.split(" already")[0].split(" is empty")[0] for line in lines] == [
        "efive: warning: text 0",
        "efive: warning: text 1",
    ]


def test_efive_home_holds_models(efive, monkeypatch, bert, tmp_path):
    assert efive("models", "import", bert, "--name", "tiny").code == 0
    assert efive("embed", "--role", "query", "-m", "tiny", "--text", "a").code == 0
    monkeypatch.setenv("EFIVE_HOME", str(tmp_path / "elsewhere"))
    result = efive("embed", "--role", "query", "-m", "tiny", "--text", "a")
    assert result.code == 1
    assert "no stored model is called 'tiny'" in result.err
    assert efive("models", "import", bert, "--name", "tiny").code == 0
    assert (tmp_path / "elsewhere" / "models" / "tiny" / "config.json").is_file()
    assert efive("embed", "--role", "query", "-m", "tiny", "--text", "a").code == 0


@pytest.mark.parametrize("option", [["--engine", "tensorflow"], ["--precision", "fp4"], ["--threads", "0"]])
def test_options_that_do_not_exist_are_usage_errors(efive, model, option):
    result = efive("embed", "--role", "query", *model, *option, "--text", "a")
    assert result.code == 2
    assert option[0] in result.err


@pytest.mark.filterwarnings("ignore::efive.errors.TruncationWarning")
def test_max_tokens_is_the_limit_and_part_of_a_run(efive, model, tmp_path):
    text = " ".join(tiny.TEXTS)
    row = efive("embed", "--role", "query", *model, "--max-tokens", 20, "--text", text).rows[0]
    assert (row["tokens_used"], row["truncated"]) == (20, True)
    (tmp_path / "in.txt").write_text("a\n")
    notes = tmp_path / "out.jsonl.progress.json"
    notes.write_text('{"run": {"max tokens": 512}, "records": 0, "reached": 0}')
    arguments = [
        "embed",
        "--role",
        "query",
        *model,
        "--max-tokens",
        20,
        tmp_path / "in.txt",
        "-o",
        notes.with_name("out.jsonl"),
    ]
    refused = efive(*arguments)
    assert refused.code == 1
    assert "max tokens (was 512, is 20)" in refused.err
