"""Model folders in every layout that the hub holds, their refusals, and what `write` makes of them."""

import json
import shutil

import numpy as np
import pytest
import small
import tiny
import torch
from safetensors.numpy import load_file, save_file

from efive.errors import EfiveError, InputError, ModelError, ModelFileError, ModelNotFoundError
from efive.inputs import E5_PROMPTS, Prompts
from efive.models import checkpoint
from efive.models.family import FAMILY
from efive.models.tasks import TASKS

VALUES = small.tensors()
NAMES = sorted(VALUES)
QUERY_WEIGHT = "encoder.layer.0.attention.self.query.weight"


def edit(path, **changes):
    """Change keys of a JSON file that may not exist yet."""
    content = json.loads(path.read_text()) if path.exists() else {}
    small.write_json(path, content | changes)


def torched(values):
    return {name: torch.from_numpy(value) for name, value in values.items()}


def assert_small(read):
    assert set(read.tensors) == set(VALUES)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(read.tensors[name].floats(), value, err_msg=name)


def index(folder, name, shards):
    small.write_json(folder / name, {"weight_map": {key: shard for shard, keys in shards.items() for key in keys}})


# Layouts


def layout_safetensors(folder):
    save_file(VALUES, folder / "model.safetensors")


def layout_shards(folder):
    shards = {"model-00001-of-00002.safetensors": NAMES[:9], "model-00002-of-00002.safetensors": NAMES[9:]}
    for shard, keys in shards.items():
        save_file({key: VALUES[key] for key in keys}, folder / shard)
    index(folder, "model.safetensors.index.json", shards)


def layout_pickle(folder):
    torch.save(torched(VALUES), folder / "pytorch_model.bin")


def layout_pickled_shards(folder):
    shards = {"pytorch_model-00001-of-00002.bin": NAMES[:9], "pytorch_model-00002-of-00002.bin": NAMES[9:]}
    for shard, keys in shards.items():
        torch.save(torched({key: VALUES[key] for key in keys}), folder / shard)
    index(folder, "pytorch_model.bin.index.json", shards)


def layout_task_head(folder):
    head = {"cls.predictions.bias": np.ones(12, np.float32), "bert.pooler.dense.bias": np.ones(8, np.float32)}
    save_file({f"bert.{name}": value for name, value in VALUES.items()} | head, folder / "model.safetensors")


def layout_wrapped(folder):
    save_file({f"0.auto_model.{name}": value for name, value in VALUES.items()}, folder / "model.safetensors")


def layout_old_names(folder):
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in VALUES.items()
    }
    assert sum(name.endswith(("gamma", "beta")) for name in old) == 6
    torch.save(torched(old), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def layout_int8_rows(folder):
    codes = {name: (value * 8).astype(np.int8) if value.ndim == 2 else value for name, value in VALUES.items()}
    scales = {f"{n}.row_scale": np.full(len(v), 0.125, np.float32) for n, v in codes.items() if v.dtype == np.int8}
    assert len(scales) == 9
    save_file(codes | scales, folder / "model.safetensors")


LAYOUTS = [
    layout_safetensors,
    layout_shards,
    layout_pickle,
    layout_pickled_shards,
    layout_task_head,
    layout_wrapped,
    layout_old_names,
    layout_int8_rows,
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_tensors(model, layout):
    (model / "model.safetensors").unlink()
    layout(model)
    assert_small(checkpoint.read(model))


def test_safetensors_go_before_pickled_weights(model):
    (model / "pytorch_model.bin").write_bytes(b"not read")
    assert_small(checkpoint.read(model))


def test_defaults_of_a_bare_folder(model):
    read = checkpoint.read(model)
    assert (read.pooling, read.prompts, read.instruct) == ("mean", E5_PROMPTS, False)
    assert read.max_tokens == read.architecture.longest == 16
    assert read.tokenizer_file == model / "tokenizer.json"


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_transformers_own_folders(tiny_models, kind):
    read = checkpoint.read(tiny_models[kind])
    assert read.max_tokens == 512
    assert read.pooling == ("last" if kind == "mistral" else "mean")
    stored = load_file(tiny_models[kind] / "model.safetensors")
    for name, tensor in read.tensors.items():
        np.testing.assert_array_equal(tensor.floats(), stored[name])


# Damage


def test_missing_folder_and_files(model, tmp_path):
    with pytest.raises(ModelNotFoundError, match="nowhere is no model folder"):
        checkpoint.read(tmp_path / "nowhere")
    with pytest.raises(ModelNotFoundError, match="is no model folder"):
        checkpoint.read(model / "config.json")
    for name, says in (("model.safetensors", "has no weights: none of model.safetensors,"), ("config.json", "missing")):
        (model / name).unlink()
        with pytest.raises(ModelFileError, match=says):
            checkpoint.read(model)


@pytest.mark.parametrize("name", NAMES)
def test_missing_tensor_is_named(model, name):
    save_file({key: value for key, value in VALUES.items() if key != name}, model / "model.safetensors")
    with pytest.raises(ModelFileError, match=rf"the weights lack {name}, which config\.json asks for"):
        checkpoint.read(model)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("num_hidden_layers", 2, r"lack encoder\.layer\.1\."),
        ("vocab_size", 13, r"word_embeddings\.weight has shape \(12, 8\) where config\.json asks for \(13, 8\)"),
        ("max_position_embeddings", 512, r"position_embeddings\.weight has shape"),
        ("type_vocab_size", 1, r"token_type_embeddings\.weight has shape"),
        ("intermediate_size", 8, r"intermediate\.dense\.weight has shape"),
        ("hidden_size", 16, "has shape"),
    ],
)
def test_shapes_that_config_denies(model, key, value, says):
    edit(model / "config.json", **{key: value})
    with pytest.raises(ModelFileError, match=says):
        checkpoint.read(model)


def test_transposed_tensor(model):
    name = "encoder.layer.0.intermediate.dense.weight"
    save_file(VALUES | {name: np.ascontiguousarray(VALUES[name].T)}, model / "model.safetensors")
    with pytest.raises(ModelFileError, match=rf"{name} has shape \(8, 20\) where config\.json asks for \(20, 8\)"):
        checkpoint.read(model)


@pytest.mark.parametrize(
    "shard",
    ["../other/model.safetensors", "/etc/passwd", "sub/model.safetensors", "..", "", ".", "x.pt", "a\\m.bin", None, 3],
)
def test_shard_that_leaves_the_folder(model, shard):
    (model / "model.safetensors").rename(model / "model-1.safetensors")
    other = model.parent / "other"
    other.mkdir()
    shutil.copy(model / "model-1.safetensors", other / "model.safetensors")
    weight_map = dict.fromkeys(NAMES, "model-1.safetensors") | {NAMES[0]: shard}
    small.write_json(model / "model.safetensors.index.json", {"weight_map": weight_map})
    with pytest.raises(ModelFileError, match=r"index\.json names .* which is no weights file beside it"):
        checkpoint.read(model)


def test_shard_that_is_missing(model):
    (model / "model.safetensors").unlink()
    layout_shards(model)
    (model / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"model-00002-of-00002\.safetensors is missing"):
        checkpoint.read(model)


@pytest.mark.parametrize("content", [{}, {"weight_map": {}}, {"weight_map": ["a"]}, {"weight_map": None}, []])
def test_index_without_a_map(model, content):
    (model / "model.safetensors").unlink()
    small.write_json(model / "model.safetensors.index.json", content)
    with pytest.raises(ModelFileError, match=r"model\.safetensors\.index\.json"):
        checkpoint.read(model)


SIDECARS = [
    "config.json",
    "modules.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "efive.json",
]


@pytest.fixture
def furnished(model):
    """A folder with all the files that sentence-transformers writes."""
    modules = [{"type": f"sentence_transformers.models.{k}", "path": p} for k, p in MODULES]
    small.write_json(model / "modules.json", modules)
    small.write_json(model / "1_Pooling/config.json", {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True})
    small.write_json(model / "config_sentence_transformers.json", {"prompts": {}})
    small.write_json(model / "sentence_bert_config.json", {"max_seq_length": 12})
    return model


MODULES = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"3", b"null", b'"x"', b"[3]", b"[" * 50_000], ids=lambda b: repr(b)[:8]
)
@pytest.mark.parametrize("name", SIDECARS)
def test_damaged_json_is_a_model_error_that_names_the_file(furnished, name, content):
    (furnished / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=name.replace(".", r"\.")):
        checkpoint.read(furnished)


# Pooling


def pool(model, kinds=MODULES, **config):
    types = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in kinds]
    small.write_json(model / "modules.json", types)
    small.write_json(model / "1_Pooling/config.json", config)


OLD = {f"pooling_mode_{m}": False for m in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        (OLD | {"pooling_mode_mean_tokens": True}, "mean"),
        (OLD | {"pooling_mode_mean_tokens": True, "include_prompt": True}, "mean"),
        (OLD | {"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "mean", "embedding_dimension": 8}, "mean"),
        ({"pooling_mode": ["mean"]}, "mean"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": "mean", "pooling_mode_mean_tokens": True}, "mean"),
        ({}, "mean"),
    ],
)
def test_pooling_of_old_and_new_sentence_transformers(model, config, pooling):
    pool(model, **config)
    assert checkpoint.read(model).pooling == pooling


@pytest.mark.parametrize("version", ["old", "new"])
def test_pooling_written_by_sentence_transformers_itself(model, version):
    from sentence_transformers.sentence_transformer.modules import Pooling

    pool(model)
    if version == "new":
        Pooling(8, pooling_mode="mean").save(str(model / "1_Pooling"))
        assert checkpoint.read(model).pooling == "mean"
        Pooling(8, pooling_mode="cls").save(str(model / "1_Pooling"))
    else:
        pool(model, **(OLD | {"pooling_mode_cls_token": True}))
    with pytest.raises(ModelError, match="pools by cls"):
        checkpoint.read(model)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (OLD | {"pooling_mode_cls_token": True}, "pools by cls_token; E5 pools by mean"),
        (OLD | {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "mean_tokens and max_tokens"),
        ({"pooling_mode": ["mean", "lasttoken"]}, "mean and lasttoken"),
        ({"pooling_mode": "weightedmean"}, "weightedmean"),
        ({"pooling_mode": "mean", "pooling_mode_cls_token": True}, "mean and cls_token"),
        ({"pooling_mode": None}, "pools by None"),
        ({"pooling_mode": {"mean": 1}}, "pools by"),
        (OLD | {"pooling_mode_mean_tokens": True, "include_prompt": False}, "leaves the prompt out"),
    ],
)
def test_other_pooling_is_refused(model, config, says):
    pool(model, **config)
    with pytest.raises(ModelError, match=says):
        checkpoint.read(model)


@pytest.mark.parametrize("kind", ["Dense", "LayerNorm", "CLIPModel"])
def test_unknown_modules_are_refused(model, kind):
    pool(model, (*MODULES, (kind, "3_x")), pooling_mode="mean")
    with pytest.raises(ModelError, match=rf"modules\.json has {kind}, which no E5 model has"):
        checkpoint.read(model)


def test_modules_without_type_and_missing_pooling_file(model):
    pool(model, pooling_mode="mean")
    (model / "1_Pooling/config.json").unlink()
    with pytest.raises(ModelFileError, match=r"1_Pooling/config\.json is missing"):
        checkpoint.read(model)
    small.write_json(model / "modules.json", [{"path": ""}])
    with pytest.raises(ModelFileError, match=r"modules\.json is no list of modules"):
        checkpoint.read(model)


# Prompts, instruction, limit


@pytest.mark.parametrize(
    ("registered", "expected"),
    [
        ({"query": "q: ", "document": "d: "}, Prompts("q: ", "d: ")),
        ({"query": "q: ", "passage": "p: "}, Prompts("q: ", "p: ")),
        ({"query": "q: "}, Prompts("q: ", "")),
        ({"query": "", "document": ""}, E5_PROMPTS),
        ({}, E5_PROMPTS),
        (None, E5_PROMPTS),
    ],
)
def test_registered_prompts(model, registered, expected):
    small.write_json(model / "config_sentence_transformers.json", {"prompts": registered})
    read = checkpoint.read(model)
    assert read.prompts == expected
    assert not read.instruct


@pytest.mark.parametrize("prompts", [{"query": 3}, {"query": "q: ", "document": None}, ["query"], "query: "])
def test_prompts_that_are_no_strings(model, prompts):
    small.write_json(model / "config_sentence_transformers.json", {"prompts": prompts})
    with pytest.raises(ModelFileError, match=r"config_sentence_transformers\.json has prompts that are no strings"):
        checkpoint.read(model)


def instruct_by_folder(model):
    return model.rename(model.parent / "multilingual-e5-large-instruct")


def instruct_by_config(model):
    edit(model / "config.json", _name_or_path="intfloat/multilingual-e5-large-instruct")
    return model


def instruct_by_manifest(model):
    small.write_json(model / "efive.json", {"source": "intfloat/multilingual-e5-large-instruct"})
    return model


def instruct_by_prompt(model):
    prompts = Prompts.instruct(TASKS["retrieval"])
    small.write_json(model / "config_sentence_transformers.json", {"prompts": {"query": prompts.query}})
    return model


@pytest.mark.parametrize("how", [instruct_by_folder, instruct_by_config, instruct_by_manifest, instruct_by_prompt])
def test_instruct_models_are_known(model, how):
    read = checkpoint.read(how(model))
    assert read.instruct
    assert read.prompts == FAMILY["multilingual-e5-large-instruct"].prompts
    other = read.with_task("similarity")
    assert other.prompts == Prompts("Instruct: Retrieve semantically similar text.\nQuery: ", "")
    assert read.prompts != other.prompts
    with pytest.raises(InputError, match="did you mean similarity"):
        read.with_task("similarty")


def test_task_for_a_model_that_takes_none(model):
    with pytest.raises(InputError, match="a-model takes no instruction; leave `task` out"):
        checkpoint.read(model).with_task("similarity")


@pytest.mark.parametrize(("stated", "limit"), [(12, 12), (16, 16), (512, 16), (None, 16), (0, 16)])
def test_stated_length_is_respected(model, stated, limit):
    small.write_json(model / "sentence_bert_config.json", {"max_seq_length": stated, "do_lower_case": False})
    assert checkpoint.read(model).max_tokens == limit


@pytest.mark.parametrize("stated", [-5, "512", 12.5, True, [512]])
def test_stated_length_that_is_no_length(model, stated):
    small.write_json(model / "sentence_bert_config.json", {"max_seq_length": stated})
    with pytest.raises(ModelFileError, match=r"sentence_bert_config\.json says max_seq_length"):
        checkpoint.read(model)


def test_lower_casing_outside_the_tokenizer_is_refused(model):
    small.write_json(model / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": True})
    with pytest.raises(ModelError, match="lower-cases texts outside the tokenizer"):
        checkpoint.read(model)


def test_longer_models_stop_at_512_unless_asked(tiny_models):
    read = checkpoint.read(tiny_models["mistral"])
    assert (read.max_tokens, read.architecture.longest) == (512, 1024)
    assert read.with_max_tokens(1024).max_tokens == 1024
    for wrong in (7, 1025):
        with pytest.raises(InputError, match=rf"max_tokens is {wrong}; mistral can be set to 8 … 1024"):
            read.with_max_tokens(wrong)


# Writing


@pytest.mark.parametrize("kind", [*tiny.KINDS, "int8"])
def test_written_folder_reads_back_the_same(tiny_models, model, tmp_path, kind):
    if kind == "int8":
        layout_int8_rows(model)
    source = checkpoint.read(model if kind == "int8" else tiny_models[kind])
    checkpoint.write(source, tmp_path / "new")
    again = checkpoint.read(tmp_path / "new")
    for part in ("architecture", "prompts", "pooling", "max_tokens", "instruct"):
        assert getattr(again, part) == getattr(source, part)
    assert set(again.tensors) == set(source.tensors)
    for name, tensor in source.tensors.items():
        assert again.tensors[name].dtype == "F32"
        np.testing.assert_array_equal(again.tensors[name].floats(), tensor.floats())
    written, original = ((f / "tokenizer.json").read_bytes() for f in (tmp_path / "new", source.folder))
    assert json.loads(written) == json.loads(original) if kind != "mistral" else b"</s>" in written
    prompts = json.loads((tmp_path / "new/config_sentence_transformers.json").read_text())["prompts"]
    assert prompts == {"query": source.prompts.query, "document": source.prompts.passage}


def test_written_folder_keeps_float16_limits_and_prompts(model, tmp_path):
    save_file({name: value.astype(np.float16) for name, value in VALUES.items()}, model / "model.safetensors")
    pool(model, MODULES[:2], pooling_mode="lasttoken")
    small.write_json(model / "config_sentence_transformers.json", {"prompts": {"query": "ä: ", "document": "d: "}})
    source = checkpoint.read(model).with_max_tokens(9)
    checkpoint.write(source, tmp_path / "new")
    again = checkpoint.read(tmp_path / "new")
    assert {tensor.dtype for tensor in again.tensors.values()} == {"F16"}
    assert (again.pooling, again.max_tokens) == ("last", 9)
    assert again.prompts == Prompts("ä: ", "d: ")
    assert_small(again)


def test_written_task_stays(tiny_models, tmp_path):
    checkpoint.write(checkpoint.read(tiny_models["mistral"]).with_task("bitext"), tmp_path / "new")
    again = checkpoint.read(tmp_path / "new")
    assert again.instruct
    assert again.prompts == Prompts("Instruct: Retrieve parallel sentences.\nQuery: ", "")


def test_write_refuses_what_is_there(model, tmp_path):
    read = checkpoint.read(model)
    (tmp_path / "file").write_text("x")
    for target in (model, tmp_path / "file"):
        with pytest.raises(InputError, match="is no empty folder"):
            checkpoint.write(read, target)
    assert_small(checkpoint.read(model))
    (tmp_path / "empty").mkdir()
    checkpoint.write(read, tmp_path / "empty")
    assert_small(checkpoint.read(tmp_path / "empty"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_torn_anywhere_is_an_error_of_efive(model, name):
    content = (model / name).read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        (model / name).write_bytes(content[:length])
        with pytest.raises(EfiveError, match=name.replace(".", r"\.")):
            checkpoint.read(model)
