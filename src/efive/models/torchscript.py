"""TorchScript taken over: a stranger's file read in a process that can do nothing else, its weights in our own form."""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np

from efive.errors import DependencyError, ModelError
from efive.models.architecture import Architecture, Kind
from efive.models.confinement import give_away
from efive.models.tensors import Floats

log = logging.getLogger("efive.models")
_SECONDS = 1800
_LONGEST = 64 << 20
"""Bytes that are read of what the process has left."""
_running: set["subprocess.Popen[bytes]"] = set()
SCRIPT = "definition.pt"
"""What the script is called in the folder of the work."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a script held."""

    architecture: Architecture
    weights: Path
    """A safetensors file with transformers' names, to be `opened`."""
    vectors: Floats
    """(rows, dimension) float32: the script's own, of the rows that were asked for."""


def take(folder: Path, rows: Sequence[Sequence[int]]) -> Taken:
    """Read the TorchScript `definition.pt` in `folder`, which the process gets for itself, with all that is in it.

    Args:
        folder: of the work; nothing else may be kept there.
        rows: token ids for which the script's vectors are wanted.

    Raises:
        DependencyError: if torch is not installed.
        ModelError: if it is no encoder of BERT's kind, or cannot be read.
    """
    if find_spec("torch") is None:
        raise DependencyError(
            "a TorchScript model needs torch to be read: pip install 'efive[torch]' where the server runs. "
            "`efive import-model` sends a model folder to the server without it"
        )
    (folder / "rows.json").write_text(json.dumps([list(map(int, row)) for row in rows]), encoding="utf-8")
    give_away(folder)
    _run(folder)
    try:
        shape = json.loads(_text(folder / "shape.json"))
        architecture = Architecture(**shape | {"kind": Kind(shape["kind"])})
        vectors = np.asarray(json.loads(_text(folder / "vectors.json")), dtype=np.float32)
        log.info("TorchScript read", extra={"confined": _text(folder / "confined.json")})
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"the process that reads it left something else than it should: {error}") from None
    return Taken(architecture, folder / "model.safetensors", vectors)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that a confined process has left; a link, which would lead where that process may not go, is none.

    Raises:
        ModelError: if it is no plain file, or not there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        raise ModelError(f"the process that reads it left no file {path.name}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelError(f"the process that reads it left no file {path.name}")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _text(path: Path) -> str:
    with opened(path) as file:
        return file.read(_LONGEST).decode(errors="replace")


def end() -> None:
    """End what is being read in other threads: whoever waits for it gets a ModelError. For a server that ends."""
    for process in tuple(_running):
        process.kill()


def _run(folder: Path) -> None:
    """Run the worker: nothing of this process's environment, files and folders comes with it."""
    clean = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PATH": os.defpath,
        "OPENBLAS_NUM_THREADS": "1",  # Landlock holds for one thread and those that it starts: there must be no other
    }
    command = [sys.executable, "-P", "-s", "-m", "efive.models.torchscript_worker"]
    with (folder / "log.txt").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own worker
            command, cwd=folder, env=clean, stdin=subprocess.DEVNULL, stdout=output, stderr=output, close_fds=True,
            start_new_session=True,
        )  # fmt: skip
        _running.add(process)
        try:
            status = process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            raise ModelError(f"it was not read within {_SECONDS} s") from None
        finally:
            process.kill()
            process.wait()
            _running.discard(process)
    if os.path.lexists(folder / "error.txt"):
        raise ModelError(_text(folder / "error.txt")[:1000])
    if status:
        raise ModelError(f"the process that reads it ended with {_name(status)}; {_last_line(folder / 'log.txt')}")


def _name(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def _last_line(path: Path) -> str:
    lines = _text(path).strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
