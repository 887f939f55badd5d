"""Jobs that bring, copy and check models."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest
from starlette.requests import Request

from efive.console import sending
from efive.console.models_adding import Adding, Phase
from efive.errors import InputError, ModelNotFoundError
from efive.models import bundles

sys.path.append(str(Path(__file__).parents[1] / "models"))
from hub_server import Hub

NAME = "someone/a-model"


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Hub() as hub:
        yield hub


@pytest.fixture
def run(store, apart):
    """Run a coroutine function on the jobs of the store; end them all."""

    async def running(work):
        adding = Adding(store)
        try:
            return await work(adding)
        finally:
            await adding.close()

    return lambda work: apart(running(work))


async def ended(job, seconds=240):
    async with asyncio.timeout(seconds):
        while job.phase is Phase.RUNNING:
            await asyncio.sleep(0.05)
    return job


def test_a_pull_says_how_far_it_is_and_ends_with_the_model(run, hub, store, bert):
    hub.publish(NAME, bert)

    async def work(adding):
        job = adding.pull(NAME, endpoint=hub.endpoint)
        with pytest.raises(InputError, match="going on"):
            adding.pull(NAME, endpoint=hub.endpoint)
        return await ended(job)

    job = run(work)
    assert (job.phase, job.error) == (Phase.DONE, "")
    files = [path for path in (store.models / "a-model").iterdir() if path.name != "efive.json"]
    assert job.total == sum(path.stat().st_size for path in files) > 0


def test_without_a_network_a_pull_says_so(run):
    async def work(adding):
        return await ended(adding.pull("e5-small", endpoint="http://127.0.0.1:9"))

    job = run(work)
    assert job.phase is Phase.FAILED
    assert "could not fetch intfloat/e5-small" in job.error
    assert "without a network" in job.error


def test_a_job_that_is_cancelled_leaves_no_process_and_no_model(run, store, bert, tmp_path):
    big = shutil.copytree(bert, tmp_path / "big")
    with (big / "padding.json").open("wb") as file:
        file.truncate(8 << 30)  # a hole: nothing on the disk

    async def work(adding):
        job = adding.copy(str(big), "mine")
        async with asyncio.timeout(240):
            while not job.done:
                await asyncio.sleep(0.02)
        assert 0 < job.fraction < 1
        await adding.cancel(job)
        return job

    assert run(work).phase is Phase.CANCELLED
    assert store.names() == ()
    assert not list((store.home / "incoming").iterdir())


@pytest.fixture
def forked(tmp_path):
    """A file that is there once a fork of this process has run Python."""
    seen = [tmp_path / "forked"]
    os.register_at_fork(after_in_child=lambda: [path.touch() for path in seen])
    yield seen[0]
    seen.clear()


def test_a_job_runs_no_python_in_a_fork_of_the_server(store, bert, forked):
    async def work():
        adding = Adding(store)
        job = await ended(adding.copy(str(bert), "mine"))
        await adding.close()
        return job

    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the server's
        assert runner.run(work()).phase is Phase.DONE
    assert not forked.exists()


def test_copies_bundles_and_checks(run, store, bert, tmp_path):
    bundles.export_bundle(bert, tmp_path / "a.efive", source="here", revision="")

    async def work(adding):
        jobs = [
            await ended(adding.copy(str(bert), "copied")),
            await ended(adding.unpack(str(tmp_path / "a.efive"), "unpacked", keep=False)),
            await ended(adding.verify("copied")),
        ]
        (store.models / "copied" / "config.json").write_text("{}")
        return [*jobs, await ended(adding.verify("copied")), await ended(adding.unpack(str(bert / "config.json")))]

    *good, altered, no_bundle = run(work)
    assert [job.phase for job in good] == [Phase.DONE] * 3
    assert store.names() == ("copied", "unpacked")
    assert not (tmp_path / "a.efive").exists()
    assert "config.json" in altered.error
    assert "no bundle of efive" in no_bundle.error


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (lambda adding: adding.pull("nonsense"), "neither a family name"),
        (lambda adding: adding.pull(NAME, endpoint="file:///etc"), "no address of a mirror"),
        (lambda adding: adding.pull(NAME, revision="../x"), "no branch"),
        (lambda adding: adding.copy(""), "name a folder"),
        (lambda adding: adding.copy("~nobody_of_this_name/x"), "cannot be a path"),
        (lambda adding: adding.copy("/" + 300 * "x"), "cannot be a path"),
        (lambda adding: adding.copy(__file__), "no folder"),
        (lambda adding: adding.copy("/", "../x"), "cannot be a model's name"),
        (lambda adding: adding.copy("/", 300 * "x"), "200 bytes at most"),
        (lambda adding: adding.unpack("/nowhere"), "is not on the server"),
        (lambda adding: adding.unpack("/"), "no file"),
    ],
)
def test_what_cannot_be_is_refused_before_it_begins(run, order, said):
    async def work(adding):
        with pytest.raises((InputError, ModelNotFoundError), match=said):
            order(adding)
        assert not adding.jobs

    run(work)


def test_a_file_that_the_server_cannot_keep_is_given_up(tmp_path, apart):
    async def sent():
        token, coming = sending.begin(tmp_path, 6)
        coming.path.unlink()  # as little can be written as on a full disk

        async def piece():
            return {"type": "http.request", "body": b"abc"}

        scope = {"type": "http", "method": "PUT", "path_params": {"token": token}, "query_string": b"at=0"}
        answers = [await sending.receive(Request({**scope, "headers": []}, piece)) for _ in range(2)]
        return [answer.status_code for answer in answers], coming

    codes, coming = apart(sent())
    assert codes == [507, 410]
    assert coming.ended.is_set()
    assert coming.fault == "No such file or directory"
