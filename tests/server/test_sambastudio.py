"""SambaStudio's door, by its wire forms."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
import psutil
import pytest
from server.conftest import serving

from efive.deployments.allocation import Allocation
from efive.deployments.settings import Settings
from efive.server.app import Options

API = "/samba/api"
TEXTS = ["query: hello", "passage: world", "query:no space"]
TOO_MANY = (
    "Prediction could not be completed for given input due to reason :AppOnlineInferenceFailed message: error running "
    "online inference: Expected a Tensor with batch size <= {}, got batch size: {}"
)


def until(look, wanted, seconds=240.0):
    """Look again and again until the status is as wanted."""
    deadline = time.monotonic() + seconds
    while (found := look())["status"] != wanted:
        assert found["status"] not in {"failed", "Failed"}, found["reason"]
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def make(http, project, **body):
    created = http.post(f"{API}/projects/{project}/endpoints", json={"model": "e5", **body})
    assert created.status_code == 201, created.text
    until(lambda: http.get(f"{API}/projects/{project}/endpoints/{body['name']}").json(), "Live")
    return created.json()


@pytest.fixture(scope="module")
def wide(server):
    """An endpoint of batch size 32."""
    with httpx.Client(base_url=server.url, timeout=280) as http:
        return make(http, "forms", name="wide", batch_size=32)


def ask(http, endpoint, form, texts, **more):
    """Send texts in one of the three forms; return the answer and how its vectors are found."""
    body = {
        "nlp": {"inputs": texts},
        "generic": {"instances": texts, "params": {"select_expert": {"type": "str", "value": "e5"}}},
        "generic_v2": {"items": [{"id": f"item{i}", "value": t} for i, t in enumerate(texts)], "params": {}},
    }[form]
    return http.post(endpoint["urls"][form], json=body, headers={"key": endpoint["key"]} | more)


def vectors(form, answer):
    assert answer.status_code == 200, answer.text
    found = answer.json()
    if form == "generic_v2":
        assert [item["id"] for item in found["items"]] == [f"item{i}" for i in range(len(found["items"]))]
        return np.array([item["value"] for item in found["items"]])
    return np.array(found["data" if form == "nlp" else "predictions"])


@pytest.mark.parametrize("form", ["nlp", "generic", "generic_v2"])
def test_vectors_are_the_encoder_s_for_texts_as_they_are(http, wide, nano, form):
    answer = ask(http, wide, form, TEXTS)
    np.testing.assert_allclose(vectors(form, answer), nano.embed(TEXTS, "raw").vectors, atol=1e-5)
    assert answer.headers["x-efive-role"] == "raw"


@pytest.mark.parametrize("form", ["nlp", "generic", "generic_v2"])
def test_what_is_too_long_is_cut_in_silence(http, wide, nano, form):
    long = "word " * 3000
    answer = ask(http, wide, form, [long])
    np.testing.assert_allclose(vectors(form, answer), nano.embed(["word " * 510], "raw").vectors, atol=1e-5)
    assert answer.headers["x-efive-tokens"] == "512"
    assert answer.headers["x-efive-truncated"] == "0"


@pytest.mark.parametrize("form", ["nlp", "generic", "generic_v2"])
def test_one_input_too_many_fails_in_the_vendor_s_words(http, wide, form):
    answer = ask(http, wide, form, ["a"] * 33)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == TOO_MANY.format(32, 33)
    assert TOO_MANY.format(32, 33) in answer.text
    assert len(vectors(form, ask(http, wide, form, ["a"] * 32))) == 32


def test_a_batch_size_of_one_takes_one(http):
    narrow = make(http, "forms", name="narrow")
    assert narrow["batch_size"] == 1
    assert vectors("nlp", ask(http, narrow, "nlp", ["a"])).shape == (1, 384)
    assert ask(http, narrow, "nlp", ["a", "b"]).json()["error"]["message"] == TOO_MANY.format(1, 2)


def test_openai_s_form_takes_the_endpoint_s_key_for_its_model(http, wide, nano):
    def embed(key, **body):
        return http.post("/samba/v1/embeddings", json=body, headers={"authorization": f"Bearer {key}"})

    answer = embed(wide["key"], input=TEXTS)
    rows = [each["embedding"] for each in answer.json()["data"]]
    np.testing.assert_allclose(rows, nano.embed(TEXTS, "raw").vectors, atol=1e-5)
    for model in ("wide", "forms/wide", "e5"):
        assert embed(wide["key"], input=TEXTS, model=model).json() == answer.json() | {"model": model}
    assert embed(wide["key"], input="a", model="multilingual-e5-large").status_code == 403
    assert embed(wide["key"], input=["a"] * 33).json()["error"]["message"] == TOO_MANY.format(32, 33)
    assert embed("no endpoint's", input="a", model="e5").status_code == 200  # a server without keys
    missing = embed("no endpoint's", input="a").json()["error"]
    assert (missing["type"], "model is missing" in missing["message"]) == ("invalid_request_error", True)


def test_an_endpoint_s_key_opens_it_and_nothing_else(http, wide):
    other = make(http, "forms", name="other", key="a-key-from-elsewhere")
    assert other["key"] == "a-key-from-elsewhere"
    for wrong in ("", "nonsense", wide["key"]):
        refused = ask(http, other, "nlp", ["a"], key=wrong)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "invalid_authentication")
    assert ask(http, other, "nlp", ["a"]).status_code == 200


def test_keys_are_shown_once_and_kept_as_hashes(http, server, wide):
    seen = http.get(f"{API}/projects/forms/endpoints/wide")
    assert "key" not in seen.json()
    assert http.get(f"{API}/endpoints").text.count(wide["key"]) == 0
    files = b"".join(path.read_bytes() for path in server.home.glob("server.sqlite*"))
    assert b"forms/wide" in files
    assert wide["key"].encode() not in files


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"name": "wide", "model": "e5"}, 409, "exists"),
        ({"name": "x", "model": "e5", "batch_size": 8}, 400, "batch_size"),
        ({"name": "x", "model": "e5", "key": "short"}, 400, "16 to 500"),
        ({"name": "a/b", "model": "e5"}, 400, "cannot be an endpoint's name"),
        ({"name": "x"}, 404, "efive models pull e5-large-v2"),
        ({"name": "x", "model": "e5:query"}, 400, "names a role"),
        ({"name": "x", "model": "e5", "colour": "red"}, 400, "colour"),
        ({"name": "x", "model": "m" * 3000}, 400, "3000 characters"),
        ({"name": "x", "model": 3}, 400, "model: Expected `str`"),
    ],
)
def test_endpoints_that_cannot_be(http, wide, body, status, words):
    answer = http.post(f"{API}/projects/forms/endpoints", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_endpoint_brings_its_deployment_and_takes_it_away(http, bert, monkeypatch):
    warm, asked = Allocation.warm, threading.Event()

    def held(self):
        asked.wait()
        warm(self)

    monkeypatch.setattr(Allocation, "warm", held)
    made = http.post(f"{API}/projects/life/endpoints", json={"name": "own", "model": str(bert), "batch_size": 32})
    assert made.json()["status"] in {"Created", "SettingUp"}
    early = ask(http, made.json(), "nlp", ["a"])
    asked.set()
    assert early.status_code == 503
    where = f"{API}/projects/life/endpoints/own"
    assert until(lambda: http.get(where).json(), "Live")["deployment"] == "life/own"
    assert vectors("nlp", ask(http, made.json(), "nlp", ["a"])).shape == (1, 64)
    assert http.delete(where).json() == {"deleted": "life/own"}
    assert http.get(where).status_code == 404
    assert ask(http, made.json(), "nlp", ["a"]).status_code == 404
    assert "life/own" not in http.get("/openai/v1/models").text


def test_a_deployment_goes_with_the_last_endpoint_that_uses_it(http, bert):
    for name, model in (("first", str(bert)), ("second", "heirs/first"), ("third", "heirs/first")):
        made = http.post(f"{API}/projects/heirs/endpoints", json={"name": name, "model": model})
        assert made.json()["deployment"] == "heirs/first"
    for name, deployed in (("first", 200), ("third", 200), ("second", 404)):
        assert http.delete(f"{API}/projects/heirs/endpoints/{name}").status_code == 200
        assert http.get("/deployments/heirs%2Ffirst").status_code == deployed


# -- batch predictions -------------------------------------------------------------------------------------------------


def lines(texts):
    return "".join(json.dumps({"id": f"t{i}", "value": text}) + "\n" for i, text in enumerate(texts))


def test_a_batch_job_gives_a_line_for_each_text_in_order(http, wide, nano):
    texts = [f"passage: number {i}" for i in range(70)]
    job = http.post(f"{API}/projects/forms/endpoints/wide/batch-jobs", content=lines(texts))
    assert job.status_code == 202
    where = f"{API}/projects/forms/batch-jobs/{job.json()['id']}"
    assert until(lambda: http.get(where).json(), "completed")["progress"] == {"done": 70, "total": 70}
    found = [json.loads(line) for line in http.get(f"{where}/result").text.splitlines()]
    assert [each["id"] for each in found] == [f"t{i}" for i in range(70)]
    np.testing.assert_allclose([each["value"] for each in found], nano.embed(texts, "raw").vectors, atol=1e-5)
    assert http.post(f"{where}/cancel").status_code == 409
    assert http.delete(where).status_code == 200
    assert http.get(f"{where}/result").status_code == 404


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('"good"\n\n{"value": 3}\n', "line 3: Expected `str`"),
        ('"good"\n{"value": "cut', "line 2: "),
        ("\n\n", "no lines"),
    ],
)
def test_a_batch_job_s_file_is_checked_line_by_line_first(http, wide, content, words):
    answer = http.post(f"{API}/projects/forms/endpoints/wide/batch-jobs", content=content)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_jobs_wait_their_turn_and_can_be_cancelled(http, wide):
    make(http, "forms", name="slow")  # one text at a time
    jobs = f"{API}/projects/forms/endpoints/slow/batch-jobs"
    first = http.post(jobs, content=lines([f"passage: {i} " + "word " * 400 for i in range(3000)])).json()["id"]
    second = http.post(jobs, content='"a"\n').json()["id"]
    where = f"{API}/projects/forms/batch-jobs"
    until(lambda: http.get(f"{where}/{first}").json(), "running")
    assert http.get(f"{where}/{second}").json()["status"] == "queued"
    assert http.get(f"{where}/{first}/result").status_code == 409
    stopped = http.post(f"{where}/{first}/cancel").json()
    assert stopped["status"] == "cancelled"
    assert stopped["progress"]["done"] < 3000
    until(lambda: http.get(f"{where}/{second}").json(), "completed")
    assert {job["id"] for job in http.get(where).json()["jobs"]} >= {first, second}


# -- keys and restarts, on servers of their own ------------------------------------------------------------------------


def e5(home):
    return Options(home, (Settings(name="e5", model="bundled", precision="fp32", threads=1),))


def test_with_server_keys_making_needs_manage_and_predicting_embed(tmp_path):
    with serving(e5(tmp_path)) as server, httpx.Client(base_url=server.url, timeout=280) as http:
        keys = {scope: server.service.access.create(scope, [scope])[1] for scope in ("embed", "manage")}
        manage = {"key": keys["manage"]}
        body = {"name": "one", "model": "e5"}
        assert http.post(f"{API}/projects/p/endpoints", json=body).status_code == 401
        assert http.post(f"{API}/projects/p/endpoints", json=body, headers={"key": keys["embed"]}).status_code == 403
        made = http.post(f"{API}/projects/p/endpoints", json=body, headers=manage).json()
        for key, status in [(keys["embed"], 200), (made["key"], 200), ("nonsense", 401)]:
            assert ask(http, made, "nlp", ["a"], key=key).status_code == status
        own = {"authorization": f"Bearer {made['key']}"}
        assert http.get(f"{API}/endpoints", headers=own).status_code == 401
        assert http.post("/openai/v1/embeddings", json={"model": "e5", "input": "a"}, headers=own).status_code == 401
        assert http.post("/samba/v1/embeddings", json={"input": "a"}, headers=own).status_code == 200
        assert http.post("/samba/v1/embeddings", json={"input": "a", "model": "e5"}).status_code == 401


@pytest.mark.slow
def test_a_restarted_server_has_its_endpoints_and_goes_on_with_its_jobs(tmp_path, nano):
    texts = [f"passage: {i} " + "word " * 20 for i in range(2000)]
    with serving(e5(tmp_path)) as server, httpx.Client(base_url=server.url, timeout=280) as http:
        made = make(http, "p", name="one")
        id_ = http.post(f"{API}/projects/p/endpoints/one/batch-jobs", content=lines(texts)).json()["id"]
        where = f"{API}/projects/p/batch-jobs/{id_}"
        while not http.get(where).json()["progress"]["done"]:
            time.sleep(0.01)
    part = tmp_path / "samba" / "batch" / id_ / "result.part.jsonl"
    before = part.read_bytes()
    assert 0 < before.count(b"\n") < 2000
    part.write_bytes(before + b'{"id": "t')  # as a kill would leave it
    with serving(e5(tmp_path)) as server, httpx.Client(base_url=server.url, timeout=280) as http:
        assert vectors("nlp", ask(http, made | {"urls": {"nlp": "/samba/api/predict/nlp/p/one"}}, "nlp", ["a"])).size
        until(lambda: http.get(where).json(), "completed")
        result = http.get(f"{where}/result").content
    assert result.startswith(before)
    found = [json.loads(line) for line in result.splitlines()]
    assert [each["id"] for each in found] == [f"t{i}" for i in range(2000)]
    np.testing.assert_allclose([each["value"] for each in found], nano.embed(texts, "raw").vectors, atol=1e-5)


# -- training ----------------------------------------------------------------------------------------------------------

PASSAGES = [{"contents": f"the answer to question {i} is {i * 31}"} for i in range(24)]
EXAMPLES = [
    {"query": f"question {i}", "positives": {"doc_id": [i]}, "negatives": {"doc_id": [str(i + 12), (i + 1) % 12]}}
    for i in range(12)
]


def upload(http, name, examples=EXAMPLES, passages=PASSAGES):
    for file, rows in (("passages.jsonl", passages), ("train.jsonl", examples)):
        body = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
        assert http.put(f"{API}/projects/t/datasets/{name}/{file}", content=body).status_code == 201


def train(http, name, **settings):
    settings = {"train_n_passages": 3, "batch_size": 4, "temperature": 0.05} | settings
    data = {"folder": name} if "/" in name else {"dataset": name}
    created = http.post(f"{API}/projects/t/training-jobs", json={**data, "settings": settings})
    assert created.status_code == 202, created.text
    return f"{API}/projects/t/training-jobs/{created.json()['id']}"


@pytest.mark.slow
def test_a_training_job_ends_in_an_endpoint(http, bert):
    upload(http, "good")
    where = train(http, "good", model=str(bert), max_steps=4, held_out=4, save_every=2)
    assert "trains on t/good" in http.delete(f"{API}/projects/t/datasets/good").json()["error"]["message"]
    done = until(lambda: http.get(where).json(), "completed")
    assert (done["examples"], done["passages"], done["step"], done["steps"]) == (12, 24, 4, 4)
    log = http.get(f"{where}/log").json()["log"]
    losses = [line["loss"] for line in log if "loss" in line]
    assert len(losses) == 4
    assert losses[-1] == done["loss"]
    assert done["metrics"] == {k: v for k, v in log[-1].items() if k != "step"}
    assert [line["step"] for line in http.get(f"{where}/log", params={"after": 3}).json()["log"]] == [4, 4]
    assert http.post(f"{where}/cancel").status_code == 409
    made = http.post(f"{where}/deploy", json={"name": "trained", "batch_size": 32}).json()
    until(lambda: http.get(f"{API}/projects/t/endpoints/trained").json(), "Live")
    assert vectors("nlp", ask(http, made, "nlp", ["query: question 1", "b"])).shape == (2, 64)
    assert "deployed as t/trained" in http.delete(where).json()["error"]["message"]
    assert http.delete(f"{API}/projects/t/endpoints/trained").status_code == 200
    assert http.delete(where).status_code == 200
    assert http.get(where).status_code == 404


@pytest.mark.parametrize(
    ("number", "example", "words"),
    [
        (5, '{"query: "broken"}', "train.jsonl, line 5: broken JSON"),
        (2, {"query": "q", "positives": {"doc_id": []}, "negatives": {"doc_id": [1, 2]}}, "train.jsonl, line 2"),
        (7, EXAMPLES[6] | {"positives": {"doc_id": [24]}}, "train.jsonl, line 7"),
        (12, EXAMPLES[11] | {"negatives": {"doc_id": ["3"]}}, "train.jsonl, line 12: 1 negatives; train_n_passages"),
    ],
)
def test_training_data_is_checked_with_line_numbers_before_training(http, server, number, example, words):
    upload(http, "bad", [*EXAMPLES[: number - 1], example, *EXAMPLES[number:]])
    where = train(http, "bad")
    deadline = time.monotonic() + 240
    while (found := http.get(where).json())["status"] in {"queued", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found["status"] == "failed"
    assert words in found["reason"]
    assert [words in problem for problem in found["problems"]] == [True]
    assert not (server.home / "samba" / "training" / found["id"] / "run").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"folder": "../models"}, "training reads nothing else"),
        ({"folder": "/etc"}, "training reads nothing else"),
        ({"folder": "a\0b"}, "cannot be a folder's name"),
        ({"folder": "f" * 3000}, "cannot be a folder's name"),
        ({"dataset": "good", "settings": {"seed": 2**70}}, "settings.seed"),
        ({"folder": "."}, "training reads nothing else"),
        ({"dataset": "nowhere"}, "upload its files"),
        ({"dataset": "../.."}, "cannot be a data set's name"),
        ({}, "either dataset or folder"),
        ({"dataset": "good", "settings": {"batch_size": 1}}, "settings.batch_size"),
        ({"dataset": "good", "settings": {"speed": 1}}, "speed"),
    ],
)
def test_training_jobs_that_cannot_be(http, body, words):
    answer = http.post(f"{API}/projects/t/training-jobs", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


class Killable:
    """`efive serve` in a process, on a home of its own."""

    def __init__(self, home):
        said = home.with_name("stderr")
        command = [sys.executable, "-m", "efive", "serve", "--port", "0", "--model", "e5=bundled"]
        with said.open("wb") as file:
            self.process = subprocess.Popen(command, env=os.environ | {"EFIVE_HOME": str(home)}, stderr=file)
        while not (found := re.search(r"http://[0-9.:]+", said.read_text())):
            assert self.process.poll() is None, "the server did not start"
            time.sleep(0.05)
        self.http = httpx.Client(base_url=found[0], timeout=280)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.http.close()


@pytest.mark.slow
def test_training_goes_on_after_the_server_was_killed(tmp_path, bert):
    home = tmp_path / "home"
    with Killable(home) as server:
        upload(server.http, "good")
        where = train(server.http, "t/good", model=str(bert), max_steps=100, save_every=10)
        while server.http.get(where).json()["step"] < 12:
            time.sleep(0.02)
    left = [p for p in psutil.process_iter(["cmdline"]) if f"--output={home}" in " ".join(p.info["cmdline"] or [])]
    assert len(left) == 1  # nobody was there to end it
    left[0].suspend()  # so that it cannot come to its end by itself
    with Killable(home) as server:
        until(lambda: server.http.get(where).json(), "completed")
        steps = [line["step"] for line in server.http.get(f"{where}/log").json()["log"]]
    assert steps == list(range(1, 101))
    assert "goes on at step" in next(home.glob("samba/training/*/output.txt")).read_text()
    assert not left[0].is_running()
