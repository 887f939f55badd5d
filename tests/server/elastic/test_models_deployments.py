"""Deployments of trained models: started, changed, looked at, stopped; what they answer; other names for them."""

import httpx
import numpy as np
import pytest
from elastic_uploading import MODELS, reason

from efive import Encoder

START = f"{MODELS}/bundled/deployment/_start"
MINE = {"deployment_id": "mine", "timeout": "4m"}


@pytest.fixture
def http(server):
    with httpx.Client(base_url=f"{server.url}/es", timeout=280) as client:
        yield client
        client.post(f"{MODELS}/mine/deployment/_stop", params={"force": "true"}).raise_for_status()


@pytest.fixture
def mine(http):
    """A deployment of the bundled model."""
    http.post(START, params=MINE | {"queue_capacity": 77, "cache_size": "1mb"}).raise_for_status()
    return f"{MODELS}/mine"


def stats(http, name="bundled"):
    found = http.get(f"{MODELS}/{name}/_stats").raise_for_status().json()["trained_model_stats"]
    return {each["deployment_stats"]["deployment_id"]: each for each in found if "deployment_stats" in each}


def test_starting_says_what_was_started_and_stats_show_it(http, mine):
    found = stats(http)["mine"]["deployment_stats"]
    assert (found["model_id"], found["state"], found["queue_capacity"]) == ("bundled", "started", 77)
    assert (found["priority"], found["cache_size"]) == ("normal", "1048576b")
    assert found["allocation_status"] == {
        "allocation_count": 1, "target_allocation_count": 1, "state": "fully_allocated",
    }  # fmt: skip
    docs = [{"text_field": text} for text in ("one", "two", "one")]
    for _ in range(2):
        http.post(f"{mine}/_infer", json={"docs": docs}).raise_for_status()
    node = stats(http, "mine")["mine"]["deployment_stats"]["nodes"][0]
    assert node["inference_count"] == 6
    assert node["inference_cache_hit_count"] == 4
    assert node["throughput_last_minute"] == 2
    assert node["average_inference_time_ms"] > 0
    http.post(f"{mine}/deployment/cache/_clear").raise_for_status()
    http.post(f"{mine}/_infer", json={"docs": docs}).raise_for_status()
    assert stats(http)["mine"]["deployment_stats"]["nodes"][0]["inference_cache_hit_count"] == 5


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"threads_per_allocation": 3}, "[threads_per_allocation] must be a power of 2 less than or equal to 32"),
        ({"threads_per_allocation": 64}, "[threads_per_allocation] must be a power of 2 less than or equal to 32"),
        ({"number_of_allocations": 0}, "[number_of_allocations] must be a positive integer"),
        ({"queue_capacity": 0}, "[queue_capacity] must be a positive integer"),
        ({"queue_capacity": 2_000_000}, "[queue_capacity] must be less than 1000000"),
        ({"wait_for": "never"}, "invalid [wait_for] state [never]"),
        ({"priority": "low", "number_of_allocations": 2}, "[number_of_allocations] must be 1 when [priority] is low"),
        ({"priority": "low", "threads_per_allocation": 2}, "[threads_per_allocation] must be 1 when [priority] is low"),
        ({"priority": "high"}, "must be one of [normal, low]"),
        ({"cache_size": "much"}, "as a size in bytes"),
        ({"timeout": "5"}, "as a time value"),
        ({"timeout": "9" * 400 + "d"}, "as a time value"),
        ({"cache_size": "9" * 5000 + "b"}, "as a size in bytes"),
    ],
)
def test_what_cannot_be_started_says_why(http, query, why):
    assert why in reason(http.post(START, params=MINE | query))
    assert "mine" not in stats(http)


def test_a_deployment_starts_once_and_stops_always(http, mine):
    again = reason(http.post(START, params=MINE), 409)
    assert again == "Cannot start deployment [mine] because it has already been started"
    missing = reason(http.post(f"{MODELS}/nothing/deployment/_start"), 404)
    assert missing == "No known trained model with model_id [nothing]"
    for _ in range(2):
        assert http.post(f"{mine}/deployment/_stop").raise_for_status().json() == {"stopped": True}
    assert "mine" not in stats(http)
    body = {"allow_no_match": False}
    assert reason(http.post(f"{mine}/deployment/_stop", json=body), 404) == ("No known model deployment with id [mine]")
    assert "No known trained model" in reason(http.post(f"{mine}/_infer", json={"docs": []}), 404)


def test_allocations_change_and_follow_the_load(http, mine):
    changed = http.post(f"{mine}/deployment/_update", json={"number_of_allocations": 2}).raise_for_status().json()
    assert changed["assignment"]["task_parameters"]["number_of_allocations"] == 2
    adaptive = {"enabled": True, "min_number_of_allocations": 1, "max_number_of_allocations": 2}
    body = {"adaptive_allocations": adaptive}
    assert http.post(f"{mine}/deployment/_update", json=body).json()["assignment"]["adaptive_allocations"] == adaptive
    refused = reason(http.post(f"{mine}/deployment/_update", json={"number_of_allocations": 1}), 409)
    assert "while adaptive allocations is enabled" in refused
    ended = http.post(f"{mine}/deployment/_update", json={"adaptive_allocations": None, "number_of_allocations": 1})
    assert "adaptive_allocations" not in stats(http)["mine"]["deployment_stats"], ended.text
    wrong = {"adaptive_allocations": adaptive | {"min_number_of_allocations": 3}}
    assert "must not be larger" in reason(http.post(f"{mine}/deployment/_update", json=wrong))
    assert "not found" in reason(http.post(f"{MODELS}/x/deployment/_update", json=body), 404)


def test_inference_takes_overrides_and_adds_no_prefix(http, mine, nano):
    docs = [{"text_field": "a cat"}, {"text_field": "word " * 900}]
    config = {"text_embedding": {"results_field": "vector", "tokenization": {"xlm_roberta": {"truncate": "first"}}}}
    results = http.post(f"{mine}/_infer", json={"docs": docs, "inference_config": config}).raise_for_status().json()
    short, long = results["inference_results"]
    assert "is_truncated" not in short
    assert long["is_truncated"] is True
    expected = nano.embed(["a cat"], "raw").vectors[0]
    assert np.dot(short["vector"], expected) > 0.99
    config["text_embedding"]["tokenization"]["xlm_roberta"]["truncate"] = "none"
    body = {"docs": docs, "inference_config": config}
    assert "Input too large" in reason(http.post(f"{mine}/_infer", json=body))
    other = {"text_embedding": {"tokenization": {"bert": {"truncate": "first"}}}}
    assert "cannot update" in reason(http.post(f"{mine}/_infer", json={"docs": docs, "inference_config": other}))
    assert "cannot be used" in reason(http.post(f"{mine}/_infer", json={"docs": docs, "inference_config": {"ner": {}}}))
    assert "does not exist" in reason(http.post(f"{mine}/_infer", json={"docs": [{"other": "x"}]}))
    assert "must be a string" in reason(http.post(f"{mine}/_infer", json={"docs": [{"text_field": 1}]}))
    config = {"text_embedding": {"results_field": ["vector"]}}
    assert "must be a string" in reason(http.post(f"{mine}/_infer", json={"docs": docs, "inference_config": config}))
    config = {"text_embedding": {"tokenization": {"xlm_roberta": ["first"]}}}
    assert "must be an object" in reason(http.post(f"{mine}/_infer", json={"docs": docs, "inference_config": config}))
    assert "requires body" in reason(http.post(f"{mine}/_infer"))


def test_aliases_mean_one_model_at_a_time(http, mine):
    http.put(f"{MODELS}/bundled/model_aliases/search-model").raise_for_status()
    assert http.get(f"{MODELS}/search-model").json()["trained_model_configs"][0]["model_id"] == "bundled"
    http.post(f"{MODELS}/search-model/_infer", json={"docs": [{"text_field": "x"}]}).raise_for_status()
    assert "can contain lowercase" in reason(http.put(f"{MODELS}/bundled/model_aliases/v2"))
    assert "cannot be the same" in reason(http.put(f"{MODELS}/bundled/model_aliases/bundled"))
    assert "No known" in reason(http.put(f"{MODELS}/nothing/model_aliases/search-model"), 404)
    assert "does not refer" in reason(http.delete(f"{MODELS}/x/model_aliases/search-model"))
    http.delete(f"{MODELS}/bundled/model_aliases/search-model").raise_for_status()
    assert "could not be found" in reason(http.delete(f"{MODELS}/bundled/model_aliases/search-model"), 404)


def test_models_are_listed_by_ids_wildcards_tags_and_pages(http):
    def ids(path="", **query):
        found = http.get(f"{MODELS}{path}", params=query).raise_for_status().json()
        return [each["model_id"] for each in found["trained_model_configs"]]

    assert "bundled" in ids()
    assert ids("/bun*") == ["bundled"]
    assert ids("/none*") == []
    assert ids("/bundled", tags="other") == []
    assert ids("", size=0) == []
    assert "No known" in reason(http.get(f"{MODELS}/none*", params={"allow_no_match": "false"}), 404)
    assert "unknown [include]" in reason(http.get(MODELS, params={"include": "all"}))
    shown = http.get(f"{MODELS}/bundled", params={"exclude_generated": "true"}).json()["trained_model_configs"][0]
    assert "create_time" not in shown
    assert shown["inference_config"]["text_embedding"]["embedding_size"] == 384


def test_the_client_of_elasticsearch_reads_it_all(client):
    client.ml.start_trained_model_deployment(model_id="bundled", deployment_id="theirs", priority="low", timeout="4m")
    found = client.ml.get_trained_models_stats(model_id="bundled")["trained_model_stats"]
    priorities = {each["deployment_stats"]["deployment_id"]: each["deployment_stats"]["priority"] for each in found}
    assert priorities["theirs"] == "low"
    answer = client.ml.infer_trained_model(model_id="theirs", docs=[{"text_field": "a cat"}])
    with Encoder.load() as encoder:
        expected = encoder.embed(["a cat"], "raw").vectors[0]
    assert np.dot(answer["inference_results"][0]["predicted_value"], expected) > 0.99
    assert client.ml.stop_trained_model_deployment(model_id="theirs", force=True)["stopped"]


def test_a_deployment_that_another_door_replaced_is_of_its_own_model(http, server, bert):
    http.post("/_ml/trained_models/bundled/deployment/_start?deployment_id=moved&wait_for=started").raise_for_status()
    httpx.delete(f"{server.url}/deployments/moved", timeout=60).raise_for_status()
    other = {"name": "moved", "model": str(bert), "precision": "fp32", "threads": 1}
    httpx.post(f"{server.url}/deployments?wait=60", json=other, timeout=90).raise_for_status()
    shown = http.get("/_ml/trained_models/bundled/_stats").json()["trained_model_stats"]
    assert "moved" not in [each.get("deployment_stats", {}).get("deployment_id") for each in shown]
    http.post("/_ml/trained_models/moved/deployment/_stop").raise_for_status()
    assert httpx.get(f"{server.url}/deployments/moved").json()["phase"] == "stopped"


def test_of_several_deployments_of_a_model_one_that_is_ready_answers(http, server, mine):
    native = {"name": "a-stopped-one", "model": "bundled", "precision": "fp32", "threads": 1}
    httpx.post(f"{server.url}/deployments?wait=60", json=native, timeout=90).raise_for_status()
    httpx.post(f"{server.url}/deployments/a-stopped-one/stop", timeout=60).raise_for_status()
    assert http.post(f"{MODELS}/bundled/_infer", json={"docs": [{"text_field": "text"}]}).status_code == 200
    httpx.delete(f"{server.url}/deployments/a-stopped-one", timeout=60).raise_for_status()
