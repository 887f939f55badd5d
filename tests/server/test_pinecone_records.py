"""Pinecone's door, by its wire form: records, which its own models embed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from pinecone_calls import BASE, LARGE, RECORDS, call, make, make_for_model, send
from served import serving

from efive.deployments.settings import Settings
from efive.search.collection import Collection
from efive.server.app import Options


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


@contextmanager
def written_to(server, name):
    """Within the block, somebody else writes to a collection that is open, and takes his time."""
    begun, gate = threading.Event(), threading.Event()

    def documents():
        begun.set()
        gate.wait(240)
        yield from ()

    collection = server.service.collections._open[name].collection
    writer = threading.Thread(target=lambda: collection.add(documents()))
    writer.start()
    try:
        assert begun.wait(240)
        yield
    finally:
        gate.set()
        writer.join(240)


def arrived(server, count):
    """Wait until so many requests are at the server, and have come to what they wait for."""
    while server.requests() < count:
        time.sleep(0.01)
    time.sleep(0.3)


def test_other_indexes_answer_while_many_wait_to_write_to_one(http, server):
    host, other = make_for_model(http, "crowded"), make(http, "beside")
    call(http, f"{other}/vectors/upsert", vectors=[{"id": "a", "values": [1, 0, 0, 0]}])
    assert send(http, host, RECORDS[0]).status_code == 201
    with ThreadPoolExecutor(20) as pool:
        with written_to(server, "crowded"):
            sent = [pool.submit(send, http, host, RECORDS[1]) for _ in range(20)]
            for _ in range(20):
                found = httpx.post(f"{other}/query", json={"vector": [1, 0, 0, 0], "topK": 1})
                assert found.json()["matches"][0]["id"] == "a"
                time.sleep(0.02)
            assert not any(each.done() for each in sent)
        assert {each.result().status_code for each in sent} == {201}


def test_an_index_that_goes_does_not_wait_for_all_who_want_to_write_to_it(http, server):
    host = make_for_model(http, "leaving")
    assert send(http, host, RECORDS[0]).status_code == 201
    with ThreadPoolExecutor(5) as pool:
        with written_to(server, "leaving"):
            sent = [pool.submit(send, http, host, RECORDS[1]) for _ in range(4)]
            arrived(server, 4)  # one has begun by then and the others wait; whoever comes later finds no index
            deleted = pool.submit(http.delete, f"{BASE}/indexes/leaving")
            arrived(server, 5)
        assert deleted.result().status_code == 202
        assert sorted(each.result().status_code for each in sent)[1:] == [404] * 3
    assert http.get("/collections/leaving").status_code == 404
    make_for_model(http, "leaving")


def test_records_count_against_a_key_s_share(tmp_path, bert):
    with serving(Options(tmp_path, (Settings(name="e5", model=str(bert), precision="fp32", threads=1),))) as server:
        _, once = server.service.access.create("once", ["manage"], tokens_per_minute=1)
        _, free = server.service.access.create("free", ["manage"])
        with httpx.Client(base_url=server.url, headers={"api-key": once}) as http:
            host = make_for_model(http, "counted")
            assert send(http, host, RECORDS[0]).status_code == 201
            refused = send(http, host, RECORDS[1])
            assert (refused.status_code, refused.json()["code"]) == (429, 8)
            assert int(refused.headers["retry-after"]) > 0
            changed = {"id": "fox", "setMetadata": {"t": "Foxes sleep."}}
            assert http.post(f"{host}/vectors/update", json=changed).status_code == 429
            assert http.post(f"{host}/vectors/update", json={"id": "fox", "setMetadata": {"a": 1}}).status_code == 200
            assert send(http, host, RECORDS[1], namespace="x").status_code == 429
            http.headers["api-key"] = free
            assert send(http, host, RECORDS[1]).status_code == 201
