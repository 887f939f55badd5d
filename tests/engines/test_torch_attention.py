"""Attention without padding, by torch's variable-length call; its CUDA kernel is replaced by a plain one in torch."""

from dataclasses import replace

import pytest
import tiny
import torch

from efive.models import checkpoint as checkpoints
from efive.models import network
from efive.models.attention import Layout, attend

varlen = pytest.importorskip("torch.nn.attention.varlen", reason="torch before 2.10 has no variable-length attention")
LENGTHS = [5, 1, 17, 0, 300, 2]


@varlen._varlen_attn.register_kernel("cpu")
def plain_kernel(query, key, value, ends, ends_k, longest, longest_k, is_causal=False, scale=None, window=None, *_):  # noqa: PLR0917 - as torch calls it
    """What the CUDA kernel does, as torch documents it; rows that belong to no run stay as memory was."""
    assert ends.dtype == torch.int32
    assert ends.equal(ends_k)
    assert longest == longest_k >= max(ends.diff())
    left, right = window or (-1, -1)
    assert is_causal == ((left, right) == (-1, 0))
    out = torch.full_like(query, torch.nan)
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        q, k, v = (rows[start:end].transpose(0, 1) for rows in (query, key, value))
        back = torch.arange(end - start)[:, None] - torch.arange(end - start)
        seen = ((left < 0) | (back <= left)) & ((right < 0) | (-back <= right))
        group = q.shape[0] // k.shape[0]
        scores = q @ k.repeat_interleave(group, 0).transpose(1, 2) * (scale or q.shape[-1] ** -0.5)
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        out[start:end] = (weights @ v.repeat_interleave(group, 0)).transpose(0, 1)
    return out, query.new_empty(0), torch.zeros(2, dtype=torch.uint64)


@pytest.mark.parametrize("window", [None, 512, 4])
@pytest.mark.parametrize("grouped", [1, 2])
def test_runs_equal_padded_attention(window, grouped):
    torch.manual_seed(0)
    layout = Layout.of(torch.tensor(LENGTHS))
    query = torch.randn(sum(LENGTHS), 4, 16, dtype=torch.float16)
    key, value = (torch.randn(sum(LENGTHS), 4 // grouped, 16, dtype=torch.float16) for _ in range(2))
    with torch.inference_mode():
        padded = attend(query, key, value, layout, window)
        runs = attend(query, key, value, replace(layout, unpadded=True), window)
    assert (runs - padded).abs().max() <= 5e-3


def test_the_mean_of_runs_is_the_mean():
    """The way that a GPU takes; texts without tokens and nobody's tokens leave the others alone."""
    layout = Layout.of(torch.tensor(LENGTHS))
    hidden = torch.randn(sum(LENGTHS), 8, dtype=torch.bfloat16)
    behind = torch.cat([hidden, torch.full((3, 8), torch.nan, dtype=torch.bfloat16)])
    expected = torch.stack([part.float().mean(0) for part in hidden.split(LENGTHS)])
    found = network.mean_in_order(behind, layout)
    real = torch.tensor(LENGTHS) > 0
    assert found.dtype == torch.float32
    assert (found - expected)[real].abs().max() <= 1e-6


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_network_without_padding_computes_the_same(tiny_models, kind):
    """Although it has nobody's tokens behind the last text, as graphs have, whose attention is undefined."""
    checkpoint = checkpoints.read(tiny_models[kind])
    encoder = network.load(checkpoint.architecture, checkpoint.tensors, torch.bfloat16).eval()
    lengths = torch.tensor([5, 1, 17, 0, 300, 2, 0])
    layout = Layout.of(lengths)
    ids = torch.randint(0, checkpoint.architecture.vocabulary, (len(layout.positions),))
    nobodys = torch.zeros(20, dtype=torch.int64)
    filled = replace(layout, positions=torch.cat([layout.positions, nobodys]), unpadded=True)
    with torch.inference_mode():
        padded = network.pool(encoder(ids, layout), layout, checkpoint.pooling)
        runs = network.pool(encoder(torch.cat([ids, nobodys]), filled), filled, checkpoint.pooling)
    real = lengths > 0
    assert runs[real].isfinite().all()
    assert torch.nn.functional.cosine_similarity(runs[real], padded[real]).min() >= 0.999
    assert (runs[real] - padded[real]).abs().max() < 0.1 * padded[real].abs().max()


def test_the_call_suits_the_installed_torch():
    """Shapes go through torch's own registration, which knows its arguments on every device."""
    rows = torch.empty(7, 4, 64, dtype=torch.bfloat16, device="meta")
    ends = torch.empty(3, dtype=torch.int32, device="meta")
    layout = Layout(ends, torch.empty(7, device="meta"), 6, unpadded=True)
    for window in (None, 6, 3):
        assert attend(rows, rows[:, :2], rows[:, :2], layout, window).shape == rows.shape
