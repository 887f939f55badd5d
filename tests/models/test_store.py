"""The store: finding, listing, adopting, copying, verifying and removing, and names that would leave it."""

import json
import shutil

import pytest
import small

from efive.errors import InputError, ModelError, ModelFileError, ModelNotFoundError
from efive.models.store import MANIFEST, ModelStore, check_name, default_home, read_manifest, sha256


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "store")


@pytest.fixture
def stored(store, model):
    """A store with two models, `one` and `two`."""
    (model / "1_Pooling").mkdir()
    small.write_json(model / "1_Pooling/config.json", {"pooling_mode": "mean"})
    store.copy(model, "one")
    store.copy(model, "two")
    return store


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_home_is_the_users(home):
    assert default_home() == ModelStore().home == home / ".efive"


# Finding


def test_resolve_a_path_or_a_name(stored, model):
    assert stored.resolve(model) == stored.resolve(str(model)) == model
    assert stored.resolve("one") == stored.resolve("intfloat/one") == stored.models / "one"


@pytest.mark.parametrize("name", ["~nobody_of_this_name/x", 300 * "x", "a\0b"])
def test_what_cannot_be_a_path_is_no_model(stored, name):
    with pytest.raises(ModelNotFoundError, match="no stored model"):
        stored.resolve(name)


def test_resolve_an_unknown_name_lists_the_stored(store, stored):
    with pytest.raises(ModelNotFoundError, match=r"no stored model is called 'three'\. Stored: one, two"):
        stored.resolve("three")
    with pytest.raises(ModelNotFoundError, match="Stored: none yet"):
        ModelStore(store.home / "elsewhere").resolve("three")


def test_resolve_a_family_name_names_the_command(store):
    with pytest.raises(ModelNotFoundError, match=r"`efive models pull e5-small` fetches it.*import` here"):
        store.resolve("intfloat/e5-small")


def test_unknown_name_is_not_found_whatever_else_is_damaged(stored):
    (stored.models / "one" / MANIFEST).write_text("{")
    with pytest.raises(ModelNotFoundError, match="Stored: one, two"):
        stored.resolve("three")


@pytest.mark.parametrize("name", ["../two", "one/../two", "../../model"])
def test_resolve_leaves_the_store_for_no_name(stored, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError):
        stored.resolve(name)


# Listing


def test_list_is_sorted_and_skips_what_is_no_model(stored, model):
    (stored.models / "unfinished").mkdir()
    (stored.models / "a-file").write_text("x")
    shutil.copytree(stored.models / "one", stored.models / ".one.old")
    listed = stored.list()
    assert [(m.name, m.source, m.revision) for m in listed] == [("one", str(model), ""), ("two", str(model), "")]
    assert listed[0].bytes == sum(len(c) for n, c in contents(listed[0].folder).items() if n != MANIFEST)


def test_list_of_an_empty_store(store):
    assert store.list() == []


# Adopting and copying


def test_copy_leaves_the_source_and_takes_what_it_needs(store, model):
    for extra in ("onnx/model.onnx", "openvino/model.bin"):
        (model / extra).parent.mkdir()
        (model / extra).write_bytes(b"x")
    (model / MANIFEST).write_text('{"source": "elsewhere"}')
    before = contents(model)
    copied = store.copy(model, "one")
    assert contents(model) == before
    assert set(contents(copied.folder)) == {"config.json", "model.safetensors", "tokenizer.json", MANIFEST}
    assert store.verify("one") == copied
    assert not any((store.home / "incoming").iterdir())


def test_adopt_moves_the_folder_and_records_its_files(store, model):
    before = contents(model)
    adopted = store.adopt(model, "one", source="someone/a-model", revision="abc")
    assert not model.exists()
    manifest = read_manifest(adopted.folder)
    assert (manifest["source"], manifest["revision"]) == ("someone/a-model", "abc")
    for name, content in before.items():
        assert (adopted.folder / name).read_bytes() == content
        assert manifest["files"][name] == {"bytes": len(content), "sha256": sha256(adopted.folder / name)}
    assert set(manifest["files"]) == set(before)


def test_adopt_replaces_an_older_model(stored, tmp_path):
    newer = small.write(tmp_path / "newer", seed=1)
    weights = (newer / "model.safetensors").read_bytes()
    replaced = stored.adopt(newer, "one", source=stored.list()[0].source, revision="2")
    assert (replaced.folder / "model.safetensors").read_bytes() == weights
    assert not (replaced.folder / "1_Pooling").exists()
    assert sorted(p.name for p in stored.models.iterdir()) == ["one", "two"]
    assert [stored.verify(n).revision for n in ("one", "two")] == ["2", ""]


def test_a_model_from_elsewhere_is_kept(stored, tmp_path):
    before = contents(stored.models)
    other = small.write(tmp_path / "other", seed=1)
    for enter in (lambda: stored.copy(other, "one"), lambda: stored.adopt(other, "one", source="x", revision="")):
        with pytest.raises(InputError, match="`efive models remove one` makes room"):
            enter()
    assert contents(stored.models) == before


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "tokenizer.json"])
def test_folder_that_is_no_model_does_not_enter(stored, tmp_path, broken):
    before = contents(stored.models)
    bad = small.write(tmp_path / "bad", seed=1)
    (bad / broken).unlink()
    for enter in (
        lambda: stored.copy(bad, "new"),
        lambda: stored.adopt(bad, "one", source=stored.list()[0].source, revision=""),
    ):
        with pytest.raises(ModelError, match=broken.replace(".", r"\.")):
            enter()
    assert contents(stored.models) == before


NAMES_THAT_LEAVE = ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".hidden", "bundled"]


@pytest.mark.parametrize("name", NAMES_THAT_LEAVE)
def test_names_that_would_leave_the_store_are_refused(stored, tmp_path, name):
    before = contents(tmp_path)
    folder = small.write(tmp_path / "new")
    added = {f"new/{n}": c for n, c in contents(folder).items()}
    for use in (
        lambda: check_name(name),
        lambda: stored.adopt(folder, name, source="x", revision=""),
        lambda: stored.copy(folder, name),
        lambda: stored.verify(name),
        lambda: stored.remove(name),
    ):
        with pytest.raises(InputError, match="cannot be a model's name"):
            use()
    assert contents(tmp_path) == before | added


# Verifying


def damage_missing(folder):
    (folder / "tokenizer.json").unlink()
    return r"tokenizer\.json is missing; it is in the manifest"


def damage_torn(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-1])
    return rf"model\.safetensors is torn: {len(content) - 1} bytes where the manifest has {len(content)}"


def damage_oversized(folder):
    with (folder / "1_Pooling/config.json").open("ab") as file:
        file.write(b" ")
    return r"1_Pooling/config\.json is oversized"


def damage_altered(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    return r"model\.safetensors was altered"


def damage_extra(folder):
    (folder / "pytorch_model.bin").write_bytes(b"")
    return r"pytorch_model\.bin is not in the manifest"


def damage_nested_extra(folder):
    (folder / "1_Pooling" / MANIFEST).write_bytes(b"{}")
    return r"1_Pooling/efive\.json is not in the manifest"


@pytest.mark.parametrize(
    "damage",
    [damage_missing, damage_torn, damage_oversized, damage_altered, damage_extra, damage_nested_extra],
)
def test_verify_names_the_damage(stored, damage):
    seen = []
    assert stored.verify("one", seen.append).name == "one"
    assert sum(seen) == stored.list()[0].bytes
    says = damage(stored.models / "one")
    with pytest.raises(ModelFileError, match=says):
        stored.verify("one")
    assert stored.verify("two").name == "two"


def test_nested_file_of_the_manifests_name_is_a_file_like_others(store, model):
    (model / "sub").mkdir()
    (model / "sub" / MANIFEST).write_text("{}")
    store.adopt(model, "one", source="x", revision="")
    assert f"sub/{MANIFEST}" in read_manifest(store.models / "one")["files"]
    store.verify("one")
    (store.models / "one/sub" / MANIFEST).write_text("[]")
    with pytest.raises(ModelFileError, match="altered"):
        store.verify("one")


MANIFESTS = [
    "",
    "{",
    "[]",
    "3",
    "[" * 50_000,
    "{}",
    '{"source": "x", "revision": "y"}',
    '{"source": "x", "revision": "y", "files": []}',
    '{"source": 3, "revision": "y", "files": {}}',
    '{"source": "x", "revision": null, "files": {}}',
    '{"source": "x", "revision": "y", "files": {"config.json": 5}}',
    '{"source": "x", "revision": "y", "files": {"config.json": {"bytes": "5", "sha256": "0"}}}',
    '{"source": "x", "revision": "y", "files": {"config.json": {"bytes": -5, "sha256": "0"}}}',
    '{"source": "x", "revision": "y", "files": {"config.json": {"bytes": 5}}}',
]


@pytest.mark.parametrize("text", MANIFESTS, ids=range(len(MANIFESTS)))
def test_damaged_manifest_is_named_and_does_not_keep_its_model(stored, text):
    (stored.models / "one" / MANIFEST).write_text(text)
    for use in (lambda: stored.verify("one"), stored.list, lambda: read_manifest(stored.models / "one")):
        with pytest.raises(ModelFileError, match=r"one/efive\.json is no manifest of efive"):
            use()
    assert stored.verify("two").name == "two"
    assert stored.remove("one").name == "one"
    assert [m.name for m in stored.list()] == ["two"]


# Removing


def test_remove_takes_one_model_and_leaves_the_other(stored):
    before = contents(stored.models / "two")
    described = stored.list()[0]
    assert stored.remove("one") == described
    assert not (stored.models / "one").exists()
    assert contents(stored.models / "two") == before
    for use in (stored.remove, stored.verify, stored.resolve):
        with pytest.raises(ModelNotFoundError, match="Stored: two"):
            use("one")


def test_remove_touches_no_folder_without_a_manifest(stored):
    (stored.models / "one" / MANIFEST).unlink()
    with pytest.raises(ModelNotFoundError):
        stored.remove("one")
    assert (stored.models / "one/model.safetensors").is_file()


def test_manifest_is_json_of_our_form(stored):
    manifest = json.loads((stored.models / "one" / MANIFEST).read_text())
    assert set(manifest) == {"source", "revision", "stored", "files"}
    assert manifest["stored"].endswith("+00:00")


def test_a_folder_that_efive_did_not_put_there_is_kept(store, tmp_path):
    (store.models / "mine").mkdir(parents=True)
    (store.models / "mine" / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="was not put there by efive"):
        store.copy(small.write(tmp_path / "new"), "mine")
    assert (store.models / "mine" / "precious.txt").read_text() == "mine"
