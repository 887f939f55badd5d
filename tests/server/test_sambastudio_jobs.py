"""SambaStudio's batch predictions, keys and restarts."""

import json
import time

import httpx
import numpy as np
import pytest
from sambastudio import API, ask, make, until, vectors
from server.conftest import serving

from efive.deployments.settings import Settings
from efive.server.app import Options

TEXTS = ["query: hello", "passage: world", "query:no space"]


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
