"""OpenAI's door, by its wire form."""

import base64

import numpy as np
import pytest

URL = "/openai/v1/embeddings"


def embed(http, **body):
    return http.post(URL, json={"model": "e5", **body})


def test_vectors_are_the_encoder_s(http, nano):
    expected = nano.embed(["query: hello", "passage: world"], "raw").vectors
    answer = embed(http, input=["query: hello", "passage: world"])
    assert answer.status_code == 200
    found = answer.json()
    np.testing.assert_allclose([each["embedding"] for each in found["data"]], expected, atol=1e-5)
    assert [each["index"] for each in found["data"]] == [0, 1]
    tokens = sum(nano.tokenizer.count(["query: hello", "passage: world"]))
    assert found["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer.headers["x-efive-role"] == "raw"
    assert answer.headers["x-efive-space"] == nano.space.fingerprint


def test_base64_is_little_endian_float32(http):
    plain = embed(http, input="hello").json()["data"][0]["embedding"]
    packed = embed(http, input="hello", encoding_format="base64").json()["data"][0]["embedding"]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed), "<f4"), np.float32(plain))


def test_fields_that_are_null_are_as_if_they_were_not_there(http):
    nothing = dict.fromkeys(("encoding_format", "dimensions", "user", "input_type", "truncate"))
    assert embed(http, input="hello", **nothing).json()["data"] == embed(http, input="hello").json()["data"]


@pytest.mark.parametrize("asked", [{"model": "e5:query"}, {"input_type": "query"}, {"prompt_name": "query"}])
def test_a_role_by_name_or_field_is_the_prefix(http, asked):
    written = embed(http, input="query: hello").json()["data"]
    answer = embed(http, input="hello", **asked)
    assert answer.json()["data"] == written
    assert answer.headers["x-efive-role"] == "query"


def test_token_ids_are_the_model_s_own(http, nano):
    ids = nano.tokenizer.encode(["hello"])[0].tolist()
    text = embed(http, input="hello").json()["data"]
    assert embed(http, input=ids, token_ids=True).json()["data"] == text
    both = embed(http, input=[ids, ids], token_ids=True)
    assert both.json()["data"][1]["embedding"] == text[0]["embedding"]


@pytest.mark.parametrize("asked", [{"model": "e5:query"}, {"input_type": "passage"}])
def test_a_prefix_does_not_come_before_token_ids_and_that_is_said(http, asked):
    answer = embed(http, input=[[1, 2, 3]], token_ids=True, **asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    assert "no prefix" in answer.json()["error"]["message"]
    assert embed(http, input=[[1, 2, 3]], token_ids=True, model="e5:raw").status_code == 200


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2, 3]], ["a", [1]]])
def test_token_ids_are_refused_unless_they_are_said_to_be_the_model_s(http, ids):
    """LangChain sends OpenAI's by default, and most of them are ids of our vocabularies too."""
    answer = embed(http, input=ids)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    assert "check_embedding_ctx_length=False" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "words"),
    [
        ({"input": []}, 400, "input", None, "length"),
        ({"input": ""}, 400, "input", None, "length"),
        ({"input": ["a", ""]}, 400, "input", None, "input 1 is empty"),
        ({"input": [[1], "a"], "token_ids": True}, 400, "input", None, "input 1 is a text among token ids"),
        ({"input": [[10**6]], "token_ids": True}, 400, "input", None, "check_embedding_ctx_length=False"),
        ({"input": ["a", 3]}, 400, "input", None, "input 1 is neither"),
        ({"input": "word " * 600}, 400, "input", "context_length_exceeded", '512; `"truncate": "end"`'),
        ({"input": "a", "encoding_format": "int8"}, 400, "encoding_format", None, "float or base64"),
        ({"input": "a", "dimensions": 100}, 400, "dimensions", None, "384"),
        ({"input": "a", "input_type": "question"}, 400, "input_type", None, "query, passage"),
        ({"input": "a", "model": "e5-large"}, 404, "model", "model_not_found", "efive models pull e5-large"),
        ({"input": "a", "model": 3}, 400, "model", None, "str"),
        ({"input": ["a"] * 2049}, 400, "input", None, "2049 inputs"),
    ],
)
def test_mistakes_name_the_field_and_the_way_out(http, body, status, param, code, words):
    answer = embed(http, **body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"


def test_what_is_no_json_or_no_route_is_said_in_the_protocol_s_shape(http):
    assert "no JSON" in http.post(URL, content=b"{").json()["error"]["message"]
    missing = http.get("/openai/v1/embeddings")
    assert missing.status_code == 405
    assert "GET /openai/v1/embeddings" in missing.json()["error"]["message"]


def test_truncation_on_request_is_said(http):
    answer = embed(http, input=["short", "word " * 600], truncate="end")
    assert answer.status_code == 200
    assert answer.headers["x-efive-truncated"] == "1"


def test_models_are_listed_and_found_with_a_slash_in_their_name(http):
    assert {each["id"] for each in http.get("/openai/v1/models").json()["data"]} >= {"e5", "multilingual-e5-large"}
    found = http.get("/openai/v1/models/intfloat%2Fmultilingual-e5-large")
    assert found.json()["id"] == "intfloat/multilingual-e5-large"
    assert http.get("/openai/models/nobody").status_code == 404
