"""Tasks: work on documents that can be watched, cancelled and waited for, and whose end can be read afterwards."""

import asyncio
import fnmatch
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from efive.deployments.state import State
from efive.errors import EfiveError
from efive.server.elastic.errors import ElasticError, as_elastic, illegal, missing

log = logging.getLogger("efive.server")

NODE = "efive"
"""The one node of the cluster."""
_KIND = "elastic-task"
_COUNTER = "elastic-task-counter"
_KEPT = 200
"""Results that are kept."""

Answer = dict[str, Any]
Work = Callable[["Task"], Awaitable[Answer]]


@dataclass(slots=True)
class Task:
    """One piece of work."""

    number: int
    action: str
    description: str
    status: Callable[[], Answer]
    """How far it is, as it is shown."""
    cancelled: bool = False
    """Whether somebody wants it to end; the work looks at this where it can end."""
    started: float = field(default_factory=time.time)
    ended: float | None = None
    response: Answer | None = None
    error: ElasticError | None = None
    _running: "asyncio.Task[None] | None" = None

    @property
    def id(self) -> str:
        """What clients call it."""
        return f"{NODE}:{self.number}"

    def shown(self, *, detailed: bool = True) -> Answer:
        """Return it as lists of tasks have it."""
        nanos = int(((self.ended or time.time()) - self.started) * 1e9)
        told = {"status": self.status(), "description": self.description} if detailed else {}
        return {
            "node": NODE,
            "id": self.number,
            "type": "transport",
            "action": self.action,
            **told,
            "start_time_in_millis": int(self.started * 1000),
            "running_time_in_nanos": max(nanos, 0),
            "cancellable": True,
            "cancelled": self.cancelled,
            "headers": {},
        }


class Ended(msgspec.Struct, frozen=True):
    """What is kept of a task."""

    task: Answer
    response: Answer | None = None
    error: Answer | None = None


class Tasks:
    """The tasks of a server. Used on the event loop."""

    def __init__(self, state: State) -> None:
        """Know the results that the state remembers."""
        self._state = state
        self._running: dict[str, Task] = {}
        self._kept = sorted(state.all(_KIND, Ended), key=_number)

    def start(self, action: str, description: str, status: Callable[[], Answer], work: Work, *, keep: bool) -> Task:
        """Begin something.

        Args:
            action: what kind of work, such as `indices:data/write/reindex`.
            description: for people.
            status: says how far it is.
            work: does it; it looks at `cancelled` of the task that it gets, and what it raises is the task's error.
            keep: whether its end is to be read afterwards, also after a restart.
        """
        number = (self._state.get(_COUNTER, _COUNTER, int) or 0) + 1
        self._state.put(_COUNTER, _COUNTER, number)  # no number twice, whatever a crash forgets
        task = Task(number, action, description, status)
        self._running[task.id] = task
        task._running = asyncio.ensure_future(self._run(task, work, keep=keep))
        return task

    def running(self, actions: str | None = None) -> list[Task]:
        """Return the tasks that have not ended, oldest first.

        Args:
            actions: patterns of their actions, separated by commas; None means any.
        """
        patterns = (actions or "*").split(",")
        return [each for each in self._running.values() if any(fnmatch.fnmatch(each.action, p) for p in patterns)]

    async def get(self, id_: str, wait: float = 0.0) -> Answer:
        """Return how a task stands, or how it ended.

        Args:
            id_: `node:number`.
            wait: seconds to wait for its end.

        Raises:
            ElasticError: if there is no such task, or it does not end in time.
        """
        task = self._running.get(_checked(id_))
        if task is None:
            ended = self._state.get(_KIND, id_, Ended)
            if ended is None:
                raise missing(f"task [{id_}] isn't running and hasn't stored its results")
            return {"completed": True} | {k: v for k, v in msgspec.structs.asdict(ended).items() if v is not None}
        if wait and not await self.wait(task, wait):
            raise ElasticError(429, "timeout_exception", f"Timed out waiting for completion of [{id_}]")
        if task.ended is None:
            return {"completed": False, "task": task.shown()}
        return {"completed": True} | {k: v for k, v in msgspec.structs.asdict(_end(task)).items() if v is not None}

    async def wait(self, task: Task, seconds: float | None = None) -> bool:
        """Wait for a task's end, and say whether it came in time. Nobody's going away ends the task."""
        assert task._running is not None
        done, _ = await asyncio.wait({task._running}, timeout=None if seconds == float("inf") else seconds)
        return bool(done)

    async def result(self, task: Task) -> Answer:
        """Wait for a task and return what it answers.

        Raises:
            ElasticError: what it failed with.
        """
        await self.wait(task)
        if task.error is not None:
            raise task.error
        if task.response is None:
            raise ElasticError(503, "status_exception", f"the server ended before the task [{task.id}] did")
        return task.response

    def cancel(self, id_: str | None = None, actions: str | None = None) -> list[Task]:
        """Tell tasks to end at the next place where they can; return them.

        Raises:
            ElasticError: if the one that is named does not run.
        """
        if id_ is None:
            found = self.running(actions)
        elif (task := self._running.get(_checked(id_))) is not None:
            found = [task]
        else:
            raise missing(f"task [{id_}] is not found")
        for each in found:
            each.cancelled = True
        return found

    async def close(self) -> None:
        """Stop all tasks; what they did until now is done."""
        running = [task._running for task in self._running.values() if task._running is not None]
        for each in running:
            each.cancel()
        if running:
            await asyncio.wait(running)

    async def _run(self, task: Task, work: Work, *, keep: bool) -> None:
        try:
            task.response = await work(task)
        except EfiveError as error:
            task.error = as_elastic(error)
        except Exception as error:
            stack = "".join(traceback.format_tb(error.__traceback__))  # the message may hold a text
            log.error("unexpected %s", type(error).__name__, extra={"task": task.id, "stack": stack})
            task.error = ElasticError(
                500, "exception", "the task met an error that the server did not expect; see its log"
            )
        finally:
            task.ended = time.time()
            if keep and (task.response is not None or task.error is not None):
                self._keep(task)
            self._running.pop(task.id, None)

    def _keep(self, task: Task) -> None:
        self._state.put(_KIND, task.id, _end(task))
        self._kept.append(task.id)
        while len(self._kept) > _KEPT:
            self._state.remove(_KIND, self._kept.pop(0))


def _end(task: Task) -> Ended:
    return Ended(task.shown(), task.response, task.error.to_dict() if task.error else None)


def _number(id_: str) -> int:
    return int(id_.rpartition(":")[2])


def _checked(id_: str) -> str:
    node, colon, number = id_.rpartition(":")
    if not colon or not node or not number.lstrip("-").isdecimal():
        raise illegal(f"malformed task id {id_}")
    return id_
