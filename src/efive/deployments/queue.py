"""What waits for an engine, and in which order. Pure: no clock, no threads, no event loop.

Requests share an engine fairly by tokens (self-clocked fair queueing, Golestani 1994): a row's turn comes when its
request, with this row, has had no more tokens than the others since it arrived. So a single query passes a request of
a thousand passages, a short text passes a long one that came with it, and nobody waits for ever.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from efive.text.tokenizer import TokenIds

Owner = TypeVar("Owner")


@dataclass(slots=True)
class Waiting(Generic[Owner]):
    """The rows of one request that no engine has had yet."""

    owner: Owner
    """Whose they are; the queue does not look at it."""
    rows: Sequence[TokenIds]
    dropped: bool = False
    """Nobody waits for them any more."""
    order: list[int] = field(default_factory=list)
    """Numbers of the rows, shortest first: rows of like length go together."""
    taken: int = 0
    """How many of `order` are gone."""
    served: int = 0
    """The clock of the queue at which the next row is done, if nothing else were."""

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


def divide(batch: Batch[Owner], cost: int) -> list[Batch[Owner]]:
    """Divide a batch, for an engine that pads, where rows of like length are cheaper by themselves; short ones first.

    Args:
        batch: at least one row.
        cost: what a batch costs beside its tokens, in tokens.
    """
    batch = sorted(batch, key=_length)
    saved = [at * (_length(batch[-1]) - _length(batch[at - 1])) for at in range(1, len(batch))]
    best = max(saved, default=0)
    if best <= cost:
        return [batch]
    at = saved.index(best) + 1
    return [*divide(batch[:at], cost), *divide(batch[at:], cost)]


def _length(row: tuple[Waiting[Owner], int]) -> int:
    return len(row[0].rows[row[1]])


class FairQueue(Generic[Owner]):
    """Requests that wait. `tokens` and `requests` say how much there is."""

    def __init__(self) -> None:
        self.tokens = 0
        self.requests = 0
        self._clock = 0
        self._numbers = count()
        self._heap: list[tuple[int, int, Waiting[Owner]]] = []
        self._dropped = 0
        """Requests in it that nobody waits for any more."""

    def add(self, waiting: Waiting[Owner]) -> None:
        """Let a request wait for its rows, at least one."""
        lengths = [len(row) for row in waiting.rows]
        waiting.order = [0] if len(lengths) == 1 else sorted(range(len(lengths)), key=lengths.__getitem__)
        self.tokens += sum(lengths)
        self.requests += 1
        self._push(waiting)

    def give_back(self, batch: Batch[Owner]) -> None:
        """Let rows wait again that no engine has computed."""
        for waiting, row in batch:
            if waiting.dropped:
                continue
            gone = waiting.taken == len(waiting.order)
            waiting.order.append(row)
            self.tokens += len(waiting.rows[row])
            if gone:
                self.requests += 1
                self._push(waiting)

    def _push(self, waiting: Waiting[Owner]) -> None:
        waiting.served = self._clock + waiting.next
        heapq.heappush(self._heap, (waiting.served, next(self._numbers), waiting))

    def drop(self, waiting: Waiting[Owner]) -> None:
        """Forget what is left of a request; dropping twice does nothing."""
        if not waiting.dropped and waiting.taken < len(waiting.order):
            self.tokens -= waiting.left
            self.requests -= 1
            self._dropped += 1
        waiting.dropped = True

    def take(self, budget: int, *, padded: bool) -> Batch[Owner]:
        """Return the rows whose turn it is, as many as the token budget holds and at least one if any wait.

        Args:
            budget: tokens of a batch.
            padded: whether a batch costs rows x longest instead of the sum of its lengths.
        """
        batch: Batch[Owner] = []
        total = longest = 0
        while (waiting := self._first()) is not None:
            tokens = waiting.next
            longest = max(longest, tokens)
            cost = longest * (len(batch) + 1) if padded else total + tokens
            if batch and cost > budget:
                break
            total += tokens
            batch.append((waiting, waiting.order[waiting.taken]))
            self._advance(waiting)
        self.tokens -= total
        return batch

    def _first(self) -> Waiting[Owner] | None:
        """Return the request whose row is next. Those who were dropped go: at the front, and all if they are many."""
        if self._dropped > len(self._heap) // 2:
            self._heap = [each for each in self._heap if not each[2].dropped]
            heapq.heapify(self._heap)
            self._dropped = 0
        while self._heap and self._heap[0][2].dropped:
            heapq.heappop(self._heap)
            self._dropped -= 1
        return self._heap[0][2] if self._heap else None

    def _advance(self, waiting: Waiting[Owner]) -> None:
        """Move on behind the next row of the first request."""
        self._clock = waiting.served  # not where the row began: those who come later would pass for ever
        waiting.taken += 1
        if waiting.taken == len(waiting.order):
            heapq.heappop(self._heap)
            self.requests -= 1
        else:
            waiting.served += waiting.next
            heapq.heapreplace(self._heap, (waiting.served, next(self._numbers), waiting))
