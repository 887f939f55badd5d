"""The native engine beside OpenVINO in fp32: exact, the same whatever the neighbours, on every instruction set."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tiny

from efive import Encoder
from efive.engines.base import Precision, TokenBatch
from efive.engines.hardware import detect
from efive.engines.native_engine import NativeEngine
from efive.engines.native_import import extension, instruction_sets, obstacle
from efive.engines.openvino_engine import OpenVinoEngine
from efive.errors import EngineError
from efive.models import checkpoint as checkpoints
from efive.models import store
from efive.models.tensors import Tensor, pack_rows
from efive.text.batching import pad

if missing := obstacle():
    pytest.skip(missing, allow_module_level=True)

PRECISIONS = (Precision.FP32, Precision.BF16, Precision.INT8)
BUILDS = [(p, isa) for p in PRECISIONS for isa in instruction_sets(p, emulated=True)]
LENGTHS = [1, 2, 5, 6, 7, 12, 15, 16, 17, 31, 33, 95, 96, 97, 112, 200, 333, 496, 511, 512]
MEAN = {Precision.FP32: 1 - 1e-6, Precision.BF16: 0.9999, Precision.INT8: 0.998}
LOWEST = {Precision.FP32: 1 - 1e-6, Precision.BF16: 0.999, Precision.INT8: 0.99}
# Heads of 16, 32 and 64; inner widths (160, 320, 640) that are no multiple of a tile's columns or of int8's blocks.
SHAPES = [("bert", 64), ("bert-multilingual", 128), ("xlm-roberta", 128), ("xlm-roberta", 256)]


def rows(vocabulary, lengths=LENGTHS):
    """Random ids, the first and the last of the vocabulary among them."""
    rng = np.random.default_rng(len(lengths))
    made = [rng.integers(0, vocabulary, length).astype(np.int32) for length in lengths]
    made[-1][:1], made[-1][-1:] = 0, vocabulary - 1
    return made


def batch(texts):
    return TokenBatch(*pad(texts, 0))


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def with_tensor(checkpoint, name, tensor):
    return replace(checkpoint, tensors={**checkpoint.tensors, name: tensor})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Checkpoints, their inputs and fp32 vectors by kind and width; the bundled model last."""
    root = tmp_path_factory.mktemp("native")
    folders = {shape: tiny.make(shape[0], root / f"{shape[0]}-{shape[1]}", hidden=shape[1]) for shape in SHAPES}
    if (store._BUNDLED_FOLDER / "config.json").is_file():
        folders["bundled", 384] = store._BUNDLED_FOLDER
    found = {}
    for shape, folder in folders.items():
        checkpoint = checkpoints.read(folder)
        texts = rows(checkpoint.architecture.vocabulary)
        exact = OpenVinoEngine(checkpoint, Precision.FP32, detect(), threads=1)
        found[shape] = checkpoint, texts, exact.embed(batch(texts))
        exact.close()
    return found


@pytest.mark.parametrize(("precision", "isa"), BUILDS)
@pytest.mark.parametrize("shape", [*SHAPES, ("bundled", 384)])
def test_vectors_are_those_of_fp32_within_the_bound(models, shape, precision, isa):
    if shape not in models:
        pytest.skip("this build has no bundled model")
    checkpoint, texts, expected = models[shape]
    engine = NativeEngine(checkpoint, precision, threads=1, isa=isa)
    assert engine.isa == isa
    vectors = engine.embed(batch(texts))
    found = cosines(vectors, expected)
    assert found.min() >= LOWEST[precision]
    assert found.mean() >= MEAN[precision] - (0.002 if shape[0] == "bundled" and precision is Precision.INT8 else 0)
    scale = np.abs(expected).max()
    if precision is Precision.FP32:
        assert np.abs(vectors - expected).max() <= 1e-5 * scale
    else:  # a precision that changes nothing would not be that precision
        assert np.abs(vectors - expected).max() > 1e-4 * scale
    assert 0 < engine.memory_bytes() < 100_000_000


@pytest.mark.parametrize(("precision", "isa"), BUILDS)
def test_every_kernel_computes_what_its_reference_does(precision, isa):
    assert extension.check(isa, str(precision)) == ""


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.INT8])
def test_amx_is_offered_where_it_is_and_nothing_emulated_anywhere(models, precision):
    real = {"amx-bf16", "amx-int8"} <= set(detect().instruction_sets)
    offered = instruction_sets(precision)
    assert "amx-emulated" not in offered
    if real:
        assert offered[0] == "amx"
    else:
        with pytest.raises(EngineError, match=f"no {precision} with amx here"):
            NativeEngine(models["bert", 64][0], precision, 1, isa="amx")
        with pytest.raises(ValueError, match="lacks the instruction set"):
            extension.check("amx", str(precision))


@pytest.mark.parametrize(("precision", "isa"), BUILDS)
def test_neighbours_order_and_threads_change_no_bit(models, precision, isa):
    checkpoint, texts, _ = models["xlm-roberta", 128]
    engine = NativeEngine(checkpoint, precision, threads=3, isa=isa)
    together = engine.embed(batch(texts))
    alone = np.concatenate([engine.embed(batch([text])) for text in texts])
    np.testing.assert_array_equal(alone, together)
    order = np.random.default_rng(0).permutation(len(texts))
    np.testing.assert_array_equal(engine.embed(batch([texts[i] for i in order])), together[order])
    with ThreadPoolExecutor(6) as pool:  # twice as many as workspaces: the rest must wait, not share
        for vectors in pool.map(engine.embed, [batch(texts)] * 12):
            np.testing.assert_array_equal(vectors, together)
    engine.close()


@pytest.mark.parametrize("stored", ["F16", "BF16", "I8", "F64"])
def test_word_tables_are_read_as_they_are_stored(models, stored):
    checkpoint, texts, _ = models["bert", 64]
    name = "embeddings.word_embeddings.weight"
    floats = checkpoint.tensors[name].floats().copy()
    floats[3, :4] = [0, -0.0, 6e-8, -3e-5]  # zeros and halves below the normal range
    if stored == "I8":
        codes, scales = pack_rows(floats)
        table = Tensor("I8", codes, scales)
    elif stored == "BF16":
        table = Tensor("BF16", (floats.view(np.uint32) >> 16).astype(np.uint16))
    else:
        table = Tensor(stored, floats.astype({"F16": np.float16, "F64": np.float64}[stored]))
    plain = Tensor("F32", np.ascontiguousarray(table.floats()))
    vectors = [
        NativeEngine(with_tensor(checkpoint, name, tensor), Precision.FP32, 1).embed(
            batch([*texts, np.full(4, 3, dtype=np.int32)])
        )
        for tensor in (table, plain)
    ]
    np.testing.assert_array_equal(*vectors)


def test_what_is_out_of_range_is_refused_before_memory_is_touched(models):
    checkpoint, _, _ = models["bert", 64]
    engine = NativeEngine(checkpoint, Precision.FP32, threads=1)
    vocabulary = checkpoint.architecture.vocabulary
    for ids, lengths, what in (
        ([[vocabulary]], [1], "token id"),
        ([[-1]], [1], "token id"),
        ([[1, 2]], [3], "length"),
        ([[1, 2]], [0], "length"),
        ([[1] * 513], [513], "length"),
        ([[1]], [1, 1], "one length for each text"),
    ):
        with pytest.raises(ValueError, match=what):
            engine.embed(TokenBatch(np.array(ids, dtype=np.int32), np.array(lengths, dtype=np.int32)))
    # What lies beyond a text's length is never read.
    padded = TokenBatch(np.array([[1, 2, -5]], dtype=np.int32), np.array([2], dtype=np.int32))
    assert np.isfinite(engine.embed(padded)).all()
    assert engine.embed(TokenBatch(np.zeros((0, 0), np.int32), np.zeros(0, np.int32))).shape == (0, 64)


def test_shapes_and_instruction_sets_that_it_has_not_are_refused(models, tmp_path):
    odd = checkpoints.read(tiny.make("bert", tmp_path / "odd", hidden=96))  # heads of 24
    with pytest.raises(EngineError, match=r"this model has 24, 96 and 240; use engine='auto'"):
        NativeEngine(odd, Precision.FP32, threads=1)
    with pytest.raises(EngineError, match=r"no fp16 on this processor"):
        NativeEngine(models["bert", 64][0], Precision.FP16, threads=1)
    with pytest.raises(EngineError, match=r"no fp32 with sse2 here; there is .*avx2"):
        NativeEngine(models["bert", 64][0], Precision.FP32, threads=1, isa="sse2")


def test_a_closed_engine_says_so(models):
    engine = NativeEngine(models["bert", 64][0], Precision.FP32, threads=2)
    engine.warmup()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.embed(TokenBatch(np.ones((1, 2), np.int32), np.array([2], np.int32)))


@pytest.mark.parametrize(("precision", "isa"), BUILDS)
@pytest.mark.parametrize("spoiled", ["embeddings.word_embeddings", "encoder.layer.1.intermediate.dense"])
def test_damaged_weights_show(models, precision, isa, spoiled):
    checkpoint = models["bert", 64][0]
    name = f"{spoiled}.weight"
    values = checkpoint.tensors[name].floats().copy()
    values[3:50] = np.nan
    damaged = with_tensor(checkpoint, name, Tensor("F32", values))
    vectors = NativeEngine(damaged, precision, 1, isa=isa).embed(batch([np.arange(3, 40, dtype=np.int32)]))
    assert np.isnan(vectors).any()


def test_an_encoder_runs_on_it_through_the_int8_gate(tmp_path):
    folder = tiny.make("bert", tmp_path / "wide", hidden=128)
    with Encoder.load(folder, engine="native", precision="int8", threads=2) as encoder:
        assert re.fullmatch("native on cpu: asked for; int8: asked for", encoder.reason)
        vectors = encoder.embed_passages(tiny.TEXTS).vectors
    with Encoder.load(folder, engine="openvino", precision="fp32") as exact:
        assert (vectors * exact.embed_passages(tiny.TEXTS).vectors).sum(axis=1).min() >= 0.99
