import numpy as np
import pytest
import tiny
import torch

from efive import Encoder
from efive.engines.base import Precision, TokenBatch
from efive.engines.torch_float8 import Float8Linear, quantise
from efive.engines.torch_replica import Replica, Setup
from efive.errors import EngineError, PrecisionRefusedError
from efive.gate import judge
from efive.models import checkpoint as checkpoints
from efive.text.batching import pad


def rows_of_many_sizes(count, width):
    torch.manual_seed(0)
    return torch.randn(count, width) * torch.logspace(-4, 4, count)[:, None]


def test_codes_and_scales_give_the_rows_back():
    rows = rows_of_many_sizes(50, 96)
    rows[7] = 0
    codes, scales = quantise(rows)
    assert codes.dtype == torch.float8_e4m3fn
    assert scales.shape == (50, 1)
    assert codes.float().isfinite().all()
    assert codes.float().abs().amax(1)[:7].eq(448).all()
    back = codes.float() * scales
    assert ((back - rows).abs() <= rows.abs() / 16 + scales * 2**-9).all()  # half a step of three bits of mantissa
    assert back[7].eq(0).all()


@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_that_of_the_codes(bias):
    """torch's scaled product on this device beside the same sum written out."""
    torch.manual_seed(1)
    linear = torch.nn.Linear(96, 48, bias=bias, dtype=torch.bfloat16)
    x = rows_of_many_sizes(17, 96).bfloat16()
    with torch.inference_mode():
        layer = Float8Linear(linear)
        found = layer(x).float()
        assert torch.equal(layer(x[3:4]).float(), found[3:4])  # scales are each token's own
        (a, a_scales), (b, b_scales) = quantise(x), quantise(linear.weight)
        expected = (a.float() * a_scales) @ (b.float() * b_scales).T + (linear.bias.float() if bias else 0)
        exact = linear(x).float()
    assert found.shape == (17, 48)
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).max() <= 0.01
    off = (found - exact).norm(dim=1) / exact.norm(dim=1)
    assert 0.01 < off.max() < 0.1


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_whole_model_stays_close(tmp_path, kind):
    checkpoint = checkpoints.read(tiny.make(kind, tmp_path, hidden=128, scale=0.05))
    rng = np.random.default_rng(0)
    texts = [rng.integers(3, checkpoint.architecture.vocabulary - 8, n).astype(np.int32) for n in (4, 30, 9, 100)]
    batch = TokenBatch(*pad(texts, 0))
    cpu = torch.device("cpu")
    exact = Replica(checkpoint, cpu, Setup(Precision.FP32))
    half = Replica(checkpoint, cpu, Setup(Precision.BF16, joined=True))
    eight = Replica(checkpoint, cpu, Setup(Precision.FP8, joined=True))
    a, b = exact.embed(batch), eight.embed(batch)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert 0.98 <= cosines.min() < 0.99999
    assert eight.memory_bytes() < half.memory_bytes()


def test_fp8_is_refused_where_the_device_has_none(bert):
    with pytest.raises(EngineError, match=r"fp8 needs an NVIDIA GPU .* which cpu is not; use precision='bf16'"):
        Encoder.load(bert, precision="fp8", device="cpu")
    with pytest.raises(EngineError, match="fp8 is the torch engine's"):
        Encoder.load(bert, precision="fp8", engine="openvino")
    with pytest.raises(PrecisionRefusedError, match=r"fp8 is refused for it: .* cosine 0\.9800"):
        judge(0.98, Precision.FP8, "it")
