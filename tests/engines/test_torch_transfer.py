import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from efive.engines.base import TokenBatch
from efive.engines.torch_transfer import Lane, Shape, read, write
from efive.text.batching import pad

TEXTS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def batch_of(lengths):
    rows = [np.arange(100 * i + 1, 100 * i + 1 + n, dtype=np.int32) for i, n in enumerate(lengths)]
    return rows, TokenBatch(*pad(rows, 0))


@given(TEXTS, st.integers(0, 50), st.integers(0, 5))
def test_what_is_written_is_read_again(lengths, more_tokens, more_texts):
    rows, batch = batch_of(lengths)
    own = Shape.of(batch)
    assert own == Shape(sum(lengths), len(lengths), max(lengths))
    shape = Shape(own.tokens + more_tokens, own.texts + more_texts, own.longest)
    numbers = np.full(shape.numbers, -1, dtype=np.int32)
    write(batch, shape, numbers)
    ids, layout = read(torch.from_numpy(numbers), shape)
    flat = np.concatenate(rows)
    np.testing.assert_array_equal(ids[: len(flat)], flat)
    assert ids[len(flat) :].eq(0).all()
    np.testing.assert_array_equal(layout.lengths, lengths + [0] * more_texts)
    np.testing.assert_array_equal(layout.positions[: len(flat)], np.concatenate([np.arange(n) for n in lengths]))
    np.testing.assert_array_equal(layout.owners[: len(flat)], np.repeat(np.arange(len(lengths)), lengths))
    back = layout.flat(layout.pad(ids))[: len(flat)]
    if more_tokens == 0 or more_texts:  # else nobody's tokens fall on the last text: graphs always have one more
        np.testing.assert_array_equal(back, flat)


def test_a_lane_grows_and_is_used_again():
    lane = Lane(torch.device("cpu"), 3)
    for lengths in ([2], [40] * 30, [5, 1], [1] * 100):
        rows, batch = batch_of(lengths)
        shape = Shape.of(batch)
        numbers = lane.send(batch, shape)
        lane.arrive()
        pooled = read(numbers, shape)[0][: len(rows)].float()[:, None].expand(-1, 3)
        lane.computed()
        vectors = lane.fetch(pooled)
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors[:, 2], np.concatenate(rows)[: len(rows)])
