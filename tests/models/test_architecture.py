"""Shapes read from transformers' configurations, and refusals that name the key at fault."""

import json

import pytest
import tiny
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from efive.errors import ModelError
from efive.models.architecture import Architecture, Kind

BERT = Architecture(Kind.BERT, 2, 8, 2, 16, 30, 64, 1e-12, token_types=2)
XLM_R = Architecture(Kind.XLM_R, 2, 8, 2, 16, 30, 66, 1e-5, token_types=1, pad_id=1)
MISTRAL = Architecture(Kind.MISTRAL, 2, 16, 4, 32, 30, 64, 1e-5, kv_heads=2, pad_id=2, rope_theta=5e5, sliding_window=9)
ALL = pytest.mark.parametrize("shape", [BERT, XLM_R, MISTRAL], ids=lambda a: a.kind)


@ALL
def test_round_trip(shape):
    assert Architecture.from_config(json.loads(json.dumps(shape.to_config()))) == shape


@pytest.mark.parametrize("pad_id", [0, 3])
@ALL
def test_round_trip_keeps_any_pad_id(shape, pad_id):
    config = shape.to_config() | {"pad_token_id": pad_id}
    read = Architecture.from_config(config)
    assert read.pad_id == pad_id
    assert read.first_position == (pad_id + 1 if shape.kind is Kind.XLM_R else 0)


@ALL
def test_pad_id_that_is_not_stated(shape):
    config = shape.to_config()
    for variant in (config | {"pad_token_id": None}, {k: v for k, v in config.items() if k != "pad_token_id"}):
        assert Architecture.from_config(variant) == shape


@ALL
def test_transformers_reads_what_we_write(shape, tmp_path):
    """The same shapes come out of transformers' own model of our configuration, tensor by tensor."""
    (tmp_path / "config.json").write_text(json.dumps(shape.to_config()))
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    model = transformers.AutoModel.from_config(config)
    theirs = {name: tuple(tensor.shape) for name, tensor in model.named_parameters() if "pooler" not in name}
    assert theirs == shape.tensors()
    assert type(model).__name__ == shape.to_config()["architectures"][0]


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_transformers_own_configuration(tiny_models, kind):
    config = json.loads((tiny_models[kind] / "config.json").read_text())
    read = Architecture.from_config(config)
    assert read.kind == {"mistral": "mistral", "xlm-roberta": "xlm-roberta"}.get(kind, "bert")
    assert (read.layers, read.hidden, read.heads, read.feed_forward) == (3, 64, 4, 160)
    assert read.vocabulary == config["vocab_size"]
    if kind == "mistral":
        assert "rope_theta" not in config
        assert config["rope_parameters"]["rope_theta"] == 10_000.0
        assert (read.kv_heads, read.pad_id, read.rope_theta, read.sliding_window) == (2, 2, 10_000.0, 256)
        assert (read.positions, read.longest, read.norm_eps) == (1024, 1024, 1e-5)
    else:
        assert (read.longest, read.first_position) == (512, 2 if kind == "xlm-roberta" else 0)
        assert read.token_types == (1 if kind == "xlm-roberta" else 2)
        assert read.norm_eps == (1e-5 if kind == "xlm-roberta" else 1e-12)


def test_rotary_base_and_window_of_either_transformers_version():
    old = MISTRAL.to_config()
    new = {k: v for k, v in old.items() if k != "rope_theta"}
    new["rope_parameters"] = {"rope_theta": 5e5, "rope_type": "default"}
    assert Architecture.from_config(new) == Architecture.from_config(old) == MISTRAL
    assert Architecture.from_config(old | {"sliding_window": None}).sliding_window == MISTRAL.positions
    del old["sliding_window"]
    assert Architecture.from_config(old).sliding_window == transformers.MistralConfig().sliding_window == 4096


REQUIRED = [
    *[(s, k) for s in (BERT, XLM_R) for k in ("type_vocab_size", "layer_norm_eps")],
    *[(MISTRAL, k) for k in ("num_key_value_heads", "rms_norm_eps", "rope_theta")],
    *[
        (s, k)
        for s in (BERT, XLM_R, MISTRAL)
        for k in (
            "num_hidden_layers",
            "hidden_size",
            "num_attention_heads",
            "intermediate_size",
            "vocab_size",
            "max_position_embeddings",
        )
    ],
]


@pytest.mark.parametrize(("shape", "key"), REQUIRED)
def test_missing_key_is_named(shape, key):
    config = {k: v for k, v in shape.to_config().items() if k != key}
    with pytest.raises(ModelError, match=f"config.json lacks '{key}', which a {shape.kind} encoder needs"):
        Architecture.from_config(config)


WRONG = ["12", None, [], {}, True, -1, 0, float("nan"), float("inf")]


@pytest.mark.parametrize(("shape", "key"), REQUIRED)
def test_value_of_a_wrong_type_or_sign_is_named(shape, key):
    for value in WRONG:
        absent = key == "rope_theta" and value is None  # null points to rope_parameters
        with pytest.raises(ModelError, match=f"lacks '{key}'" if absent else f"config.json says {key} "):
            Architecture.from_config(shape.to_config() | {key: value})


@pytest.mark.parametrize("key", ["hidden_size", "vocab_size", "num_hidden_layers"])
def test_fractions_are_no_sizes(key):
    with pytest.raises(ModelError, match=rf"config.json says {key} 8\.5"):
        Architecture.from_config(BERT.to_config() | {key: 8.5})


@pytest.mark.parametrize("stated", ["roberta", "distilbert", "BERT", "modernbert", "", None, 3, ["bert"]])
def test_other_model_types_are_refused(stated):
    with pytest.raises(ModelError, match=r"model_type .*; the E5 family has bert, xlm-roberta, mistral"):
        Architecture.from_config(BERT.to_config() | {"model_type": stated})


@pytest.mark.parametrize(
    ("shape", "change", "key"),
    [
        (BERT, {"hidden_act": "gelu_new"}, "hidden_act"),
        (XLM_R, {"hidden_act": "relu"}, "hidden_act"),
        (MISTRAL, {"hidden_act": "gelu"}, "hidden_act"),
        (BERT, {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        (XLM_R, {"position_embedding_type": "relative_key_query"}, "position_embedding_type"),
        (MISTRAL, {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling"),
        (MISTRAL, {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_parameters"),
        (MISTRAL, {"rope_parameters": 10_000.0}, "rope_parameters"),
        (MISTRAL, {"head_dim": 8}, "head_dim"),
        (MISTRAL, {"num_key_value_heads": 3}, "num_key_value_heads"),
        (BERT, {"hidden_size": 9}, "hidden_size"),
        (XLM_R, {"max_position_embeddings": 2}, "max_position_embeddings"),
    ],
)
def test_variants_that_are_not_computed_are_refused(shape, change, key):
    with pytest.raises(ModelError, match=key):
        Architecture.from_config(shape.to_config() | change)


def test_harmless_extra_keys_are_read_over():
    extra = {"rope_scaling": None, "head_dim": None, "transformers_version": "9", "position_embedding_type": "absolute"}
    assert Architecture.from_config(MISTRAL.to_config() | extra) == MISTRAL


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data(), value=JSON)
def test_any_json_value_in_any_key_reads_or_is_a_model_error(data, value):
    shape = data.draw(st.sampled_from([BERT, XLM_R, MISTRAL]))
    config = shape.to_config() | {"rope_parameters": None}
    key = data.draw(st.sampled_from(sorted(config)))
    try:
        read = Architecture.from_config(config | {key: value})
    except ModelError as error:
        complaint = str(error)
    else:
        complaint = key if read.longest > 0 and read.head_dim > 0 else ""
    assert key in complaint


def test_head_and_arithmetic():
    assert (BERT.head_dim, MISTRAL.head_dim) == (4, 4)
    # One layer of BERT: 4 h² of attention and 2 h f of feed-forward, each multiplied and added, and two score products.
    assert BERT.arithmetic(10) == 2 * (2 * (4 * 8 * 8 + 2 * 8 * 16) + 4 * 10 * 8)
    assert MISTRAL.arithmetic(10) == 2 * (2 * (2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32) + 4 * 10 * 16)
