"""Tasks: watched, cancelled, waited for; what is kept of them, and how much."""

import asyncio
import contextlib

import httpx
import pytest

from efive.deployments.state import State
from efive.errors import InputError
from efive.server.elastic.errors import ElasticError
from efive.server.elastic.reindexing import tasks as module
from efive.server.elastic.reindexing.tasks import Tasks


@pytest.fixture
def state(tmp_path):
    with contextlib.closing(State(tmp_path / "server.sqlite")) as state:
        yield state


async def nothing(_task):
    return {"took": 0}


async def until_cancelled(task):
    while not task.cancelled:
        await asyncio.sleep(0.001)
    return {"canceled": "by user request"}


def begin(tasks, work, *, keep=True, action="indices:data/write/reindex"):
    return tasks.start(action, "a to b", lambda: {"total": 3}, work, keep=keep)


def test_a_task_is_seen_while_it_runs_and_its_end_is_kept(state):
    async def run():
        tasks = Tasks(state)
        task = begin(tasks, until_cancelled)
        running = await tasks.get(task.id)
        assert running["completed"] is False
        assert running["task"]["status"] == {"total": 3}
        assert running["task"]["action"] == "indices:data/write/reindex"
        assert running["task"]["description"] == "a to b"
        assert running["task"]["cancelled"] is False
        assert tasks.running("*reindex") == tasks.running() == [task]
        assert tasks.running("*byquery,cluster:*") == []
        with pytest.raises(ElasticError, match="Timed out waiting"):
            await tasks.get(task.id, wait=0.01)
        assert tasks.cancel(task.id) == [task]
        ended = await tasks.get(task.id, wait=10)
        assert ended["completed"] is True
        assert ended["response"] == {"canceled": "by user request"}
        assert ended["task"]["cancelled"] is True
        assert tasks.running() == []
        assert await tasks.get(task.id) == ended
        return task.id, ended

    id_, ended = asyncio.run(run())

    async def after_a_restart():
        tasks = Tasks(state)
        assert await tasks.get(id_) == ended
        assert begin(tasks, nothing).id != id_
        await tasks.close()

    asyncio.run(after_a_restart())


def test_what_a_task_fails_with_is_its_error(state):
    async def wrong(_task):
        raise InputError("not this")

    async def broken(_task):
        raise ZeroDivisionError("a text")

    async def run():
        tasks = Tasks(state)
        task = begin(tasks, wrong)
        with pytest.raises(ElasticError, match="not this"):
            await tasks.result(task)
        kept = await tasks.get(task.id)
        assert kept["error"] == {"type": "illegal_argument_exception", "reason": "not this"}
        assert "response" not in kept
        unexpected = begin(tasks, broken)
        await tasks.wait(unexpected)
        assert "a text" not in str(await tasks.get(unexpected.id))

    asyncio.run(run())


def test_a_task_that_nobody_asks_for_later_is_forgotten(state):
    async def run():
        tasks = Tasks(state)
        task = begin(tasks, nothing, keep=False)
        assert await tasks.result(task) == {"took": 0}
        with pytest.raises(ElasticError, match="hasn't stored its results"):
            await tasks.get(task.id)

    asyncio.run(run())


def test_only_so_many_ends_are_kept(state, monkeypatch):
    monkeypatch.setattr(module, "_KEPT", 3)

    async def some():
        tasks = Tasks(state)
        ids = []
        for _ in range(3):
            task = begin(tasks, nothing)
            await tasks.wait(task)
            ids.append(task.id)
        return ids

    first = asyncio.run(some())
    second = asyncio.run(some())

    async def look():
        tasks = Tasks(state)
        for id_ in second:
            await tasks.get(id_)
        for id_ in first:
            with pytest.raises(ElasticError):
                await tasks.get(id_)

    asyncio.run(look())


def test_closing_ends_what_runs(state):
    async def run():
        tasks = Tasks(state)
        task = begin(tasks, until_cancelled)
        await asyncio.sleep(0)
        await tasks.close()
        with pytest.raises(ElasticError):
            await tasks.get(task.id)

    asyncio.run(run())


@pytest.mark.filterwarnings("ignore::elasticsearch.exceptions.GeneralAvailabilityWarning")
def test_the_door_says_what_it_does_not_know(server, client):
    assert client.tasks.list().body == {"nodes": {}}
    assert client.tasks.list(group_by="none").body == {"tasks": []}
    answers = {
        path: httpx.get(f"{server.url}/es/_tasks/{path}") for path in ("efive%3A99", "efive:99", "99", "efive:x")
    }
    assert [each.status_code for each in answers.values()] == [404, 404, 400, 400]
    error = answers["efive%3A99"].json()["error"]
    assert error == {
        "root_cause": [{"type": "resource_not_found_exception", "reason": error["reason"]}],
        "type": "resource_not_found_exception",
        "reason": "task [efive:99] isn't running and hasn't stored its results",
    }
    assert httpx.post(f"{server.url}/es/_tasks/efive:99/_cancel").status_code == 404
