"""Pinecone's door, by its wire form: records, which its own models embed."""

import numpy as np
import pytest
from pinecone_calls import BASE, LARGE, RECORDS, call, make_for_model, send

from efive.search.collection import Collection


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
