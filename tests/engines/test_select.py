import pytest

from efive.engines import native_import, select
from efive.engines.hardware import Hardware
from efive.errors import EngineError, InputError
from efive.models.architecture import Kind

OLD = Hardware("old", 4, ("avx2",))
NEW = Hardware("new", 4, ("amx-bf16", "amx-int8", "avx512-bf16", "avx512", "avx2"))


@pytest.fixture(autouse=True)
def no_accelerator(monkeypatch):
    monkeypatch.setattr(select, "accelerator", lambda: None)


@pytest.mark.parametrize(
    ("kind", "hardware", "engine", "precision", "expected"),
    [
        (Kind.BERT, NEW, "auto", "auto", ("openvino", "bf16", "cpu")),
        (Kind.BERT, OLD, "auto", "auto", ("openvino", "fp32", "cpu")),
        (Kind.XLM_R, OLD, "auto", "int8", ("openvino", "int8", "cpu")),
        (Kind.MISTRAL, NEW, "auto", "auto", ("torch", "bf16", "cpu")),
        (Kind.BERT, OLD, "torch", "auto", ("torch", "fp32", "cpu")),
        (Kind.BERT, OLD, "auto", "fp16", ("torch", "fp16", "cpu")),
    ],
)
def test_choice_by_hardware(kind, hardware, engine, precision, expected):
    choice = select.choose(kind, hardware, engine, precision, None)
    assert (choice.engine, str(choice.precision), choice.device) == expected
    assert choice.engine in choice.reason
    assert str(choice.precision) in choice.reason


def test_an_accelerator_is_preferred_unless_cpu_was_asked_for(monkeypatch):
    monkeypatch.setattr(select, "accelerator", lambda: "mps")
    assert select.choose(Kind.BERT, NEW, "auto", "auto", None).device == "mps"
    assert select.choose(Kind.BERT, NEW, "auto", "auto", "cpu").engine == "openvino"


def test_refusals_say_what_there_is():
    with pytest.raises(InputError, match="auto, openvino, torch"):
        select.choose(Kind.BERT, NEW, "tensorrt", "auto", None)
    with pytest.raises(InputError, match="fp32, bf16"):
        select.choose(Kind.BERT, NEW, "auto", "fp4", None)
    with pytest.raises(EngineError, match="use engine='torch'"):
        select.choose(Kind.BERT, NEW, "openvino", "auto", "cuda")
    with pytest.raises(EngineError, match="no Mistral kind; use engine='torch'"):
        select.choose(Kind.MISTRAL, NEW, "native", "auto", None)
    with pytest.raises(EngineError, match="runs on cpu, not cuda"):
        select.choose(Kind.BERT, NEW, "native", "auto", "cuda")


def test_the_native_engine_is_refused_where_it_is_not_built(monkeypatch):
    monkeypatch.setattr(native_import, "extension", None)
    with pytest.raises(EngineError, match=r"native engine is not built here.*use engine='auto'"):
        select.choose(Kind.BERT, NEW, "native", "auto", None)
    assert select.choose(Kind.BERT, NEW, "auto", "auto", None).engine == "openvino"
