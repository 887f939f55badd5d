"""Devices, replicas, joined and compiled layers; on CPUs, and on CUDA where there is one."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny
import torch

from efive import Encoder
from efive.engines.base import Precision, TokenBatch
from efive.engines.torch_compiled import Compiled
from efive.engines.torch_engine import LeastBusy, TorchEngine
from efive.engines.torch_replica import Replica, Setup
from efive.errors import EfiveWarning, EngineError
from efive.models import checkpoint as checkpoints
from efive.models import network
from efive.models.attention import Layout
from efive.text.batching import pad

CPU = torch.device("cpu")
OWN_WARNINGS = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore:.*jit.*:DeprecationWarning")
"""Torch's compiler imports what torch itself has deprecated."""


def batches(vocabulary=60):
    rng = np.random.default_rng(0)
    sizes = [(5, 1, 30), (8,), (100, 40), (3, 3, 3, 3), (64,), (17, 16)]
    return [TokenBatch(*pad([rng.integers(3, vocabulary, n).astype(np.int32) for n in s], 0)) for s in sizes]


def test_work_goes_to_the_least_busy():
    dispatch = LeastBusy("abc")
    with dispatch.take(10) as first, dispatch.take(3) as second, dispatch.take(5) as third:
        assert (first, second, third) == ("a", "b", "c")
        with dispatch.take(4) as again:
            assert again == "b"
            with dispatch.take(1) as last:
                assert last == "c"
    with pytest.raises(KeyError), dispatch.take(1):
        raise KeyError
    with dispatch.take(1) as anew:  # whatever failed is no burden
        assert anew == "a"


def test_both_replicas_work_at_once():
    """Each waits for the other inside its work, which one alone would do for ever."""
    meeting = threading.Barrier(2, timeout=240)
    dispatch = LeastBusy([meeting.wait, meeting.wait])

    def work(_):
        with dispatch.take(1) as wait:
            return wait()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(work, range(2))) == [0, 1]


def test_two_devices_give_the_vectors_of_one(bert):
    checkpoint = checkpoints.read(bert)
    one = TorchEngine(checkpoint, Precision.FP32, "cpu", threads=1)
    two = TorchEngine(checkpoint, Precision.FP32, "cpu,cpu", threads=1)
    assert (one.info.parallel, two.info.parallel) == (1, 2)
    assert two.info.device == "cpu,cpu"
    assert two.memory_bytes() == 2 * one.memory_bytes()
    two.warmup()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(two.embed, batches() * 5))
    for vectors, batch in zip(found, batches() * 5, strict=True):
        np.testing.assert_array_equal(vectors, one.embed(batch))
    two.close()
    assert two.memory_bytes() == 0
    with pytest.raises(EngineError, match="closed"):
        two.embed(batches()[0])


def test_an_encoder_on_two_devices(bert):
    with (
        Encoder.load(bert, engine="torch", device="cpu,cpu", precision="fp32") as two,
        Encoder.load(bert, engine="torch", device="cpu", precision="fp32") as one,
    ):
        texts = tiny.TEXTS * 3
        np.testing.assert_allclose(two.embed_passages(texts).vectors, one.embed_passages(texts).vectors, atol=1e-6)


def test_devices_that_do_not_go_together_are_refused(bert):
    checkpoint = checkpoints.read(bert)
    with pytest.raises(EngineError, match="no mps device"):
        TorchEngine(checkpoint, Precision.FP32, "cpu,mps", threads=1)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_joined_layers_compute_the_same(tiny_models, kind):
    checkpoint = checkpoints.read(tiny_models[kind])
    plain, joined = (Replica(checkpoint, CPU, Setup(Precision.FP32, joined=joined)) for joined in (False, True))
    assert plain.memory_bytes() == joined.memory_bytes()
    for batch in batches():
        expected = plain.embed(batch)
        assert np.abs(joined.embed(batch) - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("kind", ["bert", "mistral"])
def test_all_layers_and_lengths_share_one_compilation(tiny_models, kind):
    checkpoint = checkpoints.read(tiny_models[kind])
    encoder = network.load(checkpoint.architecture, checkpoint.tensors).eval()
    graphs = []

    def compiler(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    compiled = Compiled(network.load(checkpoint.architecture, checkpoint.tensors).eval(), backend=compiler)
    with torch.inference_mode():
        for lengths in ([5, 9], [30, 2, 7], [64], [3, 3, 3]):
            layout = Layout.of(torch.tensor(lengths))
            ids = torch.arange(len(layout.positions)) % 50
            assert torch.equal(compiled(ids, layout), encoder(ids, layout))
    assert len(graphs) <= 2  # one more for a batch of one text


@pytest.mark.usefixtures("fresh_compiler")
def test_where_nothing_compiles_the_layers_run_as_they_are(bert):
    checkpoint = checkpoints.read(bert)
    encoder = network.load(checkpoint.architecture, checkpoint.tensors).eval()

    def broken(_graph, _inputs):
        raise RuntimeError("no C compiler")

    compiled = Compiled(network.load(checkpoint.architecture, checkpoint.tensors).eval(), backend=broken)
    layout = Layout.of(torch.tensor([5, 9]))
    ids = torch.arange(14)
    with torch.inference_mode():
        with pytest.warns(EfiveWarning, match="could not compile the layers, they run as they are: .*no C compiler"):
            found = compiled(ids, layout)
        assert torch.equal(found, encoder(ids, layout))
        assert torch.equal(compiled(ids, layout), found)  # and warns no more


@pytest.mark.slow
@OWN_WARNINGS
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler here")
@pytest.mark.usefixtures("fresh_compiler")
def test_the_real_compiler_makes_the_same_vectors(bert):
    with (
        Encoder.load(bert, engine="torch-compiled", device="cpu", precision="fp32") as compiled,
        Encoder.load(bert, engine="torch", device="cpu", precision="fp32") as plain,
    ):
        found = compiled.embed_passages(tiny.TEXTS).vectors
        assert np.abs(found - plain.embed_passages(tiny.TEXTS).vectors).max() <= 1e-5
        assert compiled._engine._replicas[0]._apply._plain  # it has not given up
        assert compiled.engine_info.name == "torch"


@pytest.mark.gpu
@OWN_WARNINGS
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize(("precision", "compiled"), [("bf16", False), ("fp16", False), ("bf16", True), ("fp8", True)])
def test_cuda_is_as_exact_as_promised(tmp_path, kind, precision, compiled):
    checkpoint = checkpoints.read(tiny.make(kind, tmp_path, hidden=128, scale=0.05))
    exact = TorchEngine(checkpoint, Precision.FP32, "cpu", threads=4)
    engine = TorchEngine(checkpoint, Precision(precision), "cuda", threads=4, compiled=compiled)
    cosines = []
    for batch in batches() * 3:  # plainly, captured, replayed
        a, b = exact.embed(batch), engine.embed(batch)
        cosines.append((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))
    assert np.concatenate(cosines).min() >= (0.98 if precision == "fp8" else 0.999)
    assert np.concatenate(cosines).mean() >= (0.98 if precision == "fp8" else 0.9999)
