"""Blocks of inputs through an engine: tokenising, planning and computing overlap, memory stays bounded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from efive.engines.base import Engine, TokenBatch
from efive.preparation import Prepared
from efive.text.batching import Indices, pad, plan
from efive.text.tokenizer import TokenIds
from efive.vectors import Floats

_MOST_CHARACTERS = 4_000_000
_AT_FIRST = 8
"""The first block has this part of the others' texts."""
Done = Callable[[int], None]
"""Called with the number of rows just computed, from any thread."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive texts of a call."""

    first: int
    texts: list[object]


def block_size(engine: Engine) -> int:
    """Return how many texts to sort together: enough for full batches of similar length."""
    return max(1024, engine.info.token_budget * engine.info.parallel // 8)


def blocks(texts: Iterable[object], size: int) -> Iterator[Block]:
    """Split `texts` into blocks of at most `size` texts and a bounded number of characters, reading no further.

    The first one is smaller: the engine has work as soon as it is tokenised, and the rest is read meanwhile.
    """
    first, portion, characters = 0, list[object](), 0
    for text in texts:
        length = len(text) if isinstance(text, str) else 0
        most = size if first else max(1, size // _AT_FIRST)
        if portion and (len(portion) == most or characters + length > _MOST_CHARACTERS):
            yield Block(first, portion)
            first, portion, characters = first + len(portion), [], 0
        portion.append(text)
        characters += length
    if portion:
        yield Block(first, portion)


def run(
    engine: Engine, stream: Iterator[Block], prepare: Callable[[Block], Prepared], pad_id: int, done: Done
) -> Iterator[tuple[Prepared, Floats]]:
    """Compute block after block, in order: (rows, dimension) float32 for each.

    While one block computes, the next is tokenised by a thread of its own and queued behind it, so that
    the engine never waits between blocks. At most two blocks are in flight.
    """
    block = next(stream, None)
    if block is None:
        return
    prepared = prepare(block)
    if len(prepared.rows) == 1 and len(block.texts) == 1:  # a single query takes the shortest way
        yield prepared, engine.embed(TokenBatch(*pad(prepared.rows, pad_id)))
        done(1)
        block = next(stream, None)
        if block is None:
            return
        prepared = prepare(block)
    waiting: deque[_Running] = deque()
    with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(engine.info.parallel) as pool:
        try:
            while True:
                waiting.append(_Running(engine, prepared, pad_id, pool, done))
                block = next(stream, None)
                if block is None:
                    break
                following = ahead.submit(prepare, block)
                if len(waiting) > 1:
                    yield waiting.popleft().result()
                if following.exception():
                    break  # what came before the bad text is still delivered
                prepared = following.result()
            while waiting:
                yield waiting.popleft().result()
            if block is not None:
                following.result()
        finally:  # an error, or a caller that stopped early: drop what has not begun
            ahead.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(wait=False, cancel_futures=True)


class _Running:
    """A block whose batches are queued."""

    def __init__(self, engine: Engine, prepared: Prepared, pad_id: int, pool: ThreadPoolExecutor, done: Done) -> None:
        self.prepared = prepared
        unique, self._inverse = _unique(prepared.rows)
        self._dimension = engine.info.dimension
        self._count = len(unique)
        batches = plan([len(row) for row in unique], engine.info.token_budget, padded=engine.info.padded)
        self._futures: list[tuple[Indices, Future[Floats]]] = []
        for indices in batches:
            rows = [unique[i] for i in indices]
            self._futures.append((indices, pool.submit(_embed, engine, rows, pad_id, done)))
        done(len(prepared.rows) - self._count)

    def result(self) -> tuple[Prepared, Floats]:
        vectors = np.empty((self._count, self._dimension), dtype=np.float32)
        for indices, future in self._futures:
            vectors[indices] = future.result()
        return self.prepared, vectors[self._inverse]


def _unique(
    rows: Sequence[TokenIds],
) -> tuple[list[TokenIds], list[int]]:
    """Equal rows are computed once: return the distinct ones and where each row's vector lies."""
    seen: dict[bytes, int] = {}
    unique: list[TokenIds] = []
    inverse = []
    for row in rows:
        position = seen.setdefault(row.tobytes(), len(unique))
        if position == len(unique):
            unique.append(row)
        inverse.append(position)
    return unique, inverse


def _embed(engine: Engine, rows: list[TokenIds], pad_id: int, done: Done) -> Floats:
    vectors = engine.embed(TokenBatch(*pad(rows, pad_id)))
    done(len(rows))
    return vectors
