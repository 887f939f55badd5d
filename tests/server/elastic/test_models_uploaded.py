"""Models that are uploaded in parts: whole, torn, wrong, and across a kill of the server."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch
import traced
from elastic_uploading import MODELS, parts, reason, upload

from efive import Encoder
from efive.errors import DeploymentError, ModelError, TruncationWarning
from efive.models import torchscript
from efive.models.architecture import Architecture, Kind
from efive.server.elastic.models import adopting

TEXTS = ["What is photosynthesis?", "Как дела?", "一个句子。", "a " * 700]


@pytest.fixture
def http(server):
    with httpx.Client(base_url=f"{server.url}/es", timeout=280) as client:
        yield client


@pytest.fixture(scope="module")
def scripts(tiny_models, tmp_path_factory):
    """TorchScript by kind of model."""
    folder = tmp_path_factory.mktemp("scripts")
    kinds = ("bert", "bert-multilingual", "xlm-roberta")
    return {kind: traced.trace(tiny_models[kind], folder / f"{kind}.pt").read_bytes() for kind in kinds}


@pytest.mark.parametrize("kind", ["bert", "bert-multilingual", "xlm-roberta"])
def test_an_uploaded_model_gives_the_vectors_of_its_folder(http, scripts, tiny_models, kind):
    folder = tiny_models[kind]
    config = traced.configuration(folder, prefix_strings={"ingest": "passage: ", "search": "query: "})
    path = upload(http, f"up-{kind}", config, scripts[kind], traced.vocabulary(folder))
    started = http.post(f"{path}/deployment/_start", params={"timeout": "4m"}).raise_for_status().json()
    assert started["assignment"]["assignment_state"] == "started"
    docs = [{"text_field": text} for text in TEXTS]
    results = http.post(f"{path}/_infer", json={"docs": docs}).raise_for_status().json()["inference_results"]
    with Encoder.load(folder, precision="fp32") as encoder, warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        expected = encoder.embed(TEXTS, "raw").vectors
    vectors = np.array([result["predicted_value"] for result in results])
    assert (vectors * expected).sum(axis=1).min() > 0.9999
    assert [result.get("is_truncated", False) for result in results] == [False, False, False, True]
    http.delete(path, params={"force": "true"}).raise_for_status()


def test_no_prefix_given_is_no_prefix(server, http, scripts, bert):
    upload(http, "bare-e5-small", traced.configuration(bert), scripts["bert"], traced.vocabulary(bert))
    http.post(f"{MODELS}/bare-e5-small/deployment/_start?timeout=4m").raise_for_status()
    settings = {"model_id": "bare-e5-small", "num_allocations": 1, "num_threads": 1}
    body = {"service": "elasticsearch", "service_settings": settings}
    http.put("/_inference/text_embedding/bare", json=body).raise_for_status()
    found = [
        http.post("/_inference/bare", json={"input": "a cat", "input_type": kind}).raise_for_status().json()
        for kind in ("search", "ingest", "unspecified")
    ]
    assert found[0] == found[1] == found[2]


def test_parts_come_in_any_order_once_and_all_of_them(http, scripts, bert):
    path = f"{MODELS}/parts"
    assert reason(http.get(path), 404) == "No known trained model with model_id [parts]"
    http.put(path, json=traced.configuration(bert)).raise_for_status()
    assert reason(http.put(path, json=traced.configuration(bert))) == (
        "Trained machine learning model [parts] already exists"
    )
    assert (
        reason(http.post(f"{path}/deployment/_start?timeout=4m"), 404)
        == "Could not find trained model definition [parts]"
    )
    bodies = parts(scripts["bert"])
    for number in reversed(range(1, len(bodies))):
        http.put(f"{path}/definition/{number}", json=bodies[number]).raise_for_status()
    assert "Model definition truncated" in reason(http.post(f"{path}/deployment/_start?timeout=4m"))
    assert "part [1] already exists" in reason(http.put(f"{path}/definition/1", json=bodies[1]))
    assert "an earlier part" in reason(http.put(f"{path}/definition/0", json=bodies[0] | {"total_parts": 99}))
    assert "[part] must be less than total_parts" in reason(http.put(f"{path}/definition/99", json=bodies[0]))
    assert "no base64" in reason(http.put(f"{path}/definition/0", json=bodies[0] | {"definition": "?"}))
    http.put(f"{path}/definition/0", json=bodies[0]).raise_for_status()
    assert "vocabulary" in reason(http.post(f"{path}/deployment/_start?timeout=4m"), 404)
    assert (
        http.get(path, params={"include": "definition_status"}).json()["trained_model_configs"][0]["fully_defined"]
        is False
    )
    http.put(f"{path}/vocabulary", json=traced.vocabulary(bert)).raise_for_status()
    http.post(f"{path}/deployment/_start?timeout=4m").raise_for_status()
    assert "is complete" in reason(http.put(f"{path}/definition/0", json=bodies[0]))
    shown = http.get(path, params={"include": "definition_status"}).json()["trained_model_configs"][0]
    assert shown["fully_defined"] is True
    http.delete(path, params={"force": "true"}).raise_for_status()
    assert http.get(path).status_code == 404


class Reader(torch.nn.Module):
    """Reads a file of the machine when it is run."""

    def forward(self, input_ids, attention_mask):
        return torch.from_file("/etc/passwd", shared=False, size=4, dtype=torch.uint8) + input_ids.sum()


@pytest.mark.slow
def test_what_is_no_e5_encoder_is_refused_with_the_reason(http, scripts, bert, tmp_path):
    ids = torch.tensor([[2, 5, 3]])
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(200 << 20))
    wrong = {
        "cls": (traced.trace(bert, tmp_path / "cls.pt", pooling="cls").read_bytes(), "cosine"),
        "text": (b"no zip archive at all" * 100, "no TorchScript archive"),
        "torn": (scripts["bert"][: len(scripts["bert"]) // 2], "no TorchScript archive"),
        "bomb": ((tmp_path / "bomb.pt").read_bytes(), "would unpack to"),
        "reader": (traced.save(Reader(), (ids, ids), tmp_path / "reader.pt", freeze=False).read_bytes(), "from_file"),
    }
    words = traced.vocabulary(bert)
    for name, (content, why) in wrong.items():
        path = upload(http, f"wrong-{name}", traced.configuration(bert), content, words)
        refused = reason(http.post(f"{path}/deployment/_start?timeout=4m"))
        assert f"the definition of [wrong-{name}] cannot be taken over" in refused
        assert why in refused, refused
        http.delete(path).raise_for_status()


def test_configurations_that_cannot_be_are_refused(http, bert):
    def put(**changes):
        body = {key: value for key, value in (traced.configuration(bert) | changes).items() if value is not None}
        return reason(http.put(f"{MODELS}/refused", json=body))

    assert put(inference_config=None) == "Validation Failed: 1: [inference_config] must not be null.;"
    assert "[lang_ident] is not supported" in put(model_type="lang_ident")
    assert "ner" in put(inference_config={"ner": {}})
    assert "[roberta]" in put(inference_config={"text_embedding": {"tokenization": {"roberta": {}}}})
    assert "unknown field [colour]" in put(colour="red")
    assert "[text_embedding] must be an object" in put(inference_config={"text_embedding": [1]})
    tokenization = {"tokenization": {"bert": [1]}}
    assert "[bert_tokenization] must be an object" in put(inference_config={"text_embedding": tokenization})
    assert "[results_field] must be" in put(inference_config={"text_embedding": {"results_field": ["a"]}})
    assert "[embedding_size] is [x]" in put(inference_config={"text_embedding": {"embedding_size": "x"}})
    assert "answers cannot have" in put(metadata={"far": 10**30})
    http.get(MODELS).raise_for_status()
    assert "must start and end with alphanumeric" in reason(
        http.put(f"{MODELS}/Upper", json=traced.configuration(bert))
    )
    assert http.get(f"{MODELS}/refused").status_code == 404


@pytest.mark.slow
def test_an_upload_goes_on_after_a_kill(scripts, bert, tmp_path):
    def serve():
        process = subprocess.Popen(
            [sys.executable, "-m", "efive", "serve", "--port", "0", "--threads", "1"],
            env={**os.environ, "EFIVE_HOME": str(tmp_path)}, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        lines = iter(process.stderr.readline, "")
        url = next(found[0] for line in lines if (found := re.search("http://[0-9.:]+", line)))
        return process, httpx.Client(base_url=f"{url}/es", timeout=280)

    def end(process, http, how):
        http.close()
        os.killpg(process.pid, how)
        process.wait()
        process.stderr.close()

    bodies, path = parts(scripts["bert"]), f"{MODELS}/killed"
    process, http = serve()
    http.put(path, json=traced.configuration(bert)).raise_for_status()
    for number in range(len(bodies) - 1):
        http.put(f"{path}/definition/{number}", json=bodies[number]).raise_for_status()
    end(process, http, signal.SIGKILL)
    process, http = serve()
    http.put(f"{path}/definition/{len(bodies) - 1}", json=bodies[-1]).raise_for_status()
    http.put(f"{path}/vocabulary", json=traced.vocabulary(bert)).raise_for_status()
    end(process, http, signal.SIGKILL)  # in the middle of taking it over
    process, http = serve()
    deadline = time.monotonic() + 240
    while not list((tmp_path / "models").glob("killed/efive.json")):  # nobody has to ask for it
        assert time.monotonic() < deadline
        time.sleep(0.1)
    http.post(f"{path}/deployment/_start", params={"timeout": "4m"}).raise_for_status()
    http.put(f"{path}/model_aliases/alive", params={}).raise_for_status()
    end(process, http, signal.SIGKILL)
    process, http = serve()
    deadline = time.monotonic() + 240
    while (answer := http.post(f"{MODELS}/alive/_infer", json={"docs": [{"text_field": "x"}]})).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    shown = http.get(f"{path}/_stats").json()["trained_model_stats"][0]["deployment_stats"]
    assert (shown["deployment_id"], shown["state"]) == ("killed", "started")
    end(process, http, signal.SIGTERM)
    assert not list((tmp_path / "elastic-models").iterdir())
    assert json.loads((tmp_path / "models/killed/config_sentence_transformers.json").read_text())["prompts"] == {
        "query": "", "document": "",
    }  # fmt: skip


def test_parts_may_come_at_once_and_twice(http, bert):
    bodies = parts(bytes(1 << 20), 1 << 14)
    for round_ in range(3):
        path = f"{MODELS}/at-once-{round_}"
        http.put(path, json=traced.configuration(bert)).raise_for_status()
        with ThreadPoolExecutor(8) as threads:
            put = [
                threads.submit(http.put, f"{path}/definition/{number}", json=body)
                for number, body in enumerate(bodies)
                for _ in range(2)
            ]
        taken = [each.result().status_code for each in put]
        assert (taken.count(200), taken.count(400)) == (len(bodies), len(bodies))
        http.delete(path).raise_for_status()


def test_parts_have_no_more_bytes_together_than_was_said(http, bert):
    path = f"{MODELS}/too-much"
    http.put(path, json=traced.configuration(bert)).raise_for_status()
    body = parts(bytes(3000), 2000)[0]
    http.put(f"{path}/definition/0", json=body).raise_for_status()
    assert "would have [4000] bytes" in reason(http.put(f"{path}/definition/1", json=body))
    assert "must be greater or equal to 0" in reason(http.put(f"{path}/definition/-1", json=body))
    assert "must be a whole number" in reason(http.put(f"{path}/definition/{'9' * 5000}", json=body))
    http.delete(path).raise_for_status()


def test_a_disk_that_takes_no_more_is_said(server, http, bert):
    path, folder = f"{MODELS}/full", server.home / "elastic-models" / "full"
    http.put(path, json=traced.configuration(bert)).raise_for_status()
    folder.parent.mkdir(exist_ok=True)
    folder.write_bytes(b"")  # in the way of what is to be written
    for call, body in (("definition/0", parts(bytes(100))[0]), ("vocabulary", traced.vocabulary(bert))):
        assert "the server cannot keep this upload" in reason(http.put(f"{path}/{call}", json=body), 500)
    folder.unlink()
    http.put(f"{path}/definition/0", json=parts(bytes(100))[0]).raise_for_status()
    http.delete(path).raise_for_status()


def test_what_would_not_fit_is_not_begun(tmp_path):
    with pytest.raises(ModelError, match="MiB are free"):
        adopting._check_memory(1 << 50)
    shape = Architecture(Kind.BERT, 1000, 1 << 16, 1 << 10, 1 << 18, 1 << 20, 512, 1e-12)
    taken = torchscript.Taken(shape, tmp_path / "model.safetensors", np.zeros((1, 1 << 16), np.float32))
    with pytest.raises(DeploymentError, match="the comparison of its vectors"):
        adopting._compare(tmp_path, ["a text"], taken)


@pytest.mark.slow
def test_a_start_that_nobody_waits_for_goes_on_when_the_model_is_here(http, scripts, bert):
    for name, stopped in (("waited", False), ("given-up", True)):
        path = upload(http, name, traced.configuration(bert), scripts["bert"], traced.vocabulary(bert))
        start = f"{path}/deployment/_start"
        assert "Timed out after [0.05s]" in reason(http.post(start, params={"timeout": "50ms"}), 408)
        assert "has already been started" in reason(http.post(start, params={"timeout": "50ms"}), 409)
        if stopped:
            http.post(f"{path}/deployment/_stop").raise_for_status()
            http.post(f"{start}?timeout=4m&deployment_id=another").raise_for_status()  # which waits for the model
        deadline = time.monotonic() + 240
        while (answer := http.post(f"{path}/_infer", json={"docs": [{"text_field": "x"}]})).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.05)
        shown = http.get(f"{path}/_stats").raise_for_status().json()["trained_model_stats"]
        assert [each["deployment_stats"]["deployment_id"] for each in shown] == ["another" if stopped else name]
        http.delete(path, params={"force": "true"}).raise_for_status()
