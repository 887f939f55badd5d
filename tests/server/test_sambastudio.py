"""SambaStudio's door, by its wire forms."""

import numpy as np
import pytest
from sambastudio import API, ask, make, until, vectors

TEXTS = ["query: hello", "passage: world", "query:no space"]
TOO_MANY = (
    "Prediction could not be completed for given input due to reason :AppOnlineInferenceFailed message: error running "
    "online inference: Expected a Tensor with batch size <= {}, got batch size: {}"
)


@pytest.mark.parametrize("form", ["nlp", "generic", "generic_v2"])
def test_vectors_are_the_encoder_s_for_texts_as_they_are(http, wide, nano, form):
    answer = ask(http, wide, form, TEXTS)
    np.testing.assert_allclose(vectors(form, answer), nano.embed(TEXTS, "raw").vectors, atol=1e-5)
    assert answer.headers["x-efive-role"] == "raw"


@pytest.mark.parametrize("form", ["nlp", "generic", "generic_v2"])
def test_what_is_too_long_is_cut_in_silence(http, wide, nano, form):
    long = "word " * 3000
    answer = ask(http, wide, form, [long])
    np.testing.assert_allclose(vectors(form, answer), nano.embed(["word " * 510], "raw").vectors, atol=1e-5)
    assert answer.headers["x-efive-tokens"] == "512"
    assert answer.headers["x-efive-truncated"] == "0"


@pytest.mark.parametrize("form", ["nlp", "generic", "generic_v2"])
def test_one_input_too_many_fails_in_the_vendor_s_words(http, wide, form):
    answer = ask(http, wide, form, ["a"] * 33)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == TOO_MANY.format(32, 33)
    assert TOO_MANY.format(32, 33) in answer.text
    assert len(vectors(form, ask(http, wide, form, ["a"] * 32))) == 32


def test_a_batch_size_of_one_takes_one(http):
    narrow = make(http, "forms", name="narrow")
    assert narrow["batch_size"] == 1
    assert vectors("nlp", ask(http, narrow, "nlp", ["a"])).shape == (1, 384)
    assert ask(http, narrow, "nlp", ["a", "b"]).json()["error"]["message"] == TOO_MANY.format(1, 2)


def test_openai_s_form_takes_the_endpoint_s_key_for_its_model(http, wide, nano):
    def embed(key, **body):
        return http.post("/samba/v1/embeddings", json=body, headers={"authorization": f"Bearer {key}"})

    answer = embed(wide["key"], input=TEXTS)
    rows = [each["embedding"] for each in answer.json()["data"]]
    np.testing.assert_allclose(rows, nano.embed(TEXTS, "raw").vectors, atol=1e-5)
    for model in ("wide", "forms/wide", "e5"):
        assert embed(wide["key"], input=TEXTS, model=model).json() == answer.json() | {"model": model}
    assert embed(wide["key"], input="a", model="multilingual-e5-large").status_code == 403
    assert embed(wide["key"], input=["a"] * 33).json()["error"]["message"] == TOO_MANY.format(32, 33)
    assert embed("no endpoint's", input="a", model="e5").status_code == 200  # a server without keys
    missing = embed("no endpoint's", input="a").json()["error"]
    assert (missing["type"], "model is missing" in missing["message"]) == ("invalid_request_error", True)


def test_an_endpoint_s_key_opens_it_and_nothing_else(http, wide):
    other = make(http, "forms", name="other", key="a-key-from-elsewhere")
    assert other["key"] == "a-key-from-elsewhere"
    for wrong in ("", "nonsense", wide["key"]):
        refused = ask(http, other, "nlp", ["a"], key=wrong)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "invalid_authentication")
    assert ask(http, other, "nlp", ["a"]).status_code == 200


def test_keys_are_shown_once_and_kept_as_hashes(http, server, wide):
    seen = http.get(f"{API}/projects/forms/endpoints/wide")
    assert "key" not in seen.json()
    assert http.get(f"{API}/endpoints").text.count(wide["key"]) == 0
    files = b"".join(path.read_bytes() for path in server.home.glob("server.sqlite*"))
    assert b"forms/wide" in files
    assert wide["key"].encode() not in files


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"name": "wide", "model": "e5"}, 409, "exists"),
        ({"name": "x", "model": "e5", "batch_size": 8}, 400, "batch_size"),
        ({"name": "x", "model": "e5", "key": "short"}, 400, "16 to 500"),
        ({"name": "a/b", "model": "e5"}, 400, "cannot be an endpoint's name"),
        ({"name": "x"}, 404, "efive models pull e5-large-v2"),
        ({"name": "x", "model": "e5:query"}, 400, "names a role"),
        ({"name": "x", "model": "e5", "colour": "red"}, 400, "colour"),
        ({"name": "x", "model": "m" * 3000}, 400, "3000 characters"),
        ({"name": "x", "model": 3}, 400, "model: Expected `str`"),
    ],
)
def test_endpoints_that_cannot_be(http, wide, body, status, words):
    answer = http.post(f"{API}/projects/forms/endpoints", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_endpoint_brings_its_deployment_and_takes_it_away(http, bert, held):
    made = http.post(f"{API}/projects/life/endpoints", json={"name": "own", "model": str(bert), "batch_size": 32})
    assert made.json()["status"] in {"Created", "SettingUp"}
    early = ask(http, made.json(), "nlp", ["a"])
    held.set()
    assert early.status_code == 503
    where = f"{API}/projects/life/endpoints/own"
    assert until(lambda: http.get(where).json(), "Live")["deployment"] == "life/own"
    assert vectors("nlp", ask(http, made.json(), "nlp", ["a"])).shape == (1, 64)
    assert http.delete(where).json() == {"deleted": "life/own"}
    assert http.get(where).status_code == 404
    assert ask(http, made.json(), "nlp", ["a"]).status_code == 404
    assert "life/own" not in http.get("/openai/v1/models").text


def test_a_deployment_goes_with_the_last_endpoint_that_uses_it(http, bert):
    for name, model in (("first", str(bert)), ("second", "heirs/first"), ("third", "heirs/first")):
        made = http.post(f"{API}/projects/heirs/endpoints", json={"name": name, "model": model})
        assert made.json()["deployment"] == "heirs/first"
    for name, deployed in (("first", 200), ("third", 200), ("second", 404)):
        assert http.delete(f"{API}/projects/heirs/endpoints/{name}").status_code == 200
        assert http.get("/deployments/heirs%2Ffirst").status_code == deployed
