"""The scheduler beside an engine whose time stands still: it answers when the test says so."""

import asyncio
import gc
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import pytest

from efive.deployments.allocation import Computed, NotBegunError
from efive.deployments.scheduler import Limits, Scheduler
from efive.engines.base import EngineInfo, Precision
from efive.errors import DeadlineError, EngineCrashedError, EngineError, NotReadyError, OverloadedError

INFO = EngineInfo("test", Precision.FP32, "cpu", dimension=2, token_budget=16, padded=False, parallel=1)


@dataclass(eq=False)
class Held:
    """Takes batches and keeps them until `answer`; a vector is a row's length and its first id."""

    batches: list = field(default_factory=list)

    def submit(self, batch):
        self.batches.append((batch, Future()))
        return self.batches[-1][1]

    def answer(self, error=None, seconds=0.5):
        batch, future = self.batches.pop(0)
        if error:
            future.set_exception(error)
        else:
            future.set_result(Computed(np.stack([batch.lengths, batch.ids[:, 0]], 1).astype(np.float32), seconds))

    @property
    def sizes(self):
        return [batch.lengths.tolist() for batch, _ in self.batches]


def rows(*lengths, first=7):
    return [np.full(length, first, np.int32) for length in lengths]


def run(test):
    asyncio.run(asyncio.wait_for(test(), 30))


async def turns(n=5):
    for _ in range(n):
        await asyncio.sleep(0)


def begin(scheduler, *lengths, first=7, **options):
    return asyncio.ensure_future(scheduler.submit(rows(*lengths, first=first), **options))


def test_requests_of_one_turn_share_a_batch_and_the_next_is_planned_while_it_runs():
    async def test():
        scheduler, engine = Scheduler(INFO, 0), Held()
        scheduler.join(engine)
        jobs = [begin(scheduler, 4, first=n) for n in range(8)]
        await turns()
        assert engine.sizes == [[4] * 4, [4] * 4]  # one computes, one waits in its socket
        late = begin(scheduler, 3)
        await turns()
        assert len(engine.batches) == 2
        engine.answer()
        done = await asyncio.gather(*jobs[:4])
        assert [job.vectors.tolist() for job in done] == [[[4, n]] for n in range(4)]
        assert all(0 <= job.begun - job.arrived < 10 and job.compute == 0.5 for job in done)
        await turns()
        assert engine.sizes == [[4] * 4, [3]]
        engine.answer()
        engine.answer()
        await asyncio.gather(late, *jobs)
        tally = scheduler.tally
        assert (tally.batches, tally.rows, tally.tokens, tally.busy) == (3, 9, 35, 1.5)
        assert (scheduler.queue.requests, scheduler.computing) == (0, 0)

    run(test)


def test_rows_come_back_in_their_places_from_several_batches_and_engines():
    async def test():
        scheduler, engines = Scheduler(INFO, 0), [Held(), Held()]
        for engine in engines:
            scheduler.join(engine)
        lengths = [16, 3, 9, 1, 16, 5, 12]
        job = begin(scheduler, *lengths)
        await turns()
        assert all(engine.batches for engine in engines)
        while not job.done():
            for engine in reversed(engines):
                if engine.batches:
                    engine.answer()
            await turns()
        assert (await job).vectors[:, 0].tolist() == lengths

    run(test)


def test_a_deadline_and_a_cancelled_request_free_what_has_not_begun():
    async def test():
        scheduler, engine = Scheduler(INFO, 0), Held()
        scheduler.join(engine)
        running = [begin(scheduler, 16), begin(scheduler, 16)]
        await turns()
        late, gone = begin(scheduler, 8, 8, 8, timeout=0.01), begin(scheduler, 8, 8)
        with pytest.raises(DeadlineError, match=r"no answer within 0\.01 s; 2 requests wait, 40 tokens$"):
            await late
        assert (scheduler.queue.requests, scheduler.queue.tokens) == (1, 16)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert (scheduler.queue.requests, scheduler.queue.tokens) == (0, 0)
        running[0].cancel()  # it is computed already: its answer goes nowhere, and nobody else's is lost
        engine.answer()
        engine.answer()
        await running[1]
        assert engine.batches == []

    run(test)


def test_too_much_is_refused_with_the_time_to_come_back():
    async def test():
        scheduler, engine = Scheduler(INFO, 0, Limits(requests=3, seconds=100)), Held()
        scheduler.join(engine)
        jobs = [begin(scheduler, 16), begin(scheduler, 16)]
        await turns()
        jobs += [begin(scheduler, 16) for _ in range(3)]
        await turns()
        with pytest.raises(OverloadedError, match=r"3 requests wait, 48 tokens$") as refused:
            await scheduler.submit(rows(1))
        assert refused.value.retry_after > 0
        engine.answer(seconds=1.0)  # 16 tokens a second
        await turns()
        scheduler.limits = Limits(requests=100, seconds=1.5)
        with pytest.raises(OverloadedError, match=r"2 requests wait, 32 tokens, about 2\.0 s of work") as refused:
            await scheduler.submit(rows(1))
        assert refused.value.retry_after == pytest.approx(2.0)
        second = Held()
        scheduler.join(second)  # takes both
        await turns()
        jobs.append(begin(scheduler, 1))
        await turns()
        while not all(job.done() for job in jobs):
            for each in (engine, second):
                if each.batches:
                    each.answer()
            await turns()

    run(test)


def test_an_error_is_its_batch_s_alone_and_a_dead_engine_gets_nothing_more():
    async def test():
        scheduler, engine = Scheduler(INFO, 0), Held()
        scheduler.join(engine)
        bad, hit, safe = begin(scheduler, 16), begin(scheduler, 16), begin(scheduler, 16)
        await turns()
        engine.answer(EngineError("no"))
        with pytest.raises(EngineError, match="no"):
            await bad
        await turns()
        assert engine.sizes == [[16], [16]]
        engine.answer(EngineCrashedError("killed"))
        engine.answer(NotBegunError("killed"))
        with pytest.raises(EngineCrashedError, match="killed"):
            await hit
        await turns()
        assert (engine.batches, scheduler.allocations, scheduler.queue.requests) == ([], 0, 1)
        other = Held()
        scheduler.join(other)
        await turns()
        other.answer()
        assert (await safe).vectors.tolist() == [[16, 7]]

    run(test)


def test_who_leaves_gets_no_more_and_delivers_what_it_has():
    async def test():
        scheduler, old, new = Scheduler(INFO, 0), Held(), Held()
        scheduler.join(old)
        jobs = [begin(scheduler, 16) for _ in range(3)]
        await turns()
        scheduler.leave(old)
        await turns()
        assert len(old.batches) == 2
        old.answer()
        old.answer()
        await asyncio.gather(*jobs[:2])
        assert (scheduler.queue.requests, scheduler.allocations) == (1, 0)
        scheduler.join(new)
        await turns()
        new.answer()
        await jobs[2]
        await scheduler.drained()

    run(test)


def test_what_is_abandoned_fails_and_what_is_refused_does_not_wait():
    async def test():
        scheduler, engine = Scheduler(INFO, 0), Held()
        waiting = [begin(scheduler, 16, 3), begin(scheduler, 2)]
        await turns()
        scheduler.refuse("e5 is stopping")
        with pytest.raises(NotReadyError, match="e5 is stopping"):
            await scheduler.submit(rows(1))
        scheduler.abandon(NotReadyError("e5 is stopped"))
        for each in waiting:
            with pytest.raises(NotReadyError, match="stopped"):
                await each
        scheduler.refuse("")
        scheduler.join(engine)
        again = begin(scheduler, 1)
        await turns()
        scheduler.refuse("e5 is stopping")
        engine.answer(NotBegunError("killed"))  # nobody will come to take it
        with pytest.raises(NotReadyError, match="stopping"):
            await again

    run(test)


def test_a_caller_who_goes_as_it_fails_leaves_no_unheard_error():
    async def test():
        heard = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
        scheduler, engine = Scheduler(INFO, 0), Held()
        scheduler.join(engine)
        job = begin(scheduler, 1)
        await turns()
        engine.answer(EngineError("no"))
        asyncio.get_running_loop().call_soon(job.cancel)  # behind the answer, before the caller wakes
        with pytest.raises(asyncio.CancelledError):
            await job
        del job
        gc.collect()
        assert heard == []

    run(test)
