"""Pool: the engines of one deployment, as many as there should be, and new ones for those that crash."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from efive.deployments.allocation import Allocation
from efive.deployments.messages import Start
from efive.deployments.scheduler import Scheduler
from efive.deployments.settings import MOST_ALLOCATIONS
from efive.errors import EfiveError, EngineCrashedError, NotReadyError

RESTARTS = 5
"""Crashes in a row before nobody tries again."""
PAUSE = 0.5
"""Seconds before the first restart; each one in a row waits twice as long."""
_STEADY = 60.0
"""Seconds without a crash after which the next one is the first of a row."""
_DRAIN = 60.0
"""Seconds that an engine has for the batches that it was sent before it was let go."""

Result = TypeVar("Result")


class Pool:
    """Engines, from the first one's start to the last one's end. Used on the event loop, but for `first`.

    Starting and ending engines takes threads, and the pool has its own: they keep nobody else's work waiting.
    """

    def __init__(self, broken: Callable[[EfiveError | None], None]) -> None:
        """Have no engines. `broken` hears of every crash, with an error if no engine is left and none will come."""
        self.target = 0
        """How many engines there should be."""
        self.crashes = 0
        self.reason = ""
        """What the last crash was."""
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(2 * MOST_ALLOCATIONS, thread_name_prefix="efive-engines")
        self._wanted: Start | None = None
        self._scheduler: Scheduler | None = None
        self._warm: list[Allocation] = []
        self._starting: set[Allocation] = set()
        self._coming = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Future[None]] = set()
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._in_a_row = self._answered = 0
        self._last_crash = 0.0

    @property
    def engines(self) -> Sequence[Allocation]:
        """The engines that are at work."""
        return tuple(self._warm)

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Do what takes its time in a thread of the pool."""
        return await self._loop.run_in_executor(self._threads, work, *arguments)

    def first(self, wanted: Start) -> Allocation:
        """Start the first engine, in whatever thread this is called; `fill` sets it to work."""
        self._wanted = wanted
        return self._make()

    def _make(self) -> Allocation:
        if self._wanted is None:
            raise NotReadyError("it has no first engine yet")
        try:
            allocation = Allocation(self._wanted, crashed=self._hear)
        except OSError as error:  # too many processes or open files, perhaps only now
            raise EngineCrashedError(f"the engine's process could not be started: {error.strerror}") from None
        self._starting.add(allocation)  # where `close` finds it
        try:
            if self._closed:
                allocation.kill()
            allocation.warm()
        except BaseException:
            self._starting.discard(allocation)
            raise
        return allocation

    async def fill(self, scheduler: Scheduler, target: int) -> None:
        """Let `scheduler` feed the first engine, and others until there are `target`.

        Raises:
            DeploymentError: if one does not start.
        """
        self._scheduler, self.target = scheduler, target
        await asyncio.gather(*(self.run(self._make) for _ in range(target - 1)))
        for allocation in tuple(self._starting):
            self._join(allocation)
        if not self._warm:
            raise EngineCrashedError(self.reason)

    def aim(self, target: int, threads: int) -> None:
        """Start or end engines until there are `target`; new ones have so many threads."""
        self.target = target
        if self._wanted is not None:
            self._wanted = msgspec.structs.replace(self._wanted, threads=threads)
        while len(self._warm) > target:
            self._let_go(min(self._warm, key=lambda each: each.waiting))
        for _ in range(target - len(self._warm) - self._coming):
            self._grow_after(0.0)

    async def close(self) -> None:
        """End all engines once they have answered what they were sent, and those at once that are being started."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for allocation in tuple(self._starting):
            self._end(allocation.kill)
        for allocation in self.engines:
            self._let_go(allocation, patience=0.0)
        await asyncio.gather(*self._tasks, *self._ending, return_exceptions=True)
        self._threads.shutdown(wait=False)

    def close_soon(self) -> None:
        """Close without waiting for it."""
        self._closing = asyncio.ensure_future(self.close())

    # -- coming and going ----------------------------------------------------------------------------------------

    def _grow_after(self, pause: float) -> None:
        self._coming += 1
        self._later(self._grow(pause))

    async def _grow(self, pause: float) -> None:
        try:
            await asyncio.sleep(pause)
            if len(self._warm) < self.target:
                self._join(await self.run(self._make))
        except EngineCrashedError as error:
            self._start_another(str(error), warm=False)
        except EfiveError as error:
            self._give_up(error)
        finally:
            self._coming -= 1

    def _join(self, allocation: Allocation) -> None:
        self._starting.discard(allocation)
        self._warm.append(allocation)
        if self._scheduler is not None:
            self._scheduler.join(allocation)
        if allocation.ended:  # before it was in the list, so that nobody took note
            self._crash(allocation)
        elif len(self._warm) > self.target:  # which has changed meanwhile
            self._let_go(allocation)

    def _let_go(self, allocation: Allocation, patience: float = _DRAIN) -> None:
        self._warm.remove(allocation)
        if self._scheduler is not None:
            self._scheduler.leave(allocation)
        self._end(allocation.close, patience)

    def _hear(self, allocation: Allocation) -> None:
        """Pass a crash on to the event loop, from an allocation's thread."""
        with contextlib.suppress(RuntimeError):  # it is closed: nobody is left to care
            self._loop.call_soon_threadsafe(self._crash, allocation)

    def _crash(self, allocation: Allocation) -> None:
        if allocation not in self._warm:
            return
        self._let_go(allocation)
        self._start_another(allocation.ended, warm=True)

    def _start_another(self, ended: str, *, warm: bool) -> None:
        """Start an engine in place of one that has crashed, unless that happens again and again."""
        self.crashes += 1
        self.reason = ended
        if self._count_in_a_row(warm=warm) > RESTARTS:
            self._give_up(EngineCrashedError(f"{self._in_a_row} crashes in a row; the last one: {self.reason}"))
            return
        self._grow_after(PAUSE * 2 ** (self._in_a_row - 1))
        self._broken(None)

    def _count_in_a_row(self, *, warm: bool) -> int:
        """Return how many crashes there were in which nothing was answered and little time went by in between.

        Args:
            warm: whether this one could have answered; what others answer does not speak for one that never did.
        """
        now, answered = time.monotonic(), self._scheduler.tally.batches if self._scheduler is not None else 0
        steady = now - self._last_crash > _STEADY or (warm and answered > self._answered)
        self._in_a_row = 1 if steady else self._in_a_row + 1
        self._last_crash, self._answered = now, answered
        return self._in_a_row

    def _give_up(self, error: EfiveError) -> None:
        """Do with the engines that are left, if any are."""
        self.reason = str(error)
        self.target = max(1, len(self._warm))
        self._broken(None if self._warm else error)

    # -- small things --------------------------------------------------------------------------------------------

    def _end(self, work: Callable[..., None], *arguments: object) -> None:
        ending = self._loop.run_in_executor(self._threads, work, *arguments)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
