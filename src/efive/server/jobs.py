"""Jobs: work that outlives its request, done one at a time, gone on with after a restart."""

import asyncio
import logging
import secrets
import shutil
import time
import traceback
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from efive.errors import DeploymentError, EfiveError
from efive.server.http import NoRouteError
from efive.server.service import Service

log = logging.getLogger("efive.server")


class Phase(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"


ENDED = {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED}
_RESTING = {Phase.PAUSED, Phase.FAILED}
"""What can be gone on with when somebody asks for it."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of any job."""

    id: str
    project: str
    created: float
    """Seconds since 1970, as the others."""
    started: float | None = None
    ended: float | None = None
    phase: Phase = Phase.QUEUED
    reason: str = ""
    """Why it failed."""


AnyJob = TypeVar("AnyJob", bound=Job)
Work = Callable[[AnyJob], Awaitable[None]]


def new_id() -> str:
    """Return a name that no other job has."""
    return secrets.token_hex(8)


class Jobs(Generic[AnyJob]):
    """The jobs of one kind. Used on the event loop."""

    def __init__(self, service: Service, kind: str, type_: type[AnyJob], work: Work[AnyJob]) -> None:
        """Know the jobs that the state remembers; `resume` goes on with them.

        Args:
            service: the server's.
            kind: names the records, and with its dots as slashes the folder below the server's home.
            type_: of the records.
            work: does a job from wherever its files stand; what it raises is the job's failure.
        """
        self.service = service
        self.folder = service.home.joinpath(*kind.split("."))
        self.progress: dict[str, int] = {}
        """What those at work have done so far."""
        self._kind = kind
        self._type = type_
        self._work = work
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    def path(self, job: AnyJob) -> Path:
        """Return the folder of a job's files."""
        return self.folder / job.id

    def all(self, project: str | None = None) -> list[AnyJob]:
        """Return the jobs of a project, or of all, oldest first."""
        found = self.service.state.all(self._kind, self._type).values()
        return sorted((job for job in found if project in {None, job.project}), key=lambda job: job.created)

    def get(self, id_: str, project: str | None = None) -> AnyJob:
        """Return a job.

        Raises:
            NoRouteError: if there is none, or not in this project.
        """
        job = self.service.state.get(self._kind, id_, self._type)
        if job is None or project not in {None, job.project}:
            raise NoRouteError(f"there is no job {id_!r} here", 404)
        return job

    def start(self, job: AnyJob) -> AnyJob:
        """Queue a new job, whose files are in its folder."""
        self.service.state.put(self._kind, job.id, job)
        self._tasks[job.id] = asyncio.ensure_future(self._run(job.id))
        return job

    def resume(self) -> None:
        """Go on with what had not ended when the server did."""
        for job in self.all():
            if job.phase not in ENDED and job.phase is not Phase.PAUSED:
                self.start(job)

    def again(self, job: AnyJob) -> AnyJob:
        """Go on with a job that was paused or has failed, from where its files stand.

        Raises:
            DeploymentError: if it is neither.
        """
        now = self.get(job.id)
        if now.phase not in _RESTING:
            raise DeploymentError(f"job {job.id} is {now.phase}; only a paused or failed one can be gone on with")
        return self.start(msgspec.structs.replace(now, phase=Phase.QUEUED, reason="", ended=None))

    def change(self, id_: str, **changes: Any) -> AnyJob:  # noqa: ANN401 - any field's value
        """Note something about a job."""
        job = msgspec.structs.replace(self.get(id_), **changes)
        self.service.state.put(self._kind, id_, job)
        return job

    async def _run(self, id_: str) -> None:
        try:
            async with self._turn:
                job = self.change(id_, phase=Phase.RUNNING, started=self.get(id_).started or time.time())
                await self._work(job)
            self._ended(id_, Phase.COMPLETED)
        except EfiveError as error:
            self._ended(id_, Phase.FAILED, str(error))
        except Exception as error:
            stack = "".join(traceback.format_tb(error.__traceback__))  # the message may hold a text
            log.error("unexpected %s", type(error).__name__, extra={"job": id_, "stack": stack})
            self._ended(id_, Phase.FAILED, "the server has met an error that it did not expect; its log says more")
        finally:
            self._tasks.pop(id_, None)

    def _ended(self, id_: str, phase: Phase, reason: str = "") -> None:
        self.change(id_, phase=phase, reason=reason, ended=time.time())

    async def cancel(self, job: AnyJob) -> AnyJob:
        """Stop a job for good.

        Raises:
            DeploymentError: if it has ended already.
        """
        return await asyncio.shield(self._halt(job, Phase.CANCELLED))  # to the end, even if nobody waits for it

    async def pause(self, job: AnyJob) -> AnyJob:
        """Stop a job until somebody goes on with it, also over a restart.

        Raises:
            DeploymentError: if it has ended already.
        """
        return await asyncio.shield(self._halt(job, Phase.PAUSED))

    async def _halt(self, job: AnyJob, phase: Phase) -> AnyJob:
        await self._stop(job.id)
        if (now := self.get(job.id)).phase in ENDED:
            raise DeploymentError(f"job {job.id} is {now.phase} already")
        self._ended(job.id, phase)
        return self.get(job.id)

    async def delete(self, job: AnyJob) -> None:
        """Stop a job and forget it with its files."""
        await asyncio.shield(self._delete(job))

    async def _delete(self, job: AnyJob) -> None:
        await self._stop(job.id)
        self.service.state.remove(self._kind, job.id)
        await self.service.collections.run(lambda: shutil.rmtree(self.path(job), ignore_errors=True))

    async def _stop(self, id_: str) -> None:
        task = self._tasks.pop(id_, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def close(self) -> None:
        """Stop working; what has not ended goes on with the server's next start."""
        for id_ in tuple(self._tasks):
            await self._stop(id_)
