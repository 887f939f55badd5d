"""Chunks, threads, caches and processes: always the gradient of the whole batch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from efive.models import checkpoint as checkpoints
from efive.models import network as networks
from efive.models.attention import Layout
from efive.models.network import pool
from efive.training.gradients import Gradients, Passing
from efive.training.losses import Batch, Contrast, contrastive

N = 12


def texts(vocabulary: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(5, vocabulary, size=int(rng.integers(3, 30))).astype(np.int32) for _ in range(2 * N)]


def loss(vectors: torch.Tensor, rows: slice) -> torch.Tensor:
    members, keys = torch.arange(N)[:, None], torch.arange(N)
    batch = Batch(vectors[:N], vectors[N:], members, keys, keys)
    return contrastive(batch, rows, Contrast(0.05, symmetric=True))


def load(folder: Path) -> tuple[networks.Network, checkpoints.Checkpoint]:
    checkpoint = checkpoints.read(folder)
    return networks.load(checkpoint.architecture, checkpoint.tensors), checkpoint


def gradients(folder: Path, **options) -> tuple[float, dict[str, torch.Tensor]]:
    network, checkpoint = load(folder)
    passing = {"chunk_tokens": 10_000, "keep_tokens": 10_000, "workers": 1} | options
    maker = Gradients(network, Passing(checkpoint.pooling, "cpu", bf16=False, **passing))
    value = maker.add(texts(checkpoint.architecture.vocabulary), loss, N)
    norm = maker.collect()
    maker.close()
    found = {name: p.grad.to_dense().clone() for name, p in network.named_parameters() if p.grad is not None}
    assert norm == pytest.approx(float(torch.stack([g.square().sum() for g in found.values()]).sum().sqrt()), rel=1e-5)
    return value, found


def reference(folder: Path) -> tuple[float, dict[str, torch.Tensor]]:
    """One call of the network and torch's own backward."""
    network, checkpoint = load(folder)
    rows = texts(checkpoint.architecture.vocabulary)
    layout = Layout.of(torch.tensor([len(row) for row in rows]))
    hidden = network(torch.from_numpy(np.concatenate(rows)).long(), layout)
    value = loss(F.normalize(pool(hidden, layout, checkpoint.pooling), dim=-1), slice(0, N)) / N
    value.backward()
    return value.item(), {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "mistral"])
@pytest.mark.parametrize(
    "options",
    [{}, {"chunk_tokens": 60}, {"chunk_tokens": 60, "keep_tokens": 0}, {"chunk_tokens": 60, "workers": 3}],
    ids=["whole", "chunks", "cached", "threads"],
)
def test_gradient_is_that_of_the_whole_batch(tiny_models, kind, options):
    expected_value, expected = reference(tiny_models[kind])
    value, found = gradients(tiny_models[kind], **options)
    assert value == pytest.approx(expected_value, abs=1e-5)
    assert set(found) == set(expected)
    scale = max(float(g.abs().max()) for g in expected.values())
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=2e-6 * scale, rtol=1e-4), name


def test_only_rows_of_tokens_that_occur_have_a_gradient(tiny_models):
    network, checkpoint = load(tiny_models["bert"])
    maker = Gradients(network, Passing("mean", "cpu", bf16=False, chunk_tokens=60, keep_tokens=10_000))
    rows = texts(checkpoint.architecture.vocabulary)
    maker.add(rows, loss, N)
    maker.collect()
    maker.close()
    assert maker.table.weight.grad.is_sparse
    assert set(maker.table.weight.grad.indices()[0].tolist()) == set(np.concatenate(rows).tolist())


def test_batches_of_a_step_add_up(tiny_models):
    network, checkpoint = load(tiny_models["bert"])
    maker = Gradients(network, Passing("mean", "cpu", bf16=False, chunk_tokens=500, keep_tokens=10_000))
    rows = texts(checkpoint.architecture.vocabulary)
    maker.add(rows, loss, N, 0.5)
    maker.add(rows, loss, N, 0.5)
    twice = maker.collect()
    maker.add(rows, loss, N)
    assert maker.collect() == pytest.approx(twice, rel=1e-5)
    maker.close()


@pytest.mark.parametrize("kind", ["bert", "mistral"])
def test_in_bfloat16_vectors_and_logits_are_float32(tiny_models, monkeypatch, kind):
    network, checkpoint = load(tiny_models[kind])
    passing = Passing(checkpoint.pooling, "cpu", bf16=True, chunk_tokens=60, keep_tokens=10_000)
    maker = Gradients(network, passing)
    vectors, logits, products = set(), set(), set()
    entropy = F.cross_entropy

    def noting_loss(found: torch.Tensor, rows: slice) -> torch.Tensor:
        vectors.add(found.dtype)
        return loss(found, rows)

    def noting_entropy(scores: torch.Tensor, *arguments, **options) -> torch.Tensor:
        logits.add(scores.dtype)
        return entropy(scores, *arguments, **options)

    monkeypatch.setattr(F, "cross_entropy", noting_entropy)
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda _module, _inputs, output: products.add(output.dtype))
    exact, _ = reference(tiny_models[kind])
    value = maker.add(texts(checkpoint.architecture.vocabulary), noting_loss, N)
    norm = maker.collect()
    maker.close()
    assert products == {torch.bfloat16}
    assert vectors == {torch.float32}
    assert logits == {torch.float32}
    assert {p.grad.dtype for p in network.parameters() if p.grad is not None} == {torch.float32}
    assert value != exact
    assert value == pytest.approx(exact, rel=0.05)
    assert np.isfinite(norm)


def test_two_processes_give_the_gradient_of_one(tiny_models, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(
        f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
import torch
torch.set_num_threads(1)
from test_gradients import *
from efive.training.processes import Processes
processes = Processes.join("cpu")
assert processes.size == 2 and processes.neighbours == 2
network, checkpoint = load(Path({str(tiny_models["bert"])!r}))
maker = Gradients(network, Passing("mean", "cpu", bf16=False, chunk_tokens=60, keep_tokens=10_000), processes)
value = maker.add(texts(checkpoint.architecture.vocabulary), loss, N)
maker.collect()
found = {{name: p.grad.to_dense() for name, p in network.named_parameters()}}
torch.save((value, found), {str(tmp_path)!r} + f"/{{processes.rank}}.pt")
processes.leave()
"""
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(launcher, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr[-3000:]
    expected_value, expected = gradients(tiny_models["bert"])
    scale = max(float(g.abs().max()) for g in expected.values())
    for rank in (0, 1):
        value, found = torch.load(tmp_path / f"{rank}.pt")
        assert value == pytest.approx(expected_value, abs=1e-6)
        for name, gradient in expected.items():
            assert torch.allclose(found[name], gradient, atol=2e-6 * scale, rtol=1e-4), name
