"""Inference endpoints: how they are made and asked, and what is refused."""

import httpx
import numpy as np
import pytest
from elastic_inference import DEFAULT_CHUNKING, ONE, config, deployments, ids, refused, vectors
from elasticsearch import BadRequestError, ElasticsearchWarning, NotFoundError


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
