"""Our own routes, by their wire form."""

import json
import time

import httpx
import numpy as np
import pytest


def test_vectors_usage_and_spans(http, nano):
    texts = ["hello", "word " * 700]
    found = http.post("/embed", json={"texts": texts, "role": "passage", "overflow": "chunk"}).json()
    expected = nano.embed_passages(texts, overflow="chunk")
    np.testing.assert_allclose(found["vectors"], expected.vectors, atol=1e-5)
    assert [span["input"] for span in found["spans"]] == [span.input for span in expected.spans] == [0, 1, 1]
    assert [usage["tokens_used"] for usage in found["usage"]] == [usage.tokens_used for usage in expected.usage]
    assert found["space"] == nano.space.fingerprint


def test_similarity_of_queries_and_passages(http, nano):
    asked = {"texts": ["a"], "others": ["b", "c"], "role": "query", "others_role": "passage"}
    expected = nano.embed_queries(["a"]).vectors @ nano.embed_passages(["b", "c"]).vectors.T
    np.testing.assert_allclose(http.post("/similarity", json=asked).json()["cosines"], expected, atol=1e-5)
    square = http.post("/similarity", json={"texts": ["a", "b"]}).json()["cosines"]
    np.testing.assert_allclose(np.diag(square), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "words"),
    [
        ("/embed", {"texts": ["a"]}, 400, "invalid_input", "role"),
        ("/embed", {"texts": ["a"], "role": "question"}, 400, "invalid_input", "question"),
        ("/embed", {"texts": [], "role": "query"}, 400, "invalid_input", "length"),
        ("/embed", {"texts": ["a"], "role": "query", "modle": "x"}, 400, "invalid_input", "modle"),
        ("/embed", {"texts": ["a"], "role": "query", "model": "x"}, 404, "model_not_found", "This server has e5"),
        ("/embed", {"texts": ["w " * 900], "role": "query", "overflow": "error"}, 400, "too_long", "512"),
        ("/deployments", {"name": "a b", "model": "bundled"}, 400, "invalid_input", "deployment's name"),
        ("/deployments", {"name": "e5", "model": "bundled"}, 409, "deployment", "ready already"),
        ("/deployments", {"name": "x", "model": "nowhere"}, 404, "model_not_found", "nowhere"),
        ("/collections/none/search", {"text": "a"}, 404, "collection_not_found", "none"),
        ("/collections/..%2Fx/search", {"text": "a"}, 404, "no_route", "not here"),
    ],
)
def test_mistakes(http, path, body, status, code, words):
    answer = http.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert words in answer.json()["error"]


def test_a_deployment_s_life(http):
    made = http.post("/deployments", json={"name": "life/second", "model": "bundled", "threads": 1})
    assert made.status_code == 202
    wait_for(http, "life/second", "ready")
    asked = {"texts": ["a"], "role": "query", "model": "life/second"}
    assert http.post("/embed", json=asked).status_code == 200
    changed = http.patch("/deployments/life/second", json={"allocations": 2})
    assert changed.json()["target"] == 2
    assert http.patch("/deployments/life/second", json={}).status_code == 400
    stopped = http.post("/deployments/life/second/stop")
    assert (stopped.status_code, stopped.json()["phase"]) == (200, "stopped")
    refused = http.post("/embed", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
    assert http.post("/deployments/life/second/start").status_code == 202
    wait_for(http, "life/second", "ready")
    assert http.delete("/deployments/life/second").status_code == 204
    assert http.get("/deployments/life/second").status_code == 404


def wait_for(http: httpx.Client, name: str, phase: str) -> None:
    for _ in range(600):
        if http.get(f"/deployments/{name}").json()["phase"] == phase:
            return
        time.sleep(0.05)
    raise AssertionError(http.get(f"/deployments/{name}").json())


def test_a_collection_s_life(http, server, nano):
    lines = [
        {"id": "cat", "text": "The cat sleeps on the sofa.", "metadata": {"kind": "animal", "age": {"years": 3}}},
        {"id": "tax", "text": "The tax office wants its form by Friday.", "metadata": {"kind": "office"}},
    ]
    body = "\n".join(map(json.dumps, lines))
    added = http.post("/collections/life/documents?model=e5", content=body)
    assert added.json() == {"new": 2, "metadata": 0, "unchanged": 0}
    assert http.post("/collections/life/documents", content=body).json()["unchanged"] == 2
    (hit,) = http.post("/collections/life/search", json={"text": "a sleeping pet", "k": 1}).json()["hits"]
    assert (hit["document"], hit["metadata"]) == ("cat", {"kind": "animal", "age.years": 3})
    where = {"text": "sofa", "where": 'kind = "office"'}
    assert [h["document"] for h in http.post("/collections/life/search", json=where).json()["hits"]] == ["tax"]
    shown = http.get("/collections/life").json()
    assert (shown["documents"], shown["model"], shown["space"]) == (2, "e5", nano.space.fingerprint)
    assert "life" in http.get("/collections").json()["collections"]
    assert http.post("/collections/life/delete", json={"ids": ["cat"]}).json() == {"deleted": 1}
    wrong = http.post("/collections/life/documents", content='{"id": "a", "text": "b"}\n{"id": 3}')
    assert wrong.status_code == 400
    assert "line 2" in wrong.json()["error"]
    assert http.delete("/collections/life").status_code == 204
    assert not (server.home / "collections" / "life").exists()


def test_the_document_names_every_route(http):
    document = http.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) >= {"/embed", "/deployments/{name}", "/collections/{name}/search", "/keys"}
    body = document["paths"]["/embed"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].removeprefix("#/components/schemas/") in document["components"]["schemas"]
    page = http.get("/docs")
    assert "openapi.json" in page.text
    assert "http://" not in page.text.replace(str(http.base_url), "")
    assert "https://" not in page.text
