"""Pinecone's door, by its wire form."""

import json

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from served import serving

from efive.deployments.settings import Settings
from efive.search.collection import Collection
from efive.server.app import Options

BASE = "/pinecone"
LARGE = "multilingual-e5-large"
SERVERLESS = {"serverless": {"cloud": "aws", "region": "us-east-1"}}


def make(http, name, **body):
    """Make an index, and return the address of what it holds."""
    answer = http.post(f"{BASE}/indexes", json={"name": name, "dimension": 4, "spec": SERVERLESS} | body)
    assert answer.status_code == 201, answer.text
    return answer.json()["host"]


def make_for_model(http, name, model="e5", **embed):
    body = {"name": name, "cloud": "aws", "region": "r", "embed": {"model": model, "field_map": {"text": "t"}, **embed}}
    answer = http.post(f"{BASE}/indexes/create-for-model", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["host"]


def call(http, url, **body):
    answer = http.post(url, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def send(http, host, *records, namespace="__default__", end=""):
    lines = "\n".join(json.dumps(record) for record in records) + end
    url = f"{host}/records/namespaces/{namespace}/upsert"
    return http.post(url, content=lines, headers={"content-type": "application/x-ndjson"})


def embed(http, texts, **parameters):
    body = {"model": "e5", "inputs": [{"text": text} for text in texts], "parameters": parameters}
    return http.post(f"{BASE}/embed", json=body)


# -- inference --------------------------------------------------------------------------------------------------------


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
        (["a", "word " * 600], {"input_type": "query", "truncate": "NONE"}, "text 1 has 604 tokens"),
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


# -- indexes ----------------------------------------------------------------------------------------------------------


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
    found = http.get(f"{BASE}/indexes/elsewhere", headers={"host": "vectors.example:9"}).json()
    assert found["host"] == "http://vectors.example:9/pinecone/_i/elsewhere"
    host = f"{http.base_url}".rstrip("/") + "/pinecone/_i/elsewhere"
    assert {"name": "elsewhere", "host": host}.items() <= http.get(f"{BASE}//indexes/elsewhere").json().items()
    assert http.post(f"{host}//describe_index_stats").json()["totalVectorCount"] == 0


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


# -- vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
def test_scores_are_the_metric_s_and_values_come_back_as_sent(http, metric):
    host = make(http, metric, metric=metric, dimension=5)
    rows = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    call(http, f"{host}/vectors/upsert", vectors=[{"id": f"{i}", "values": v.tolist()} for i, v in enumerate(rows)])
    query = rows[7] * 2
    scores = {
        "cosine": rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query),
        "euclidean": np.square(rows - query).sum(axis=1),
        "dotproduct": rows @ query,
    }[metric]
    best = np.argsort(scores if metric == "euclidean" else -scores)[:9]
    matches = call(http, f"{host}/query", vector=query.tolist(), topK=9, includeValues=True)["matches"]
    assert [match["id"] for match in matches] == [f"{i}" for i in best]
    np.testing.assert_allclose([match["score"] for match in matches], scores[best], rtol=1e-5)
    np.testing.assert_array_equal(np.float32([match["values"] for match in matches]), rows[best])
    same = call(http, f"{host}/query", id="7", topK=30)["matches"]
    assert len(same) == 30
    assert metric == "dotproduct" or same[0]["id"] == "7"
    assert same[0]["values"] == []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"lang": "de"}, "ac"),
        ({"lang": {"$eq": "de"}, "year": {"$gt": 2000}}, "c"),
        ({"lang": {"$ne": "de"}}, "bde"),
        ({"year": {"$gte": 2000, "$lte": 2001}}, "ab"),
        ({"year": {"$in": [2000, 2002]}}, "ac"),
        ({"lang": {"$nin": ["de", "en"]}}, "de"),
        ({"tags": "x"}, "cd"),
        ({"tags": {"$in": ["y"]}}, "d"),
        ({"draft": True}, "d"),
        ({"draft": {"$exists": False}}, "abce"),
        ({"$or": [{"year": {"$lt": 2001}}, {"$and": [{"tags": "x"}, {"draft": {"$eq": True}}]}]}, "ad"),
        ({}, "abcde"),
    ],
)
def test_filters(http, where, expected):
    if http.get(f"{BASE}/indexes/filtered").status_code == 404:
        metadata = [
            {"lang": "de", "year": 2000}, {"lang": "en", "year": 2001}, {"lang": "de", "year": 2002.0, "tags": ["x"]},
            {"tags": ["x", "y"], "draft": True}, {},
        ]  # fmt: skip
        vectors = [{"id": id_, "values": [1, 0, 0, 1], "metadata": m} for id_, m in zip("abcde", metadata, strict=True)]
        call(http, f"{make(http, 'filtered')}/vectors/upsert", vectors=vectors)
    url = f"{BASE}/_i/filtered"
    found = call(http, f"{url}/query", vector=[1, 1, 1, 1], topK=10, filter=where)["matches"]
    assert sorted(match["id"] for match in found) == list(expected)
    assert call(http, f"{url}/describe_index_stats", filter=where)["totalVectorCount"] == len(expected)
    if where:
        assert sorted(call(http, f"{url}/vectors/fetch_by_metadata", filter=where)["vectors"]) == list(expected)


def test_pages_have_every_id_once_and_the_last_has_no_token(http):
    host = make(http, "pages")
    ids = [f"a{i}" for i in range(25)] + ["b"]
    call(http, f"{host}/vectors/upsert", vectors=[{"id": id_, "values": [1, 2, 3, 4]} for id_ in ids])
    found, params = [], {"prefix": "a", "limit": 10}
    for _ in range(3):
        page = http.get(f"{host}/vectors/list", params=params).json()
        found += [each["id"] for each in page["vectors"]]
        params["paginationToken"] = page.get("pagination", {}).get("next")
    assert found == sorted(ids[:-1])
    assert "pagination" not in page
    found = call(http, f"{host}/vectors/fetch_by_metadata", filter={"x": {"$exists": False}}, limit=26)
    assert (len(found["vectors"]), "pagination" in found) == (26, False)
    assert http.get(f"{host}/vectors/list", params={"paginationToken": "é"}).status_code == 400


def test_namespaces_are_worlds_of_their_own(http):
    host = make(http, "worlds")
    for number, namespace in enumerate(["", "a/b c", "ü"]):
        rows = [{"id": f"{i}", "values": [1, i, 0, number]} for i in range(number + 1)]
        call(http, f"{host}/vectors/upsert", vectors=rows, namespace=namespace)
    stats = call(http, f"{host}/describe_index_stats")
    counts = {"": {"vectorCount": 1}, "a/b c": {"vectorCount": 2}, "ü": {"vectorCount": 3}}
    assert (stats["namespaces"], stats["totalVectorCount"]) == (counts, 6)
    call(http, f"{host}/vectors/delete", ids=["0"], namespace="ü")
    assert http.get(f"{host}/vectors/fetch", params={"ids": ["0", "1"], "namespace": "ü"}).json()["vectors"].keys() == {
        "1"
    }
    assert http.get(f"{host}/vectors/fetch", params={"ids": "0", "namespace": "__default__"}).json()["vectors"]
    assert http.get(f"{host}/namespaces/a%2Fb%20c").json() == {"name": "a/b c", "record_count": 2}
    assert http.post(f"{host}/namespaces", json={"name": "empty"}).json() == {"name": "empty", "record_count": 0}
    assert http.post(f"{host}/namespaces", json={"name": "empty"}).status_code == 409
    first = http.get(f"{host}/namespaces?limit=3").json()
    rest = http.get(f"{host}/namespaces", params={"paginationToken": first["pagination"]["next"]}).json()
    names = [each["name"] for each in first["namespaces"] + rest["namespaces"]]
    assert (names, "pagination" in rest) == (["__default__", "a/b c", "empty", "ü"], False)
    assert http.delete(f"{host}/namespaces/a%2Fb%20c").json() == {}
    call(http, f"{host}/vectors/delete", deleteAll=True, namespace="ü")
    assert call(http, f"{host}/describe_index_stats")["namespaces"] == {"": {"vectorCount": 1}}
    answer = http.post(f"{host}/vectors/delete", json={"deleteAll": True, "namespace": "a/b c"})
    assert (answer.status_code, answer.json()["code"]) == (404, 5)


def test_updates_change_what_they_name(http):
    host = make(http, "updates")
    rows = [{"id": id_, "values": [1, 2, 3, 4], "metadata": {"a": 1, "b": ["x"]}} for id_ in "pqr"]
    call(http, f"{host}/vectors/upsert", vectors=rows)
    assert call(http, f"{host}/vectors/update", id="p", values=[4, 3, 2, 1]) == {}
    assert call(http, f"{host}/vectors/update", id="none", values=[4, 3, 2, 1]) == {}
    change = {"filter": {"b": "x"}, "setMetadata": {"a": "two"}}
    assert call(http, f"{host}/vectors/update", **change, dryRun=True) == {"matchedRecords": 3}
    call(http, f"{host}/vectors/update", id="r", setMetadata={"b": ["y"]})
    assert call(http, f"{host}/vectors/update", **change) == {"matchedRecords": 2}
    found = http.get(f"{host}/vectors/fetch?ids=p&ids=q&ids=r").json()["vectors"]
    assert [found[id_]["values"][0] for id_ in "pqr"] == [4, 1, 1]
    assert [found[id_]["metadata"] for id_ in "pr"] == [{"a": "two", "b": ["x"]}, {"a": 1, "b": ["y"]}]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("vectors/upsert", {"vectors": [{"id": "a", "values": [1, 2, 3]}]}, "Vector dimension 3 does not match"),
        ("vectors/upsert", {"vectors": [{"id": "", "values": [1, 2, 3, 4]}]}, "vectors[0].id"),
        ("vectors/upsert", {"vectors": [{"id": "a", "values": [0, 0, 0, 0]}]}, "non-zero"),
        ("vectors/upsert", {"vectors": [{"id": "a", "values": [1, 0, 0, 1e39]}]}, "too large"),
        ("vectors/upsert", {"vectors": [{"id": "a", "values": [1, 0, 0, 1], "metadata": {"a": None}}]}, "null"),
        ("vectors/upsert", {"vectors": []}, "1 to 1000"),
        ("query", {"topK": 0, "vector": [1, 2, 3, 4]}, "topK"),
        ("query", {"topK": 1}, "either a vector or an id"),
        ("query", {"topK": 1, "vector": [1, 2, 3, 4], "filter": {"a": {"$near": 1}}}, "$near"),
        ("query", {"topK": 1, "vector": [1, 2, 3, 4], "sparseVector": {"indices": [1], "values": [1]}}, "sparse"),
        ("vectors/delete", {}, "one of ids, filter and deleteAll"),
        ("vectors/delete", {"filter": {}}, "deleteAll"),
        ("vectors/update", {"values": [1, 2, 3, 4]}, "either an id or a filter"),
        ("records/namespaces/n/upsert", {"_id": "a", "t": "x"}, "has no model"),
        ("records/namespaces/n/search", {"query": {"top_k": 1, "inputs": {"text": "x"}}}, "has no model"),
    ],
)
def test_what_an_index_cannot_do_is_a_400_in_grpc_s_shape(http, path, body, words):
    if http.get(f"{BASE}/indexes/refusing").status_code == 404:
        make(http, "refusing")
    answer = http.post(f"{BASE}/_i/refusing/{path}", json=body)
    found = answer.json()
    assert (answer.status_code, found["code"], found["details"]) == (400, 3, [])
    assert words in found["message"]
    assert http.post(f"{BASE}/_i/nowhere/{path}", json=body).status_code == 404


# -- records ----------------------------------------------------------------------------------------------------------

RECORDS = [
    {"_id": "fox", "t": "The quick brown fox jumps over the lazy dog.", "lang": "en", "year": 2020},
    {"id": "fuchs", "t": "Ein Fuchs springt über einen Hund.", "lang": "de"},
    {"_id": "bread", "t": "Bread is baked from flour, water and salt.", "lang": "en"},
]


@pytest.mark.parametrize("metric", ["cosine", "dotproduct", "euclidean"])
def test_records_are_found_with_the_model_s_scores(http, nano, metric):
    host = make_for_model(http, f"records-{metric}", metric=metric)
    assert send(http, host, *RECORDS, namespace="papers", end="\n").status_code == 201
    url = f"{host}/records/namespaces/papers/search"
    found = call(http, url, query={"inputs": {"text": "What do foxes do?"}, "top_k": 3})
    query = nano.embed_queries(["What do foxes do?"])
    cosines = nano.embed_passages([record["t"] for record in RECORDS]).vectors @ query.vectors[0]
    hits = found["result"]["hits"]
    expected = 2 - 2 * cosines if metric == "euclidean" else cosines
    np.testing.assert_allclose([hit["_score"] for hit in hits], expected[np.argsort(-cosines)], atol=2e-3)
    assert hits[0]["fields"] == {name: value for name, value in RECORDS[0].items() if name != "_id"}
    assert found["usage"] == {"read_units": 1, "embed_total_tokens": query.usage[0].tokens_used}
    only = {"top_k": 3, "id": "fox", "filter": {"lang": "en"}}
    hits = call(http, url, query=only, fields=["lang"])["result"]["hits"]
    assert [(hit["_id"], hit["fields"]) for hit in hits] == [("fox", {"lang": "en"}), ("bread", {"lang": "en"})]


def test_records_are_documents_of_a_collection(http, server):
    host = make_for_model(http, "library")
    send(http, host, *RECORDS)
    send(http, host, RECORDS[2], namespace="a%2Fb")
    hits = call(http, "/collections/library/search", text="brown fox", k=1)["hits"]
    assert (hits[0]["document"], hits[0]["metadata"]) == ("fox", {"lang": "en", "year": 2020})
    assert set(Collection.open(server.home / "collections" / "library@a%2Fb", create=False).ids()) == {"bread"}
    call(http, f"{host}/vectors/update", id="fox", setMetadata={"t": "Bread, bread, bread.", "year": 2021})
    assert http.post(f"{host}/vectors/update", json={"id": "fox", "values": [1.0] * 384}).status_code == 400
    found = http.get(f"{host}/vectors/fetch?ids=fox").json()["vectors"]["fox"]
    assert found["metadata"] == {"t": "Bread, bread, bread.", "lang": "en", "year": 2021}
    near = call(http, f"{host}/query", vector=found["values"], topK=1, includeMetadata=True)["matches"][0]
    assert near["id"] == "fox"
    assert near["score"] == pytest.approx(1, abs=1e-3)
    call(http, f"{host}/vectors/delete", filter={"lang": "en"})
    assert call(http, "/collections/library/search", text="brown fox", k=9)["hits"][0]["document"] == "fuchs"
    # Deleted by another door, and filled again: there is one collection, whoever asks for it.
    assert http.delete("/collections/library").status_code == 204
    assert call(http, f"{host}/describe_index_stats")["namespaces"] == {"a/b": {"vectorCount": 1}}
    assert send(http, host, RECORDS[0]).status_code == 201
    assert call(http, "/collections/library/search", text="brown fox", k=9)["hits"][0]["document"] == "fox"


def test_a_collection_that_is_there_is_not_taken_over(http):
    call(http, "/collections/mine/documents", id="a", text="text")
    body = {"name": "mine", "embed": {"model": "e5", "field_map": {"text": "t"}}}
    assert http.post(f"{BASE}/indexes/create-for-model", json=body).status_code == 409
    assert http.get("/collections/mine").json()["documents"] == 1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"_id": "a", "t": "x"}', '{"_id": "b"}'], "record 2, $.t"),
        (['{"t": "x"}'], "record 1, $._id"),
        (['{"_id": "a", "t": "x"'], "no JSON"),
        (['{"_id": "a", "t": "x", "deep": {"er": 1}}'], "record 1"),
        ([], "0 records"),
        (['{"_id": "a", "t": "x"}'] * 97, "97 records"),
    ],
)
def test_records_that_cannot_be_kept_are_named(http, lines, words):
    if http.get(f"{BASE}/indexes/strict").status_code == 404:
        make_for_model(http, "strict")
    answer = http.post(f"{BASE}/_i/strict/records/namespaces/n/upsert", content="\r\n".join(lines))
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert words in answer.json()["message"]
    assert call(http, f"{BASE}/_i/strict/describe_index_stats")["totalVectorCount"] == 0


def test_an_index_s_schema_may_ask_for_a_model(http):
    field = {"type": "semantic_text", "model": LARGE, "metric": "cosine"}
    body = {"name": "by-schema", "schema": {"fields": {"words": field, "lang": {"type": "string"}}}}
    answer = http.post(f"{BASE}/indexes", json=body, headers={"x-pinecone-api-version": "2026-07"})
    assert (answer.status_code, answer.json()["schema"]["fields"]["words"]["model"]) == (201, LARGE)
    assert send(http, answer.json()["host"], {"_id": "a", "words": "text"}).status_code == 201
    older = http.get(f"{BASE}/indexes/by-schema").json()
    assert (older["embed"]["field_map"], older["dimension"]) == ({"text": "words"}, 1024)


# -- the server -------------------------------------------------------------------------------------------------------


def test_keys_are_asked_for_and_everything_is_there_after_a_restart(tmp_path):
    deployments = (Settings(name="e5", model="bundled", precision="fp32", threads=1),)
    vector = {"id": "a", "values": [1, 2, 3, 4], "metadata": {"x": 1}}
    with serving(Options(tmp_path, deployments)) as server:
        keys = {scope: server.service.access.create(scope, [scope])[1] for scope in ("search", "manage")}
        with httpx.Client(base_url=server.url, headers={"Api-Key": keys["manage"]}, timeout=60) as http:
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
        httpx.Client(base_url=server.url, headers={"Api-Key": keys["manage"]}, timeout=60) as http,
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
