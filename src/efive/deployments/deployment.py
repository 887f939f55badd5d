"""Deployment: a model at work, from its start to its end."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from efive.deployments import autoscaler, memory
from efive.deployments.allocation import Allocation
from efive.deployments.autoscaler import Seen
from efive.deployments.cache import VectorCache
from efive.deployments.messages import Start
from efive.deployments.scheduler import Job, Limits, Scheduler
from efive.deployments.settings import Settings
from efive.encoder import Encoder
from efive.engines.base import Engine, EngineInfo, Floats, TokenBatch
from efive.engines.hardware import Hardware, available_cpus
from efive.engines.select import Choice
from efive.errors import EfiveError, EngineCrashedError, NotReadyError
from efive.models.checkpoint import Checkpoint
from efive.text.tokenizer import TokenIds

_RESTARTS = 5
"""Crashes in a row before a deployment counts as failed."""
_RESTART_PAUSE = 0.5
"""Seconds before the first restart; each one in a row waits twice as long."""
_STEADY = 60.0
"""Seconds without a crash after which the next one is the first of a row."""
_LOOK = 1.0
"""Seconds between looks at the load."""
_ENDING = 60.0
"""Seconds that requests have to be answered when a deployment stops."""


class Phase(StrEnum):
    """Where a deployment is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """Pooled vectors, and where the time went."""

    vectors: Floats
    """(rows, dimension) float32, not normalised."""
    queued: float
    """Seconds until the first row went to an engine."""
    computed: float
    """Seconds of the engines' batches that rows were in."""
    cached: int
    """Rows whose vectors were known already."""


class Deployment:
    """One model, its engines and what waits for them. Everything happens on the event loop's thread."""

    def __init__(self, settings: Settings, changed: Callable[["Deployment"], None] | None = None) -> None:
        """Take settings that were checked; `start` does the work. `changed` is called at every new phase."""
        self.settings = settings
        self.phase = Phase.STOPPED
        self.reason = ""
        """Why it failed, or what its last crash was."""
        self.started = 0.0
        """When it was last started, in seconds since 1970."""
        self.crashes = 0
        """Of its engines, since it was started."""
        self.target = 0
        """How many engines there should be."""
        self.cache = VectorCache(settings.cache)
        self._changed = changed
        self._encoder: Encoder | None = None
        self._scheduler: Scheduler | None = None
        self._wishes: Start | None = None
        self._engines: list[Allocation] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_request = self._last_crash = time.monotonic()
        self._in_a_row = 0

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What clients call the model."""
        return self.settings.name

    @property
    def encoder(self) -> Encoder:
        """Its model. `embed` and the like wait for the deployment's engines: never call them on the event loop.

        Raises:
            NotReadyError: if it has not been started.
        """
        if self._encoder is None:
            raise NotReadyError(self._unready())
        return self._encoder

    @property
    def scheduler(self) -> Scheduler:
        """Its queue.

        Raises:
            NotReadyError: if it has not been started.
        """
        if self._scheduler is None:
            raise NotReadyError(self._unready())
        return self._scheduler

    @property
    def engines(self) -> Sequence[Allocation]:
        """The engines that are at work."""
        return tuple(self._engines)

    def _unready(self) -> str:
        return f"{self.name} is {self.phase}" + (f": {self.reason}" if self.reason else "")

    # -- requests ------------------------------------------------------------------------------------------------

    async def compute(self, rows: Sequence[TokenIds], timeout: float | None = None) -> Answer:
        """Return the vectors of token ids; equal rows and rows of late are computed once.

        Raises:
            NotReadyError, OverloadedError, DeadlineError, EngineError, EngineCrashedError: see `Scheduler.submit`.
        """
        self._last_request = time.monotonic()
        if self.phase is not Phase.READY:
            raise NotReadyError(self._unready())
        first = {row.tobytes(): place for place, row in reversed(list(enumerate(rows)))}
        vectors = np.empty((len(rows), self.encoder.dimension), dtype=np.float32)
        found = self.cache.find([rows[place] for place in first.values()])
        known = {place: vector for place, vector in zip(first.values(), found, strict=True) if vector is not None}
        missing = [place for place in first.values() if place not in known]
        for place, vector in known.items():
            vectors[place] = vector
        job: Job | None = None
        if missing:
            if self.target == 0:
                self._aim(1)
            wanted = [rows[place] for place in missing]
            job = await self.scheduler.submit(wanted, timeout=timeout)
            self.cache.keep(wanted, job.vectors)
            vectors[missing] = job.vectors
        if len(first) < len(rows):
            vectors = vectors[[first[row.tobytes()] for row in rows]]
        queued = job.begun - job.arrived if job else 0.0
        return Answer(vectors, queued, job.compute if job else 0.0, len(rows) - len(missing))

    # -- its life ------------------------------------------------------------------------------------------------

    async def start(self, folder: Path) -> None:
        """Load the model and start its engines; it is ready when all of them are warm.

        Raises:
            DeploymentError: if it does not fit into the memory, or an engine does not start.
            EfiveError: whatever is wrong about the model's files or the options.
        """
        self._loop = asyncio.get_running_loop()
        self.started, self.crashes, self._in_a_row = time.time(), 0, 0
        least, most = self.settings.range
        self.target = min(max(self.settings.allocations, least, 1), most)
        self._set(Phase.STARTING)
        try:
            self._encoder = await asyncio.to_thread(self._load, folder)
            limits = Limits(self.settings.requests, self.settings.wait)
            self._scheduler = Scheduler(self._engines[0].info, self._encoder.pad_id, limits)
            self._scheduler.join(self._engines[0])
            await asyncio.gather(*(self._grow() for _ in range(self.target - 1)))
        except BaseException as error:
            await self._end_engines()
            self._set(Phase.FAILED, str(error) or type(error).__name__)
            raise
        self._set(Phase.READY)
        if self.settings.adaptive:
            self._later(self._adapt())

    def _load(self, folder: Path) -> Encoder:
        settings = self.settings
        encoder = Encoder.load(
            folder,
            engine=settings.engine,
            precision=settings.precision,
            device=settings.device,
            task=settings.task,
            max_tokens=settings.max_tokens,
            threads=settings.threads or max(1, available_cpus() // settings.range[1]),
            start=self._first,
        )
        _ = encoder.space  # hashes the weights the first time, which no request shall wait for
        return encoder

    def _first(self, model: Checkpoint, choice: Choice, _hardware: Hardware, threads: int) -> Engine:
        """Start the first engine, in the thread that loads the model."""
        memory.require(model.architecture, choice.precision, self.target, self.name)
        nice = 10 if self.settings.low_priority else 0
        self._wishes = Start(
            str(model.folder), model.max_tokens, choice.engine, str(choice.precision), choice.device, choice.reason,
            threads, nice,
        )  # fmt: skip
        self._engines.append(self._new())
        return _Front(self, self._engines[0].info)

    def _new(self) -> Allocation:
        """Start an engine; takes its time."""
        if self._wishes is None or self._loop is None:
            raise NotReadyError(self._unready())
        loop, made = self._loop, list[Allocation]()

        def crashed(reason: str) -> None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody is left to care
                loop.call_soon_threadsafe(self._crash, made, reason)

        made.append(Allocation(self._wishes, crashed=crashed))
        return made[0]

    async def _grow(self) -> None:
        allocation = await asyncio.to_thread(self._new)
        if self.phase not in {Phase.STARTING, Phase.READY} or len(self._engines) >= self.target:
            await asyncio.to_thread(allocation.close)
            return
        self._engines.append(allocation)
        self.scheduler.join(allocation)

    def _shrink(self) -> None:
        """Let the engine go that is asked least."""
        allocation = min(self._engines, key=lambda each: each.waiting)
        self._engines.remove(allocation)
        self.scheduler.leave(allocation)
        self._later(asyncio.to_thread(allocation.close))

    def _aim(self, target: int) -> None:
        """Start or stop engines until there are `target`."""
        while len(self._engines) > target:
            self._shrink()
        new, self.target = target - max(self.target, len(self._engines)), target
        for _ in range(new):
            self._later(self._grow_or_fail())

    async def _grow_or_fail(self) -> None:
        try:
            await self._grow()
        except EfiveError as error:
            self._give_up(error)

    def _crash(self, made: list[Allocation], reason: str) -> None:
        """Take note that an engine's process has ended, and start another one."""
        if not made or made[0] not in self._engines:
            return
        self._engines.remove(made[0])
        self.scheduler.leave(made[0])
        self._later(asyncio.to_thread(made[0].close))
        now = time.monotonic()
        self._in_a_row = 1 if now - self._last_crash > _STEADY else self._in_a_row + 1
        self._last_crash = now
        self.crashes += 1
        self.reason = reason
        self._tell()
        if self._in_a_row > _RESTARTS:
            self._give_up(EngineCrashedError(f"{self._in_a_row} crashes in a row; the last one: {reason}"))
        else:
            self._later(self._restart(_RESTART_PAUSE * 2 ** (self._in_a_row - 1)))

    async def _restart(self, pause: float) -> None:
        await asyncio.sleep(pause)
        if self.phase in {Phase.STARTING, Phase.READY} and len(self._engines) < self.target:
            await self._grow_or_fail()

    def _give_up(self, error: EfiveError) -> None:
        """Fail, if no engine is left."""
        self.reason = str(error)
        if self._engines or self.phase is not Phase.READY:
            self._tell()
            return
        self._set(Phase.FAILED, str(error))
        self.scheduler.refuse(self._unready())
        self.scheduler.abandon(NotReadyError(self._unready()))

    async def update(self, settings: Settings) -> None:
        """Take other settings of the same name and model: the number of allocations changes at once, the rest later."""
        was_adaptive, self.settings = self.settings.adaptive, settings
        if self.phase is Phase.READY:
            least, most = settings.range
            self._aim(settings.allocations if not settings.adaptive else min(max(self.target, least), most))
            if settings.adaptive and not was_adaptive:
                self._later(self._adapt())
        self._tell()

    async def stop(self, *, drain: bool = True) -> None:
        """Refuse new requests, answer those that wait unless told not to, and end the engines."""
        if self.phase is Phase.STOPPED:
            return
        self._set(Phase.STOPPING, self.reason)
        if self._scheduler is not None:
            self._scheduler.refuse(self._unready())
            if drain:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ENDING):
                        await self._scheduler.drained()
            self._scheduler.abandon(NotReadyError(self._unready()))
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end_engines()
        self._set(Phase.STOPPED)

    async def _end_engines(self) -> None:
        engines, self._engines = self._engines, []
        for engine in engines:
            if self._scheduler is not None:
                self._scheduler.leave(engine)
        await asyncio.gather(*(asyncio.to_thread(engine.close) for engine in engines))

    # -- its load ------------------------------------------------------------------------------------------------

    async def _adapt(self) -> None:
        """Follow the load, as long as the settings say so."""
        quiet, busy_before, before = 0.0, self.scheduler.tally.busy, time.monotonic()
        while self.settings.adaptive and self.phase is Phase.READY:
            await asyncio.sleep(_LOOK)
            now, busy = time.monotonic(), self.scheduler.tally.busy
            passed = (now - before) * max(1, len(self._engines)) * self.scheduler.info.parallel
            seen = Seen(
                allocations=len(self._engines),
                busy=min(1.0, (busy - busy_before) / passed),
                wait=self.scheduler.wait() if self.scheduler.queue.requests else 0.0,
                since_request=now - self._last_request if not self.scheduler.queue.requests else 0.0,
                quiet=quiet,
            )
            quiet = quiet + now - before if autoscaler.quiet_enough(seen) else 0.0
            busy_before, before = busy, now
            if len(self._engines) == self.target:
                wanted = autoscaler.wanted(seen, *self.settings.range, self.settings.idle)
                if wanted != self.target:
                    quiet = 0.0
                    self._aim(wanted)

    # -- small things --------------------------------------------------------------------------------------------

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set(self, phase: Phase, reason: str = "") -> None:
        self.phase, self.reason = phase, reason
        self._tell()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed(self)

    def embed_from_thread(self, batch: TokenBatch) -> Floats:
        """Compute a batch for a thread that is not the event loop's."""
        if self._scheduler is None:  # the model is being loaded: only its int8 gate asks
            return self._engines[0].submit(batch).result().vectors.copy()
        if self._loop is None:
            raise NotReadyError(self._unready())
        rows = [ids[:length] for ids, length in zip(batch.ids, batch.lengths, strict=True)]
        return asyncio.run_coroutine_threadsafe(self.compute(rows), self._loop).result().vectors


class _Front:
    """The deployment's engines as one engine, for the encoder that collections hold."""

    def __init__(self, deployment: Deployment, info: EngineInfo) -> None:
        self._deployment = deployment
        most = deployment.settings.range[1]
        self.info = replace(info, parallel=info.parallel * most + 1)

    def warmup(self) -> None:
        """Do nothing: engines are warm before they count as started."""

    def embed(self, batch: TokenBatch) -> Floats:
        """Compute a batch wherever there is room."""
        return self._deployment.embed_from_thread(batch)

    def memory_bytes(self) -> int:
        """Return the bytes of weights of all engines."""
        return sum(engine.memory for engine in self._deployment.engines)

    def close(self) -> None:
        """Do nothing: engines end when their deployment stops."""


def changed(settings: Settings, **fields: Any) -> Settings:  # noqa: ANN401
    """Return settings with other fields."""
    return msgspec.structs.replace(settings, **fields)
