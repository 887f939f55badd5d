"""Scheduler: the requests of one deployment to its allocations, batch after batch. Lives on the event loop."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from efive.deployments.allocation import Allocation, Computed, NotBegunError
from efive.deployments.queue import Batch, FairQueue, Waiting, divide
from efive.engines.base import EngineInfo, Floats, TokenBatch
from efive.errors import DeadlineError, EngineCrashedError, NotReadyError, OverloadedError
from efive.text.batching import pad
from efive.text.tokenizer import TokenIds

_AHEAD = 1
"""Batches in an allocation's socket beside those that it computes, so that it never waits for us."""
_SHARE = 8
"""Batches are divided where that saves this part of a full one in padding: about twice what a batch costs by itself."""
_SMOOTHING = 0.2
_LEAST_RETRY = 0.1
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait."""

    requests: int = 4096
    """Requests in the queue."""
    seconds: float = 20.0
    """Expected wait of the last one in the queue, by the speed that was measured."""


@dataclass(slots=True)
class Job:
    """One request at the scheduler."""

    vectors: Floats
    """(rows, dimension), filled as batches come back."""
    done: "asyncio.Future[None]"
    arrived: float
    missing: int
    """Rows without a vector."""
    begun: float = 0.0
    """When its first row went to an engine, on the clock of `time.perf_counter`."""
    compute: float = 0.0
    """Seconds that engines spent on batches with rows of it."""


@dataclass(slots=True)
class Tally:
    """What has happened so far; only ever grows, but for `speed`."""

    batches: int = 0
    rows: int = 0
    tokens: int = 0
    busy: float = 0.0
    """Seconds of all engines together."""
    speed: float = 0.0
    """Tokens a second of one allocation, lately; 0 before the first batch."""
    fills: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    """Shares of the token budget of the last batches."""


class Scheduler:
    """Feeds allocations from one fair queue. All methods are called on the event loop's thread."""

    def __init__(self, info: EngineInfo, pad_id: int, limits: Limits | None = None) -> None:
        self.info = info
        self.tally = Tally()
        self.queue: FairQueue[Job] = FairQueue()
        self.limits = limits or Limits()
        self._pad_id = pad_id
        self._allocations: dict[Allocation, int] = {}
        self._closed = ""
        self._planned = False
        self._loop = asyncio.get_running_loop()

    @property
    def allocations(self) -> int:
        """How many are at work."""
        return len(self._allocations)

    @property
    def computing(self) -> int:
        """Batches that are at an allocation."""
        return sum(self._allocations.values())

    def join(self, allocation: Allocation) -> None:
        """Give batches to `allocation` from now on."""
        self._allocations[allocation] = 0
        self._plan()

    def leave(self, allocation: Allocation) -> None:
        """Give no more batches to `allocation`; what it has is still delivered."""
        self._allocations.pop(allocation, None)

    def refuse(self, reason: str) -> None:
        """Refuse new requests, for `reason`; an empty one takes them again."""
        self._closed = reason

    def abandon(self, error: Exception) -> None:
        """Fail everything that waits."""
        while batch := self.queue.take(1 << 30, padded=False):
            for waiting, _ in batch:
                _fail(waiting, error)

    async def drained(self) -> None:
        """Wait until nothing waits and nothing is computed."""
        while self.queue.requests or self.computing:
            await asyncio.sleep(0.02)

    async def submit(self, rows: Sequence[TokenIds], *, timeout: float | None = None) -> Job:
        """Compute the vectors of `rows`; a caller that is cancelled frees what has not begun.

        Args:
            rows: token ids, at least one row.
            timeout: seconds that the answer may take; None for ever.

        Raises:
            OverloadedError: if too much waits already.
            DeadlineError: if `timeout` is over.
            NotReadyError: if requests are refused.
            EngineError: whatever the engine raised.
        """
        self._admit()
        vectors = np.empty((len(rows), self.info.dimension), dtype=np.float32)
        job = Job(vectors, self._loop.create_future(), time.perf_counter(), len(rows))
        waiting = Waiting(job, rows)
        self.queue.add(waiting)
        self._plan()
        try:
            async with asyncio.timeout(timeout):
                await job.done
        except TimeoutError:
            raise DeadlineError(f"no answer within {timeout:g} s; {self._backlog()}") from None
        finally:
            self.queue.drop(waiting)
            if not job.done.cancelled() and job.done.done():
                job.done.exception()  # a caller who goes as it fails does not hear of it: that is no accident
        return job

    def _admit(self) -> None:
        if self._closed:
            raise NotReadyError(self._closed)
        full = self.queue.requests >= self.limits.requests
        if full or (self.queue.requests and self.wait() > self.limits.seconds):
            raise OverloadedError(self._backlog(), retry_after=self.wait())

    def wait(self) -> float:
        """Return the seconds after which all that waits now should be done, by the speed of late."""
        speed = self.tally.speed * max(1, len(self._allocations))
        return max(_LEAST_RETRY, self.queue.tokens / speed) if speed else _LEAST_RETRY

    def _backlog(self) -> str:
        requests = "1 request waits" if self.queue.requests == 1 else f"{self.queue.requests} requests wait"
        work = f", about {self.wait():.1f} s of work" if self.tally.speed else ""
        return f"{requests}, {self.queue.tokens} tokens{work}"

    def _plan(self) -> None:
        """Send batches soon: requests that arrive in the same turn of the event loop share one."""
        if not self._planned:
            self._planned = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._planned = False
        room = self.info.parallel + _AHEAD
        while self.queue.requests and self._allocations:
            allocation = min(self._allocations, key=self._allocations.__getitem__)
            if self._allocations[allocation] >= room:
                return
            batch = self.queue.take(self.info.token_budget, padded=self.info.padded)
            if not batch:
                return
            # Their turn has come for all of them; like lengths go together only to save padding.
            parts = divide(batch, self.info.token_budget // _SHARE) if self.info.padded else [batch]
            for part in parts:
                self._allocations[allocation] += 1
                self._compute(allocation, part)

    def _compute(self, allocation: Allocation, batch: Batch[Job]) -> None:
        now = time.perf_counter()
        for waiting, _ in batch:
            waiting.owner.begun = waiting.owner.begun or now
        ids, lengths = pad([waiting.rows[row] for waiting, row in batch], self._pad_id)
        future = allocation.submit(TokenBatch(ids, lengths))

        def finished(answer: "Future[Computed]") -> None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody is left to care
                self._loop.call_soon_threadsafe(self._deliver, allocation, batch, int(lengths.sum()), answer)

        future.add_done_callback(finished)

    def _deliver(self, allocation: Allocation, batch: Batch[Job], tokens: int, answer: "Future[Computed]") -> None:
        if allocation in self._allocations:
            self._allocations[allocation] -= 1
        self._plan()
        if error := answer.exception():
            self._lost(allocation, batch, error)
            return
        computed = answer.result()
        self._count(tokens, len(batch), computed.seconds)
        for job in {id(waiting.owner): waiting.owner for waiting, _ in batch}.values():
            job.compute += computed.seconds
        for (waiting, row), vector in zip(batch, computed.vectors, strict=True):
            job = waiting.owner
            job.vectors[row] = vector
            job.missing -= 1
            if not job.missing and not job.done.done():
                job.done.set_result(None)

    def _lost(self, allocation: Allocation, batch: Batch[Job], error: BaseException) -> None:
        if isinstance(error, EngineCrashedError):
            self.leave(allocation)  # at once: whatever is sent there now is lost too
        if isinstance(error, NotBegunError):
            if not self._closed:
                self.queue.give_back(batch)
                return
            error = NotReadyError(self._closed)  # nobody will come for it
        for waiting, _ in batch:
            self.queue.drop(waiting)
            _fail(waiting, error)

    def _count(self, tokens: int, rows: int, seconds: float) -> None:
        tally = self.tally
        tally.batches += 1
        tally.rows += rows
        tally.tokens += tokens
        tally.busy += seconds
        speed = tokens / max(seconds, 1e-6)
        tally.speed = speed if not tally.speed else tally.speed + _SMOOTHING * (speed - tally.speed)
        tally.fills.append(tokens / self.info.token_budget)


def _fail(waiting: Waiting[Job], error: BaseException) -> None:
    if not waiting.owner.done.done():
        waiting.owner.done.set_exception(error)
