"""Inference endpoints: made, asked, changed, deleted, and still there after a restart."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import numpy as np
import pytest
from elasticsearch import ApiError, BadRequestError, ConflictError, ElasticsearchWarning, NotFoundError
from served import serving

from efive.deployments.settings import Settings
from efive.server.app import Options

ONE = {"model_id": "bundled", "num_allocations": 1, "num_threads": 1}
DEFAULT_CHUNKING = {"strategy": "sentence", "max_chunk_size": 250, "sentence_overlap": 1}


def config(**settings):
    return {"service": "elasticsearch", "service_settings": {**ONE, **settings}}


@pytest.fixture
def http(server):
    with httpx.Client(base_url=f"{server.url}/es", timeout=60) as client:
        yield client


@pytest.fixture
def made(es):
    """Make endpoints that are gone after the test."""
    ids = []

    def make(id_, **body):
        ids.append(id_)
        return es.inference.put(inference_id=id_, task_type="text_embedding", inference_config=config() | body).body

    yield make
    for id_ in ids:
        es.options(ignore_status=404).inference.delete(inference_id=id_, force=True)


def refused(error):
    body = error.value.body
    assert body["status"] == error.value.meta.status
    assert body["error"]["root_cause"] == [{key: body["error"][key] for key in ("type", "reason")}]
    return error.value.meta.status, body["error"]["type"], body["error"]["reason"]


def vectors(answer):
    return np.array([each["embedding"] for each in answer["text_embedding"]], dtype=np.float32)


def ids(answer):
    return [each["inference_id"] for each in answer["endpoints"]]


def deployments(server):
    found = httpx.get(f"{server.url}/deployments").json()["deployments"]
    return {each["name"]: each["phase"] for each in found}


def test_an_endpoint_from_its_making_to_its_end(es, server, made):
    shown = {
        "inference_id": "mine",
        "task_type": "text_embedding",
        "service": "elasticsearch",
        "service_settings": {**ONE, "dimensions": 384, "similarity": "cosine", "element_type": "float"},
        "chunking_settings": DEFAULT_CHUNKING,
    }
    assert made("mine") == shown
    assert deployments(server)["mine"] == "ready"
    assert es.inference.get(inference_id="mine") == {"endpoints": [shown]}
    assert es.inference.get(task_type="text_embedding", inference_id="mine") == {"endpoints": [shown]}
    everything = [".efive-bundled", ".multilingual-e5-small-elasticsearch", "e5", "mine"]
    assert ids(es.inference.get()) == ids(es.inference.get(inference_id="_all")) == everything
    assert ids(es.inference.get(task_type="text_embedding", inference_id="_all")) == everything
    assert ids(es.inference.get(task_type="rerank", inference_id="_all")) == []
    gone = es.inference.delete(task_type="text_embedding", inference_id="mine")
    assert gone == {"acknowledged": True, "pipelines": [], "indexes": []}
    assert "mine" not in deployments(server)
    for call in (es.inference.get, es.inference.delete):
        with pytest.raises(NotFoundError) as error:
            call(inference_id="mine")
        assert refused(error) == (404, "resource_not_found_exception", "Inference endpoint not found [mine]")


def test_the_task_may_stand_in_the_body(http):
    body = config() | {"task_type": "text_embedding", "chunking_settings": {"strategy": "none"}, "task_settings": {}}
    answer = http.put("/_inference/plain", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["chunking_settings"] == {"strategy": "none"}
    assert http.delete("/_inference/plain").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "type_", "reason"),
    [
        ("x", config(), "status_exception", "model is missing required setting [task_type]"),
        ("text_embedding/x", config() | {"task_type": "rerank"}, "status_exception", "conflicting task_type parameter"),
        ("nonsense/x", config(), "status_exception", "Unknown task_type [nonsense]"),
        ("sparse_embedding/x", config(), "status_exception", "does not support task type [sparse_embedding]"),
        ("text_embedding/x", {}, "status_exception", "Model configuration is missing a service"),
        ("text_embedding/x", {"service": "cohere"}, "status_exception", "Unknown service [cohere]"),
        ("text_embedding/x", {"service": "elasticsearch"}, "status_exception", "required field [service_settings]"),
        (
            "text_embedding/x",
            {"service": "elasticsearch", "service_settings": {"num_threads": 1}},
            "illegal_argument_exception",
            "Error parsing service settings, model_id must be provided",
        ),
        (
            "text_embedding/x",
            {"service": "elasticsearch", "service_settings": {"model_id": "bundled"}},
            "validation_exception",
            (
                "Validation Failed: 1: [service_settings] does not contain the required setting [num_threads];"
                "2: [service_settings] does not contain one of the required settings "
                "[num_allocations, adaptive_allocations];"
            ),
        ),
        (
            "text_embedding/x",
            config(num_threads=0, num_allocations="2"),
            "validation_exception",
            (
                "1: field [num_allocations] is not of the expected type. "
                "The value [2] cannot be converted to a [Integer];"
                "2: [service_settings] Invalid value [0]. [num_threads] must be a positive integer;"
            ),
        ),
        *(
            (
                "text_embedding/x",
                config(num_threads=threads),
                "action_request_validation_exception",
                "[threads_per_allocation] must be a power of 2 less than or equal to 32",
            )
            for threads in (3, 64)
        ),
        (
            "text_embedding/x",
            config(adaptive_allocations={"enabled": True}),
            "action_request_validation_exception",
            "[number_of_allocations] cannot be set if adaptive allocations is enabled",
        ),
        (
            "text_embedding/x",
            config(adaptive_allocations={"min_number_of_allocations": -1, "max_number_of_allocations": 0, "x": 1}),
            "validation_exception",
            (
                "1: [adaptive_allocations] does not allow the setting [x];"
                "2: [min_number_of_allocations] must be a non-negative integer or null;"
                "3: [max_number_of_allocations] must be a positive integer or null;"
            ),
        ),
        (
            "text_embedding/x",
            config(adaptive_allocations={"min_number_of_allocations": 3, "max_number_of_allocations": 2}),
            "validation_exception",
            "[min_number_of_allocations] must not be larger than [max_number_of_allocations]",
        ),
        ("text_embedding/x", config(api_key="a"), "status_exception", "[{api_key=a}] unknown to the [elasticsearch]"),
        ("text_embedding/x", config() | {"more": 1}, "status_exception", "[{more=1}] unknown to the [elasticsearch]"),
        (
            "text_embedding/x",
            config() | {"task_settings": {"return_documents": True}},
            "status_exception",
            "[{return_documents=true}] unknown to the [elasticsearch]",
        ),
        (
            "text_embedding/x",
            config(model_id="unheard-of"),
            "illegal_argument_exception",
            "model id does not match any models available on this platform. Was [unheard-of]",
        ),
        (
            "text_embedding/x",
            config() | {"chunking_settings": {"strategy": "word", "max_chunk_size": 5, "overlap": 1}},
            "validation_exception",
            "[chunking_settings] Invalid value [5.0]. [max_chunk_size] must be a greater than or equal to [10.0]",
        ),
        ("text_embedding/x", config() | {"chunking_settings": 5}, "parsing_exception", "[chunking_settings]"),
        ("text_embedding/e5", config(), "resource_already_exists_exception", "Inference endpoint [e5] already exists"),
        (
            "text_embedding/bundled",
            config(),
            "status_exception",
            "Requested inference endpoint ID [bundled] matches existing trained model ID(s) but must not.",
        ),
        *(
            ("text_embedding/" + id_, config(), "status_exception", f"[{id_}] is a reserved inference Id")
            for id_ in (".multilingual-e5-small-elasticsearch", ".elser-2-elasticsearch", ".efive-bundled")
        ),
        ("text_embedding/Large", config(), "action_request_validation_exception", "Invalid inference_id; 'Large'"),
        (
            "text_embedding/x",
            {"service": "elasticsearch", "service_settings": {"deployment_id": "nobody"}},
            "resource_not_found_exception",
            "Cannot find deployment [nobody]",
        ),
        (
            "text_embedding/x",
            {"service": "elasticsearch", "service_settings": {"deployment_id": "e5", "model_id": "other"}},
            "status_exception",
            "Deployment [e5] uses model [bundled] which does not match the model [other] in the request",
        ),
    ],
)
def test_what_cannot_be_an_endpoint_is_named_and_leaves_nothing(es, server, http, path, body, type_, reason):
    before = deployments(server)
    answer = http.put(f"/_inference/{path}", json=body)
    assert answer.status_code == (404 if type_ == "resource_not_found_exception" else 400), answer.text
    error = answer.json()["error"]
    assert error["type"] == type_
    assert reason in error["reason"]
    assert "x" not in ids(http.get("/_inference").json())
    assert deployments(server) == before


def test_vectors_have_the_prefix_of_their_input_type(es, http, server):
    def plain(model, text):
        body = {"model": f"e5:{model}", "input": text, "encoding_format": "float"}
        return np.float32(httpx.post(f"{server.url}/openai/v1/embeddings", json=body).json()["data"][0]["embedding"])

    roles = {
        None: "raw",
        "search": "query",
        "ingest": "passage",
        "Search": "query",
        "INGEST": "passage",
        "classification": "raw",
        "clustering": "raw",
        "unspecified": "raw",
    }
    for input_type, role in roles.items():
        body = {"input": "how high is the tide"} | ({} if input_type is None else {"input_type": input_type})
        for path in ("/_inference/e5", "/_inference/text_embedding/e5"):
            answer = http.post(path, json=body)
            assert "warning" not in answer.headers
            (found,) = vectors(answer.json())
            assert np.allclose(found, plain(role, "how high is the tide"), atol=1e-6), input_type
    several = es.inference.text_embedding(inference_id="e5", input=["one", "two", "one"], input_type="ingest")
    assert [list(each) for each in several["text_embedding"]] == [["embedding"]] * 3
    assert np.allclose(vectors(several), [plain("passage", each) for each in ("one", "two", "one")], atol=1e-6)


def test_a_prefix_that_is_there_is_kept_and_warned_of(es):
    with pytest.warns(ElasticsearchWarning, match=r"input 1 begins with a prefix .* \[query:\] .* \(1 of 2 have one\)"):
        twice = es.inference.text_embedding(inference_id="e5", input=["tide", "query: tide"], input_type="search")
    alone = es.inference.inference(inference_id="e5", input=["query: tide", "query: query: tide"])
    assert np.allclose(vectors(twice), vectors(alone), atol=1e-6)


@pytest.mark.parametrize(
    ("body", "type_", "reason"),
    [
        ({}, "action_request_validation_exception", "Validation Failed: 1: Field [input] cannot be null;"),
        ({"input": []}, "action_request_validation_exception", "1: Field [input] cannot be an empty array;"),
        ({"input": [1]}, "x_content_parse_exception", "input must be a text or an array of texts"),
        ({"input": "a", "texts": "b"}, "x_content_parse_exception", "unknown field [texts]"),
        ({"input": "a", "input_type": "internal_search"}, "illegal_argument_exception", "Unrecognized input_type"),
        ({"input": "a", "input_type": 5}, "illegal_argument_exception", "Unrecognized input_type [5]"),
        *(
            (
                {"input": "a", name: value},
                "action_request_validation_exception",
                f"Field [{name}] cannot be specified for task type [text_embedding]",
            )
            for name, value in {"query": "b", "return_documents": True, "top_n": 3}.items()
        ),
        ({"input": "a", "task_settings": {"x": 1}}, "status_exception", "[task_settings] must be left out or empty"),
        ({"input": "a", "timeout": "soon"}, "illegal_argument_exception", "failed to parse setting [timeout]"),
    ],
)
def test_what_cannot_be_embedded_is_named(es, http, body, type_, reason):
    answer = http.post("/_inference/e5", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == type_
    assert reason in answer.json()["error"]["reason"]


def test_another_task_than_the_endpoint_s_is_refused(es):
    for call in (es.inference.get, es.inference.delete):
        with pytest.raises(BadRequestError) as error:
            call(task_type="rerank", inference_id="e5")
        assert "Requested task type [rerank] does not match" in refused(error)[2]
    with pytest.raises(BadRequestError) as error:
        es.inference.inference(task_type="sparse_embedding", inference_id="e5", input="a")
    assert "requested type [sparse_embedding] does not match the model type [text_embedding]" in refused(error)[2]
    with pytest.raises(NotFoundError):
        es.inference.inference(inference_id="nobody", input="a")


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
    with serving(options) as server, httpx.Client(base_url=f"{server.url}/es", timeout=60) as http:
        path = "/_inference/text_embedding"
        made = http.put(f"{path}/kept", json=config() | {"chunking_settings": chunking}).json()
        http.put(f"{path}/gone", json=config())
        http.put(f"{path}/attached", json=config() | {"service_settings": {"deployment_id": "other"}})
        http.delete("/_inference/gone")
        before = vectors(http.post("/_inference/kept", json=asked).json())
    with serving(options) as server, httpx.Client(base_url=f"{server.url}/es", timeout=60) as http:
        assert ids(http.get("/_inference").json())[2:] == ["attached", "kept"]
        after = vectors(http.post("/_inference/kept", json=asked).json())
        assert http.get("/_inference/kept").json() == {"endpoints": [made]}
        assert np.allclose(before, after, atol=1e-6)
        assert http.post("/_inference/attached", json=asked).status_code == 200
        http.delete("/_inference/attached")
        assert deployments(server)["other"] == "ready"


def test_deleting_an_endpoint_that_is_starting_is_told_to_those_who_wait(http, server):
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
        for answer in (each.result() for each in waiting):
            if answer.status_code == 404:  # it came behind the deletion
                continue
            assert answer.status_code == 409, answer.text
            assert "was deleted before its deployment was ready" in answer.json()["error"]["reason"]
    assert "brief" not in deployments(server)
