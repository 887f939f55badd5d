"""Pinecone's door, by its wire form: inference, indexes, and the server behind them."""

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pinecone_calls import BASE, LARGE, RECORDS, SERVERLESS, call, embed, make, make_for_model, send
from served import serving

from efive.deployments.settings import Settings
from efive.server.app import Options


@pytest.mark.parametrize("role", ["query", "passage"])
def test_vectors_are_the_encoder_s(http, nano, role):
    found = embed(http, ["hello", "world"], input_type=role, truncate="NONE").json()
    expected = nano.embed(["hello", "world"], role)
    np.testing.assert_allclose([each["values"] for each in found["data"]], expected.vectors, atol=1e-5)
    assert {each["vector_type"] for each in found["data"]} == {found["vector_type"]} == {"dense"}
    assert (found["model"], found["usage"]) == ("e5", {"total_tokens": sum(u.tokens_used for u in expected.usage)})


@pytest.mark.parametrize(
    ("texts", "parameters", "words"),
    [
        (["a"], {}, "query or passage"),
        (["a"], {"input_type": "document"}, "'document'"),
        (["a"], {"input_type": "query", "truncate": "MIDDLE"}, "END, NONE"),
        (["a"], {"input_type": "query", "dimension": 100}, "384"),
        ([], {"input_type": "query"}, "no inputs"),
        (["a"] * 97, {"input_type": "query"}, "97 exceeds the maximum of 96"),
        (
            ["a", "word " * 600],
            {"input_type": "query", "truncate": "NONE"},
            'reads 512; `"truncate": "END"` has it cut',
        ),
    ],
)
def test_what_cannot_be_embedded_is_a_400_in_pinecone_s_shape(http, texts, parameters, words):
    answer = embed(http, texts, **parameters)
    found = answer.json()
    assert (answer.status_code, found["status"], found["error"]["code"]) == (400, 400, "INVALID_ARGUMENT")
    assert words in found["error"]["message"]


def test_models_are_those_that_are_deployed(http):
    found = {each["model"]: each for each in http.get(f"{BASE}/models?type=embed").json()["models"]}
    assert {"e5", LARGE} <= set(found)
    assert found[LARGE]["default_dimension"] == 1024
    assert found[LARGE] == http.get(f"{BASE}/models/{LARGE}").json()
    assert http.get(f"{BASE}/models?type=rerank").json() == {"models": []}
    answer = http.get(f"{BASE}/models/e5-base-v2")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert "efive models pull e5-base-v2" in answer.json()["error"]["message"]


def test_an_index_is_described_as_each_version_reads_it(http):
    make(http, "old-shape", metric="euclidean", tags={"team": "a"})
    schema = {"fields": {"_values": {"type": "dense_vector", "dimension": 4, "metric": "euclidean"}}}
    place = {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"}
    body = {"name": "new-shape", "schema": schema, "deployment": place, "tags": {"team": "a"}}
    assert http.post(f"{BASE}/indexes", json=body).status_code == 201

    def described(name, version):
        headers = {"X-Pinecone-API-Version": version} if version else {}
        found = http.get(f"{BASE}/indexes/{name}", headers=headers).json()
        return {key: value for key, value in found.items() if key not in {"name", "host"}}

    for version in ("", "2024-07", "2025-04", "2025-10"):
        found = described("old-shape", version)
        assert (found["dimension"], found["metric"], found["vector_type"]) == (4, "euclidean", "dense")
        assert found["spec"]["serverless"]["cloud"] == "aws"
        assert not {"schema", "deployment"} & set(found)
        assert found == described("new-shape", version)
    found = described("old-shape", "2026-07")
    assert (found["schema"], found["deployment"]) == (schema, place)
    assert found["status"] == {"ready": True, "state": "Ready"}
    assert not {"spec", "metric", "dimension"} & set(found)
    assert found == described("new-shape", "2026-07")


def test_the_host_is_at_the_address_that_the_client_used(http):
    make(http, "elsewhere")
    found = http.get(f"{BASE}/indexes/elsewhere", headers={"host": "vectors:9"}).json()
    assert found["host"] == "http://vectors:9/pinecone/_i/elsewhere"
    host = f"{http.base_url}".rstrip("/") + "/pinecone/_i/elsewhere"
    assert {"name": "elsewhere", "host": host}.items() <= http.get(f"{BASE}//indexes/elsewhere").json().items()
    assert http.post(f"{host}//describe_index_stats").json()["totalVectorCount"] == 0


def schema(**field):
    return {"fields": {"f": field}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Upper"}, "a-z"),
        ({"name": "-a"}, "a-z"),
        ({"name": "a" * 46}, "45"),
        ({"dimension": 0}, "1 to 20000"),
        ({"dimension": 20_001}, "1 to 20000"),
        ({"dimension": None}, "needs a dimension"),
        ({"dimension": "4"}, "dimension: Expected"),
        ({"metric": "manhattan"}, "cosine, euclidean, dotproduct"),
        ({"vector_type": "sparse"}, "dense"),
        ({"spec": {"pod": {"environment": "x"}}}, "serverless"),
        ({"schema": {"fields": {"s": {"type": "sparse_vector"}}}}, "dense_vector or semantic_text"),
        ({"deployment": {"deployment_type": "pod"}, "schema": schema(type="dense_vector", dimension=4)}, "managed"),
        ({"deployment": {"deployment_type": "pod"}, "schema": schema(type="semantic_text", model="e5")}, "managed"),
        ({"deletion_protection": "perhaps"}, "enabled or disabled"),
    ],
)
def test_an_index_that_cannot_be_is_refused_in_words(http, change, words):
    answer = http.post(f"{BASE}/indexes", json={"name": "wrong", "dimension": 4} | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_ARGUMENT")
    assert words in answer.json()["error"]["message"]
    assert http.get(f"{BASE}/indexes/wrong").status_code == 404


def test_names_are_taken_once_and_protection_protects(http):
    make(http, "kept", deletion_protection="enabled")
    answer = http.post(f"{BASE}/indexes", json={"name": "kept", "dimension": 4})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ALREADY_EXISTS")
    answer = http.delete(f"{BASE}/indexes/kept")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    changed = http.patch(f"{BASE}/indexes/kept", json={"deletion_protection": "disabled", "tags": {"a": "1", "b": ""}})
    assert changed.json()["tags"] == {"a": "1"}
    answer = http.delete(f"{BASE}/indexes/kept")
    assert (answer.status_code, answer.content) == (202, b"")
    assert "kept" not in [each["name"] for each in http.get(f"{BASE}/indexes").json()["indexes"]]


def test_an_index_that_takes_the_name_of_a_deleted_one_is_empty(http):
    for _ in range(2):
        host = make(http, "again")
        assert call(http, f"{host}/describe_index_stats")["totalVectorCount"] == 0
        call(http, f"{host}/vectors/upsert", vectors=[{"id": "a", "values": [1, 2, 3, 4]}])
        http.delete(f"{BASE}/indexes/again")
    for _ in range(2):
        host = make_for_model(http, "again")
        assert call(http, f"{host}/describe_index_stats")["totalVectorCount"] == 0
        assert send(http, host, {"_id": "a", "t": "text"}).status_code == 201
        http.delete(f"{BASE}/indexes/again")
    assert http.get("/collections/again").status_code == 404


def test_keys_are_asked_for_and_everything_is_there_after_a_restart(tmp_path):
    deployments = (Settings(name="e5", model="bundled", precision="fp32", threads=1),)
    vector = {"id": "a", "values": [1, 2, 3, 4], "metadata": {"x": 1}}
    with serving(Options(tmp_path, deployments)) as server:
        keys = {scope: server.service.access.create(scope, [scope])[1] for scope in ("search", "manage")}
        with httpx.Client(base_url=server.url, headers={"Api-Key": keys["manage"]}, timeout=280) as http:
            call(http, f"{make(http, 'plain')}/vectors/upsert", vectors=[vector], namespace="n")
            send(http, make_for_model(http, "with-model"), RECORDS[0])
        answer = httpx.get(f"{server.url}{BASE}/indexes")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
        reader = {"Api-Key": keys["search"]}
        assert httpx.get(f"{server.url}{BASE}/indexes", headers=reader).status_code == 200
        answer = httpx.post(f"{server.url}{BASE}/_i/plain/vectors/delete", headers=reader, json={"deleteAll": True})
        assert (answer.status_code, answer.json()["code"]) == (403, 7)
    with (
        serving(Options(tmp_path, deployments)) as server,
        httpx.Client(base_url=server.url, headers={"Api-Key": keys["manage"]}, timeout=280) as http,
    ):
        found = http.get(f"{BASE}/_i/plain/vectors/fetch?ids=a&namespace=n").json()["vectors"]["a"]
        assert found == vector | {"values": [1.0, 2.0, 3.0, 4.0]}
        assert http.get(f"{BASE}/_i/with-model/vectors/fetch?ids=fox").json()["vectors"]["fox"]["metadata"]["year"]
        assert http.delete(f"{BASE}/indexes/plain").status_code == 202
        assert not list((tmp_path / "vectors").iterdir())


NAMES = st.text() | st.sampled_from(["$eq", "$in", "$or"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=6,
)
BODIES = {
    "embed": {"model": "e5", "inputs": [{"text": "a"}], "parameters": {"input_type": "query"}},
    "indexes": {"name": "fuzz-2", "dimension": 4, "metric": "cosine", "spec": SERVERLESS, "tags": {}, "schema": None},
    "indexes/create-for-model": {"name": "fuzz-3", "embed": {"model": "e5", "field_map": {"text": "t"}}},
    "_i/fuzz/vectors/upsert": {"vectors": [{"id": "a", "values": [1, 2, 3, 4], "metadata": {}}], "namespace": "n"},
    "_i/fuzz/query": {"topK": 3, "vector": [1, 2, 3, 4], "filter": {"a": 1}, "namespace": "n", "includeValues": True},
    "_i/fuzz/vectors/update": {"id": "a", "values": [1, 2, 3, 4], "setMetadata": {}, "namespace": "n", "filter": None},
    "_i/fuzz/vectors/delete": {"ids": ["a"], "deleteAll": False, "filter": None, "namespace": "n"},
    "_i/fuzz/vectors/fetch_by_metadata": {"filter": {"a": 1}, "limit": 3, "paginationToken": "", "namespace": "n"},
    "_i/fuzz/describe_index_stats": {"filter": {"a": 1}},
    "_i/fuzz/namespaces": {"name": "m"},
    "_i/fuzz/records/namespaces/n/search": {"query": {"top_k": 2, "vector": {"values": [1, 2, 3, 4]}}, "fields": []},
    "_i/fuzz-m/records/namespaces/n/upsert": {"_id": "a", "t": "text", "x": 1},
}


@pytest.mark.parametrize("path", BODIES)
def test_no_body_is_the_server_s_fault(http, path):
    if http.get(f"{BASE}/indexes/fuzz").status_code == 404:
        make(http, "fuzz")
        make_for_model(http, "fuzz-m")

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.sampled_from(sorted(BODIES[path])), JSON)
    def check(field, value):
        answer = http.post(f"{BASE}/{path}", json=BODIES[path] | {field: value})
        assert answer.status_code < 500, (value, answer.text)
        if answer.status_code >= 400:
            found = answer.json()
            assert found.get("message") or found["error"]["message"]

    check()
    assert http.post(f"{BASE}/{path}", content=b"\xff{").status_code == 400
