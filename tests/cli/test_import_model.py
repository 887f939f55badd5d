"""`efive import-model` and a real server."""

import base64
import io
import json
import zipfile

import httpx
import numpy as np
import pytest
from served import serving

from efive import Encoder
from efive.cli.import_model import derived_id
from efive.deployments.state import State
from efive.server.access import Access, Scope
from efive.server.app import Options


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a key, and a client that has it."""
    home = tmp_path_factory.mktemp("server")
    state = State(home / "server.sqlite")
    _, secret = Access(state).create("root", [Scope.MANAGE])
    state.close()
    with serving(Options(home)) as running:
        headers = {"authorization": f"ApiKey {secret}"}
        with httpx.Client(base_url=f"{running.url}/es", timeout=280, headers=headers) as client:
            yield running.url, secret, client


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_a_folder_becomes_a_trained_model_without_torch(efive, server, tiny_models, kind):
    url, key, client = server
    options = ["--url", f"{url}/es", "--api-key", key, "--start", "--id", f"mine-{kind}"]
    done = efive("import-model", tiny_models[kind], *options)
    assert (done.code, done.out) == (0, f"imported: mine-{kind}, started\n"), done.err
    path = f"/_ml/trained_models/mine-{kind}"
    answer = client.post(f"{path}/_infer", json={"docs": [{"text_field": "a cat"}]}).raise_for_status().json()
    with Encoder.load(tiny_models[kind], precision="fp32") as encoder:
        expected = encoder.embed(["a cat"], "raw").vectors[0]
    assert np.dot(answer["inference_results"][0]["predicted_value"], expected) > 0.9999
    again = efive("import-model", tiny_models[kind], *options)
    assert again.code == 1
    assert "--clear-previous" in again.err
    cleared = efive("import-model", tiny_models[kind], *options, "--clear-previous", "--ingest-prefix", "")
    assert cleared.code == 0, cleared.err
    shown = client.get(path).json()["trained_model_configs"][0]
    assert shown["prefix_strings"] == {"search": "query: "}


def test_what_the_server_refuses_is_said(efive, server, bert):
    url, key, client = server
    refused = efive("import-model", bert, "--url", f"{url}/es", "--api-key", "wrong", "--id", "x")
    assert (refused.code, "answers 401" in refused.err) == (1, True)
    refused = efive("import-model", bert, "--url", f"{url}/es", "--api-key", key, "--id", "Not-An-Id")
    assert "must start and end with alphanumeric" in refused.err
    assert "cannot be reached" in efive("import-model", bert, "--url", "http://127.0.0.1:9/es", "--id", "x").err
    for odd in ("a b", "ü", "a/../b"):
        refused = efive("import-model", bert, "--url", f"{url}/es", "--api-key", key, "--id", odd)
        assert "Invalid model_id" in refused.err or "no handler found" in refused.err, refused.err
    refused = efive("import-model", f"{bert}/", "--url", f"{url}/es", "--api-key", key)
    assert (refused.code, "--id gives another" in refused.err) == (1, True), refused.err
    path = "/_ml/trained_models/bundle"
    config = client.get("/_ml/trained_models/bundled").json()["trained_model_configs"][0]
    names = ("inference_config", "model_type", "prefix_strings", "input")
    body = {name: config[name] for name in names} | {"metadata": {"efive_definition": "bundle"}}
    client.put(path, json=body).raise_for_status()
    part = {"definition": "bm8gYnVuZGxl", "total_definition_length": 9, "total_parts": 1}
    client.put(f"{path}/definition/0", json=part).raise_for_status()
    answer = client.post(f"{path}/deployment/_start")
    assert "no bundle of efive" in answer.json()["error"]["reason"]


@pytest.mark.parametrize(
    ("model", "id_"),
    [
        ("intfloat/multilingual-e5-small", "intfloat__multilingual-e5-small"),
        ("/models/My Model", "models__my__model"),
        ("C:\\models\\e5", "c:__models__e5"),
        ("/" + "a" * 70 + "/e5", "a" * 60 + "__e5"),
    ],
)
def test_ids_are_made_as_eland_makes_them(model, id_):
    assert derived_id(model) == id_


def test_a_bundle_that_would_unpack_to_more_is_refused(server):
    _, _, client = server
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("efive.json", json.dumps({"source": "x"}) + " " * (64 << 20))
    content = base64.b64encode(bomb.getvalue()).decode()
    path, kind = "/_ml/trained_models/bomb", {"text_embedding": {"tokenization": {"bert": {}}}}
    config = {"model_type": "pytorch", "inference_config": kind, "metadata": {"efive_definition": "bundle"}}
    client.put(path, json=config).raise_for_status()
    part = {"definition": content, "total_definition_length": len(bomb.getvalue()), "total_parts": 1}
    client.put(f"{path}/definition/0", json=part).raise_for_status()
    refused = client.post(f"{path}/deployment/_start", params={"timeout": "4m"})
    assert (refused.status_code, "would unpack to" in refused.text) == (400, True), refused.text
    client.delete(path).raise_for_status()
