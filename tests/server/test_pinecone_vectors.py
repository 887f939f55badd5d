"""Pinecone's door, by its wire form: vectors of an index."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pinecone_calls import BASE, call, make


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
    for wrong in ({"paginationToken": "é"}, {"limit": "²"}, {"limit": "9" * 5000}, {"limit": "0"}, {"limit": "-1"}):
        assert http.get(f"{host}/vectors/list", params=wrong).status_code == 400


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


def test_an_index_that_goes_while_it_is_used_is_a_404(http):
    over = threading.Event()

    def use(method, path, **body):
        seen = set()
        while not over.is_set():
            answer = http.request(method, f"{BASE}/_i/gone/{path}", json=body or None)
            seen.add((answer.status_code, answer.json().get("message") if answer.status_code == 500 else None))
        return seen

    rows = [{"id": f"{i}", "values": [1, 2, 3, i]} for i in range(50)]
    calls = [("POST", "vectors/upsert", {"vectors": rows})] * 3 + [("GET", "vectors/list", {})] * 2
    with ThreadPoolExecutor(5) as pool:
        users = [pool.submit(use, method, path, **body) for method, path, body in calls]
        for _ in range(5):
            make(http, "gone")
            time.sleep(0.3)
            assert http.delete(f"{BASE}/indexes/gone").status_code == 202
        over.set()
    assert set().union(*(each.result() for each in users)) == {(200, None), (404, None)}


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
