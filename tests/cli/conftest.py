"""The command line in this process (`efive`) and as a process of its own (`START`)."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from efive.cli import cli

START = [sys.executable, "-c", "from efive.cli import main; main()"]
STOPPING = """
import os, signal, sys, threading, time

def stop(file):
    while not os.path.exists(file):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGSTOP)

threading.Thread(target=stop, args=(sys.argv.pop(1),), daemon=True).start()
from efive.cli import main
main()
"""
"""The command line in a process that stops itself as soon as there is the file that its first argument names."""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def vectors(self) -> np.ndarray:
        return np.array([row["vector"] for row in self.rows], dtype=np.float32)


@pytest.fixture
def efive():
    """Run the command line in this process; an exception that it does not turn into a message is raised."""

    def run(*arguments, stdin: str | bytes = b"") -> Outcome:
        result = CliRunner().invoke(cli, [str(a) for a in arguments], input=stdin, prog_name="efive")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def model(bert: Path) -> list[str]:
    """Options that name the tiny model; fp32, so that vectors can be compared closely."""
    return ["-m", str(bert), "--precision", "fp32"]


@pytest.fixture
def start():
    """Start the command line as a process of its own; what still runs at the end of the test is killed."""
    started = []

    def run(*arguments, command=START, **options) -> subprocess.Popen:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([*command, *map(str, arguments)], **(pipes | options))
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def break_off(start):
    """Send a command a signal as soon as it has made a file; return its exit code, stdout and stderr.

    It waits for its signal: else it could be at its end before this process gets to look again.
    """

    def run(number: signal.Signals, file: Path, *arguments) -> tuple[int, bytes, str]:
        process = start(file, *arguments, command=[sys.executable, "-c", STOPPING])
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"ended before {file.name} was there"
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err.decode()

    return run


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    """Say whether fp32 vectors are equal but for the order of additions."""
    return found.shape == expected.shape and bool(np.abs(found - expected).max(initial=0) <= 2e-6)


@pytest.fixture(name="close")
def close_fixture():
    return close
