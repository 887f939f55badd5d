"""Metrics: there from the first scrape, counted right, and without a word of what was asked."""

import json
import time
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families

from efive.deployments.deployment import Deployment
from efive.deployments.settings import Settings
from efive.errors import DeploymentError, OverloadedError
from efive.server.telemetry import Telemetry


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def samples(text):
    families = text_string_to_metric_families(text)
    return {(each.name, *sorted(each.labels.values())): each.value for family in families for each in family.samples}


@pytest.fixture
def scrape(http):
    return lambda: samples(http.get("/metrics").text)


def test_what_can_be_seen_exists_before_it_happens():
    telemetry = Telemetry([Deployment(Settings(name="tiny", model="bundled"))])
    telemetry.announce("openai", "tei")
    first = samples(telemetry.text().decode())
    for door in ("openai", "tei"):
        for name in ("requests", "tokens", "texts", "truncations", "cached"):
            assert first[f"efive_{name}_total", door, "tiny"] == 0
        assert first["efive_request_seconds_count", door, "tiny"] == 0
        for word in ("overloaded", "deadline", "engine_crashed", "invalid_input", "rate_limited", "gone"):
            assert first["efive_errors_total", *sorted((door, word, "tiny"))] == 0
        for phase in ("tokenize", "queue", "compute"):
            assert first["efive_phase_seconds_count", *sorted((door, phase, "tiny"))] == 0
    for gauge in ("ready", "allocations", "queue_requests", "queue_tokens", "batch_fill", "busy_seconds_total"):
        assert first[f"efive_{gauge}", "tiny"] == 0
    assert first["efive_crashes_total", "tiny"] == 0


@pytest.mark.parametrize(
    ("error", "word"), [(OverloadedError("full", retry_after=1), "overloaded"), (RuntimeError("a text"), "unexpected")]
)
def test_errors_are_counted_by_their_word(error, word):
    telemetry = Telemetry([Deployment(Settings(name="tiny", model="bundled"))])
    with pytest.raises(type(error)), telemetry.watch("openai", "tiny"):
        raise error
    assert samples(telemetry.text().decode())["efive_errors_total", *sorted(("openai", word, "tiny"))] == 1
    assert b"a text" not in telemetry.text()


def test_a_deployment_that_is_deleted_leaves_no_series_behind():
    deployments = [Deployment(Settings(name="tiny", model="bundled"))]
    telemetry = Telemetry(deployments)
    telemetry.announce("openai", "tei")
    with pytest.raises(DeploymentError), telemetry.watch("elastic", "tiny"):  # a word that is not there from the first
        raise DeploymentError("no")
    assert samples(telemetry.text().decode())["efive_errors_total", "deployment", "elastic", "tiny"] == 1
    deployments[:] = [Deployment(Settings(name="other", model="bundled"))]
    after = samples(telemetry.text().decode())
    assert not [labels for labels in after if "tiny" in labels]
    assert after["efive_requests_total", "openai", "other"] == 0


def test_requests_are_counted_per_door_and_model(http, scrape):
    word = f"xylophone{time.time_ns()}"
    before = scrape()
    for _ in range(2):
        answer = http.post("/tei/embed", json={"inputs": [word, "long " * 600]})
        assert answer.status_code == 200, answer.text
    assert http.post("/openai/v1/embeddings", json={"model": "e5", "input": "long " * 600}).status_code == 400
    after = scrape()

    def more(name, *labels):
        key = (f"efive_{name}", *sorted(labels))
        return after[key] - before.get(key, 0)

    assert more("requests_total", "tei", "e5") == 2
    assert more("texts_total", "tei", "e5") == 4
    assert more("truncations_total", "tei", "e5") == 2
    assert more("cached_total", "tei", "e5") == 2
    assert more("tokens_total", "tei", "e5") > 1024
    assert more("phase_seconds_count", "tei", "e5", "queue") == 2
    assert more("errors_total", "openai", "e5", "too_long") == 1
    assert 0 < after["efive_batch_fill", "e5"] <= 1
    assert after["efive_ready", "e5"] == 1
    assert word not in http.get("/metrics").text


def test_a_client_that_goes_away_empties_the_queue(server, http, scrape):
    scheduler = server.service.deployments.get("multilingual-e5-large").scheduler

    def gone():
        return scrape().get(("efive_errors_total", "gone", "multilingual-e5-large", "openai"), 0)

    before, computed = gone(), scheduler.tally.rows
    texts = [f"{n} {time.time_ns()} {'word ' * 500}" for n in range(500)]
    body = {"model": "multilingual-e5-large", "input": texts, "truncate": "end"}

    connection = HTTPConnection(server.url.removeprefix("http://"))
    connection.request("POST", "/openai/v1/embeddings", json.dumps(body))
    until(lambda: scheduler.queue.requests)
    connection.close()
    until(lambda: not scheduler.queue.requests)
    assert scheduler.queue.tokens == 0
    assert scheduler.tally.rows - computed < 500
    until(lambda: gone() > before)  # counted behind the queue
    assert gone() == before + 1
