"""What waits for an engine, and in which order. Pure: no clock, no threads, no event loop.

Requests share an engine fairly by tokens (start-time fair queueing, Goyal et al. 1996): a row's turn comes when its
request has had no more tokens than the others since it arrived. So a single query passes a request of a thousand
passages, a short text passes a long one that came with it, and nobody waits for ever.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

import numpy as np

from efive.text.tokenizer import TokenIds

Owner = TypeVar("Owner")


@dataclass(slots=True)
class Waiting(Generic[Owner]):
    """The rows of one request that no engine has had yet."""

    owner: Owner
    """Whose they are; the queue does not look at it."""
    rows: Sequence[TokenIds]
    low: bool = False
    """Whether all others go first."""
    dropped: bool = False
    """Nobody waits for them any more."""
    order: list[int] = field(default_factory=list)
    """Numbers of the rows, shortest first: rows of like length go together."""
    taken: int = 0
    """How many of `order` are gone."""
    served: int = 0
    """The queue's clock at which the next row is done, if nothing else were."""

    @property
    def next(self) -> int:
        """Tokens of the next row."""
        return len(self.rows[self.order[self.taken]])

    @property
    def left(self) -> int:
        """Tokens that wait."""
        return sum(len(self.rows[i]) for i in self.order[self.taken :])


Batch = list[tuple[Waiting[Owner], int]]
"""Rows that go to an engine together: whose, and their number among its rows."""


class FairQueue(Generic[Owner]):
    """Requests that wait. `tokens` and `requests` say how much there is."""

    def __init__(self) -> None:
        self.tokens = 0
        self.requests = 0
        self._clock = 0
        self._numbers = count()
        self._normal: list[tuple[int, int, Waiting[Owner]]] = []
        self._low: list[tuple[int, int, Waiting[Owner]]] = []

    def add(self, waiting: Waiting[Owner]) -> None:
        """Let a request wait for its rows, at least one."""
        lengths = np.fromiter((len(row) for row in waiting.rows), dtype=np.int64, count=len(waiting.rows))
        waiting.order = np.argsort(lengths, kind="stable").tolist()
        waiting.served = self._clock + waiting.next
        self.tokens += int(lengths.sum())
        self.requests += 1
        heapq.heappush(self._heap(waiting), (waiting.served, next(self._numbers), waiting))

    def drop(self, waiting: Waiting[Owner]) -> None:
        """Forget what is left of a request; dropping twice does nothing."""
        if not waiting.dropped and waiting.taken < len(waiting.order):
            self.tokens -= waiting.left
            self.requests -= 1
        waiting.dropped = True

    def take(self, budget: int, *, padded: bool) -> Batch[Owner]:
        """Return the rows whose turn it is, as many as the token budget holds and at least one if any wait.

        Args:
            budget: tokens of a batch.
            padded: whether a batch costs rows x longest instead of the sum of its lengths.
        """
        batch: Batch[Owner] = []
        total = longest = 0
        while (heap := self._first()) is not None:
            waiting = heap[0][2]
            tokens = waiting.next
            longest = max(longest, tokens)
            cost = longest * (len(batch) + 1) if padded else total + tokens
            if batch and cost > budget:
                break
            total += tokens
            batch.append((waiting, waiting.order[waiting.taken]))
            self._advance(heap, waiting, tokens)
        return batch

    def _advance(self, heap: list[tuple[int, int, Waiting[Owner]]], waiting: Waiting[Owner], tokens: int) -> None:
        self._clock = max(self._clock, waiting.served - tokens)
        self.tokens -= tokens
        waiting.taken += 1
        if waiting.taken == len(waiting.order):
            self.requests -= 1
            heapq.heappop(heap)
            return
        waiting.served += waiting.next
        heapq.heapreplace(heap, (waiting.served, next(self._numbers), waiting))

    def _first(self) -> list[tuple[int, int, Waiting[Owner]]] | None:
        """Return the heap whose first request is next, or None if nothing waits."""
        for heap in (self._normal, self._low):
            while heap and heap[0][2].dropped:
                heapq.heappop(heap)
            if heap:
                return heap
        return None

    def _heap(self, waiting: Waiting[Owner]) -> list[tuple[int, int, Waiting[Owner]]]:
        return self._low if waiting.low else self._normal
