"""The command group: instant help, errors as one line, Ctrl-C as 130."""

import errno
import subprocess
import sys

import click
import pytest

from efive import __version__
from efive.cli import cli
from efive.errors import EngineError

HEAVY = ("numpy", "openvino", "torch", "pyarrow", "tokenizers", "huggingface_hub", "efive.encoder")


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_imports_nothing_heavy(argument):
    code = (
        f"import sys\nfrom efive.cli import main\nsys.argv = ['efive', {argument!r}]\n"
        f"try:\n    main()\nfinally:\n    print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "efive" in done.stdout


def test_help_lists_every_command_and_each_has_help(efive):
    result = efive("-h")
    assert result.code == 0
    for name in ("embed", "similarity", "models", "doctor"):
        assert f"  {name} " in result.out
        shown = efive(name, "--help")
        assert shown.code == 0
        assert shown.out.startswith(f"Usage: efive {name} ")
    assert efive("--version").out == f"efive, version {__version__}\n"


def test_an_unknown_command_is_a_usage_error(efive):
    result = efive("embedd")
    assert result.code == 2
    assert "No such command 'embedd'" in result.err


@pytest.mark.parametrize(
    ("raised", "code", "err"),
    [
        (EngineError("it is broken"), 1, "efive: it is broken\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out"),
            1,
            "efive: [Errno 28] No space left on device: 'out'\n",
        ),
        (KeyboardInterrupt(), 130, "efive: interrupted\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)
def test_failures_are_one_line(efive, monkeypatch, raised, code, err):
    @click.command()
    def failing():
        raise raised

    monkeypatch.setattr(type(cli), "get_command", lambda *_: failing)
    result = efive("doctor")
    assert (result.code, result.out, result.err) == (code, "", err)


def test_a_bug_is_not_hidden(efive, monkeypatch):
    @click.command()
    def buggy():
        raise ZeroDivisionError

    monkeypatch.setattr(type(cli), "get_command", lambda *_: buggy)
    with pytest.raises(ZeroDivisionError):
        efive("doctor")
