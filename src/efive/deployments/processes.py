"""Long work in a process of its own, which is a command of efive: a server starts it, waits for it and ends it."""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from efive.errors import EfiveError

_PATIENCE = 10.0
"""Seconds that a process has to end when it is asked to."""
_LOOK = 0.1
"""Seconds between looks whether it has ended."""
_YIELDS = 10
"""How much it yields to the engines, as `nice` counts."""


def efive(*arguments: str) -> list[str]:
    """Return what runs a command of this efive."""
    return [sys.executable, "-m", "efive", *arguments]


async def run(
    command: Sequence[str], said: Path, environment: Mapping[str, str], failure: type[EfiveError], what: str
) -> None:
    """Run a process to its end; if the caller is cancelled, it is ended too.

    Args:
        command: its arguments, the program first.
        said: a file for what it prints.
        environment: of the process.
        failure: what to raise, with its last words, if it fails.
        what: it does, for one that a signal has ended and that said nothing.
    """
    with said.open("ab") as file:
        process = _started(command, environment, file, file)
    with contextlib.suppress(psutil.Error):  # it may have ended already
        psutil.Process(process.pid).nice(_YIELDS)
    if code := await _ended(process):
        words = last_line(said.read_text(encoding="utf-8", errors="replace"))
        raise failure(words if code > 0 and words else f"{what} was killed by signal {-code}")


async def outputs(command: Sequence[str], environment: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Run a process to its end, as `run` does, and return what it wrote to stdout and stderr."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        await _ended(_started(command, environment, out, said))
        for file in (out, said):
            file.seek(0)
        return out.read(), said.read()


def _started(
    command: Sequence[str], environment: Mapping[str, str], out: IO[bytes], said: IO[bytes]
) -> "subprocess.Popen[bytes]":
    # Not by asyncio: with uvloop that runs Python in the fork of a process that has threads.
    return subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=said, env=environment, start_new_session=True
    )


async def _ended(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a process and return its exit code; if the caller is cancelled, end it."""
    try:
        while (code := process.poll()) is None:
            await asyncio.sleep(_LOOK)
    except asyncio.CancelledError:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, _PATIENCE)
        process.kill()  # which does nothing to one that has ended
        await asyncio.to_thread(process.wait)
        raise
    return code


def end_orphans(argument: str) -> None:
    """End the process that a server which was killed has left behind, known by an argument that no other has."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or is somebody else's
            if argument in process.cmdline():
                process.kill()
                process.wait(_PATIENCE)


def last_line(text: str) -> str:
    """Return the last words of a command of efive."""
    lines = [line for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1].removeprefix("efive: ") if lines else ""
