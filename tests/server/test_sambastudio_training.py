"""SambaStudio's training jobs."""

import json
import os
import re
import subprocess
import sys
import time

import httpx
import psutil
import pytest
from sambastudio import API, ask, until, vectors

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
