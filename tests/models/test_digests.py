"""Digests follow the content, and the memory of them follows the files."""

import hashlib
import json

import numpy as np
import pytest
import small
from safetensors.numpy import save_file

from efive.errors import ModelFileError
from efive.models import checkpoint
from efive.models.digests import of_checkpoint
from efive.models.tensors import fingerprint


def digests(folder, cache):
    return of_checkpoint(checkpoint.read(folder), cache)


def test_digest_of_the_weights_is_their_fingerprint_and_is_remembered(model, tmp_path):
    first = digests(model, tmp_path / "cache")
    read = checkpoint.read(model)
    kept = fingerprint(read.tensors)
    notes = {p.read_text().strip() for p in (tmp_path / "cache").iterdir()}
    assert notes == {kept, first[1]}
    for note in (tmp_path / "cache").iterdir():
        note.write_text("abc\n")
    again = digests(model, tmp_path / "cache")
    assert again[1] == "abc"
    assert again[0] == hashlib.sha256(f"{read.architecture.identity()} abc".encode()).hexdigest()


def test_same_content_elsewhere_has_the_same_digests(model, tmp_path):
    other = small.write(tmp_path / "other")
    save_file({n: v.astype(np.float16) for n, v in small.tensors().items()}, other / "model.safetensors")
    content = json.loads((other / "tokenizer.json").read_text())
    content |= {"padding": {"strategy": "BatchLongest"}, "truncation": {"max_length": 12}}
    (other / "tokenizer.json").write_text(json.dumps(dict(reversed(content.items())), indent=8))
    assert digests(other, tmp_path / "cache") == digests(model, tmp_path / "cache")


def test_change_of_weights_is_seen_though_remembered(model, tmp_path):
    before = digests(model, tmp_path / "cache")
    values = small.tensors()
    values["encoder.layer.0.output.dense.bias"][0] += 1
    save_file(values, model / "model.safetensors")
    after = digests(model, tmp_path / "cache")
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_change_of_the_tokenizer_is_seen_though_remembered(model, tmp_path):
    before = digests(model, tmp_path / "cache")
    content = json.loads((model / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    small.write_json(model / "tokenizer.json", content)
    after = digests(model, tmp_path / "cache")
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_change_of_the_configuration_is_seen_though_remembered(model, tmp_path):
    """The same file holds another model when config.json asks for other tensors of it."""
    second = {n.replace("layer.0", "layer.1"): v for n, v in small.tensors(1).items() if "layer.0" in n}
    save_file(small.tensors() | second, model / "model.safetensors")
    one = digests(model, tmp_path / "cache")
    small.write_json(model / "config.json", small.CONFIG | {"num_hidden_layers": 2})
    two = digests(model, tmp_path / "cache")
    assert one[0] != two[0]


def test_home_that_cannot_be_written_costs_only_time(model, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert digests(model, tmp_path / "cache") == digests(model, tmp_path / "other")


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"3", b"\xff", b"[" * 50_000], ids=lambda content: repr(content)[:8]
)
def test_damaged_tokenizer_is_named(model, tmp_path, content):
    read = checkpoint.read(model)
    if content is None:
        (model / "tokenizer.json").unlink()
    else:
        (model / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"tokenizer\.json is (missing|no readable tokenizer)"):
        of_checkpoint(read, tmp_path / "cache")
