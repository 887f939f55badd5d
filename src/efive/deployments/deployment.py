"""Deployment: a model at work, from its start to its end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from efive.deployments import autoscaler, memory
from efive.deployments.allocation import Allocation
from efive.deployments.autoscaler import Seen
from efive.deployments.cache import VectorCache, key_of
from efive.deployments.messages import Start
from efive.deployments.pool import Pool
from efive.deployments.scheduler import Job, Limits, Scheduler
from efive.deployments.settings import Settings
from efive.encoder import Encoder
from efive.engines.base import Engine, EngineInfo, Floats, Precision, TokenBatch
from efive.engines.hardware import Hardware, available_cpus
from efive.engines.select import Choice
from efive.errors import DeploymentError, EfiveError, NotReadyError
from efive.models.checkpoint import Checkpoint
from efive.text.tokenizer import TokenIds

if TYPE_CHECKING:
    from efive.models.architecture import Architecture

log = logging.getLogger("efive.deployments")

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

    def __init__(self, settings: Settings) -> None:
        """Take settings that were checked; `start` does the work."""
        self.settings = settings
        self.phase = Phase.STOPPED
        self.reason = ""
        """Why it failed, or what its last crash was."""
        self.started = 0.0
        """When it was last started, in seconds since 1970."""
        self.cache = VectorCache(settings.cache)
        self._encoder: Encoder | None = None
        self._scheduler: Scheduler | None = None
        self._pool: Pool | None = None
        self._adapting: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_request = time.monotonic()
        self._need: tuple[Architecture, Precision] | None = None

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
        return self._pool.engines if self._pool is not None else ()

    @property
    def target(self) -> int:
        """How many engines there should be."""
        return self._pool.target if self._pool is not None else 0

    @property
    def crashes(self) -> int:
        """How often an engine has crashed since the start."""
        return self._pool.crashes if self._pool is not None else 0

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
        keys = [key_of(row) for row in rows]
        first: dict[bytes, int] = {}
        for place, key in enumerate(keys):
            first.setdefault(key, place)
        known = self.cache.find(first)
        missing = [place for key, place in first.items() if key not in known]
        if not missing:
            return Answer(np.stack([known[key] for key in keys]), 0.0, 0.0, len(rows))
        job = await self._submit([rows[place] for place in missing], timeout)
        vectors, new = job.vectors, [keys[place] for place in missing]
        self.cache.keep(new, vectors)
        if len(missing) < len(rows):
            known.update(zip(new, vectors, strict=True))
            vectors = np.stack([known[key] for key in keys])
        return Answer(vectors, job.begun - job.arrived, job.compute, len(rows) - len(missing))

    async def _submit(self, rows: Sequence[TokenIds], timeout: float | None) -> Job:
        if self.target == 0:
            try:
                self._aim(1)
            except DeploymentError as error:
                raise NotReadyError(str(error)) from None
        return await self.scheduler.submit(rows, timeout=timeout)

    # -- its life ------------------------------------------------------------------------------------------------

    def announce(self) -> None:
        """Count as starting, just before `start`."""
        self._set(Phase.STARTING)

    def fail(self, reason: str) -> None:
        """Count as failed: it cannot even be started."""
        self._set(Phase.FAILED, reason)

    async def start(self, folder: Path) -> None:
        """Load the model and start its engines; it is ready when all of them are warm.

        Raises:
            DeploymentError: if it does not fit into the memory, or an engine does not start.
            EfiveError: whatever is wrong about the model's files or the options.
        """
        self._loop = asyncio.get_running_loop()
        self._pool = pool = Pool(self._broken)
        self.started, settings = time.time(), self.settings
        self.cache = VectorCache(settings.cache)  # the folder may hold other weights by now
        least, most = settings.range
        target = min(max(settings.allocations, least, 1), most)
        self._set(Phase.STARTING)
        try:
            encoder, info = await pool.run(self._load, folder, pool, target)
            self._encoder, limits = encoder, Limits(settings.requests, settings.wait)
            self._scheduler = Scheduler(info, encoder.pad_id, limits)
            await pool.fill(self._scheduler, target)
        except BaseException as error:
            try:
                await pool.close()
            finally:
                self._end_of_start(error)  # last: it may be started again from then on
            raise
        self._set(Phase.READY)
        if self.settings is not settings:  # they were changed meanwhile
            with self._going_on():
                self._apply()
        self._follow()

    def _end_of_start(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._set(Phase.STOPPED)
        else:
            self._set(Phase.FAILED, str(error) or type(error).__name__)

    def _load(self, folder: Path, pool: Pool, target: int) -> tuple[Encoder, EngineInfo]:
        """Load the model with its first engine; return what one engine is too."""
        settings = self.settings
        front: _Front

        def first(model: Checkpoint, choice: Choice, _hardware: Hardware, threads: int) -> Engine:
            nonlocal front
            self._need = model.architecture, choice.precision
            memory.require(*self._need, target, self.name)
            wanted = Start(
                str(model.folder), model.max_tokens, choice.engine, str(choice.precision), choice.device,
                choice.reason, threads, 10 if settings.low_priority else 0,
            )  # fmt: skip
            front = _Front(self, pool.first(wanted))
            return front

        encoder = Encoder.load(
            folder,
            engine=settings.engine,
            precision=settings.precision,
            device=settings.device,
            task=settings.task,
            max_tokens=settings.max_tokens,
            threads=_threads(settings),
            start=first,
        )
        _ = encoder.space  # hashes the weights the first time, which no request shall wait for
        front.loaded()
        return encoder, front.first.info

    def _broken(self, error: EfiveError | None) -> None:
        """Take note of a crash, and fail if no engine is left."""
        pool = self._pool
        if pool is None or self.phase is not Phase.READY:
            return
        self.reason = pool.reason
        what = "an engine has crashed" if error is None else "failed"
        log.error("%s: %s", what, self.reason, extra={"model": self.name})
        if error is None:
            return
        self._set(Phase.FAILED, str(error))
        self.scheduler.refuse(self._unready())
        self.scheduler.abandon(NotReadyError(self._unready()))
        pool.close_soon()

    def _aim(self, target: int) -> None:
        """Let there be `target` engines, if they fit into the memory."""
        if self._pool is None or self._need is None:
            return
        if target > self.target:
            memory.require(*self._need, target - self.target, self.name)
        self._pool.aim(target, _threads(self.settings))

    async def update(self, settings: Settings) -> None:
        """Take other settings of the same name and model: allocations and limits change at once, the rest later.

        Raises:
            DeploymentError: if the new allocations do not fit into the memory; nothing has changed then.
        """
        before, self.settings = self.settings, settings
        if self.phase is not Phase.READY:
            return
        try:
            self._apply()
        except DeploymentError:
            self.settings = before
            raise
        self._follow()

    def _apply(self) -> None:
        """Let there be what the settings say of allocations and limits."""
        settings, (least, most) = self.settings, self.settings.range
        self._aim(settings.allocations if not settings.adaptive else min(max(self.target, least), most))
        self.scheduler.limits = Limits(settings.requests, settings.wait)

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
        if self._adapting is not None:
            self._adapting.cancel()
        if self._pool is not None:
            await self._pool.close()
        self._set(Phase.STOPPED)

    # -- its load ------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Follow the load from now on, if the settings say so."""
        if self.settings.adaptive and (self._adapting is None or self._adapting.done()):
            self._adapting = asyncio.ensure_future(self._adapt())

    async def _adapt(self) -> None:
        """Follow the load, as long as the settings say so."""
        quiet, busy_before, before = 0.0, self.scheduler.tally.busy, time.monotonic()
        while self.settings.adaptive and self.phase is Phase.READY:
            await asyncio.sleep(_LOOK)
            now, busy = time.monotonic(), self.scheduler.tally.busy
            passed = (now - before) * max(1, len(self.engines)) * self.scheduler.info.parallel
            waits = self.scheduler.queue.requests
            seen = Seen(
                allocations=len(self.engines),
                busy=min(1.0, (busy - busy_before) / passed),
                wait=self.scheduler.wait() if waits else 0.0,
                since_request=now - self._last_request if not (waits or self.scheduler.computing) else 0.0,
                quiet=quiet,
            )
            quiet = quiet + now - before if autoscaler.quiet_enough(seen) else 0.0
            busy_before, before = busy, now
            if len(self.engines) == self.target:
                wanted = autoscaler.wanted(seen, *self.settings.range, self.settings.idle)
                if wanted != self.target:
                    quiet = 0.0
                    with self._going_on():
                        self._aim(wanted)

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """Go on with the engines that there are if the memory does not hold more."""
        try:
            yield
        except DeploymentError as error:
            self.reason = str(error)

    # -- small things --------------------------------------------------------------------------------------------

    def _set(self, phase: Phase, reason: str = "") -> None:
        self.phase, self.reason = phase, reason

    def embed_from_thread(self, batch: TokenBatch) -> Floats:
        """Compute a batch for a thread that is not the event loop's."""
        if self._loop is None:
            raise NotReadyError(self._unready())
        rows = [ids[:length] for ids, length in zip(batch.ids, batch.lengths, strict=True)]
        return asyncio.run_coroutine_threadsafe(self.compute(rows), self._loop).result().vectors


class _Front:
    """The deployment's engines as one engine, for the encoder that collections hold."""

    def __init__(self, deployment: Deployment, first: Allocation) -> None:
        self.first = first
        self._deployment = deployment
        self._loading = True
        most = deployment.settings.range[1]
        self.info = replace(first.info, parallel=first.info.parallel * most + 1)

    def warmup(self) -> None:
        """Do nothing: engines are warm before they count as started."""

    def embed(self, batch: TokenBatch) -> Floats:
        """Compute a batch wherever there is room."""
        if self._loading:  # only its int8 gate asks
            return self.first.submit(batch).result().vectors.copy()
        return self._deployment.embed_from_thread(batch)

    def loaded(self) -> None:
        """Ask the deployment from now on, also after it was stopped and started again."""
        self._loading = False

    def memory_bytes(self) -> int:
        """Return the bytes of weights of all engines."""
        return sum(engine.memory for engine in self._deployment.engines)

    def close(self) -> None:
        """Do nothing: engines end when their deployment stops."""


def _threads(settings: Settings) -> int:
    """Return the processors of each allocation."""
    return settings.threads or max(1, available_cpus() // settings.range[1])
