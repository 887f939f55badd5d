"""Writes to several indices at once: through their pipelines, then to each index together."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from efive.errors import EfiveError
from efive.server.access import ANYBODY, Caller
from efive.server.elastic.indices.operations import Operation, Outcome, failed
from efive.server.elastic.indices.semantic import refusal
from efive.server.elastic.pipelines.document import Document

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

_NOT_WRITTEN = -3
"""The version of a document that a pipeline has dropped."""


@dataclass(frozen=True, slots=True)
class Action:
    """One write."""

    index: str
    operation: Operation
    pipeline: str | None = None
    """What the request names; None is the index's default one, `_none` is none."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a write."""

    index: str
    outcome: Outcome


async def write(cluster: "Cluster", actions: Sequence[Action], caller: Caller = ANYBODY) -> list[Done]:
    """Do what is asked, and return what became of it, in the same order.

    Writes to one index are done one after the other, and embedded together; those to several go on beside each other.
    """
    done: dict[int, Done] = {}
    left = await _through_pipelines(cluster, dict(enumerate(actions)), done, caller)
    groups: dict[str, list[int]] = {}
    for number, action in left.items():
        groups.setdefault(action.index, []).append(number)
    work = [_to_index(cluster, name, [left[number].operation for number in group], caller)
            for name, group in groups.items()]  # fmt: skip
    for (name, group), outcomes in zip(groups.items(), await asyncio.gather(*work), strict=True):
        done |= {number: Done(name, outcome) for number, outcome in zip(group, outcomes, strict=True)}
    return [done[number] for number in range(len(actions))]


async def _through_pipelines(
    cluster: "Cluster", actions: dict[int, Action], done: dict[int, Done], caller: Caller
) -> dict[int, Action]:
    """Return what is left to write, as pipelines have changed it."""
    settings = cache(cluster.indices.pipelines_of)
    meant = {
        number: action
        for number, action in actions.items()
        if action.operation.source is not None and (action.pipeline or any(settings(action.index)))
    }
    if not meant:
        return actions
    documents = {
        number: Document(action.index, action.operation.id, dict(action.operation.source or {}))
        for number, action in meant.items()
    }
    named = [action.pipeline for action in meant.values()]
    await cluster.pipelines.ingest(list(documents.values()), named, settings, caller)
    left = dict(actions)
    for number, document in documents.items():
        operation = meant[number].operation
        if document.error is not None:
            done[number] = Done(document.index, failed(operation.id, document.error))
        elif document.dropped:
            done[number] = Done(document.index, Outcome(document.id, 200, "noop", _NOT_WRITTEN, -2))
        else:
            changed = replace(operation, id=document.id, source=document.source)
            left[number] = Action(document.index, changed)
        if number in done:
            del left[number]
    return left


async def _to_index(cluster: "Cluster", name: str, operations: Sequence[Operation], caller: Caller) -> list[Outcome]:
    """Write to one index, which is made if there is none; nothing is deleted from one that is not there."""
    only_deletes = all(each.kind == "delete" for each in operations)
    try:
        index = await (cluster.indices.get(name) if only_deletes else cluster.indices.ensure(name))
        return await index.apply(operations, caller)
    except EfiveError as error:
        return [failed(each.id, refusal(error)) for each in operations]


def single(done: Done) -> Outcome:
    """Return what became of a write that is a request of its own.

    Raises:
        ElasticError: if it failed.
    """
    if done.outcome.error is not None:
        raise done.outcome.error
    return done.outcome
