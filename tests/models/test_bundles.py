"""Bundles: what arrives is what left, or nothing arrives."""

import io
import json
import zipfile

import numpy as np
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st

from efive import Encoder
from efive.errors import EfiveError, InputError, ModelFileError
from efive.models.bundles import export_bundle, import_bundle
from efive.models.store import MANIFEST, ModelStore


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "store")


@pytest.fixture
def bundle(model, tmp_path):
    export_bundle(model, tmp_path / "model.bundle", source="someone/a-model", revision="abc")
    return tmp_path / "model.bundle"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The bytes of a sound bundle and the files it carries."""
    folder = tmp_path_factory.mktemp("exported")
    model = small.write(folder / "a-model")
    small.write_json(model / "1_Pooling/config.json", {"pooling_mode": "mean"})
    export_bundle(model, folder / "b", source="s", revision="r")
    return (folder / "b").read_bytes(), contents(model)


def test_bundle_arrives_elsewhere_with_the_same_files(model, bundle, store, tmp_path):
    seen, files = [], contents(model)
    arrived = import_bundle(bundle, store, progress=seen.append)
    assert (arrived.name, arrived.source, arrived.revision) == ("a-model", "someone/a-model", "abc")
    there = contents(arrived.folder)
    del there[MANIFEST]
    assert there == files
    assert sum(seen) == arrived.bytes == sum(map(len, files.values()))
    assert store.verify("a-model") == arrived
    assert [p.name for p in store.home.iterdir()] == ["models"]


@pytest.mark.parametrize("kind", ["bert", "mistral"])
def test_bundle_gives_the_same_vectors(tiny_models, tmp_path, monkeypatch, kind):
    export_bundle(tiny_models[kind], tmp_path / "b", source="s", revision="")
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    import_bundle(tmp_path / "b", ModelStore(), name="arrived")
    texts = ["a first text", "and a second one"]
    with (
        Encoder.load(tiny_models[kind], engine="torch", precision="fp32") as here,
        Encoder.load("arrived", engine="torch", precision="fp32") as there,
    ):
        assert here.space == there.space
        np.testing.assert_array_equal(here.embed_queries(texts).vectors, there.embed_queries(texts).vectors)


def test_stored_model_is_exported_without_its_manifest_and_under_its_name(bundle, store, tmp_path):
    stored = import_bundle(bundle, store, name="renamed")
    seen = []
    export_bundle(stored.folder, tmp_path / "again", source=stored.source, revision="r2", progress=seen.append)
    assert sum(seen) == stored.bytes
    other = ModelStore(tmp_path / "other")
    again = import_bundle(tmp_path / "again", other)
    assert (again.name, again.revision) == ("renamed", "r2")
    ours, theirs = contents(stored.folder), contents(again.folder)
    assert ours.pop(MANIFEST) != theirs.pop(MANIFEST)
    assert ours == theirs


def test_export_refuses_an_existing_target_and_no_model(model, bundle, tmp_path):
    before = bundle.read_bytes()
    with pytest.raises(InputError, match="exists; name a new file"):
        export_bundle(model, bundle, source="", revision="")
    assert bundle.read_bytes() == before
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match="has no weights"):
        export_bundle(model, tmp_path / "new", source="", revision="")
    assert not list(tmp_path.glob("new*"))


def test_export_that_breaks_leaves_no_file(model, tmp_path):
    def full(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        export_bundle(model, tmp_path / "new", source="", revision="", progress=full)
    assert not list(tmp_path.glob("new*"))


def test_import_replaces_an_older_model_and_a_refused_one_leaves_it(bundle, store, tmp_path):
    import_bundle(bundle, store)
    newer = small.write(tmp_path / "newer/a-model", seed=1)
    export_bundle(newer, tmp_path / "newer.bundle", source="someone/a-model", revision="2")
    content = bytearray((tmp_path / "newer.bundle").read_bytes())
    content[content.index((newer / "model.safetensors").read_bytes()) + 900] ^= 1
    (tmp_path / "altered.bundle").write_bytes(content)
    before = contents(store.home)
    with pytest.raises(ModelFileError):
        import_bundle(tmp_path / "altered.bundle", store)
    assert contents(store.home) == before
    import_bundle(tmp_path / "newer.bundle", store)
    assert contents(store.models / "a-model")["model.safetensors"] == contents(newer)["model.safetensors"]
    assert [m.revision for m in store.list()] == ["2"]


def test_import_of_nothing(store, tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match="does not exist, or is no file"):
            import_bundle(path, store)


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "", "bundled"])
def test_name_that_would_leave_the_store(exported, store, tmp_path, name):
    (tmp_path / "b").write_bytes(forged(exported, lambda m: m | {"name": name}))
    refused(tmp_path / "b", store, "cannot be a model's name")
    if name:
        refused(tmp_path / "b", store, "cannot be a model's name", name=name)


def refused(path, store, says=None, error=EfiveError, **options):
    """Import must fail with an error of efive and leave nothing in the home."""
    with pytest.raises(error, match=says):
        import_bundle(path, store, **options)
    assert not store.home.exists() or list(store.home.iterdir()) == []


# Damage


def import_or_refuse(exported, damaged, folder):
    """A damaged bundle is refused and leaves nothing, or its model arrives whole."""
    (folder / "b").write_bytes(damaged)
    store = ModelStore(folder / "home")
    try:
        arrived = import_bundle(folder / "b", store)
    except ModelFileError:
        assert not store.home.exists() or list(store.home.iterdir()) == []
        return False
    there = contents(arrived.folder)
    del there[MANIFEST]
    assert there == exported[1]
    assert (arrived.name, arrived.source, arrived.revision) == ("a-model", "s", "r")
    return True


def parts(content):
    """Positions of a bundle that are not file contents: local headers, manifest, directory, end record."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos, directory = archive.infolist(), archive.start_dir
    positions = set(range(directory, len(content)))
    for info in infos:
        data = info.header_offset + 30 + int.from_bytes(content[info.header_offset + 26 :][:2], "little")
        data += int.from_bytes(content[info.header_offset + 28 :][:2], "little")
        positions |= set(range(info.header_offset, data))
    return sorted(positions)


def test_flips_in_the_archives_own_records(exported, tmp_path):
    """Every byte of headers and directory in one bit or in all bits: no stray exception, no altered model."""
    content, arrived = exported[0], 0
    for number, position in enumerate(parts(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF if number % 3 == 0 else 1 << number % 8
        folder = tmp_path / str(position)
        folder.mkdir()
        arrived += import_or_refuse(exported, bytes(damaged), folder)
    assert arrived > 0  # dates and the like harm nothing


@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data())
def test_flip_anywhere(exported, tmp_path_factory, data):
    content = bytearray(exported[0])
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    import_or_refuse(exported, bytes(content), tmp_path_factory.mktemp("flip"))


@settings(max_examples=80, deadline=None, database=None)
@given(data=st.data())
def test_torn_anywhere(exported, tmp_path_factory, data):
    content = exported[0]
    length = data.draw(st.integers(0, len(content) - 1))
    assert not import_or_refuse(exported, content[:length], tmp_path_factory.mktemp("torn"))


@settings(max_examples=40, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_any_bytes(exported, tmp_path_factory, content):
    assert not import_or_refuse(exported, content, tmp_path_factory.mktemp("bytes"))


# Forgery: archives that are sound as archives


def forged(exported, change=None, *, entries=None, leave=()):
    """A bundle whose manifest went through `change`, with `entries` added and those of `leave` left out."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(exported[0])) as source, zipfile.ZipFile(target, "w") as archive:
        manifest = json.loads(source.read(MANIFEST))
        archive.writestr(MANIFEST, json.dumps(change(manifest) if change else manifest))
        for name in source.namelist():
            if name != MANIFEST and name not in leave:
                archive.writestr(name, (entries or {}).pop(name, source.read(name)))
        for name, content in (entries or {}).items():
            if name:  # an archive can have no entry without a name
                archive.writestr(name, content)
    return target.getvalue()


def test_forging_nothing_is_accepted(exported, tmp_path):
    assert import_or_refuse(exported, forged(exported), tmp_path)


@pytest.mark.parametrize(
    "name", ["../escaped", "/tmp/efive-escaped", "a/../../escaped", "..", "C:/x", "a\\..\\b", ".", "", "a//b"]
)
def test_paths_that_leave_the_folder(exported, store, tmp_path, name):
    entry = {"bytes": 1, "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    listed = forged(exported, lambda m: m | {"files": m["files"] | {name: entry}}, entries={name: b"a"})
    (tmp_path / "b").write_bytes(listed)
    refused(tmp_path / "b", store, "would leave the model's folder", ModelFileError)
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize("name", ["extra.bin", "../escaped", "1_Pooling/"])
def test_entries_that_are_not_listed(exported, store, tmp_path, name):
    (tmp_path / "b").write_bytes(forged(exported, entries={name: b""}))
    refused(tmp_path / "b", store, "which its manifest does not list", ModelFileError)
    assert not list(tmp_path.rglob("*escaped*"))


def test_listed_file_that_is_not_there(exported, store, tmp_path):
    (tmp_path / "b").write_bytes(forged(exported, leave={"tokenizer.json"}))
    refused(tmp_path / "b", store, r"lacks tokenizer\.json, which its manifest lists", ModelFileError)


def test_altered_and_resized_contents(exported, store, tmp_path):
    weights = exported[1]["model.safetensors"]
    altered = weights[:-1] + bytes([weights[-1] ^ 1])
    for content, says in ((altered, "was altered"), (weights + b"x", "bytes, not"), (weights[:-1], "bytes, not")):
        (tmp_path / "b").write_bytes(forged(exported, entries={"model.safetensors": content}))
        refused(tmp_path / "b", store, rf"model\.safetensors in .*{says}", ModelFileError)


def test_archive_that_lies_about_a_size(exported, store, tmp_path):
    """A compressed entry of zeros that claims the size of config.json: no more than that is ever written."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(exported[0])) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            bomb = name == "config.json"
            method = zipfile.ZIP_DEFLATED if bomb else zipfile.ZIP_STORED
            archive.writestr(name, bytes(1 << 24) if bomb else source.read(name), method)
    content = bytearray(target.getvalue())
    size, true = len(exported[1]["config.json"]), (1 << 24).to_bytes(4, "little")
    assert content.count(true) == 2
    (tmp_path / "b").write_bytes(bytes(content).replace(true, size.to_bytes(4, "little")))
    written = []
    refused(tmp_path / "b", store, None, ModelFileError, progress=written.append)
    assert sum(written) <= sum(map(len, exported[1].values()))


@pytest.mark.parametrize("found", [0, 2, "1", None])
def test_other_format_number(exported, store, tmp_path, found):
    (tmp_path / "b").write_bytes(forged(exported, lambda m: m | {"bundle": found}))
    refused(tmp_path / "b", store, rf"has bundle format {found}; this version of efive reads 1", ModelFileError)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: [],
        lambda m: {},
        lambda m: {k: v for k, v in m.items() if k != "name"},
        lambda m: m | {"name": 3},
        lambda m: m | {"source": None},
        lambda m: m | {"revision": ["a"]},
        lambda m: m | {"files": list(m["files"])},
        lambda m: m | {"files": dict.fromkeys(m["files"], 3)},
        lambda m: m | {"files": {name: {"bytes": e["bytes"]} for name, e in m["files"].items()}},
        lambda m: m | {"files": {name: e | {"bytes": "9"} for name, e in m["files"].items()}},
    ],
)
def test_manifests_of_a_wrong_form(exported, store, tmp_path, change):
    (tmp_path / "b").write_bytes(forged(exported, change))
    refused(tmp_path / "b", store, r"no readable efive\.json|broken efive\.json", ModelFileError)


def test_file_where_a_folder_is_listed_too(exported, store, tmp_path):
    entry = {"bytes": 1, "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    change = lambda m: m | {"files": m["files"] | {"1_Pooling": entry}}  # noqa: E731
    (tmp_path / "b").write_bytes(forged(exported, change, entries={"1_Pooling": b"a"}))
    refused(tmp_path / "b", store, None, ModelFileError)


@pytest.mark.parametrize("listed", ["a" * 300, "model.safetensors/inner"])
def test_names_that_no_disk_takes(exported, store, tmp_path, listed):
    entry = {"bytes": 1, "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}
    change = lambda m: m | {"files": m["files"] | {listed: entry}}  # noqa: E731
    (tmp_path / "b").write_bytes(forged(exported, change, entries={listed: b"a"}))
    refused(tmp_path / "b", store, "torn or no bundle", ModelFileError)


def test_full_disk_is_not_blamed_on_the_bundle(bundle, store):
    def full(_):
        raise OSError(28, "No space left on device")

    refused(bundle, store, "No space", OSError, progress=full)


def test_plain_archives_and_sound_bundles_of_no_model(exported, store, tmp_path):
    with zipfile.ZipFile(tmp_path / "b", "w") as archive:
        archive.writestr("config.json", "{}")
    refused(tmp_path / "b", store, r"it has no readable efive\.json", ModelFileError)
    files = {"files": {}}
    (tmp_path / "b").write_bytes(forged(exported, lambda m: m | files, leave=set(exported[1])))
    refused(tmp_path / "b", store, r"config\.json is missing", ModelFileError)
