"""Elasticsearch's habits on the wire: paths, media types, gzip, filter_path, errors, keys, a port of its own."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from elasticsearch import AuthenticationException, AuthorizationException, Elasticsearch, NotFoundError
from served import serving

from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.errors import InputError
from efive.server.access import Access, Scope
from efive.server.app import Options
from efive.server.protocols.elastic.filtering import filtered
from efive.server.protocols.elastic.wire import warning
from efive.server.run import Listen, check

VENDOR = "application/vnd.elasticsearch+json; compatible-with="


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.url, timeout=280) as client:
        yield client


@pytest.mark.parametrize("path", ["/es", "/es/", "/es//"])
def test_the_root_answers_with_and_without_a_slash(http, path):
    answer = http.get(path)
    assert answer.status_code == 200
    found = answer.json()
    assert int(found["version"]["number"].split(".")[0]) >= 9
    assert found["version"]["build_flavor"] == "default"
    assert found["tagline"] == "You Know, for Search"
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    head = http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["x-elastic-product"] == "Elasticsearch"


def test_the_client_takes_this_for_elasticsearch(server, client):
    assert client.info()["cluster_name"]
    assert client.ping()
    with Elasticsearch(f"{server.url}/es/", request_timeout=280, http_compress=True) as other:
        assert other.ping()


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (f"{VENDOR}9", "application/vnd.elasticsearch+json;compatible-with=9"),
        (f"{VENDOR}8", "application/vnd.elasticsearch+json;compatible-with=8"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("application/yaml", "application/json"),
    ],
)
def test_answers_and_errors_are_in_the_media_type_that_was_asked_for(es, http, accept, media):
    for path, status in (("/es/", 200), ("/es/_inference/nobody", 404), ("/es/_nothing/here", 400)):
        answer = http.get(path, headers={"accept": accept})
        assert answer.status_code == status
        assert answer.headers["content-type"] == media
        assert answer.headers["x-elastic-product"] == "Elasticsearch"


@pytest.mark.parametrize(
    ("media", "status"),
    [
        (f"{VENDOR}9", 200),
        ("application/vnd.elasticsearch+x-ndjson; compatible-with=8", 200),
        ("application/json; charset=UTF-8", 200),
        ("application/x-ndjson", 200),
        ("application/x-www-form-urlencoded", 406),
        ("text/plain", 406),
        ("application/yaml", 406),
        ("application/jsonp", 406),
        (None, 200),
    ],
)
def test_bodies_are_taken_by_their_media_type(es, http, media, status):
    headers = {} if media is None else {"content-type": media}
    answer = http.post("/es/_inference/e5", content=b'{"input": "a"}', headers=headers)
    assert answer.status_code == status, answer.text
    if status == 406:
        assert answer.json()["error"]["reason"] == f"Content-Type header [{media}] is not supported"


def test_bodies_may_be_gzipped(es, http):
    body = gzip.compress(json.dumps({"input": "tide"}).encode())
    headers = {"content-type": f"{VENDOR}9", "content-encoding": "gzip"}
    answer = http.post("/es/_inference/e5", content=body, headers=headers)
    assert len(answer.json()["text_embedding"]) == 1
    broken = http.post("/es/_inference/e5", content=body[:-9], headers=headers)
    assert (broken.status_code, broken.json()["status"]) == (400, 400)


NO_ROUTE = "no handler found for uri [/_nothing/here?pretty] and method [GET]"
NO_POST = "Incorrect HTTP method for uri [/] and method [POST], allowed: [GET, HEAD]"
NO_PATCH = "uri [/_inference/e5] and method [PATCH], allowed: [DELETE, GET, HEAD, POST, PUT]"
NO_UNIT = "failed to parse setting [timeout] with value [5] as a time value: unit is missing or unrecognized"


@pytest.mark.parametrize(
    ("asked", "body", "status", "type_", "reason"),
    [
        ("GET /_nothing/here?pretty", "", 400, "illegal_argument_exception", NO_ROUTE),
        ("POST /", "", 405, "illegal_argument_exception", NO_POST),
        ("PATCH /_inference/e5", "", 405, "illegal_argument_exception", NO_PATCH),
        ("POST /_inference/e5", "{", 400, "parsing_exception", "the body is no JSON"),
        ("POST /_inference/e5", "[]", 400, "parsing_exception", "Expected `object`, got `array`"),
        ("POST /_inference/e5", "{}", 400, "action_request_validation_exception", "Field [input] cannot be null"),
        ("DELETE /_inference/e5?dry_run=perhaps", "", 400, "illegal_argument_exception", "[true] or [false]"),
        ("POST /_inference/e5?timeout=5", '{"input": "a"}', 400, "illegal_argument_exception", NO_UNIT),
    ],
)
def test_errors_are_in_the_envelope(es, http, asked, body, status, type_, reason):
    method, _, path = asked.partition(" ")
    answer = http.request(method, f"/es{path}", content=body, headers={"content-type": "application/json"})
    found = answer.json()["error"]
    assert (answer.status_code, answer.json()["status"], found["type"]) == (status, status, type_)
    assert reason in found["reason"]
    assert found["root_cause"] == [{"type": type_, "reason": found["reason"]}]
    assert ("allow" in answer.headers) == (status == 405)


def test_errors_are_whole_whatever_a_filter_leaves_of_answers(es, http):
    answer = http.get("/es/_inference/nobody?filter_path=took&human&error_trace=true&pretty")
    assert answer.json()["error"]["type"] == "resource_not_found_exception"
    assert answer.json()["status"] == 404


def test_head_has_no_body(es, http):
    answer = http.head("/es/_inference/nobody")
    assert (answer.status_code, answer.content) == (404, b"")
    assert http.head("/es/_inference/e5").status_code == 200


def test_answers_may_be_pruned_and_indented(es, http):
    answer = http.get("/es/_inference/e5?filter_path=endpoints.*_id,**.num_threads&pretty&human=false")
    assert answer.json() == {"endpoints": [{"inference_id": "e5", "service_settings": {"num_threads": 1}}]}
    assert answer.text.startswith('{\n  "endpoints": [\n')
    assert "\n" not in http.get("/es/_inference/e5?pretty=false").text


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        ("a", {"a": {"b": [{"c": 1, "d": None}, {"c": 2}], "e": 3}}),
        ("a.b.c", {"a": {"b": [{"c": 1}, {"c": 2}]}}),
        ("**.d", {"a": {"b": [{"d": None}]}}),
        ("*.e,f", {"a": {"e": 3}, "f": 0}),
        ("**", {"a": {"b": [{"c": 1, "d": None}, {"c": 2}], "e": 3}, "f": 0}),
        ("-a.b", {"a": {"e": 3}, "f": 0}),
        ("a,-**.c", {"a": {"b": [{"d": None}, {}], "e": 3}}),
        ("a.*.*", {"a": {"b": [{"c": 1, "d": None}, {"c": 2}]}}),
        ("nothing", {}),
        ("a.e.deeper", {}),
    ],
)
def test_paths_of_a_filter(paths, left):
    value = {"a": {"b": [{"c": 1, "d": None}, {"c": 2}], "e": 3}, "f": 0}
    assert filtered(value, paths.split(",")) == left


def test_a_warning_fits_into_a_header():
    (text,) = warning('[Instruct: "find"\nQuery: 问题\x1b]').values()
    assert text.endswith("-efive \"[Instruct: 'find' Query: ???]\"")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that asks for keys, one for embedding and one for everything."""
    home = tmp_path_factory.mktemp("guarded")
    state = State(home / "server.sqlite")
    embed, manage = (Access(state).create(str(scope), [scope])[1] for scope in (Scope.EMBED, Scope.MANAGE))
    state.close()
    with serving(Options(home, (Settings(name="other", model="bundled", precision="fp32", threads=1),))) as running:
        yield f"{running.url}/es", embed, manage


@pytest.mark.parametrize("form", ["api_key", "pair", "basic", "bearer"])
def test_keys_are_taken_as_clients_send_them(guarded, form):
    url, embed, _ = guarded
    given = {
        "api_key": {"api_key": embed},
        "pair": {"api_key": ("id", embed)},
        "basic": {"basic_auth": ("elastic", embed)},
        "bearer": {"bearer_auth": embed},
    }
    with Elasticsearch(url, request_timeout=280, max_retries=0, **given[form]) as client:
        assert client.ping()
        assert client.inference.get()["endpoints"]


def test_who_may_not_is_told_so_as_elasticsearch_does(guarded):
    url, embed, manage = guarded
    with Elasticsearch(url, request_timeout=280) as nobody, pytest.raises(AuthenticationException) as missing:
        nobody.info()
    assert missing.value.error == "security_exception"
    assert "ApiKey" in missing.value.meta.headers["www-authenticate"]
    with Elasticsearch(url, request_timeout=280, api_key="wrong") as wrong:
        assert not wrong.ping()
        with pytest.raises(AuthenticationException):
            wrong.inference.get()
    with (
        Elasticsearch(url, request_timeout=280, api_key=embed) as embedder,
        pytest.raises(AuthorizationException) as forbidden,
    ):
        embedder.inference.delete(inference_id="x")
    assert forbidden.value.body["error"]["type"] == "security_exception"
    assert forbidden.value.body["status"] == 403
    with Elasticsearch(url, request_timeout=280, api_key=manage) as manager, pytest.raises(NotFoundError):
        manager.inference.delete(inference_id="x")


def test_a_port_of_its_own_has_elasticsearch_at_its_root(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "efive", "serve", "--port", "0", "--es-port", "0", "--threads", "1", "-m", "e5=bundled"],
        env={**os.environ, "EFIVE_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = iter(process.stderr.readline, "")
        found = next(found for line in lines if (found := re.findall(r"http://127\.0\.0\.1:\d+\b(?!/)", line)))
        main, own = found
        while httpx.get(f"{main}/health/ready").status_code != 200:
            time.sleep(0.05)
        with (
            Elasticsearch(own, request_timeout=280, max_retries=0) as at_root,
            Elasticsearch(f"{main}/es", request_timeout=280, max_retries=0) as below,
        ):
            assert at_root.info() == below.info()
            assert at_root.ping()
            assert at_root.inference.get() == below.inference.get()
        for path in ("/health/live", "/tei/health", "/es/", "/console"):
            assert httpx.get(own + path).headers["x-elastic-product"] == "Elasticsearch"
        nowhere = httpx.get(f"{own}/_nothing/here").json()
        assert nowhere["error"]["reason"] == "no handler found for uri [/_nothing/here] and method [GET]"
        assert httpx.get(f"{main}/health/live").status_code == 200
    finally:
        process.terminate()
        process.wait(240)
        process.stderr.close()


def test_one_port_cannot_be_both():
    with pytest.raises(InputError, match="both 9377"):
        check(Path(), Listen(port=9377, es_port=9377))
