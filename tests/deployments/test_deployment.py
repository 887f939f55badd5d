"""Deployments of a tiny model, with real engines in real processes."""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import threading

import numpy as np
import psutil
import pytest
import tiny

from efive.deployments import deployment, memory, pool
from efive.deployments.deployment import Deployment, Phase
from efive.deployments.settings import Settings
from efive.errors import DeploymentError, EngineCrashedError, NotReadyError
from efive.inputs import Role
from efive.preparation import Request


def settings(**fields):
    return Settings(**{"name": "tiny", "model": "tiny", "precision": "fp32", "threads": 1, "cache": 0, **fields})


@contextlib.asynccontextmanager
async def deployed(folder, **fields):
    """A deployment within the block; behind it nothing of it may be left."""
    found = Deployment(settings(**fields))
    await found.start(folder)
    try:
        yield found
    finally:
        await found.stop()
        assert found.phase is Phase.STOPPED
        assert not children()


def run(test):
    async def checked():
        heard = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
        async with asyncio.timeout(280):
            await test()
        assert heard == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(checked(), debug=False)


others = set()
"""Processes and threads of whatever else runs in these tests' process, such as another test's server."""


@pytest.fixture(autouse=True)
def mine():
    others.clear()
    others.update(psutil.Process().children(), threading.enumerate())


def children():
    found = []
    for each in set(psutil.Process().children()) - others:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [each] if "efive.deployments.worker" in each.cmdline() else []
    return found


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.02)


def texts(n, start=0):
    """Texts that differ in the tiny vocabulary too."""
    return [f"{tiny.TEXTS[i % 40]} {tiny.TEXTS[i // 40]}" for i in range(start, start + n)]


def rows_of(encoder, n, start=0):
    return encoder.prepare(texts(n, start), Request(Role.PASSAGE)).rows


def crash(found, how=signal.SIGKILL):
    pid = found.engines[0].pid
    os.kill(pid, how)
    with contextlib.suppress(ProcessLookupError):  # it may be waited for by now
        os.kill(pid, signal.SIGCONT)  # the stopped must hear the other one first


def test_vectors_are_the_encoder_s_and_repeated_texts_are_computed_once(bert, encoder):
    async def test():
        async with deployed(bert, cache=1 << 20) as found:
            rows = rows_of(encoder, 20)
            expected = encoder.embed_passages(texts(20)).vectors
            for cached, engine_rows in ((0, 20), (20, 20)):
                answer = await found.compute(rows)
                assert (answer.cached, found.scheduler.tally.rows) == (cached, engine_rows)
                assert answer.vectors.flags.c_contiguous
                unit = answer.vectors / np.linalg.norm(answer.vectors, axis=1, keepdims=True)
                np.testing.assert_allclose(unit, expected, atol=1e-5)
            mixed = [*rows[5:7], *rows_of(encoder, 2, 100), rows[5], *rows_of(encoder, 1, 100)]
            answer = await found.compute(mixed)
            assert (answer.cached, found.scheduler.tally.rows) == (4, 22)
            again = await found.compute(mixed)
            np.testing.assert_array_equal(again.vectors, answer.vectors)
            np.testing.assert_array_equal(answer.vectors[2], answer.vectors[5])
            answer.vectors[:] = 0  # an answer is its caller's own
            np.testing.assert_array_equal((await found.compute(mixed)).vectors, again.vectors)
            threaded = await asyncio.to_thread(found.encoder.embed_passages, texts(1, 3))
            np.testing.assert_allclose(threaded.vectors[0], expected[3], atol=1e-5)

    run(test)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_is_an_error_for_its_batch_only_and_the_engine_comes_back(bert, encoder, monkeypatch, how):
    monkeypatch.setattr(pool, "PAUSE", 0.01)

    async def test():
        async with deployed(bert) as found:
            descriptors = psutil.Process().num_fds()
            for crashes in (1, 2):
                os.kill(found.engines[0].pid, signal.SIGSTOP)  # so that nothing is answered before the crash
                requests = [asyncio.ensure_future(found.compute([row])) for row in rows_of(encoder, 300)]
                await until(lambda: found.scheduler.computing == 2)
                crash(found, how)
                answers = await asyncio.gather(*requests, return_exceptions=True)
                lost = [each for each in answers if isinstance(each, Exception)]
                assert {(type(each), str(each)) for each in lost} == {
                    (EngineCrashedError, f"the engine's process ended: killed by {how.name}")
                }
                assert 0 < len(lost) < 100  # one batch; what was behind it in the socket was computed afterwards
                assert (found.crashes, found.phase, len(found.engines)) == (crashes, Phase.READY, 1)
                assert how.name in found.reason
            await until(lambda: len(children()) == 1)
            # Other tests' servers in this process open files too, for a moment.
            await until(lambda: psutil.Process().num_fds() <= descriptors)

    run(test)


def test_it_gives_up_after_several_crashes_in_a_row_and_can_be_started_again(bert, encoder, monkeypatch, caplog):
    monkeypatch.setattr(pool, "PAUSE", 0.01)
    monkeypatch.setattr(pool, "RESTARTS", 1)
    monkeypatch.setattr(pool, "_STEADY", 1e9)  # however long an engine takes to come back, it is one row

    async def test():
        async with deployed(bert) as found:
            crash(found)
            await until(lambda: found.crashes == 1 and found.engines)
            os.kill(found.engines[0].pid, signal.SIGSTOP)
            waiting = [asyncio.ensure_future(found.compute([row])) for row in rows_of(encoder, 300)]
            await until(lambda: found.scheduler.computing == 2)
            crash(found)
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(each) for each in answers} <= {EngineCrashedError, NotReadyError}
            assert found.phase is Phase.FAILED
            assert found.reason == "2 crashes in a row; the last one: the engine's process ended: killed by SIGKILL"
            assert [(each.message, each.model) for each in caplog.records] == [
                ("an engine has crashed: the engine's process ended: killed by SIGKILL", "tiny"),
                (f"failed: {found.reason}", "tiny"),
            ]
            with pytest.raises(NotReadyError, match="tiny is failed: 2 crashes"):
                await found.compute(rows_of(encoder, 1))
            await found.start(bert)
            assert (await found.compute(rows_of(encoder, 1))).vectors.shape == (1, 64)

    run(test)


def test_an_engine_that_does_not_come_back_at_once_is_tried_again(bert, encoder, monkeypatch):
    monkeypatch.setattr(pool, "PAUSE", 0.01)

    async def test():
        async with deployed(bert) as found:
            before = children()
            crash(found)
            await until(lambda: set(children()) - set(before))
            (set(children()) - set(before)).pop().kill()  # while it warms
            await until(lambda: found.crashes == 2 and found.engines)
            with monkeypatch.context() as machine:
                machine.setattr(subprocess, "Popen", refused)
                crash(found)
                await until(lambda: "could not be started: Resource temporarily unavailable" in found.reason)
            await until(lambda: found.engines)
            assert found.phase is Phase.READY
            assert (await found.compute(rows_of(encoder, 1))).vectors.shape == (1, 64)
            monkeypatch.setattr(pool, "RESTARTS", 1)
            monkeypatch.setattr(subprocess, "Popen", refused)
            crash(found)
            await until(lambda: found.phase is Phase.FAILED)
            assert found.reason.startswith(
                "2 crashes in a row; the last one: the engine's process could not be started"
            )

    def refused(*_arguments, **_options):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    run(test)


def test_what_cannot_be_started_says_why(bert, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in bert.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())

    async def refused(message, **fields):
        found = Deployment(settings(**fields))
        with pytest.raises(DeploymentError, match=message):
            await found.start(broken)
        assert found.phase is Phase.FAILED
        assert found.reason
        assert not children()
        await found.stop()

    async def test():
        monkeypatch.setattr(memory, "available", lambda: 100 << 20)
        await refused("2 allocations in fp32 need about .* and 100 MiB are free", allocations=2)
        monkeypatch.setattr(memory, "available", lambda: 1 << 40)
        start = pool.Pool.first

        def damage(self, wanted):  # between the server's look at the files and the engine's
            (broken / "model.safetensors").write_bytes(b"\0" * 100)
            return start(self, wanted)

        monkeypatch.setattr(pool.Pool, "first", damage)
        await refused("model.safetensors")

    run(test)


def test_allocations_come_and_go_while_requests_run(bert, encoder):
    async def test():
        async with deployed(bert, allocations=2) as found:
            assert len({each.pid for each in found.engines}) == 2
            stop, done = False, []

            async def ask(n):
                while not stop:
                    done.append((await found.compute([rows_of(encoder, 1, n)[0]])).vectors)

            asking = [asyncio.ensure_future(ask(n)) for n in range(8)]
            for wanted in (1, 3, 1, 2):
                await found.update(settings(allocations=wanted))
                await until(lambda wanted=wanted: len(found.engines) == wanted == found.scheduler.allocations)
                before = len(done)
                await until(lambda before=before: len(done) > before + 20)
            stop = True
            await asyncio.gather(*asking)
            await until(lambda: len(children()) == 2)
            assert found.crashes == 0
            free = memory.available
            memory.available = lambda: 1 << 20
            try:
                with pytest.raises(DeploymentError, match="5 allocations in fp32 need about"):
                    await found.update(settings(allocations=7, requests=1))
            finally:
                memory.available = free
            assert (found.settings.allocations, found.target) == (2, 2)
            rows = rows_of(encoder, 500)
            last = [asyncio.ensure_future(found.compute(rows[i : i + 5])) for i in range(0, 500, 5)]
            await asyncio.sleep(0)
            stopping = asyncio.ensure_future(found.stop())
            await asyncio.sleep(0)
            with pytest.raises(NotReadyError, match="tiny is stopping"):
                await found.compute(rows)
            assert len(await asyncio.gather(*last)) == 100
            await stopping

    run(test)


def test_adaptive_to_none_and_back(bert, encoder, monkeypatch):
    monkeypatch.setattr(deployment, "_LOOK", 0.05)

    async def test():
        async with deployed(bert, least=0, most=2, idle=0.3) as found:
            await until(lambda: not found.engines)
            assert (found.phase, found.target) == (Phase.READY, 0)
            await until(lambda: not children())
            rows = rows_of(encoder, 3)
            answers = await asyncio.gather(*(found.compute([row]) for row in rows))
            assert [answer.vectors.shape for answer in answers] == [(1, 64)] * 3
            assert found.scheduler.tally.rows == 3  # an engine was started for them, and they waited for it
            assert found.crashes == 0
            await until(lambda: not found.engines)
            monkeypatch.setattr(memory, "available", lambda: 0)
            with pytest.raises(NotReadyError, match="1 allocation"):
                await found.compute(rows)
            assert found.phase is Phase.READY

    run(test)


def test_settings_that_change_while_it_starts_hold_when_it_is_ready(bert):
    async def test():
        found = Deployment(settings())
        starting = asyncio.ensure_future(found.start(bert))
        await until(children)
        assert found.phase is Phase.STARTING
        await found.update(settings(allocations=2, requests=7))
        await starting
        await until(lambda: len(found.engines) == 2)
        assert found.scheduler.limits.requests == 7
        await found.stop()

    run(test)


def test_a_new_start_serves_what_the_folder_holds_by_then(bert, encoder, tmp_path):
    from safetensors.numpy import load_file, save_file

    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())

    async def test():
        async with deployed(tmp_path, cache=1 << 20) as found:
            row, held = rows_of(encoder, 1)[0], found.encoder
            before = (await found.compute([row])).vectors
            await found.stop()
            weights = load_file(tmp_path / "model.safetensors")
            save_file({name: -tensor for name, tensor in weights.items()}, tmp_path / "model.safetensors")
            starting = asyncio.ensure_future(found.start(tmp_path))
            await until(children)
            with pytest.raises(NotReadyError, match="tiny is starting"):  # and not that an engine has crashed
                await asyncio.to_thread(held.embed_passages, texts(1))
            await starting
            answer = await found.compute([row])
            assert answer.cached == 0
            assert not np.allclose(answer.vectors, before)

    run(test)


def test_stopping_a_start_ends_its_process(bert):
    async def test():
        found = Deployment(settings(allocations=2))
        starting = asyncio.ensure_future(found.start(bert))
        await until(children)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert found.phase is Phase.STOPPED
        await until(lambda: not children())
        await until(
            lambda: not [each for each in set(threading.enumerate()) - others if each.name.startswith("efive-")]
        )

    run(test)


def test_vectors_that_are_not_finite_are_not_kept(bert, encoder, tmp_path):
    from safetensors.numpy import load_file, save_file

    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(bert / "model.safetensors")
    row = rows_of(encoder, 1)[0]
    weights["embeddings.word_embeddings.weight"][row[3]] = np.nan
    save_file(weights, tmp_path / "model.safetensors")

    async def test():
        async with deployed(tmp_path, cache=1 << 20) as found:
            for _ in range(2):
                answer = await found.compute([row])
                assert not np.isfinite(answer.vectors).all()
                assert answer.cached == 0

    run(test)
