"""What was acknowledged survives kill -9; writers wait for nobody but their own index, readers for nobody at all."""

import contextlib
import itertools
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from elasticsearch import ApiError, Elasticsearch, TransportError

from efive.search.collection import Collection

MAPPING = {
    "properties": {
        "body": {"type": "semantic_text", "inference_id": ".efive-bundled"},
        "title": {"type": "text"},
        "n": {"type": "long"},
        "v": {"type": "dense_vector", "dims": 4},
    }
}


@contextlib.contextmanager
def process(home):
    """A server in a process of its own: the process, and Elasticsearch's client of it."""
    command = [sys.executable, "-m", "efive", "serve", "--port", "0", "--precision", "fp32", "--threads", "1"]
    environment = {**os.environ, "EFIVE_HOME": str(home)}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        lines = iter(running.stderr.readline, "")
        url = next(found[0] for line in lines if (found := re.search(r"http://[0-9.:]+", line)))
        log = threading.Thread(target=lambda: sys.stderr.writelines(lines), daemon=True)  # seen where a test fails
        log.start()
        while httpx.get(f"{url}/health/ready").status_code != 200:
            time.sleep(0.05)
        with Elasticsearch(f"{url}/es", max_retries=0, request_timeout=280) as client:
            yield running, client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        log.join()
        running.stderr.close()


class Writer:
    """Sends bulks until the server dies, and knows what each document may be afterwards."""

    def __init__(self, client, name, seed, known):
        self.client = client
        self.name = name
        self.random = random.Random(f"{name}{seed}")
        self.known = known
        """By id: what was acknowledged last; None: deleted."""
        self.maybe = {}
        """By id: what the bulk that was never answered would have made of it."""
        self.answered = 0

    def run(self):
        for step in itertools.count():
            self.maybe = {f"{self.name}{self.random.randrange(60)}": self.content(step) for _ in range(8)}
            operations = []
            for id_, content in self.maybe.items():
                meta = {"_index": "kept", "_id": id_}
                operations += [{"delete": meta}] if content is None else [{"index": meta}, content]
            try:
                answer = self.client.bulk(operations=operations)
            except (TransportError, ApiError):
                return
            statuses = {item["status"] for each in answer["items"] for item in each.values()}
            assert statuses <= {200, 201, 404}, answer
            self.known |= self.maybe
            self.maybe = {}
            self.answered += 1

    def content(self, step):
        if self.random.random() < 0.2:
            return None
        words = f"{self.name} step {step} {self.random.random()}"
        vector = [self.random.random() + 0.1 for _ in range(4)]
        return {"body": words, "title": f"title {step}", "n": step, "v": vector}

    def may_be(self, id_):
        """Return what a document may be: the last that was acknowledged, or what may have come after it."""
        return [self.known.get(id_), *([self.maybe[id_]] if id_ in self.maybe else [])]


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_what_was_acknowledged_survives_a_kill_in_the_middle_of_bulks(tmp_path, kills):
    writers = []
    for round_ in range(kills + 1):
        with process(tmp_path) as (running, client):
            if round_ == 0:
                client.indices.create(index="kept", mappings=MAPPING)
            known = {name: settled(client, writers, name) for name in ("a", "b")}
            check_searches(client, known)
            if round_ < kills:
                writers = [Writer(client, name, round_, known[name]) for name in known]
                interrupted(running, writers, random.Random(round_).random() / 5)
    check_files(tmp_path, {id_: each for some in known.values() for id_, each in some.items()})


def interrupted(running, writers, delay):
    """Let writers write, and kill the server in the middle of it."""
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    while sum(writer.answered for writer in writers) < 6:
        time.sleep(0.01)
    time.sleep(delay)
    os.killpg(running.pid, signal.SIGKILL)
    for thread in threads:
        thread.join()


def settled(client, writers, name):
    """Return the documents of one writer after a restart; each must be one that it may be."""
    found = {}
    for writer in (each for each in writers if each.name == name):
        for id_ in sorted(writer.known.keys() | writer.maybe.keys()):
            answer = client.options(ignore_status=404).get(index="kept", id=id_)
            source = answer["_source"] if answer["found"] else None
            assert source in writer.may_be(id_), id_
            if source is not None:
                found[id_] = source
    return found


def check_searches(client, known):
    """Everything that is there is found, by its number as well as by its meaning, and nothing else."""
    there = {id_ for some in known.values() for id_ in some}
    assert client.count(index="kept")["count"] == len(there)
    for query in ({"range": {"n": {"gte": 0}}}, {"match": {"title": "title"}}):
        hits = client.search(index="kept", query=query, size=200)["hits"]["hits"]
        assert {hit["_id"] for hit in hits} == there, query
    if not there:
        return
    knn = {"field": "v", "query_vector": [1, 1, 1, 1], "k": 200, "num_candidates": 200}
    assert {hit["_id"] for hit in client.search(index="kept", knn=knn, size=200)["hits"]["hits"]} == there


def check_files(home, there):
    """The collection has the same documents, and nothing is left half done."""
    with Collection.open(home / "collections" / "kept", create=False) as collection:
        texts = {each.id: each.text for each in collection.get(collection.ids())}
        vectors = {entry.document.id: len(entry.vectors) for entry in collection.entries()}
    assert texts == {id_: each["body"] for id_, each in there.items()}
    assert vectors == dict.fromkeys(there, 1)
    with contextlib.closing(sqlite3.connect(home / "elastic" / "indices" / "kept" / "index.sqlite")) as database:
        (waiting,) = database.execute("SELECT count(*) FROM pending").fetchone()
        (rows,) = database.execute("SELECT count(*) FROM value WHERE field = 'n'").fetchone()
        (texts,) = database.execute('SELECT count(*) FROM "text:title:"').fetchone()
        (result,) = database.execute("PRAGMA integrity_check").fetchone()
    assert (waiting, rows, texts, result) == (0, len(there), len(there), "ok")


@pytest.fixture
def long_bulk(es):
    """Return what starts a bulk that embeds for a while."""
    field = {"type": "semantic_text", "inference_id": "e5"}
    words = " ".join(f"number {number}" for number in range(150))

    def start(threads, index, documents=200):
        es.indices.create(index=index, mappings={"properties": {"body": field}})
        operations = []
        for number in range(documents):
            operations += [{"index": {"_id": str(number)}}, {"body": f"{index} {number} {words}"}]
        return threads.submit(es.bulk, index=index, operations=operations)

    return start


def test_readers_and_writers_of_other_indices_do_not_wait_for_a_writer(es, long_bulk):
    with ThreadPoolExecutor(1) as threads:
        bulk = long_bulk(threads, "busy")
        seen, beside = [], 0
        while not bulk.done():
            count = es.count(index="busy")["count"]
            es.index(index="beside-busy", document={"n": 1})
            if not bulk.done():
                seen.append(count)
                beside += 1
    assert bulk.result()["errors"] is False
    assert beside > 0
    assert set(seen) <= {0, 200}, "a part of a bulk was seen"
    assert 0 in seen
    assert es.count(index="busy")["count"] == 200


def test_a_client_that_goes_away_interrupts_nothing(es, server, long_bulk):
    with ThreadPoolExecutor(1) as threads:
        assert long_bulk(threads, "left", 1).result()["errors"] is False
    lines = "".join(f'{{"index":{{"_id":"n{n}"}}}}\n{{"body":"{n} {"words " * 100}"}}\n' for n in range(100))
    with contextlib.suppress(httpx.TimeoutException):
        kind = {"content-type": "application/x-ndjson"}
        httpx.post(f"{server.url}/es/left/_bulk", content=lines, headers=kind, timeout=0.2)
    es.index(index="left", id="last", document={"body": "after it"})
    assert es.count(index="left")["count"] in {2, 102}
    assert es.index(index="left", id="last", document={"body": "again"})["_version"] == 2
