"""The native engine's workspaces: memory and threads of the batches that run at once."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from efive.engines.hardware import available_cpus
from efive.engines.native_import import extension
from efive.errors import EngineError

if TYPE_CHECKING:
    from efive.engines._native import Workspace

# A lone batch is a query or the rest of a list; more threads would find too little to do, and waking them takes time.
_LONE_THREADS = 4


class Workspaces:
    """`threads // per_batch` of them. Batches side by side are the fastest way through a list.

    A batch that says it is small takes several processors at once where they are idle: it is done in half the time
    with two, and costs a list, whose batches are large, nothing.
    """

    def __init__(self, threads: int, per_batch: int) -> None:
        """Make workspaces; their threads start with the first batch."""
        self.count = max(1, threads // per_batch)
        self._share = min(_LONE_THREADS, threads, available_cpus()) if per_batch == 1 else 1
        self._free: queue.SimpleQueue[Workspace | None] = queue.SimpleQueue()
        for _ in range(self.count):
            self._free.put(extension.Workspace(min(per_batch, threads, available_cpus())))
        self._wide: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        for _ in range(self.count // self._share if self._share > 1 else 0):
            self._wide.put(extension.Workspace(self._share))

    @contextmanager
    def one(self, *, small: bool) -> Iterator["Workspace"]:
        """Wait for a workspace and lend it.

        Raises:
            EngineError: after `close`.
        """
        held = [self._free.get()]
        if small:
            with suppress(queue.Empty):
                while len(held) < self._share:
                    held.append(self._free.get_nowait())
        if len(held) < self._share:
            while len(held) > 1:
                self._free.put(held.pop())
        # Who holds `_share` workspaces finds a wide one: there are as many as can be held so.
        wide = self._wide.get() if len(held) > 1 else None
        try:
            workspace = wide or held[0]
            if workspace is None:
                raise EngineError("the encoder is closed; load it again")
            yield workspace
        finally:
            if wide is not None:
                self._wide.put(wide)
            for each in held:
                self._free.put(each)

    def close(self) -> None:
        """Wait for what is running and end the threads."""
        for _ in range(self.count):
            self._free.get()
        self._wide = queue.SimpleQueue()
        self._share = 1
        for _ in range(self.count):
            self._free.put(None)  # what a late caller gets
