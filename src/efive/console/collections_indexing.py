"""Files on their way into a collection: what is done, what was refused, and how fast."""

import asyncio
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from efive.console.collections import uploads
from efive.console.paths import check_path
from efive.errors import CollectionBusyError, EfiveError
from efive.search.collection import Collection
from efive.search.indexing import Indexed, Watcher, index
from efive.server.service import Service

log = logging.getLogger("efive.console")
_NAMED = 100
"""Refused files that are named; the others are counted."""
_LOOK = 1.0
"""Seconds between counts of the passages."""


class Phase(StrEnum):
    """Where an indexing is."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class _CancelledError(Exception):
    """Ends `index` from within; never leaves this file."""


@dataclass
class Indexing:
    """One call of `index` in a thread. Its numbers are written there and read by pages."""

    name: str
    """Of the collection."""
    paths: Sequence[Path]
    phase: Phase = Phase.RUNNING
    files: int = 0
    """That were read."""
    documents: int = 0
    """That are safe."""
    passages: int = 0
    """That were embedded."""
    refused: list[str] = field(default_factory=list)
    """What was left out and why, the first of it."""
    refused_count: int = 0
    reason: str = ""
    """Why it failed."""
    outcome: Indexed | None = None
    stopping: bool = False
    began: float = field(default_factory=time.monotonic)
    took: float | None = None
    _counted: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it has been going on, or took."""
        return self.took if self.took is not None else time.monotonic() - self.began

    @property
    def rate(self) -> float:
        """Passages a second, waiting included."""
        return self.passages / self.seconds if self.seconds else 0.0

    def work(self, collection: Collection) -> None:
        """Do it, in a thread."""
        before = _passages(collection)

        def read() -> None:
            self.files += 1
            self._go_on()

        def safe(documents: int) -> None:
            self.documents += documents
            if time.monotonic() - self._counted > _LOOK:
                self._counted = time.monotonic()
                self.passages = max(0, _passages(collection) - before)
            self._go_on()

        self._go_on()
        self.outcome = index(collection, self.paths, Watcher(self._refuse, read, safe))
        self.passages = self.outcome.documents.passages
        if self.outcome.documents.new:
            collection.maintain()
            collection.calibrate_if_grown()

    def _go_on(self) -> None:
        if self.stopping:
            raise _CancelledError

    def _refuse(self, what: str) -> None:
        self.refused_count += 1
        if len(self.refused) < _NAMED:
            self.refused.append(what)

    def finish(self, phase: Phase, reason: str = "") -> None:
        """Note how it ended."""
        self.took = time.monotonic() - self.began
        self.phase, self.reason = phase, reason

    def describe(self) -> str:
        """Return what was done, in a sentence."""
        if self.outcome is None:
            return f"{self.documents:,} documents, {self.passages:,} passages"
        added = self.outcome.documents
        changes = [f"{added.new:,} documents new or changed", f"{added.unchanged:,} unchanged"]
        changes += [f"{self.outcome.removed:,} removed"] if self.outcome.removed else []
        changes += [f"{self.refused_count:,} refused"] if self.refused_count else []
        return f"{', '.join(changes)}; {added.passages:,} passages embedded"


def _passages(collection: Collection) -> int:
    try:
        return collection.stats().passages
    except EfiveError:  # it is made with its first document
        return 0


class Indexings:
    """The last indexing of each collection. Used on the event loop."""

    def __init__(self) -> None:
        self._all: dict[str, Indexing] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def of(self, name: str) -> Indexing | None:
        """Return the last indexing of a collection, since the server's start."""
        return self._all.get(name)

    def all(self) -> list[Indexing]:
        """Return those at work, and those that have ended but were not dismissed."""
        return list(self._all.values())

    def dismiss(self, name: str) -> None:
        """Forget how one ended."""
        if name not in self._tasks:
            self._all.pop(name, None)

    def start(self, service: Service, name: str, paths: Sequence[Path], model: str | None = None) -> Indexing:
        """Index files and folders into a collection, in the background.

        Args:
            service: the server's.
            name: of the collection.
            paths: absolute, files and folders.
            model: the deployment for a new collection.

        Raises:
            InputError: if a path is not there, or the name cannot be one.
            CollectionBusyError: if one is at work on this collection.
            ModelNotFoundError: if the deployment is not there.
        """
        if name in self._tasks:
            raise CollectionBusyError(f"{name} is being indexed already; wait for its end, or cancel it")
        for path in paths:
            check_path(str(path))
        service.collections.deployment_of(name, model)
        indexing = self._all[name] = Indexing(name, tuple(paths))
        self._tasks[name] = asyncio.ensure_future(self._run(service, indexing, model))
        return indexing

    async def _run(self, service: Service, indexing: Indexing, model: str | None) -> None:
        try:
            await service.collections.write(indexing.name, indexing.work, model)
            indexing.finish(Phase.DONE)
        except _CancelledError:
            indexing.finish(Phase.CANCELLED)
        except EfiveError as error:
            indexing.finish(Phase.FAILED, str(error))
        except Exception as error:
            log.exception("unexpected %s", type(error).__name__)
            indexing.finish(Phase.FAILED, "an error that nobody expected; the server's log says more")
        finally:
            self._tasks.pop(indexing.name, None)

    def cancel(self, name: str) -> None:
        """Ask one to stop; what is safe stays."""
        if found := self._all.get(name):
            found.stopping = True

    async def delete(self, service: Service, name: str) -> None:
        """Remove a collection, and the files that were uploaded into it."""
        self.cancel(name)
        if task := self._tasks.get(name):
            await asyncio.wait({task})
        self._all.pop(name, None)
        await service.collections.delete(name)
        await service.collections.run(lambda: shutil.rmtree(uploads(service, name), ignore_errors=True))

    async def close(self) -> None:
        """Stop all."""
        for name in self._tasks:
            self.cancel(name)
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))
