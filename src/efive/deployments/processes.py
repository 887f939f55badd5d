"""Long work in a process of its own, which is a command of efive: a server starts it, waits for it and ends it."""

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from efive.errors import EfiveError

_PATIENCE = 10.0
"""Seconds that a process has to end when it is asked to."""
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
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, env=environment,
            start_new_session=True,
        )  # fmt: skip
    try:
        with contextlib.suppress(psutil.Error):  # it may have ended already
            psutil.Process(process.pid).nice(_YIELDS)
        code = await process.wait()
    except asyncio.CancelledError:
        await end(process)
        raise
    if code:
        words = last_line(said.read_text(encoding="utf-8", errors="replace"))
        raise failure(words if code > 0 and words else f"{what} was killed by signal {-code}")


async def end(process: asyncio.subprocess.Process) -> None:
    """Ask a process to end, and make it if it does not."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()


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
