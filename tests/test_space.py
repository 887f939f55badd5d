from dataclasses import replace

import pytest

from efive import Encoder
from efive.engines.base import Precision
from efive.models import checkpoint
from efive.models.architecture import Kind
from efive.models.digests import space_of
from efive.space import Space

SPACE = Space("a" * 64, "b" * 64, "query: ", "passage: ", "mean", normalized=True, dimension=384, precision="bf16")


def test_fingerprint_is_stable():
    """Fixed for ever: a change here makes every stored collection foreign."""
    assert SPACE.fingerprint == "e5-c4549e02561b6838"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": "c" * 64}, "the weights (aaaaaaaaaaaa… and cccccccccccc…) differs"),
        ({"precision": "int8"}, "the precision ('bf16' and 'int8') differs"),
        ({"query_prefix": ""}, "the query prefix ('query: ' and '') differs"),
        (
            {"dimension": 768, "pooling": "last"},
            "the pooling ('mean' and 'last') and the dimension (384 and 768) differ",
        ),
    ],
)
def test_difference_is_a_sentence(change, said):
    other = replace(SPACE, **change)
    assert other.fingerprint != SPACE.fingerprint
    assert said in SPACE.difference(other)
    assert SPACE.difference(replace(SPACE)) is None


def test_survives_json():
    assert Space.from_dict(SPACE.to_dict()) == SPACE


def test_the_same_on_every_engine_of_a_precision(tiny_models):
    for precision in ("fp32", "bf16"):
        spaces = {
            Encoder.load(tiny_models["bert"], engine=engine, precision=precision).space
            for engine in ("openvino", "torch")
        }
        assert len(spaces) == 1


def test_the_same_after_saving(tiny_models, tmp_path):
    with Encoder.load(tiny_models["bert"]) as encoder:
        encoder.save(tmp_path / "copy")
    with Encoder.load(tmp_path / "copy") as copy:
        assert copy.space == encoder.space


def test_other_weights_are_another_space(tiny_models, tmp_path):
    import tiny

    one = space_of(checkpoint.read(tiny_models["bert"]), Precision.FP32, tmp_path)
    two = space_of(checkpoint.read(tiny.make("bert", tmp_path / "other", seed=1)), Precision.FP32, tmp_path)
    assert "the weights" in one.difference(two)
    assert "the tokenizer" not in one.difference(two)


@pytest.mark.parametrize("change", [{"heads": 2}, {"norm_eps": 0.1}, {"kind": "xlm-roberta"}])
def test_another_arithmetic_on_the_same_tensors_is_another_space(tiny_models, tmp_path, change):
    plain = checkpoint.read(tiny_models["bert"])
    changed = replace(plain, architecture=replace(plain.architecture, **change))
    if "kind" in change:
        changed = replace(plain, architecture=replace(plain.architecture, kind=Kind.XLM_R, pad_id=1))
    one, two = (space_of(c, Precision.FP32, tmp_path) for c in (plain, changed))
    assert one.fingerprint != two.fingerprint
