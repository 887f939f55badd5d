"""The planner: token counts and a budget in, batches out. Pure, so that every engine shares one budget."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def plan(lengths: Sequence[int] | npt.NDArray[np.int64], budget: int, *, padded: bool = True) -> list[Indices]:
    """Group inputs of similar length into batches of at most `budget` tokens, longest first.

    The cost of a batch is rows x longest where the engine pads, else the plain sum. An input longer
    than the budget gets a batch of its own. Every index appears exactly once.

    Args:
        lengths: tokens of each input, special tokens included.
        budget: tokens of one batch, padding included where the engine pads.
        padded: whether the engine pads each batch to its longest input.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    batches: list[Indices] = []
    start = 0
    while start < len(order):
        stop = start + 1
        cost = longest = int(lengths[order[start]])
        while stop < len(order):
            step = longest if padded else int(lengths[order[stop]])
            if cost + step > budget:
                break
            cost += step
            stop += 1
        batches.append(order[start:stop])
        start = stop
    return batches


def pad(rows: Sequence[npt.NDArray[np.int32]], pad_id: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Lay `rows` side by side, padded on the right: ids (n, longest) and lengths (n,), both int32."""
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int32, count=len(rows))
    ids = np.full((len(rows), int(lengths.max(initial=0))), pad_id, dtype=np.int32)
    for target, row in zip(ids, rows, strict=True):
        target[: len(row)] = row
    return ids, lengths
