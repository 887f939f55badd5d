"""A single input is widened so that its shape stays; its vector must not know."""

import numpy as np
import pytest

from efive.engines.base import Precision, TokenBatch
from efive.engines.hardware import detect
from efive.engines.openvino_engine import OpenVinoEngine, _steady
from efive.models import checkpoint as checkpoints
from efive.text.batching import pad


@pytest.mark.parametrize(
    ("length", "longest", "width"), [(1, 512, 16), (16, 512, 16), (17, 512, 32), (39, 40, 40), (40, 40, 40), (9, 9, 9)]
)
def test_a_single_input_is_widened_to_a_step_but_never_beyond_the_positions(length, longest, width):
    ids = np.arange(1, length + 1, dtype=np.int32)[None]
    widened = _steady(ids, longest)
    assert widened.shape == (1, width)
    assert widened.dtype == np.int32
    np.testing.assert_array_equal(widened[:, :length], ids)


def test_a_batch_keeps_its_shape():
    ids = np.ones((2, 9), dtype=np.int32)
    assert _steady(ids, 512) is ids


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_a_single_input_has_the_vector_that_it_has_in_a_batch(tiny_models, kind):
    checkpoint = checkpoints.read(tiny_models[kind])
    engine = OpenVinoEngine(checkpoint, Precision.FP32, detect(), threads=1)
    rng = np.random.default_rng(0)
    rows = [rng.integers(5, 200, length).astype(np.int32) for length in (1, 7, 15, 16, 17, 100, 497, 511, 512)]
    together = engine.embed(TokenBatch(*pad(rows, 0)))
    alone = np.concatenate([engine.embed(TokenBatch(*pad([row], 0))) for row in rows])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    engine.close()
