"""Deployments by name, and what the state remembers of them."""

import asyncio
import contextlib
import sqlite3
import stat

import pytest

from efive.deployments import memory
from efive.deployments.deployment import Phase
from efive.deployments.manager import Deployments
from efive.deployments.pool import Pool
from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.errors import DeploymentError, InputError, ModelNotFoundError, NotReadyError
from efive.inputs import Role
from efive.models.store import ModelStore


def wanted(folder, name="tiny", **fields):
    return Settings(**{"name": name, "model": str(folder), "precision": "fp32", "threads": 1, **fields})


@contextlib.contextmanager
def state_in(folder):
    state = State(folder / "server.sqlite")
    try:
        yield state
    finally:
        state.close()


def run(test, folder):
    """Run a test beside the deployments of a server's home."""

    async def checked():
        heard = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
        with state_in(folder) as state:
            found = Deployments(ModelStore(folder), state)
            async with asyncio.timeout(280):
                try:
                    await test(found)
                finally:
                    await found.close()
        assert heard == []

    asyncio.run(checked())


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.01)


def test_what_ran_runs_again_and_what_was_stopped_does_not(bert, tmp_path):
    async def first(found):
        for name in ("a", "b", "c", "d"):
            found.create(wanted(bert, name))
        await found.start("a")
        found.start_soon("b")  # killed before it is ready: it was asked to run all the same
        assert found.get("b").phase is Phase.STARTING
        await found.update("a", wanted(bert, "a", wait=3.0))
        await found.delete("d")
        await found.close()

    async def second(found):
        assert found.restore() == ["a", "b"]
        assert [each.name for each in found] == ["a", "b", "c"]
        assert found.get("a").settings == wanted(bert, "a", wait=3.0)
        await found.start("a")
        assert found.get("a").scheduler.limits.seconds == 3.0
        await found.stop("a")

    async def third(found):
        assert found.restore() == ["b"]

    for each in (first, second, third):
        run(each, tmp_path)


def test_starting_twice_is_starting_once_and_nothing_survives_a_stop_in_between(bert, tmp_path):
    async def test(found):
        found.create(wanted(bert))
        starts = [asyncio.ensure_future(found.start("tiny")) for _ in range(3)]
        impatient = asyncio.ensure_future(found.start("tiny"))
        await asyncio.sleep(0)
        impatient.cancel()  # the others' start goes on
        with pytest.raises(DeploymentError, match="tiny is starting already"):
            found.create(wanted(bert))
        await asyncio.gather(*starts)
        assert len(found.get("tiny").engines) == 1
        await found.stop("tiny")
        broken_off = asyncio.ensure_future(found.start("tiny"))
        await asyncio.sleep(0.05)
        stopping = asyncio.ensure_future(found.stop("tiny"))
        await asyncio.sleep(0)
        stopping.cancel()  # a client that goes away does not leave it half stopped
        await until(lambda: found.get("tiny").phase is Phase.STOPPED)
        with pytest.raises(NotReadyError, match="tiny was stopped before it was ready"):
            await broken_off
        await asyncio.sleep(0.05)
        assert (found.get("tiny").phase, found.get("tiny").engines) == (Phase.STOPPED, ())

    run(test, tmp_path)


def test_a_model_that_is_gone_or_broken_leaves_its_reason_and_no_unheard_error(bert, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())

    async def test(found):
        with pytest.raises(ModelNotFoundError):
            found.create(wanted("no-such-model"))
        found.create(wanted(folder))
        folder.rename(tmp_path / "away")
        with pytest.raises(ModelNotFoundError):
            await found.start("tiny")
        assert found.get("tiny").phase is Phase.FAILED
        assert str(folder) in found.get("tiny").reason
        (tmp_path / "away").rename(folder)
        (folder / "config.json").write_text("{}")
        found.start_soon("tiny")
        await until(lambda: found.get("tiny").phase is Phase.FAILED)
        assert "config.json" in found.get("tiny").reason
        for file in bert.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        found.create(wanted(folder, requests=7))  # in its place
        await found.start("tiny")
        assert found.get("tiny").settings.requests == 7

    run(test, tmp_path)


def test_what_is_deleted_is_gone_whoever_starts_it_or_takes_its_name_at_that_moment(bert, tmp_path):
    async def test(found):
        async def at_once(work):
            while found.get("tiny").phase is not Phase.STOPPED:
                await asyncio.sleep(0)
            work()

        first = found.create(wanted(bert))
        await found.start("tiny")
        await asyncio.gather(found.delete("tiny"), at_once(lambda: found.start_soon("tiny")))
        assert (len(found), first.phase, first.engines) == (0, Phase.STOPPED, ())
        found.create(wanted(bert))
        await found.start("tiny")
        await asyncio.gather(found.delete("tiny"), at_once(lambda: found.create(wanted(bert, requests=7))))
        assert found.restore() == []
        assert found.get("tiny").settings.requests == 7

    run(test, tmp_path)


def test_one_that_has_failed_is_still_to_run_and_can_be_replaced_as_soon_as_it_says_so(bert, tmp_path, monkeypatch):
    async def first(found):
        found.create(wanted(bert, allocations=2))
        with monkeypatch.context() as machine:
            machine.setattr(memory, "available", lambda: 0)
            found.start_soon("tiny")
            await until(lambda: found.get("tiny").phase is Phase.FAILED)
        await found.update("tiny", wanted(bert))

    async def second(found):
        assert found.restore() == ["tiny"]
        with monkeypatch.context() as broken:
            broken.setattr(Pool, "fill", lambda *_: asyncio.sleep(0, 1 / 0))
            found.start_soon("tiny")
            await until(lambda: found.get("tiny").phase is Phase.FAILED)
        found.create(wanted(bert, requests=7))
        await found.start("tiny")
        assert found.get("tiny").phase is Phase.READY

    for each in (first, second):
        run(each, tmp_path)


def test_what_cannot_be_is_refused(bert, tmp_path):
    async def test(found):
        found.create(wanted(bert))
        with pytest.raises(InputError, match="wait is 0"):
            await found.update("tiny", wanted(bert, wait=0))
        with pytest.raises(DeploymentError, match="precision cannot change"):
            await found.update("tiny", wanted(bert, precision="bf16"))
        with pytest.raises(ModelNotFoundError, match="efive models pull e5-large-v2"):
            found.find("intfloat/e5-large-v2:query")
        assert found.find("TINY:passage") == (found.get("tiny"), Role.PASSAGE)
        for bad in (
            {"name": "a:query"},
            {"allocations": 0},
            {"least": 3, "most": 2},
            {"most": 65},
            {"cache": -1},
            {"threads": 0},
        ):
            with pytest.raises(InputError):
                found.create(wanted(bert, **bad))

    run(test, tmp_path)


def test_the_state_is_its_owner_s_and_says_what_is_wrong_with_it(tmp_path):
    with state_in(tmp_path) as state:
        state.put("deployment", "e5", Settings(name="e5", model="bundled"))
        assert state.get("deployment", "e5", Settings) == Settings(name="e5", model="bundled")
        assert state.remove("deployment", "e5")
        assert not state.remove("deployment", "e5")
        state.put("deployment", "e6", {"name": "e6", "model": "x", "of a later version": 1})
        with pytest.raises(DeploymentError, match=r"server\.sqlite: the deployment 'e6' cannot be read: .*later"):
            state.all("deployment", Settings)
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    path = tmp_path / "server.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=2")
    with pytest.raises(DeploymentError, match=r"later efive \(state version 2\)"):
        State(path)
    path.write_bytes(b"this is no database at all, whatever it is called" * 100)
    with pytest.raises(DeploymentError, match=r"server\.sqlite cannot be used as the server's state: file is not"):
        State(path)
