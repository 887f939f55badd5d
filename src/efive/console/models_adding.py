"""What is being done with models: pulls, copies, bundles, checks. Each is a process of its own that can be ended."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO

import msgspec

from efive.console import units
from efive.console.models_child import Order, Said
from efive.console.paths import check_path
from efive.errors import EfiveError, InputError
from efive.models.store import ModelStore, check_name
from efive.server.service import Service

log = logging.getLogger("efive.console")
_PATIENCE = 5.0
"""Seconds that a process has to end by itself."""
_WINDOW = 5.0
"""Seconds that a speed is about."""
_MOST = 20
"""Jobs that are remembered after their end."""


class Phase(StrEnum):
    """Where a job is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Job:
    """One thing that is done with a model."""

    title: str
    order: Order
    phase: Phase = Phase.RUNNING
    done: int = 0
    """Bytes."""
    total: int | None = None
    error: str = ""
    _seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=100))
    _work: "asyncio.Task[None] | None" = None

    @property
    def fraction(self) -> float | None:
        """How much of it is done, from 0 to 1; None where that is not known yet."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def speed(self) -> float:
        """Bytes a second, of late."""
        if len(self._seen) < 2:
            return 0.0
        (begun, before), (now, done) = self._seen[0], self._seen[-1]
        return max(0.0, (done - before) / (now - begun)) if now > begun else 0.0

    def progress(self) -> str:
        """Return how far it is, how fast, and how long it will take."""
        if self.total is None:
            return units.size(self.done) if self.done else "Starting…"
        text = f"{units.size(self.done)} of {units.size(self.total)}"
        if self.speed > 0:
            left = max(0.0, self.total - self.done) / self.speed
            text += f", {units.size(self.speed)}/s, {units.time(left)} left"
        return text

    def heard(self, said: Said) -> None:
        """Take a line of the process in."""
        if said.total is not None:
            self.total = said.total
        if said.done is not None:
            self.done, now = said.done, time.monotonic()
            self._seen.append((now, said.done))
            while now - self._seen[0][0] > _WINDOW:
                self._seen.popleft()
        if said.error is not None:
            self.error = said.error
        if said.unexpected is not None:
            log.error("a model's job failed", extra={"kind": self.order.kind, "stack": said.unexpected})


class Adding:
    """The jobs of a server, newest first. Used on the event loop."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        self.jobs: list[Job] = []

    def pull(self, name: str, *, revision: str = "main", endpoint: str | None = None) -> Job:
        """Fetch a model from the hub.

        Raises:
            InputError: for what cannot be a model or a revision, or while the same is being done.
            ModelNotFoundError: if the name is no hub's.
        """
        name, revision, endpoint = name.strip(), revision.strip() or "main", (endpoint or "").strip() or None
        self.store.repository(name)
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise InputError(f"{endpoint} is no address of a mirror: it begins with https:// or http://")
        if revision.startswith((".", "/")) or ".." in revision:
            raise InputError(f"{revision!r} is no branch, tag or commit")
        return self._begin(f"Pulling {name}", "pull", name=name, revision=revision, endpoint=endpoint)

    def copy(self, folder: str, name: str = "") -> Job:
        """Copy a model's folder on the server into the store.

        Raises:
            InputError: if there is no such folder, or the name cannot be one.
        """
        source = check_path(folder)
        if not source.is_dir():
            raise InputError(f"{source} is no folder; name the one that it is in")
        name = check_name(name.strip() or source.name)
        return self._begin(f"Copying {name}", "copy", name=name, path=str(source))

    def unpack(self, bundle: str, name: str = "", *, keep: bool = True) -> Job:
        """Put the model of a bundle file on the server into the store.

        Args:
            bundle: the file.
            name: of the model; empty is the bundle's own.
            keep: whether the file stays.

        Raises:
            InputError: if there is no such file, or the name cannot be one.
        """
        source = check_path(bundle)
        if not source.is_file():
            raise InputError(f"{source} is no file; name the bundle itself")
        name = check_name(name.strip()) if name.strip() else ""
        job = self._begin(f"Unpacking {name or source.name}", "unpack", name=name, path=str(source))
        if not keep and job._work is not None:
            job._work.add_done_callback(lambda _: source.unlink(missing_ok=True))
        return job

    def verify(self, name: str) -> Job:
        """Compare a stored model's files with their checksums.

        Raises:
            InputError: while the same is being done.
        """
        return self._begin(f"Verifying {name}", "verify", name=name)

    def _begin(
        self,
        title: str,
        kind: str,
        *,
        name: str = "",
        path: str = "",
        revision: str = "main",
        endpoint: str | None = None,
    ) -> Job:
        home = str(self.store.home.resolve())
        order = Order(kind=kind, home=home, name=name, path=path, revision=revision, endpoint=endpoint)
        for job in self.jobs:
            same = (job.order.name, job.order.path) == (name, path) if kind == "unpack" else job.order.name == name
            if job.phase is Phase.RUNNING and same:
                raise InputError(f"{job.title}: that is going on already")
        self.jobs = [each for each in self.jobs if each.order != order]  # an earlier attempt, which has ended
        job = Job(title, order)
        self.jobs.insert(0, job)
        ended = [each for each in self.jobs if each.phase is not Phase.RUNNING]
        for old in ended[_MOST:]:
            self.jobs.remove(old)
        job._work = asyncio.ensure_future(self._run(job))
        return job

    async def _run(self, job: Job) -> None:
        try:
            await self._listen(job)
        except asyncio.CancelledError:
            job.phase = Phase.CANCELLED
        except (EfiveError, OSError) as error:
            job.phase, job.error = Phase.FAILED, str(error)

    async def _listen(self, job: Job) -> None:
        order = msgspec.json.encode(job.order).decode()
        # -P: whatever lies in this folder is no module of ours. And not by asyncio, see efive.deployments.processes.
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", "efive.console.models_child", order],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            async for line in _lines(process.stdout):
                with contextlib.suppress(msgspec.DecodeError):  # what a library prints
                    job.heard(msgspec.json.decode(line, type=Said))
            code = await asyncio.to_thread(process.wait)
        finally:
            if process.poll() is None:
                await asyncio.shield(_end(process))
        if code != 0 and not job.error:
            job.error = f"its process ended with {code}, perhaps for want of memory"
        job.phase = Phase.FAILED if job.error else Phase.DONE

    async def cancel(self, job: Job) -> None:
        """End a job; what a pull has fetched is kept, and the next one goes on from there."""
        if job._work is not None and not job._work.done():
            job._work.cancel()
            await asyncio.wait([job._work])

    def forget(self, job: Job) -> None:
        """Show a job no more that has ended."""
        if job.phase is not Phase.RUNNING and job in self.jobs:
            self.jobs.remove(job)

    async def close(self) -> None:
        """End all."""
        for job in tuple(self.jobs):
            await self.cancel(job)


def adding_of(service: Service) -> Adding:
    """Return the jobs of a server."""
    return Adding(ModelStore(service.home))


async def _lines(pipe: IO[bytes]) -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    with contextlib.closing(transport):
        async for line in reader:
            yield line


async def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(process.wait, _PATIENCE)
    process.kill()  # which does nothing to one that has ended
    await asyncio.to_thread(process.wait)
