"""`efive models`: list, show, export, import, verify, remove. Pulling is tested with the hub, in tests/models."""

import json
import shutil

import pytest

from efive.models.family import FAMILY


@pytest.fixture
def stored(efive, bert, home):
    """The tiny model, imported as `tiny`; its folder in the store."""
    result = efive("models", "import", bert, "--name", "tiny")
    assert result.code == 0, result.err
    assert result.out.startswith("stored: tiny, ")
    return home / ".efive" / "models" / "tiny"


def test_list_has_stored_and_published_models(efive, stored, bert):
    result = efive("models", "list")
    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines] == ["tiny", *FAMILY]
    assert " MB " in lines[0]
    assert lines[0].endswith("/bert")
    assert all(line.endswith("not here") for line in lines[1:])
    rows = efive("models", "list", "--json").rows
    assert rows[0] == {"name": "tiny", "stored": True, "parameters": None, "source": str(bert), "revision": ""}
    assert rows[1] == {
        "name": next(iter(FAMILY)), "stored": False, "parameters": next(iter(FAMILY.values())).parameters
    }  # fmt: skip


@pytest.mark.parametrize("by", ["name", "folder"])
def test_show(efive, stored, bert, encoder, by):
    given = "tiny" if by == "name" else bert
    facts = efive("models", "show", given, "--json").rows[0]
    assert facts["folder"] == str(stored if by == "name" else bert)
    assert (facts["kind"], facts["layers"], facts["dimension"], facts["max_tokens"]) == ("bert", 3, 64, 512)
    assert (facts["query_prefix"], facts["passage_prefix"]) == ("query: ", "passage: ")
    assert facts["spaces"]["fp32"] == encoder.space.fingerprint
    assert len(set(facts["spaces"].values())) == 5
    result = efive("models", "show", given)
    assert "query_prefix     'query: '" in result.out
    assert f"space at fp32    {encoder.space.fingerprint}" in result.out


def test_a_bundle_carries_a_model_to_another_home(efive, stored, encoder, close, monkeypatch, tmp_path):
    bundle = tmp_path / "tiny.bundle"
    result = efive("models", "export-bundle", "tiny", bundle)
    assert (result.code, result.out) == (0, "")
    assert f"wrote {bundle}" in result.err
    monkeypatch.setenv("EFIVE_HOME", str(tmp_path / "other"))
    assert efive("models", "verify").code == 1
    assert efive("models", "import", bundle).out.startswith("stored: tiny, ")
    assert efive("models", "verify", "tiny").out.startswith("intact: tiny, ")
    result = efive("embed", "--role", "query", "-m", "tiny", "--precision", "fp32", "--text", "a")
    assert close(result.vectors, encoder.embed_queries(["a"]).vectors)
    assert (tmp_path / "other" / "models" / "tiny").is_dir()
    again = efive("models", "export-bundle", "tiny", bundle)
    assert again.code == 1
    assert f"{bundle} exists; name a new file" in again.err


def test_a_torn_bundle_stores_nothing(efive, stored, monkeypatch, tmp_path):
    bundle = tmp_path / "tiny.bundle"
    assert efive("models", "export-bundle", "tiny", bundle).code == 0
    bundle.write_bytes(bundle.read_bytes()[:-1000])
    monkeypatch.setenv("EFIVE_HOME", str(tmp_path / "other"))
    result = efive("models", "import", bundle)
    assert result.code == 1
    assert f"{bundle} is torn" in result.err
    assert not list((tmp_path / "other").glob("models/*"))


def test_verify_names_the_altered_file_and_goes_on_with_the_others(efive, stored, bert):
    assert efive("models", "import", bert, "--name", "zweites").code == 0
    assert [line.split(",")[0] for line in efive("models", "verify").out.splitlines()] == [
        "intact: tiny",
        "intact: zweites",
    ]
    weights = stored / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    result = efive("models", "verify")
    assert result.code == 1
    assert [line.split(",")[0] for line in result.out.splitlines()] == ["intact: zweites"]
    assert f"efive: {weights} was altered" in result.err
    assert "brings tiny anew" in result.err
    weights.unlink()
    assert f"{weights} is missing" in efive("models", "verify", "tiny").err


def test_remove_asks_first(efive, stored):
    result = efive("models", "remove", "tiny", stdin="n\n")
    assert result.code == 1
    assert stored.is_dir()
    result = efive("models", "remove", "tiny", "--yes")
    assert result.out.startswith("removed: tiny, ")
    assert not stored.exists()


@pytest.mark.parametrize("verb", [["show"], ["verify"], ["remove", "--yes"]])
def test_an_unknown_model_is_answered_with_what_to_do(efive, stored, verb):
    result = efive("models", *verb, "multilingual-e5-small")
    assert (result.code, result.out) == (1, "")
    assert "`efive models pull multilingual-e5-small`" in result.err
    result = efive("models", *verb, "no-such-model")
    assert result.code == 1
    assert "Stored: tiny" in result.err
    assert "`efive models list`" in result.err


def test_names_that_would_leave_the_store_are_refused(efive, stored, bert, tmp_path):
    for arguments in (["remove", "../models/tiny", "--yes"], ["import", bert, "--name", "../x"], ["verify", ".."]):
        result = efive("models", *arguments)
        assert result.code == 1
        assert "cannot be a model's name" in result.err
    assert stored.is_dir()


def test_import_of_what_is_no_model(efive, bert, tmp_path):
    assert "does not exist" in efive("models", "import", tmp_path / "nowhere").err
    (tmp_path / "text").write_text("hello")
    assert "no bundle of efive" in efive("models", "import", tmp_path / "text").err
    broken = tmp_path / "broken"
    shutil.copytree(bert, broken)
    (broken / "config.json").unlink()
    result = efive("models", "import", broken)
    assert result.code == 1
    assert f"{broken / 'config.json'} is missing" in result.err
    assert json.loads(efive("models", "list", "--json").out.splitlines()[0])["stored"] is False


def test_export_into_a_missing_folder_is_one_line(efive, stored, tmp_path):
    result = efive("models", "export-bundle", "tiny", tmp_path / "missing" / "x.bundle")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert "missing" in result.err
