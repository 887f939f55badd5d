"""Our own routes, by their wire form."""

import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from served import serving

from efive.deployments.settings import Settings
from efive.server.app import Options
from efive.server.service import Limits


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
        ("/collections/none/search", {"text": "a" * 20_001}, 400, "invalid_input", "20000"),
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
    deadline = time.monotonic() + 240
    while (found := http.get(f"/deployments/{name}").json())["phase"] != phase:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


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


def lines(*ids: str) -> bytes:
    return b"".join(json.dumps({"id": id_, "text": f"text {id_}"}).encode() + b"\n" for id_ in ids)


def test_all_of_a_packed_body_is_read_or_nothing(http):
    url, headers = "/collections/packed/documents", {"content-encoding": "gzip"}
    members = gzip.compress(lines("a", "b")) + gzip.compress(lines("c"))
    assert http.post(url, content=members, headers=headers).json()["new"] == 3
    for torn in (members[:-8], members[:-30], members + b"x"):
        refused = http.post(url, content=torn, headers=headers)
        assert (refused.status_code, "gzip" in refused.json()["error"]) == (400, True)
    bomb = gzip.compress(bytes(5 << 20)) * 2  # each is less than the server takes
    assert http.post(url, content=bomb, headers=headers).status_code == 413
    assert http.get("/collections/packed").json()["documents"] == 3


def test_what_a_collection_cannot_do_as_it_is_is_no_fault_of_the_server(http):
    http.post("/collections/plain/documents", content=lines("a"))
    refused = http.post("/collections/plain/search", json={"text": "a", "min_confidence": 0.5})
    assert (refused.status_code, refused.json()["code"]) == (409, "collection")


def test_a_collection_follows_the_deployment_of_its_space(http, bert):
    wanted = {"name": "mover", "model": str(bert), "precision": "fp32", "threads": 1}
    ask = {"text": "text a", "mode": "dense"}

    def found() -> tuple[int, str]:
        answer = http.post("/collections/moved/search", json=ask)
        return answer.status_code, answer.text

    http.post("/deployments", json=wanted)
    wait_for(http, "mover", "ready")
    assert http.post("/collections/moved/documents?model=mover", content=lines("a")).json()["new"] == 1
    http.post("/deployments/mover/stop")
    assert (found()[0], "mover is stopped" in found()[1]) == (503, True)
    http.post("/deployments/mover/start")
    wait_for(http, "mover", "ready")
    assert found()[0] == 200
    http.post("/deployments/mover/stop")
    http.post("/deployments", json=wanted)  # another one in its place
    wait_for(http, "mover", "ready")
    assert found()[0] == 200
    http.delete("/deployments/mover")
    assert (found()[0], "no model is called" in found()[1]) == (404, True)
    http.post("/deployments", json=wanted | {"name": "heir"})
    wait_for(http, "heir", "ready")
    assert found()[0] == 200
    assert http.post("/collections/moved/documents", content=lines("b")).json()["new"] == 1
    assert http.get("/collections/moved").json()["model"] == "heir"
    http.delete("/deployments/heir")


def test_of_two_deployments_of_a_model_the_one_of_the_collection_s_space_embeds(http):
    http.post("/deployments", json={"name": "coarse", "model": "bundled", "precision": "int8", "threads": 1})
    wait_for(http, "coarse", "ready")
    assert http.post("/collections/coarse/documents?model=coarse", content=lines("a")).json()["new"] == 1
    shown = http.get("/collections/coarse").json()
    assert (shown["model"], shown["space"]) == ("coarse", http.get("/deployments/coarse").json()["space"])
    http.delete("/deployments/coarse")


def test_those_who_wait_to_write_keep_nobody_from_reading(http, server):
    url = "/collections/busy/documents"
    assert http.post(url, content=lines("a")).status_code == 200
    held = server.service.collections._open["busy"].collection
    with ThreadPoolExecutor(40) as threads:
        with held._writing:
            adding = [threads.submit(http.post, url, content=lines(str(i))) for i in range(40)]
            time.sleep(0.5)
            assert http.get("/collections").status_code == 200
            assert http.post("/collections/busy/search", json={"text": "a"}).status_code == 200
        assert {each.result().status_code for each in adding} == {200}
    assert http.get("/collections/busy").json()["documents"] == 41


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path, bert):
    tiny = Settings(name="tiny", model=str(bert), precision="fp32", threads=1)
    with serving(Options(tmp_path, (tiny,), Limits(seconds=0.5))) as server:
        address = httpx.URL(server.url)
        for path in (b"/embed", b"/tei/embed", b"/openai/v1/embeddings", b"/pinecone/embed"):
            with socket.create_connection((address.host, address.port), timeout=120) as connection:
                connection.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))  # it hangs up
            assert answer.startswith(b"HTTP/1.1 408"), path
            assert b"was not there within 0.5 s" in answer


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
