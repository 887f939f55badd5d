"""What engines refuse, survive and do without: old processors, damaged weights, overflow."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
import transformers

from efive import Encoder
from efive.engines.base import EngineInfo, Precision
from efive.errors import EngineError, NonFiniteError, PrecisionRefusedError

OLD_PROCESSOR = """
import sys
import numpy as np
from efive import Encoder
from efive.errors import EngineError
import openvino
assert "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
exact = Encoder.load(sys.argv[1], engine="openvino", precision="fp32").embed_queries(sys.argv[2:]).vectors
int8 = Encoder.load(sys.argv[1], engine="openvino", precision="int8").embed_queries(sys.argv[2:]).vectors
assert (exact * int8).sum(axis=1).min() >= 0.99
try:
    Encoder.load(sys.argv[1], engine="openvino", precision="bf16")
except EngineError as error:
    assert "bf16" in str(error)
else:
    raise AssertionError("bf16 on a processor without it")
sys.stdout.buffer.write(exact.tobytes())
"""


def test_a_processor_without_avx512_and_amx(bert):
    """The same vectors with OpenVINO held to AVX2."""
    env = {"PATH": "/usr/bin", "OV_CPU_MAX_ISA": "AVX2", "HOME": "/nonexistent"}
    run = subprocess.run(
        [sys.executable, "-c", OLD_PROCESSOR, str(bert), *tiny.TEXTS[:20]], env=env, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr.decode()
    old = np.frombuffer(run.stdout, dtype=np.float32).reshape(20, 64)
    new = Encoder.load(bert, engine="openvino", precision="fp32").embed_queries(tiny.TEXTS[:20]).vectors
    assert np.abs(old - new).max() <= 1e-5


def test_engines_refuse_what_they_have_not(tiny_models):
    with pytest.raises(EngineError, match="engine='torch'"):
        Encoder.load(tiny_models["mistral"], engine="openvino")
    with pytest.raises(EngineError, match="fp16 is the torch engine's"):
        Encoder.load(tiny_models["bert"], engine="openvino", precision="fp16")
    with pytest.raises(EngineError, match="int8 is the openvino engine's"):
        Encoder.load(tiny_models["bert"], engine="torch", precision="int8")
    with pytest.raises(EngineError, match="no cuda device"):
        Encoder.load(tiny_models["bert"], device="cuda:7")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_cuda_equals_cpu(tiny_models, kind):
    exact = Encoder.load(tiny_models[kind], engine="torch", device="cpu", precision="fp32")
    for precision, bound in (("fp32", 1 - 1e-5), ("bf16", 0.999), ("fp16", 0.999)):
        gpu = Encoder.load(tiny_models[kind], device="cuda", precision=precision)
        cosines = (gpu.embed_passages(tiny.TEXTS).vectors * exact.embed_passages(tiny.TEXTS).vectors).sum(axis=1)
        assert cosines.min() >= bound


def changed(folder, target, change):
    """Write the model in `folder` with one tensor changed."""
    model = transformers.AutoModel.from_pretrained(folder)
    with torch.no_grad():
        change(model)
    model.save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (target / name).write_bytes((folder / name).read_bytes())
    return target


def test_damaged_weights_never_give_nan(tiny_models, tmp_path):
    def spoil(model):
        model.embeddings.word_embeddings.weight[100:] = float("nan")

    folder = changed(tiny_models["bert"], tmp_path / "nan", spoil)
    for engine in ("openvino", "torch"):
        with pytest.raises(NonFiniteError, match="text 0 gives a vector that is not finite, in fp32 too"):
            Encoder.load(folder, engine=engine).embed_queries(tiny.TEXTS[:2])


def test_what_overflows_in_half_precision_is_computed_again_in_fp32(tiny_models, tmp_path):
    def enlarge(model):  # beyond float16's 65,504 and tame in float32, where the layer norm brings it back
        model.encoder.layer[1].output.dense.weight *= 1e6

    folder = changed(tiny_models["bert"], tmp_path / "large", enlarge)
    half = Encoder.load(folder, engine="torch", precision="fp16").embed_passages(tiny.TEXTS[:4])
    exact = Encoder.load(folder, engine="torch", precision="fp32").embed_passages(tiny.TEXTS[:4])
    assert np.abs(half.vectors - exact.vectors).max() <= 1e-6


def test_int8_is_refused_where_it_is_wrong(tmp_path):
    def skew(model):  # a huge channel that nothing reads: harmless in fp32, in int8 the others vanish beside it
        for layer in model.encoder.layer:
            layer.attention.self.value.bias[0] = 5000
            layer.attention.output.dense.weight[:, 0] = 0

    # 128 units: the width from which activations are quantised too
    folder = changed(tiny.make("bert", tmp_path / "wide", hidden=128), tmp_path / "skewed", skew)
    with pytest.raises(PrecisionRefusedError, match=r"cosine 0\.\d+ .*0.99 is demanded. Use precision='bf16'"):
        Encoder.load(folder, precision="int8")
    assert Encoder.load(folder, precision="fp32").embed_queries(["a"]).vectors.shape == (1, 128)
    # and again from memory, without measuring
    with pytest.raises(PrecisionRefusedError):
        Encoder.load(folder, precision="int8")


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_info_and_memory(bert, engine):
    with Encoder.load(bert, engine=engine, precision="fp32", threads=1) as encoder:
        info = encoder.engine_info
        assert isinstance(info, EngineInfo)
        assert replace(info, parallel=1) == info
        assert (info.name, info.precision, info.device, info.dimension) == (engine, Precision.FP32, "cpu", 64)
        assert 0 < encoder._engine.memory_bytes() < 10_000_000
        encoder.warmup()


def test_many_batches_leave_memory_bounded(bert):
    """New shapes, batch after batch, must not let memory grow without end."""
    code = """
import resource, sys
from efive import Encoder
encoder = Encoder.load(sys.argv[1])
words = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()
def go(n):
    texts = [" ".join(words[(i * j) % 10] + str(i) for j in range(i % 90)) for i in range(n)]
    encoder.embed_passages(texts or ["a"])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
first = go(2000)
for _ in range(4):
    last = go(2000)
print(last - first)
"""
    grown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(bert)], capture_output=True, text=True, check=True
    )
    assert float(grown.stdout) < 150  # MiB
