"""TEI's door, by its wire form."""

import httpx
import numpy as np
import pytest
from served import serving

from efive.deployments.settings import Settings
from efive.errors import TruncationWarning
from efive.server.app import Options


@pytest.mark.parametrize("path", ["/tei", "/tei/", "/tei/embed", "/tei/invocations", "//tei//embed"])
def test_a_bare_array_of_rows_comes_back(server, http, nano, path):
    answer = http.post(server.url + path, json={"inputs": "hello"})
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json(), nano.embed(["hello"], "raw").vectors, atol=1e-5)
    assert answer.headers["x-compute-tokens"] == "3"


def test_prompts_are_the_roles(http, nano):
    for name, expected in (("query", nano.embed_queries(["hi"])), ("document", nano.embed_passages(["hi"]))):
        found = http.post("/tei/embed", json={"inputs": ["hi"], "prompt_name": name}).json()
        np.testing.assert_allclose(found, expected.vectors, atol=1e-5)
    refused = http.post("/tei/embed", json={"inputs": "hi", "prompt_name": "s2p"})
    assert refused.status_code == 422
    assert refused.json()["error_type"] == "Validation"
    assert "Available prompts: query, passage" in refused.json()["error"]


@pytest.mark.parametrize("asked", [{"prompt_name": "query"}, {"model": "e5:query"}])
def test_a_prompt_comes_before_token_ids_too(http, nano, asked):
    ids = [each.tolist() for each in nano.tokenizer.encode(["hi", "there"])]
    found = http.post("/tei/embed", json={"inputs": ids, **asked})
    np.testing.assert_allclose(found.json(), nano.embed_queries(["hi", "there"]).vectors, atol=1e-5)
    plain = http.post("/tei/embed", json={"inputs": ids})
    np.testing.assert_allclose(plain.json(), nano.embed(["hi", "there"], "raw").vectors, atol=1e-5)
    assert (found.headers["x-efive-role"], plain.headers["x-efive-role"]) == ("query", "raw")
    assert http.post("/tei/embed", json={"inputs": [[10**7]], **asked}).status_code == 422


def test_a_model_can_be_named_with_a_role(http, nano):
    answer = http.post("/tei/embed", json={"inputs": "hi", "model": "e5:query"})
    np.testing.assert_allclose(answer.json(), nano.embed_queries(["hi"]).vectors, atol=1e-5)
    both = http.post("/tei/embed", json={"inputs": "hi", "model": "e5:query", "prompt_name": "passage"})
    assert both.headers["x-efive-role"] == "passage"


def test_long_texts_are_cut_on_either_side_or_refused(http, nano):
    text = "first " + "word " * 600 + "last"
    cut = {
        side: http.post("/tei/embed", json={"inputs": text, "truncation_direction": side}) for side in ("left", "Right")
    }
    assert all(each.headers["x-efive-truncated"] == "0" for each in cut.values())
    with pytest.warns(TruncationWarning):
        expected = [nano.embed([text], "raw", overflow=side).vectors[0] for side in ("start", "end")]
    np.testing.assert_allclose([cut["left"].json()[0], cut["Right"].json()[0]], expected, atol=1e-5)
    refused = http.post("/tei/embed", json={"inputs": text, "truncate": False})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
    assert refused.json()["error"].endswith('`"truncate": true` has it cut')


def test_vectors_as_pooled_and_shorter(http):
    pooled = np.array(http.post("/tei/embed", json={"inputs": ["hello"], "normalize": False}).json())
    unit = np.array(http.post("/tei/embed", json={"inputs": ["hello"]}).json())
    assert abs(np.linalg.norm(pooled) - 1) > 0.01
    np.testing.assert_allclose(pooled / np.linalg.norm(pooled), unit, atol=1e-5)
    short = np.array(http.post("/tei/embed", json={"inputs": ["hello"], "dimensions": 16}).json())
    np.testing.assert_allclose(short, unit[:, :16] / np.linalg.norm(unit[:, :16]), atol=1e-5)
    both = {"inputs": ["hello"], "dimensions": 16, "normalize": False}
    np.testing.assert_allclose(http.post("/tei/embed", json=both).json(), pooled[:, :16], atol=1e-5)


@pytest.mark.parametrize("path", ["/tei/similarity", "/tei"])
def test_similarity_compares_with_one_sentence(http, nano, path):
    body = {
        "inputs": {"source_sentence": "a dog", "sentences": ["a hound", "the tax"]},
        "parameters": {"prompt_name": "query"},
    }
    source, *others = nano.embed_queries(["a dog", "a hound", "the tax"]).vectors
    np.testing.assert_allclose(http.post(path, json=body).json(), [source @ each for each in others], atol=1e-5)


def test_tokens_and_back(http, nano):
    (tokens,) = http.post("/tei/tokenize", json={"inputs": "Hello there"}).json()
    assert [each["id"] for each in tokens] == nano.tokenizer.encode(["Hello there"])[0].tolist()
    assert tokens[0]["special"]
    assert "start" not in tokens[0]
    assert "Hello there"[tokens[1]["start"] : tokens[-2]["stop"]] == "Hello there"
    ids = [each["id"] for each in tokens]
    assert http.post("/tei/decode", json={"ids": ids}).json() == ["hello there"]  # the bundled model reads lower case
    assert http.post("/tei/decode", json={"ids": [10**7]}).status_code == 422
    refused = http.post("/tei/tokenize", json={"inputs": ["a " * 250_000] * 3})
    assert (refused.status_code, "1500000 characters" in refused.json()["error"]) == (422, True)
    for many in (("/tei/tokenize", {"inputs": ["a"] * 33}), ("/tei/decode", {"ids": [[5]] * 33})):
        refused = http.post(many[0], json=many[1])
        assert (refused.status_code, "batch size 33" in refused.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("body", "status", "word", "message"),
    [
        ({"inputs": []}, 400, "Empty", "`inputs` cannot be empty"),
        ({"inputs": ""}, 400, "Empty", "Input validation error: `inputs` cannot be empty"),
        ({"inputs": ["a", ""]}, 400, "Empty", "Input validation error: `inputs` cannot be empty"),
        ({"inputs": ["a"] * 33}, 422, "Validation", "batch size 33 > maximum allowed batch size 32"),
        ({"inputs": ["a", None]}, 422, "Validation", "input 1"),
        ({}, 422, "Validation", "inputs"),
        ({"inputs": {"source_sentence": "a"}}, 422, "Validation", "sentences"),
        ({"inputs": [[1], "a"]}, 422, "Validation", "input 1 is a text among token ids"),
    ],
)
def test_errors_have_tei_s_words(http, body, status, word, message):
    answer = http.post("/tei/embed", json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (status, word)
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("similarity", {"inputs": {"source_sentence": "", "sentences": ["a"]}}, "`inputs` cannot be empty"),
        ("similarity", {"inputs": {"source_sentence": "a", "sentences": ["a", ""]}}, "`inputs` cannot be empty"),
        ("similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, "`inputs.sentences` cannot be empty"),
        ("tokenize", {"inputs": []}, "`inputs` cannot be empty"),
        ("tokenize", {"inputs": ["a", ""]}, "`inputs` cannot be empty"),
        ("decode", {"ids": []}, "`ids` cannot be empty"),
        ("decode", {"ids": [[5], []]}, "`ids` cannot be empty"),
    ],
)
def test_nothing_is_refused_wherever_it_stands(http, path, body, message):
    answer = http.post(f"/tei/{path}", json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")
    assert message in answer.json()["error"]


def test_its_openai_form_has_flat_errors(http):
    answer = http.post("/tei/v1/embeddings", json={"input": "hello", "model": "whatever"})
    assert answer.json()["model"] == "whatever"
    short = http.post("/tei/v1/embeddings", json={"input": "hello", "dimensions": 16}).json()["data"][0]["embedding"]
    assert len(short) == 16
    assert abs(np.linalg.norm(short) - 1) < 1e-5
    assert http.post("/tei/v1/embeddings", json={"input": "hello", "encoding_format": "int8"}).status_code == 422
    refused = http.post("/tei/v1/embeddings", json={"input": ["a"] * 33})
    assert refused.json() == {
        "message": "batch size 33 > maximum allowed batch size 32",
        "code": 422,
        "type": "Validation",
    }


def test_it_says_what_it_is(http):
    found = http.get("/tei/info").json()
    assert found["model_type"] == {"embedding": {"pooling": "mean"}}
    assert (found["max_input_length"], found["max_client_batch_size"]) == (512, 32)
    for path in ("/tei", "/tei/health", "/tei/ping"):
        assert http.get(path).status_code == 200
    assert b"efive_requests_total" in http.get("/tei/metrics").content


def test_its_model_is_always_the_same_one(tmp_path, bert):
    first, second = (Settings(name=name, model=str(bert), precision="fp32", threads=1) for name in ("zeta", "alpha"))
    with serving(Options(tmp_path, (first, second))) as server:
        assert httpx.get(f"{server.url}/tei/info").json()["served_model_name"] == "zeta"
    with serving(Options(tmp_path)) as server:
        assert httpx.get(f"{server.url}/tei/info").json()["served_model_name"] == "zeta"
        assert httpx.post(f"{server.url}/deployments/zeta/stop").status_code == 200
        refused = httpx.post(f"{server.url}/tei/embed", json={"inputs": "hello"})
        assert (refused.status_code, refused.json()["error_type"]) == (503, "Unhealthy")
        assert "zeta, which answers requests that name no model, is stopped" in refused.json()["error"]
        assert httpx.get(f"{server.url}/tei/health").status_code == 503
        assert httpx.delete(f"{server.url}/deployments/zeta").status_code == 204
        assert httpx.get(f"{server.url}/tei/info").json()["served_model_name"] == "alpha"
