from dataclasses import replace

import pytest

from efive.engines import native_import, select
from efive.engines.base import Precision
from efive.engines.hardware import Hardware
from efive.errors import EngineError, InputError
from efive.models.family import FAMILY

OLD = Hardware("old", 4, ("avx2",))
MIDDLE = Hardware("middle", 4, ("avx512", "avx2"))
NEW = Hardware("new", 4, ("avx512-bf16", "avx512-vnni", "avx512", "avx2"))
TILES = Hardware("tiles", 4, ("amx-bf16", "amx-int8", *NEW.instruction_sets))
BERT, XLM_R, MISTRAL = (
    FAMILY[name].architecture for name in ("e5-small-v2", "multilingual-e5-base", "e5-mistral-7b-instruct")
)

built = pytest.mark.skipif(not native_import.instruction_sets(Precision.BF16), reason="no native engine with bf16 here")


@pytest.fixture(autouse=True)
def no_accelerator(monkeypatch):
    monkeypatch.setattr(select, "accelerator", lambda: None)


@pytest.mark.parametrize(
    ("shape", "hardware", "engine", "precision", "expected"),
    [
        (BERT, MIDDLE, "auto", "auto", ("openvino", "fp32", "cpu")),
        (XLM_R, MIDDLE, "auto", "int8", ("openvino", "int8", "cpu")),
        (MISTRAL, NEW, "auto", "auto", ("torch", "bf16", "cpu")),
        (BERT, OLD, "torch", "auto", ("torch", "fp32", "cpu")),
        (BERT, OLD, "auto", "fp16", ("torch", "fp16", "cpu")),
        (BERT, NEW, "openvino", "auto", ("openvino", "bf16", "cpu")),
        pytest.param(BERT, OLD, "auto", "auto", ("native", "fp32", "cpu"), marks=built),
        pytest.param(XLM_R, OLD, "auto", "int8", ("native", "int8", "cpu"), marks=built),
        pytest.param(BERT, NEW, "auto", "auto", ("native", "bf16", "cpu"), marks=built),
        pytest.param(XLM_R, NEW, "auto", "int8", ("native", "int8", "cpu"), marks=built),
        pytest.param(BERT, NEW, "auto", "fp32", ("native", "fp32", "cpu"), marks=built),
        pytest.param(BERT, TILES, "auto", "fp32", ("native", "fp32", "cpu"), marks=built),
    ],
)
def test_choice_by_hardware(shape, hardware, engine, precision, expected):
    choice = select.choose(shape, hardware, engine, precision, None)
    assert (choice.engine, str(choice.precision), choice.device) == expected
    assert choice.engine in choice.reason
    assert str(choice.precision) in choice.reason


def test_an_accelerator_is_preferred_unless_cpu_was_asked_for(monkeypatch):
    monkeypatch.setattr(select, "accelerator", lambda: "mps")
    assert select.choose(BERT, NEW, "auto", "auto", None).device == "mps"
    assert select.choose(BERT, MIDDLE, "auto", "auto", "cpu").engine == "openvino"
    assert select.choose(BERT, MIDDLE, "auto", "int8", None).engine == "openvino"


@built
def test_auto_says_why_it_takes_openvino(monkeypatch):
    def reason(shape, hardware, precision="auto"):
        choice = select.choose(shape, hardware, "auto", precision, None)
        assert choice.engine == "openvino"
        return choice.reason

    assert "our own kernels need its VNNI" in reason(BERT, MIDDLE)
    assert "heads of 16, 32 and 64 components" in reason(replace(BERT, heads=16), NEW)
    sets = native_import.extension.instruction_sets
    monkeypatch.setattr(native_import, "instruction_sets", lambda p: [s for s in sets(str(p)) if s != "amx"])
    assert "OpenVINO has kernels for AMX" in reason(BERT, TILES)
    assert "OpenVINO has kernels for AMX" in reason(BERT, TILES, "int8")
    monkeypatch.setattr(native_import, "extension", None)
    assert "not built here" in reason(BERT, NEW)


def test_refusals_say_what_there_is():
    with pytest.raises(InputError, match="auto, openvino, torch"):
        select.choose(BERT, NEW, "tensorrt", "auto", None)
    with pytest.raises(InputError, match="fp32, bf16"):
        select.choose(BERT, NEW, "auto", "fp4", None)
    with pytest.raises(EngineError, match="use engine='torch'"):
        select.choose(BERT, NEW, "openvino", "auto", "cuda")
    with pytest.raises(EngineError, match="no Mistral kind; use engine='torch'"):
        select.choose(MISTRAL, NEW, "native", "auto", None)
    with pytest.raises(EngineError, match="runs on cpu, not cuda"):
        select.choose(BERT, NEW, "native", "auto", "cuda")


def test_the_native_engine_is_refused_where_it_is_not_built(monkeypatch):
    monkeypatch.setattr(native_import, "extension", None)
    with pytest.raises(EngineError, match=r"native engine is not built here.*use engine='auto'"):
        select.choose(BERT, NEW, "native", "auto", None)
    assert select.choose(BERT, NEW, "auto", "auto", None).engine == "openvino"
