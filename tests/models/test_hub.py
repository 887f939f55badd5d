"""Pulling with the real hub client from a real server on this machine."""

import json
import os
import subprocess
import sys

import pytest
import small
import torch

from efive.errors import EfiveError, HubError, InputError, ModelFileError, ModelNotFoundError
from efive.models.store import ModelStore, read_manifest, sha256

NAME = "someone/a-model"


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "store")


@pytest.fixture
def published(tmp_path):
    """A repository as they are: other formats beside the weights."""
    folder = small.write(tmp_path / "published")
    for name in ("onnx/model.onnx", "onnx/config.json", "openvino/model.json", "pytorch_model.bin", "1_Pooling/x.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not wanted")
    small.write_json(folder / "modules.json", [{"type": "st.Transformer", "path": ""}])
    (folder / "README.md").write_text("# a model\n")
    return folder


WANTED = {"README.md", "config.json", "model.safetensors", "modules.json", "tokenizer.json"}


def test_pull_stores_the_wanted_files_and_the_commit(hub, store, published):
    commit = hub.publish(NAME, published)
    pulled = store.pull(NAME, endpoint=hub.endpoint)
    assert (pulled.name, pulled.source, pulled.revision) == ("a-model", NAME, commit)
    manifest = read_manifest(pulled.folder)
    assert set(manifest["files"]) == WANTED
    assert {p.name for p in pulled.folder.rglob("*") if p.is_file()} == WANTED | {"efive.json"}
    for name, entry in manifest["files"].items():
        assert (pulled.folder / name).read_bytes() == (published / name).read_bytes()
        assert entry == {"bytes": (published / name).stat().st_size, "sha256": sha256(published / name)}
    assert set(hub.fetched()) == WANTED
    assert {s.authorization for s in hub.seen} == {None}
    assert store.verify("a-model") == pulled
    assert not any((store.home / "incoming").iterdir())


def test_pull_by_family_name(hub, store, published):
    hub.publish("intfloat/e5-small", published)
    assert store.pull("e5-small", endpoint=hub.endpoint).source == "intfloat/e5-small"
    assert store.resolve("intfloat/e5-small") == store.models / "e5-small"


def test_pull_of_a_tag_or_a_commit_records_the_commit(hub, store, published):
    old = hub.publish(NAME, published, ref="v1.0")
    (published / "README.md").write_text("# newer\n")
    new = hub.publish(NAME, published)
    assert store.pull(NAME, revision="v1.0", endpoint=hub.endpoint).revision == old != new
    assert (store.models / "a-model/README.md").read_text() == "# a model\n"
    assert store.pull(NAME, revision=new, endpoint=hub.endpoint).revision == new
    assert (store.models / "a-model/README.md").read_text() == "# newer\n"
    assert len(store.list()) == 1


def test_pull_takes_the_pickled_weights_only_where_nothing_else_is(hub, store, published):
    (published / "model.safetensors").unlink()
    torch.save({k: torch.from_numpy(v) for k, v in small.tensors().items()}, published / "pytorch_model.bin")
    (published / "lora").mkdir()
    (published / "lora/adapter_model.safetensors").write_bytes(b"an adapter is not the weights")
    hub.publish(NAME, published)
    pulled = store.pull(NAME, endpoint=hub.endpoint)
    assert set(read_manifest(pulled.folder)["files"]) == (WANTED - {"model.safetensors"}) | {"pytorch_model.bin"}


def test_dropped_connection_is_resumed_where_it_broke(hub, store, published, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 256)
    hub.publish(NAME, published)
    hub.drop_once["model.safetensors"] = 1500
    pulled = store.pull(NAME, endpoint=hub.endpoint)
    assert (pulled.folder / "model.safetensors").read_bytes() == (published / "model.safetensors").read_bytes()
    ranges = [s.range for s in hub.seen if s.path.endswith("model.safetensors") and s.method == "GET"]
    assert ranges[0] is None
    assert len(ranges) == 2
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 1500


def test_failed_pull_says_so_and_the_next_one_fetches_only_the_rest(hub, store, published):
    hub.publish(NAME, published)
    hub.drop_once["model.safetensors"] = 1500
    hub.down.add("model.safetensors")
    with pytest.raises(HubError, match=r"could not fetch someone/a-model: .*again.*export-bundle"):
        store.pull(NAME, endpoint=hub.endpoint)
    assert store.list() == []
    assert not store.models.exists()
    hub.down.clear()
    staging = store.home / "incoming" / "someone--a-model@main"
    have = {p.name for p in staging.iterdir() if p.is_file()}
    hub.seen.clear()
    store.pull(NAME, endpoint=hub.endpoint)
    assert "model.safetensors" not in have
    assert sorted(hub.fetched()) == sorted(WANTED - have)
    assert store.verify("a-model").name == "a-model"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_altered_file_is_refused(hub, store, published, name):
    hub.publish(NAME, published)
    content = (published / name).read_bytes()
    hub.served[name] = content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]
    with pytest.raises(ModelFileError, match=rf"{name} of someone/a-model arrived altered"):
        store.pull(NAME, endpoint=hub.endpoint)
    assert store.list() == []
    hub.served.clear()
    assert store.pull(NAME, endpoint=hub.endpoint) == store.verify("a-model")


def test_pull_leaves_the_older_model_where_the_newer_is_damaged(hub, store, published):
    old = hub.publish(NAME, published)
    store.pull(NAME, endpoint=hub.endpoint)
    (published / "README.md").write_text("# newer\n")
    content = (published / "model.safetensors").read_bytes()
    (published / "model.safetensors").write_bytes(content[:-4])  # published torn: the hub's checksum is right
    hub.publish(NAME, published)
    with pytest.raises(ModelFileError, match="torn"):
        store.pull(NAME, endpoint=hub.endpoint)
    assert store.verify("a-model").revision == old


def test_files_of_an_interrupted_older_commit_do_not_stay(hub, store, published):
    (published / "special_tokens_map.json").write_text("{}")
    hub.publish(NAME, published)
    hub.served["model.safetensors"] = bytes((published / "model.safetensors").stat().st_size)
    with pytest.raises(ModelFileError, match="altered"):
        store.pull(NAME, endpoint=hub.endpoint)
    assert (store.home / "incoming/someone--a-model@main/special_tokens_map.json").is_file()
    hub.served.clear()
    (published / "special_tokens_map.json").unlink()
    hub.publish(NAME, published)
    assert set(read_manifest(store.pull(NAME, endpoint=hub.endpoint).folder)["files"]) == WANTED


def test_fetch_that_lost_the_hub_halfway_is_no_success(hub, store, published):
    """The client itself returns the folder as it is when it has one and the tree listing fails."""
    hub.publish(NAME, published)
    staging = store.home / "incoming" / "someone--a-model@main"
    staging.mkdir(parents=True)
    for name in WANTED - {"modules.json"}:
        (staging / name).write_bytes((published / name).read_bytes())
    hub.treeless = True
    with pytest.raises(EfiveError, match=r"modules\.json of someone/a-model did not arrive"):
        store.pull(NAME, endpoint=hub.endpoint)
    assert store.list() == []


def test_unknown_repository_and_revision(hub, store, published):
    with pytest.raises(ModelNotFoundError, match=r"the hub has no someone/a-model at revision 'main'"):
        store.pull(NAME, endpoint=hub.endpoint)
    hub.publish(NAME, published)
    with pytest.raises(ModelNotFoundError, match=r"the hub has no someone/a-model at revision 'v9'"):
        store.pull(NAME, revision="v9", endpoint=hub.endpoint)
    assert store.list() == []


@pytest.mark.parametrize("name", ["e5-smal", "a/b/c", ""])
def test_name_that_is_no_id_reaches_no_hub(hub, store, name):
    with pytest.raises(ModelNotFoundError, match="neither a family name"):
        store.pull(name, endpoint=hub.endpoint)
    assert hub.seen == []


def test_repository_without_any_wanted_file(hub, store, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/model.onnx").write_bytes(b"x")
    hub.publish(NAME, tmp_path / "empty")
    with pytest.raises(ModelFileError, match=r"config\.json is missing"):
        store.pull(NAME, endpoint=hub.endpoint)


def test_repository_whose_listing_leaves_the_folder(hub, store, published):
    hub.publish(NAME, published)
    bait = store.home / "incoming" / "bait.json"
    bait.parent.mkdir(parents=True)
    bait.write_text("{}")
    files = hub.repos[NAME].commits[hub.repos[NAME].refs["main"]]
    files["../bait.json"] = b"[]"
    store.pull(NAME, endpoint=hub.endpoint)
    assert bait.read_text() == "{}"


def test_unreachable_hub_names_the_way_out(hub, store, published):
    hub.close()
    with pytest.raises(HubError, match=r"could not fetch someone/a-model: .*efive models import"):
        store.pull(NAME, endpoint=hub.endpoint)


def test_offline_setting_is_respected(tmp_path):
    """HF_HUB_OFFLINE is read when the client is imported: a process of its own."""
    code = (
        "from pathlib import Path\nfrom efive.models.store import ModelStore\n"
        f"ModelStore(Path({str(tmp_path)!r})).pull({NAME!r}, endpoint='http://127.0.0.1:9')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 1
    assert "HubError: could not fetch someone/a-model: " in done.stderr
    assert "offline" in done.stderr.lower()


def test_manifest_of_a_pulled_model_is_ours_even_if_the_repository_brings_one(hub, store, published):
    (published / "efive.json").write_text(json.dumps({"source": "forged", "revision": "forged", "files": {}}))
    commit = hub.publish(NAME, published)
    pulled = store.pull(NAME, endpoint=hub.endpoint)
    assert (pulled.source, pulled.revision) == (NAME, commit)
    assert store.verify("a-model") == pulled


def test_a_name_taken_from_elsewhere_is_not_overwritten(hub, store, model):
    store.copy(model, "multilingual-e5-small")
    with pytest.raises(InputError, match="efive models remove multilingual-e5-small"):
        store.pull("multilingual-e5-small", endpoint=hub.endpoint)
    assert hub.seen == []
