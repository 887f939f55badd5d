"""Many documents at once: copied into another index, written again, deleted. As tasks, batch by batch."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from efive.server.access import ANYBODY, Caller
from efive.server.elastic.errors import version_conflict
from efive.server.elastic.indices.bulk import Action, write
from efive.server.elastic.indices.index import Index
from efive.server.elastic.indices.operations import Operation, failed
from efive.server.elastic.indices.planning import PRIMARY_TERM
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries import matching
from efive.server.elastic.queries.paths import cut
from efive.server.elastic.reindexing.progress import Progress
from efive.server.elastic.reindexing.tasks import Task

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

BATCH = 1000
"""Documents that are read, embedded and written together, as in Elasticsearch."""
_TOGETHER = 500
"""Ids that are looked up by one statement."""
_BREATH = 0.2
"""Seconds of sleep between two looks at whether a task that slows itself down is cancelled."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which documents of which indices."""

    indices: Sequence[Index]
    query: dict[str, Any] | None = None
    """None is all of them."""
    most: int | None = None
    includes: tuple[str, ...] = ()
    """Fields that are taken along; none means all."""
    excludes: tuple[str, ...] = ()
    fields: bool = True
    """Whether any field is taken along."""

    def cut(self, source: dict[str, Any]) -> dict[str, Any]:
        """Return a document with the fields that are taken along."""
        if not self.fields:
            return {}
        return cut(source, self.includes, self.excludes) if self.includes or self.excludes else source


@dataclass(frozen=True, slots=True)
class Found:
    """A document of a selection."""

    index: Index
    id: str
    seq_no: int
    """What it was when the selection was made."""


@dataclass(slots=True)
class Change:
    """One such task: what it selects, and what it does to each document."""

    cluster: "Cluster"
    selection: Selection
    operation: Callable[[Found, dict[str, Any]], Operation]
    """What is done to a document, given what it has now."""
    progress: Progress
    destination: str | None = None
    """The index that documents are written into; None is their own."""
    pipeline: str | None = None
    """Through which they go first, in place of the index's default one."""
    batch: int = BATCH
    guarded: bool = True
    """Whether a document that was changed since it was selected is a conflict."""
    sources: bool = True
    """Whether documents are needed, or their ids alone."""
    caller: Caller = ANYBODY

    async def run(self, task: Task) -> dict[str, Any]:
        """Do it; return what the request is answered with."""
        found = await self._select()
        self.progress.total = len(found)
        for batch in _batches(found, self.batch):
            if task.cancelled:
                break
            begun = time.monotonic()
            await self._some(batch)
            self.progress.batches += 1
            if self.progress.failures:
                break
            await self._slow_down(task, len(batch), begun)
        self.progress.cancelled = task.cancelled
        return self.progress.answer()

    async def _select(self) -> list[Found]:
        """Return the documents as they are now; what comes later is none of this task's."""
        found: list[Found] = []
        query = self.selection.query or {"match_all": {}}
        for index in self.selection.indices:
            ids = await matching(self.cluster, index, query, self.caller)
            found += await index.read(partial(_numbered, index, ids))
        return found if self.selection.most is None else found[: self.selection.most]

    async def _some(self, batch: Sequence[Found]) -> None:
        documents = await self._read(batch) if self.sources else [(each, {}) for each in batch]
        actions = [
            Action(self.destination or found.index.name, self.operation(found, source), self.pipeline)
            for found, source in documents
        ]
        for done in await write(self.cluster, actions, self.caller):
            self.progress.count(done.index, done.outcome)

    async def _read(self, batch: Sequence[Found]) -> list[tuple[Found, dict[str, Any]]]:
        """Return the documents of one index that are still there."""
        index = batch[0].index
        known = await index.get([each.id for each in batch])
        if self.guarded:
            for gone in (each.id for each in batch if each.id not in known):
                reason = f"[{gone}]: version conflict, it was deleted since it was selected"
                self.progress.count(index.name, failed(gone, version_conflict(reason)))
        return [(each, self.selection.cut(dict(known[each.id].document()))) for each in batch if each.id in known]

    async def _slow_down(self, task: Task, documents: int, begun: float) -> None:
        """Sleep as long as the requests per second ask for."""
        if self.progress.requests_per_second <= 0:
            return
        until = begun + documents / self.progress.requests_per_second
        while not task.cancelled and (left := until - time.monotonic()) > 0:
            nap = min(left, _BREATH)
            await asyncio.sleep(nap)
            self.progress.throttled += nap


def _numbered(index: Index, ids: Sequence[str], reading: Reading) -> list[Found]:
    """Return documents with their numbers; those that are gone already are left out."""
    found: dict[str, int] = {}
    for start in range(0, len(ids), _TOGETHER):
        group = ids[start : start + _TOGETHER]
        asked = ",".join("?" * len(group))
        found |= dict(reading.database.execute(f"SELECT id, seq_no FROM document WHERE id IN ({asked})", group))  # noqa: S608
    return [Found(index, id_, found[id_]) for id_ in ids if id_ in found]


def _batches(found: Sequence[Found], size: int) -> Iterator[Sequence[Found]]:
    """Yield documents in batches of one index each."""
    start = 0
    while start < len(found):
        index, end = found[start].index, start + 1
        while end < len(found) and end - start < size and found[end].index is index:
            end += 1
        yield found[start:end]
        start = end


# -- what is done to a document --------------------------------------------------------------------------------------


def copying(found: Found, source: dict[str, Any]) -> Operation:
    """Write a document into another index, in place of one of its id."""
    return Operation("index", found.id, source)


def creating(found: Found, source: dict[str, Any]) -> Operation:
    """Write a document into another index that has none of its id."""
    return Operation("create", found.id, source)


def rewriting(found: Found, source: dict[str, Any]) -> Operation:
    """Write a document again where it was."""
    return Operation("index", found.id, source, if_seq_no=found.seq_no, if_primary_term=PRIMARY_TERM)


def deleting(found: Found, _source: dict[str, Any]) -> Operation:
    """Delete a document."""
    return Operation("delete", found.id, if_seq_no=found.seq_no, if_primary_term=PRIMARY_TERM)
