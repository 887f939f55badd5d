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


class NotBegunError(EngineCrashedError):
    """The process ended before it began a batch: another one may have it."""


class Allocation:
    """An engine in a process. `submit` may be called from any thread; what waits in its socket runs in order."""

    info: EngineInfo
    """Known once it is warm."""
    memory: int
    """Bytes of weights."""

    def __init__(self, wanted: Start, *, crashed: Callable[["Allocation"], None] | None = None) -> None:
        """Start the process; `warm` waits for its engine.

        Args:
            wanted: the engine and its model.
            crashed: called once, from another thread, if the process ends by itself after it was warm.

        Raises:
            OSError: if this machine has no room for another process.
        """
        self._wanted = wanted
        with contextlib.ExitStack() as opened:
            self._socket, theirs = map(opened.enter_context, socket.socketpair())
            self._connection = opened.enter_context(Connection(os.dup(self._socket.fileno())))
            command = [sys.executable, "-m", "efive.deployments.worker", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is the server's alone: it drains, then hangs up
            )
            theirs.close()
            opened.pop_all()
        self.pid = self._process.pid
        self.ended = ""
        """How the process ended; empty while it lives."""
        self._end = weakref.finalize(self, _end, self._process, self._socket)  # also when this process ends
        self._numbers = count()
        self._waiting: dict[int, Future[Computed]] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._crashed = crashed

    def warm(self) -> None:
        """Wait until the engine has loaded its model and is warm.

        Raises:
            DeploymentError: if it does not start; the message says why.
            EngineCrashedError: if its process ends meanwhile, or `close` ends it.
        """
        answer: object = None
        with contextlib.suppress(EOFError, OSError):
            send(self._connection, self._wanted)
            answer = receive(self._connection)
        if not isinstance(answer, Started):
            self.close()
            self._connection.close()
            if isinstance(answer, Failed):
                raise DeploymentError(answer.message)
            name = Path(self._wanted.folder).name
            raise EngineCrashedError(f"the engine's process ended while it loaded {name}: {_ending(self._process)}")
        self.info, self.memory = answer.engine_info(), answer.memory
        threading.Thread(target=self._listen, name="efive-allocation", daemon=True).start()

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
                future.set_exception(NotBegunError(self.ended or "the engine's process has just ended"))
        return future

    def _listen(self) -> None:
        while True:
            try:
                message = receive(self._connection)
            except (EOFError, OSError):
                break
            if isinstance(message, Done | Failed):
                future = self._waiting.pop(message.number)
                if isinstance(message, Done):
                    future.set_result(Computed(message.floats(), message.seconds))
                else:
                    future.set_exception(EngineError(message.message))
        self._end()
        self.ended = f"the engine's process ended: {_ending(self._process)}"
        with self._lock:  # nobody may write to a descriptor that is another file's by now
            self._connection.close()
            lost, self._waiting = list(self._waiting.values()), {}
        if not self._closing and self._crashed is not None:
            self._crashed(self)
        # It took batches in order, `parallel` at once: the others it had not begun.
        for place, future in enumerate(lost):
            future.set_exception((EngineCrashedError if place < self.info.parallel else NotBegunError)(self.ended))

    def close(self, patience: float = 0.0) -> None:
        """End the process once it has answered what it was sent; a second call does nothing.

        Args:
            patience: seconds that answers may take; soon after them it is killed.
        """
        self._closing = True
        _hang_up(self._socket)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._end_and_wait()

    def kill(self) -> None:
        """End the process whatever it does."""
        self._closing = True
        self._process.kill()
        self._end_and_wait()

    def _end_and_wait(self) -> None:
        self._end()
        self._process.wait()  # where another thread has begun to end it, the line above did nothing


def _end(process: "subprocess.Popen[bytes]", connection: socket.socket) -> None:
    with connection:
        _hang_up(connection)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _hang_up(connection: socket.socket) -> None:
    """Let the other side read its end of file behind the last batch."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def _ending(process: "subprocess.Popen[bytes]") -> str:
    code = process.wait()
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
