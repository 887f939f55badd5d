"""Allocation: an engine in a process of its own, so that its crash is not the server's."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from efive.deployments.messages import Done, Failed, Start, Started, Work, receive, send
from efive.engines.base import EngineInfo, Floats, TokenBatch
from efive.errors import DeploymentError, EngineCrashedError, EngineError

_PATIENCE = 5.0
"""Seconds that a process has to end after its server hung up."""


@dataclass(frozen=True, slots=True)
class Computed:
    """The answer to a batch."""

    vectors: Floats
    """(rows, dimension) pooled, not normalised."""
    seconds: float
    """What the engine took."""


class Allocation:
    """A running engine process. `submit` may be called from any thread; what waits in its socket runs in order."""

    def __init__(self, wanted: Start, *, crashed: Callable[[str], None] | None = None) -> None:
        """Start the process and wait until its engine is warm.

        Args:
            wanted: the engine and its model.
            crashed: called once, from another thread, with the reason if the process ends by itself afterwards.

        Raises:
            DeploymentError: if the engine does not start; its message says why.
        """
        self._socket, theirs = socket.socketpair()
        self._connection = Connection(os.dup(self._socket.fileno()))
        with theirs:
            command = [sys.executable, "-m", "efive.deployments.worker", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        # A server that ends without a word must not leave processes behind; they also end when the socket closes.
        self._kill = weakref.finalize(self, _end, self._process)
        self._numbers = count()
        self._waiting: dict[int, Future[Computed]] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._crashed = crashed
        started = self._start(wanted)
        self.info: EngineInfo = started.engine_info()
        self.memory = started.memory
        self.pid = self._process.pid
        threading.Thread(target=self._listen, name="efive-allocation", daemon=True).start()

    def _start(self, wanted: Start) -> Started:
        answer: object = None
        with contextlib.suppress(EOFError, OSError):
            send(self._connection, wanted)
            answer = receive(self._connection)
        if isinstance(answer, Started):
            return answer
        self.close()
        if isinstance(answer, Failed):
            raise DeploymentError(answer.message)
        raise EngineCrashedError(
            f"the engine's process ended while it loaded {Path(wanted.folder).name}: {_ending(self._process)}"
        )

    @property
    def waiting(self) -> int:
        """Batches that were submitted and are not answered yet."""
        return len(self._waiting)

    def submit(self, batch: TokenBatch) -> "Future[Computed]":
        """Send a batch; the future has its vectors, or an EngineError or EngineCrashedError."""
        future: Future[Computed] = Future()
        number = next(self._numbers)
        with self._lock:
            self._waiting[number] = future
            try:
                send(self._connection, Work.of(number, batch))
            except OSError:
                self._waiting.pop(number, None)
                future.set_exception(EngineCrashedError("the engine's process is gone"))
        return future

    def _listen(self) -> None:
        while True:
            try:
                message = receive(self._connection)
            except (EOFError, OSError):
                break
            if isinstance(message, Done | Failed):
                future = self._waiting.pop(message.number, None)
                if future is None:
                    continue
                if isinstance(message, Done):
                    future.set_result(Computed(message.floats(), message.seconds))
                else:
                    future.set_exception(EngineError(message.message))
        self._connection.close()
        self._end_of_process()

    def _end_of_process(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        reason = f"the engine's process ended: {_ending(self._process)}"
        with self._lock:
            lost, self._waiting = list(self._waiting.values()), {}
        for future in lost:
            future.set_exception(EngineCrashedError(reason))
        if not self._closing and self._crashed is not None:
            self._crashed(reason)

    def close(self) -> None:
        """End the process once it has answered what it was sent; a second call does nothing."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)  # the process reads its end of file behind the last batch
        self._kill()
        self._socket.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ending(process: "subprocess.Popen[bytes]") -> str:
    code = process.returncode
    if code is None:
        return "it hangs"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
