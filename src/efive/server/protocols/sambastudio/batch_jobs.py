"""Batch predictions: a file of texts in, a file of vectors out, worked on in the background.

HOME/samba/batch/ID/
├── input.jsonl        {"id", "value"}: the texts
├── result.part.jsonl  {"id", "value"}: the vectors so far; a restart goes on behind its last whole line
└── result.jsonl       all of them
"""

import asyncio
import os
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from efive.engines.base import Floats
from efive.errors import (
    DeadlineError,
    DeploymentError,
    EngineCrashedError,
    InputError,
    OverloadedError,
    RateLimitError,
    SpaceMismatchError,
)
from efive.jsonlines import without_bom
from efive.server.access import Caller
from efive.server.http import answer, caller_of, read, service_of
from efive.server.jobs import Job, Jobs, Phase, new_id
from efive.server.protocols.sambastudio import endpoints
from efive.server.protocols.sambastudio.inference import Item, wanted
from efive.server.service import EmbedRequest, EmbedResult, Service

_CRASHES = 3
"""Crashes of an engine under the same texts before a job gives up."""
_PAUSE = 1.0
"""Seconds before a job asks again."""


class BatchJob(Job, frozen=True, kw_only=True):
    """What is kept of a batch prediction."""

    endpoint: str
    caller: Caller
    """Who is charged."""
    total: int
    """Texts."""
    done: int = 0
    """Texts that had been predicted when it last stopped."""
    space: str = ""
    """Fingerprint of the space of its vectors, once it has any."""


class _Loose(msgspec.Struct):
    value: str
    id: str | None = None


def of(request: Request) -> Jobs[BatchJob]:
    """Return this server's batch jobs."""
    return cast("Jobs[BatchJob]", request.app.state.batch)


def make_jobs(service: Service) -> Jobs[BatchJob]:
    """Return the batch jobs that the state remembers."""

    async def work(job: BatchJob) -> None:
        try:
            await _predict(service, jobs, job)
        finally:
            jobs.change(job.id, done=jobs.progress.pop(job.id, job.done))

    jobs = Jobs(service, "samba.batch", BatchJob, work)
    return jobs


async def _predict(service: Service, jobs: Jobs[BatchJob], job: BatchJob) -> None:
    """Do a job from where its files stand, a batch of the endpoint's size at a time."""
    run, folder, space = service.collections.run, jobs.path(job), job.space
    if result_of(folder).exists():  # killed between the last two steps
        return
    endpoint = endpoints.find(service, job.project, job.endpoint)
    await service.deployments.start(endpoint.deployment)
    jobs.progress[job.id] = done = await run(lambda: repair(folder))
    with input_of(folder).open("rb") as texts, part_of(folder).open("ab") as results:
        lines = islice(texts, done, None)
        while items := await run(lambda: _items(lines, endpoint.batch_size)):
            found = await _embed(service, wanted(endpoint.deployment, [item.value for item in items], job.caller), done)
            if not space:
                space = jobs.change(job.id, space=found.space.fingerprint).space
            if found.space.fingerprint != space:
                raise SpaceMismatchError(f"the model of {endpoint.path} changed after {done} texts; make a new job")
            await run(partial(_write, results, items, found.vectors))
            jobs.progress[job.id] = done = done + len(items)
        await run(lambda: os.fsync(results.fileno()))
    part_of(folder).rename(result_of(folder))


async def _embed(service: Service, request: EmbedRequest, done: int) -> EmbedResult:
    """Embed lines; where the server has no time for them now, wait: nobody stands behind a job."""
    crashes = 0
    while True:
        try:
            return await service.embed(request)
        except (OverloadedError, RateLimitError) as error:
            await asyncio.sleep(max(_PAUSE, error.retry_after))
        except DeadlineError:
            await asyncio.sleep(_PAUSE)
        except EngineCrashedError:
            crashes += 1
            if crashes == _CRASHES:
                raise
            await asyncio.sleep(_PAUSE)
        except InputError as error:
            raise InputError(f"texts {done} to {done + len(request.inputs) - 1}: {error}") from None


def input_of(folder: Path) -> Path:
    """Return the file of a job's texts."""
    return folder / "input.jsonl"


def part_of(folder: Path) -> Path:
    """Return the file of the vectors so far."""
    return folder / "result.part.jsonl"


def result_of(folder: Path) -> Path:
    """Return the file of all vectors."""
    return folder / "result.jsonl"


def repair(folder: Path) -> int:
    """Take away the torn last line of a job that was killed, and return how many lines it has done."""
    part_of(folder).touch()
    done = whole = 0
    with part_of(folder).open("r+b") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            done, whole = done + 1, whole + len(line)
        file.truncate(whole)
    return done


def _items(lines: Iterator[bytes], count: int) -> list[Item]:
    return [msgspec.json.decode(line, type=Item) for line in islice(lines, count)]


def _write(file: BinaryIO, items: list[Item], vectors: Floats) -> None:
    how = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    for item, row in zip(items, vectors, strict=True):
        file.write(orjson.dumps({"id": item.id, "value": row}, option=how))
    file.flush()


def accept(body: bytes, folder: Path) -> int:
    """Write the texts of a body into a job's folder and return how many there are.

    Args:
        body: lines of JSON: strings, or objects with a `value` and perhaps an `id`.
        folder: of the job; it is made.

    Raises:
        InputError: naming the line that is neither.
    """
    decoder, items = msgspec.json.Decoder(str | _Loose), list[Item]()
    for number, line in enumerate(without_bom(body.splitlines(keepends=True)), 1):
        if not line.strip():
            continue
        try:
            given = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f'line {number}: {error}; each line is a text in quotes, or {{"value": text}}') from None
        id_ = given.id if isinstance(given, _Loose) else None
        items.append(Item(id_ or f"item{len(items)}", given.value if isinstance(given, _Loose) else given))
    if not items:
        raise InputError("there are no lines; send one JSON value a line, as in --data-binary @texts.jsonl")
    folder.mkdir(parents=True)
    with input_of(folder).open("wb") as file:
        file.write(msgspec.json.Encoder().encode_lines(items))
        file.flush()
        os.fsync(file.fileno())  # the record of the job is as durable
    return len(items)


def described(jobs: Jobs[BatchJob], job: BatchJob) -> dict[str, Any]:
    """Return what people see of a job."""
    return {
        "id": job.id,
        "project": job.project,
        "endpoint": job.endpoint,
        "status": job.phase,
        "reason": job.reason,
        "created": job.created,
        "started": job.started,
        "ended": job.ended,
        "progress": {"done": jobs.progress.get(job.id, job.done), "total": job.total},
    }


async def create(request: Request) -> Response:
    """Queue a job for an endpoint; the body is its texts."""
    service, jobs = service_of(request), of(request)
    project, name = request.path_params["project"], request.path_params["endpoint"]
    endpoint = endpoints.find(service, project, name)
    body, id_ = await read(request), new_id()
    total = await service.collections.run(lambda: accept(body, jobs.folder / id_))
    job = jobs.start(
        BatchJob(
            id=id_,
            project=project,
            endpoint=endpoint.name,
            caller=caller_of(request),
            total=total,
            created=time.time(),
        )
    )
    return answer(described(jobs, job), 202)


def _job(request: Request) -> BatchJob:
    return of(request).get(request.path_params["id"], request.path_params["project"])


async def show_all(request: Request) -> Response:
    """List a project's jobs."""
    found = of(request).all(request.path_params["project"])
    return answer({"jobs": [described(of(request), job) for job in found]})


async def show(request: Request) -> Response:
    """Describe a job."""
    return answer(described(of(request), _job(request)))


async def result(request: Request) -> Response:
    """Return a job's vectors, one line for each text, in their order."""
    job = _job(request)
    if job.phase is not Phase.COMPLETED:
        raise DeploymentError(f"job {job.id} is {job.phase}; there is a result when it is completed")
    name = f"{job.endpoint}-{job.id}.jsonl"
    return FileResponse(result_of(of(request).path(job)), media_type="application/x-ndjson", filename=name)


async def cancel(request: Request) -> Response:
    """Stop a job."""
    return answer(described(of(request), await of(request).cancel(_job(request))))


async def delete(request: Request) -> Response:
    """Forget a job and its files."""
    job = _job(request)
    await of(request).delete(job)
    return answer({"deleted": job.id})
