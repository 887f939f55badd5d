"""Starts the servers that are compared, each on the same processors, and ends them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from roster import PEERS, ROOT
from sessions import environment

_PATIENCE = 300.0
MODEL = "bench"
"""What every server calls its model."""


@dataclass(frozen=True)
class Kind:
    """One row of the table."""

    title: str
    path: str
    """Of embeddings in OpenAI's form."""
    health: str
    python: Path
    command: Callable[[Path, int, int], list[str]]
    """Of the model's folder, the port and the threads."""
    setup: str = ""
    """What installs it."""
    precision: str = "auto"

    @property
    def ours(self) -> bool:
        """Whether this is efive."""
        return self.python == Path(sys.executable)


def _infinity(folder: Path, port: int, threads: int) -> list[str]:  # noqa: ARG001 - threads by OMP_NUM_THREADS
    given = ["--model-id", str(folder), "--served-model-name", MODEL, "--port", str(port), "--engine", "torch"]
    return ["-m", "infinity_emb.cli", "v2", *given, "--device", "cpu", "--dtype", "float32", "--log-level", "warning"]


def _fastapi(folder: Path, port: int, threads: int) -> list[str]:
    return [str(Path(__file__).with_name("with_fastapi.py")), str(folder), str(port), str(threads)]


def _efive(folder: Path, port: int, threads: int) -> list[str]:  # noqa: ARG001 - deployed when it is up
    return ["-m", "efive", "serve", "--port", str(port), "--threads", str(threads)]


_OURS = Path(sys.executable)
KINDS = {
    "efive": Kind("efive serve", "/openai/v1/embeddings", "/health/ready", _OURS, _efive),
    "efive-fp32": Kind(
        "efive serve, fp32", "/openai/v1/embeddings", "/health/ready", _OURS, _efive, precision="fp32"
    ),
    "infinity": Kind(
        "Infinity", "/embeddings", "/health", PEERS / "infinity/bin/python", _infinity,
        "benchmarks/peers/setup.sh infinity", "fp32",
    ),
    "st-fastapi": Kind(
        "sentence-transformers, FastAPI", "/embeddings", "/health", PEERS / "current/bin/python", _fastapi,
        "benchmarks/peers/setup.sh current", "fp32",
    ),
}  # fmt: skip


class Server:
    """One server that answers."""

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        work: Path,
        processors: list[int],
        besides: Sequence[int] = (),
        **settings: Any,  # noqa: ANN401
    ) -> None:
        """Start it and wait until it answers.

        Args:
            kind: which.
            folder: of the model.
            work: for its home, cache and log.
            processors: that it may use; it has as many threads.
            besides: processors for what is not the model.
            **settings: of the deployment, for ours.

        Raises:
            RuntimeError: if it does not start; the message ends with its log's last lines.
        """
        self.kind, self.port = kind, _free_port()
        work.mkdir(parents=True, exist_ok=True)
        self._log = work / "log"
        threads = len(processors)
        command = [str(kind.python), *kind.command(folder, self.port, threads)]
        # Not our own packages' path for the peers; our state in a home of its own.
        variables = environment(threads, work) | {"EFIVE_HOME": str(work / "home")}
        with self._log.open("wb") as log:
            self.process = psutil.Popen(
                _pinned(command, [*processors, *besides]), env=variables, cwd=ROOT, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            self._wait(kind.health)
            if kind.ours:
                self._deploy(folder, threads, settings)
        except BaseException:
            self.close()
            raise

    def _wait(self, path: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                self.ask("GET", path)
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
            else:
                return
        raise RuntimeError(f"{self.kind.title} does not start: {self._log.read_text()[-2000:]}")

    def _deploy(self, folder: Path, threads: int, settings: dict[str, Any]) -> None:
        """Put the model in the place of the one that a new server has; texts come again, so nothing is cached."""
        self.ask("DELETE", "/deployments/e5")
        wanted = {"name": MODEL, "model": str(folder), "threads": threads, "precision": self.kind.precision, "cache": 0}
        self.ask("POST", "/deployments", wanted | settings)
        while (found := self.ask("GET", f"/deployments/{MODEL}"))["phase"] != "ready":
            if found["phase"] == "failed":
                raise RuntimeError(f"{self.kind.title} cannot deploy {folder}: {found['reason']}")
            time.sleep(0.1)

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Send one request and return its answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            content = answer.read()
        return json.loads(content) if content[:1] in {b"{", b"["} else None

    def load(self, processors: list[int], texts: list[str], **specification: Any) -> dict[str, Any]:  # noqa: ANN401
        """Put it under load from another process and return what that saw."""
        where = {"host": "127.0.0.1", "port": self.port, "path": self.kind.path, "model": MODEL}
        asked = {"texts": texts, "processors": processors, **where, **specification}
        command = [sys.executable, str(Path(__file__).with_name("load.py"))]
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the load on {self.kind.title} failed: {done.stderr[-2000:]}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def memory(self) -> tuple[int, int]:
        """Return the bytes of the server and of its engines; what they share is counted once (Linux), else resident."""
        return _held(self.process), sum(map(_held, self.process.children(recursive=True)))

    def close(self) -> None:
        """End it, whatever it does."""
        for stop, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
            try:
                os.killpg(self.process.pid, stop)
                self.process.wait(patience)
            except ProcessLookupError:
                return
            except psutil.TimeoutExpired:
                continue
            return


def _held(process: psutil.Process) -> int:
    try:
        found = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(found, "pss", found.rss))


def end_with_us() -> None:
    """Let SIGTERM unwind this process, so that it ends its servers; they are in sessions of their own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _pinned(command: list[str], processors: list[int]) -> list[str]:
    """Return the command that runs another one on some processors only (Linux; elsewhere on all)."""
    if not hasattr(os, "sched_setaffinity"):
        return command
    code = f"import os, sys; os.sched_setaffinity(0, {set(processors)}); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", code, *command]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
