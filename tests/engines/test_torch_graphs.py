from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from efive.engines.base import Precision, TokenBatch
from efive.engines.torch_graphs import filled_up
from efive.engines.torch_replica import Replica, Setup
from efive.engines.torch_transfer import Shape, write
from efive.models import checkpoint as checkpoints
from efive.text.batching import pad


@given(st.integers(1, 4096), st.data())
def test_small_batches_fall_into_a_few_shapes(tokens, data):
    texts = data.draw(st.integers(1, tokens))
    longest = data.draw(st.integers(-(-tokens // texts), tokens - texts + 1))
    shape = filled_up(Shape(tokens, texts, longest), 4096)
    assert shape is not None
    assert shape.tokens < max(2 * tokens, 17)
    assert shape.texts > texts
    assert longest <= shape.longest <= shape.tokens


def test_shapes_are_few_and_large_batches_have_none():
    shapes = {filled_up(Shape(t, n, 1), 512) for t in range(1, 4097, 7) for n in (1, 2, 9, 100, 4000) if n <= t}
    assert len(shapes) < 80
    assert max(shape.longest for shape in shapes) == 512
    assert filled_up(Shape(4097, 10, 512), 512) is None


@pytest.mark.parametrize("kind", ["xlm-roberta", "mistral"])
def test_filling_up_changes_no_vector(tiny_models, kind):
    checkpoint = checkpoints.read(tiny_models[kind])
    replica = Replica(checkpoint, torch.device("cpu"), Setup(Precision.FP32))
    rows = [np.arange(3, 3 + n, dtype=np.int32) for n in (30, 17, 5, 1)]
    batch = TokenBatch(*pad(rows, 0))
    shape = filled_up(Shape.of(batch), 512)
    assert shape is not None
    assert shape == Shape(64, 8, 64)
    numbers = np.empty(shape.numbers, dtype=np.int32)
    write(batch, shape, numbers)
    with torch.inference_mode():
        filled = replica._forward(torch.from_numpy(numbers), shape)[:4].numpy()
    expected = replica.embed(batch)
    assert np.abs(filled - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_graphs_are_captured_and_replay_the_same(tiny_models, kind):
    checkpoint = checkpoints.read(tiny_models[kind])
    replica = Replica(checkpoint, torch.device("cuda:0"), Setup(Precision.BF16, joined=True))
    rng = np.random.default_rng(0)
    texts = [rng.integers(3, 60, n).astype(np.int32) for n in (9, 30, 12, 14, 200, 512)]
    batches = [TokenBatch(*pad(part, 0)) for part in (texts[:1], texts[2:4], texts, texts[4:])]
    plain = [replica.embed(batch) for batch in batches]
    captured = [replica.embed(batch) for batch in batches]
    assert replica._graphs is not None
    assert len(replica._graphs._captured) == len({filled_up(Shape.of(b), 512) for b in batches})
    with ThreadPoolExecutor(4) as pool:
        replayed = list(pool.map(replica.embed, batches * 8))
    for first, second in zip(plain, captured, strict=True):
        assert np.abs(first - second).max() <= 0.05 * np.abs(first).max()
    for index, vectors in enumerate(replayed):
        np.testing.assert_array_equal(vectors, captured[index % len(captured)])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_host_never_waits_while_it_launches(tiny_models, kind):
    checkpoint = checkpoints.read(tiny_models[kind])
    replica = Replica(checkpoint, torch.device("cuda:0"), Setup(Precision.BF16, joined=True))
    batch = TokenBatch(*pad([np.arange(3, 3 + n, dtype=np.int32) for n in (30, 17, 5)], 0))
    shape = Shape.of(batch)
    numbers = np.empty(shape.numbers, dtype=np.int32)
    write(batch, shape, numbers)
    there = torch.from_numpy(numbers).cuda()
    with torch.inference_mode():
        replica._forward(there, shape)
        torch.cuda.synchronize()
        try:
            torch.cuda.set_sync_debug_mode("error")
            replica._forward(there, shape)
        finally:
            torch.cuda.set_sync_debug_mode("default")
