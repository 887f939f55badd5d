"""Inference endpoints over time: allocations, shared deployments, first use, restarts."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import numpy as np
import pytest
from elastic_inference import ONE, config, deployments, ids, refused, vectors
from elasticsearch import ApiError, BadRequestError, ConflictError, NotFoundError
from served import serving

from efive.deployments.settings import Settings
from efive.server.app import Options


def test_allocations_change_and_the_live_ones_are_shown(es, http, server, made):
    made("elastic")
    changed = es.inference.update(
        inference_id="elastic",
        task_type="text_embedding",
        inference_config={"service_settings": {"num_allocations": 2}},
    )
    assert changed["service_settings"]["num_allocations"] == 2
    patched = httpx.patch(f"{server.url}/deployments/elastic", json={"allocations": 3})
    assert patched.status_code == 200, patched.text
    assert es.inference.get(inference_id="elastic")["endpoints"][0]["service_settings"]["num_allocations"] == 3
    adaptive = {"enabled": True, "min_number_of_allocations": 1, "max_number_of_allocations": 2}
    answer = http.put("/_inference/elastic/_update", json={"service_settings": {"adaptive_allocations": adaptive}})
    assert answer.json()["service_settings"]["adaptive_allocations"] == adaptive
    assert answer.json()["service_settings"]["num_allocations"] in {1, 2}
    for body, reason in (
        ({}, "Request body is empty"),
        ({"chunking_settings": {}}, "cannot be updated, remove these fields and try again [chunking_settings]"),
        ({"service_settings": {"num_threads": 2}}, "cannot be updated"),
        ({"service_settings": {"num_allocations": 2}, "task_type": "rerank"}, "Cannot resolve conflicting task_type"),
        ({"service_settings": {"num_allocations": 2}}, "cannot be set if adaptive allocations is enabled"),
    ):
        answer = http.put("/_inference/text_embedding/elastic/_update", json=body)
        assert (answer.status_code, reason in answer.text) == (400, True), answer.text
    settings = {"num_allocations": 1, "adaptive_allocations": None}
    answer = http.put("/_inference/elastic/_update", json={"service_settings": settings}).json()["service_settings"]
    assert ("adaptive_allocations" in answer, answer["num_allocations"]) == (False, 1)


def test_an_endpoint_attached_to_a_deployment_leaves_it_alone(es, server, made):
    found = made("attached", service_settings={"deployment_id": "other"})
    assert found["service_settings"] == {
        **ONE,
        "deployment_id": "other",
        "dimensions": 384,
        "similarity": "cosine",
        "element_type": "float",
    }
    assert len(es.inference.inference(inference_id="attached", input="a")["text_embedding"]) == 1
    with pytest.raises(ConflictError) as error:
        es.inference.update(inference_id="attached", inference_config={"service_settings": {"num_allocations": 2}})
    assert "uses the deployment [other], which it has not created" in refused(error)[2]
    es.inference.delete(inference_id="attached")
    assert deployments(server)["other"] == "ready"


def test_an_endpoint_of_a_deployment_s_name_shares_it_if_the_model_is_the_same(es, server, made, bert):
    made("other")
    assert len(es.inference.inference(inference_id="other", input="a")["text_embedding"]) == 1
    es.inference.delete(inference_id="other")
    assert deployments(server)["other"] == "ready"
    wanted = {"name": "random", "model": str(bert), "precision": "fp32", "threads": 1}
    assert httpx.post(f"{server.url}/deployments?wait=true", json=wanted).status_code < 300
    with pytest.raises(ConflictError) as error:
        made("random")
    assert refused(error)[2] == "Cannot start deployment [random] because it has already been started"
    httpx.delete(f"{server.url}/deployments/random")


def test_what_uses_an_endpoint_keeps_it(es, server, made):
    made("used")
    es.ingest.put_pipeline(
        id="embeds",
        processors=[{"inference": {"model_id": "used", "input_output": {"input_field": "a", "output_field": "b"}}}],
    )
    es.indices.create(
        index="pages", mappings={"properties": {"text": {"type": "semantic_text", "inference_id": "used"}}}
    )
    dry = es.inference.delete(inference_id="used", dry_run=True)
    assert dry == {"acknowledged": False, "pipelines": ["embeds"], "indexes": ["pages"]}
    with pytest.raises(ConflictError) as error:
        es.inference.delete(inference_id="used")
    status, type_, reason = refused(error)
    assert (status, type_) == (409, "status_exception")
    assert reason.startswith("Inference endpoint used is referenced by pipelines and cannot be deleted. Use `force`")
    es.ingest.delete_pipeline(id="embeds")
    with pytest.raises(ConflictError) as error:
        es.inference.delete(inference_id="used")
    assert "Inference endpoint used is used in mappings of indexes" in refused(error)[2]
    assert deployments(server)["used"] == "ready"
    forced = es.inference.delete(inference_id="used", force=True)
    assert forced == {"acknowledged": True, "pipelines": [], "indexes": ["pages"]}
    assert "used" not in deployments(server)
    es.indices.delete(index="pages")


def test_preconfigured_endpoints_start_when_they_are_used(es, server):
    (before,) = es.inference.get(inference_id=".efive-bundled")["endpoints"]
    assert before["service_settings"]["adaptive_allocations"]["enabled"]
    assert ".efive-bundled" not in deployments(server)
    with ThreadPoolExecutor(8) as threads:  # all of them wait for one start
        ask = partial(es.inference.inference, inference_id=".efive-bundled")
        found = list(threads.map(lambda text: vectors(ask(input=text)).shape, "abcdefgh"))
    assert found == [(1, 384)] * 8
    assert deployments(server)[".efive-bundled"] == "ready"
    with pytest.raises(BadRequestError) as error:
        es.inference.delete(inference_id=".efive-bundled")
    assert "reserved inference endpoint. Use the force=true" in refused(error)[2]
    assert es.inference.delete(inference_id=".efive-bundled", force=True)["acknowledged"]
    assert ".efive-bundled" not in deployments(server)
    (small,) = es.inference.get(inference_id=".multilingual-e5-small-elasticsearch")["endpoints"]
    assert small["service_settings"]["model_id"].startswith(".multilingual-e5-small")
    assert small["service_settings"]["adaptive_allocations"]["max_number_of_allocations"] == 32


def test_a_start_goes_on_behind_its_time_limit_and_the_first_request_waits_for_it(es, http, made):
    body = config()
    answer = http.put("/_inference/text_embedding/later?timeout=0s", json=body)
    assert answer.status_code == 200
    assert vectors(es.inference.inference(inference_id="later", input="a")).shape == (1, 384)
    with pytest.raises(ApiError) as error:
        es.inference.inference(inference_id="later", input="a text that is new", timeout="1nanos")
    assert refused(error) == (408, "status_exception", "timeout [1nanos] waiting for inference result")
    es.inference.delete(inference_id="later")


def test_a_model_that_is_nowhere_leaves_no_endpoint(es, http):
    answer = http.put("/_inference/text_embedding/x", json=config(model_id=".multilingual-e5-small"))
    assert answer.status_code in {400, 404}
    assert "multilingual-e5-small" in answer.json()["error"]["reason"]
    with pytest.raises(NotFoundError):
        es.inference.get(inference_id="x")


def test_of_two_at_once_one_makes_the_endpoint(es, http, made):
    with ThreadPoolExecutor(4) as threads:
        path = "/_inference/text_embedding/race"
        answers = list(threads.map(lambda _: http.put(path, json=config()).status_code, range(4)))
    assert sorted(answers) == [200, 400, 400, 400]
    es.inference.delete(inference_id="race")


def test_endpoints_come_back_after_a_restart(tmp_path):
    options = Options(tmp_path, (Settings(name="other", model="bundled", precision="fp32", threads=1),))
    chunking = {"strategy": "word", "max_chunk_size": 20, "overlap": 5}
    asked = {"input": "tide", "input_type": "search"}
    with serving(options) as server, httpx.Client(base_url=f"{server.url}/es", timeout=280) as http:
        path = "/_inference/text_embedding"
        made = http.put(f"{path}/kept", json=config() | {"chunking_settings": chunking}).json()
        http.put(f"{path}/gone", json=config())
        http.put(f"{path}/attached", json=config() | {"service_settings": {"deployment_id": "other"}})
        http.delete("/_inference/gone")
        before = vectors(http.post("/_inference/kept", json=asked).json())
    with serving(options) as server, httpx.Client(base_url=f"{server.url}/es", timeout=280) as http:
        assert ids(http.get("/_inference").json())[2:] == ["attached", "kept"]
        after = vectors(http.post("/_inference/kept", json=asked).json())
        assert http.get("/_inference/kept").json() == {"endpoints": [made]}
        assert np.allclose(before, after, atol=1e-6)
        assert http.post("/_inference/attached", json=asked).status_code == 200
        http.delete("/_inference/attached")
        assert deployments(server)["other"] == "ready"


def test_deleting_an_endpoint_that_is_starting_is_told_to_those_who_wait(http, server, held):
    def put():
        return http.put("/_inference/text_embedding/brief", json=config())

    def ask():
        return http.post("/_inference/brief", json={"input": "a"})

    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(put)]
        while "brief" not in ids(http.get("/_inference").json()):
            time.sleep(0.005)
        waiting.append(threads.submit(ask))
        while deployments(server).get("brief") != "starting":
            time.sleep(0.005)
        http.delete("/_inference/brief").raise_for_status()
        held.set()
        for answer in (each.result() for each in waiting):
            if answer.status_code == 404:  # it came behind the deletion
                continue
            assert answer.status_code == 409, answer.text
            assert "was deleted before its deployment was ready" in answer.json()["error"]["reason"]
    assert "brief" not in deployments(server)


def test_an_endpoint_that_is_deleted_while_it_is_used_leaves_no_deployment(es, http, server):
    def use():
        while (answer := http.post("/_inference/used", json={"input": "text"})).status_code != 404:
            pass
        return answer.json()["error"]["reason"]

    for _ in range(3):
        es.inference.put(inference_id="used", task_type="text_embedding", inference_config=config())
        with ThreadPoolExecutor(3) as threads:
            users = [threads.submit(use) for _ in range(3)]
            es.inference.delete(inference_id="used", force=True)
            assert {user.result() for user in users} == {"Inference endpoint not found [used]"}
        assert "used" not in deployments(server)
