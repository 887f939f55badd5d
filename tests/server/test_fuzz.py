"""Whatever clients send to any door: an answer in its protocol's own shape, soon, and never a fault of the server."""

import gzip
import json
import re
import socket
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit

import httpx
import hypothesis
import pytest
from hypothesis import strategies as st
from served import Running, serving
from starlette.routing import Mount, Route

from efive.deployments.settings import Settings
from efive.server.app import Options, build
from efive.server.service import Limits

EXAMPLES = 1500
BODY = 1 << 20
PATIENCE = 60
"""Seconds until a request counts as one that hangs."""

BOMB = gzip.compress(b" " * (50 * BODY))

# Bodies that are right, by the end of a route's path. What is made of them is mostly wrong.
BODIES = {
    "/embeddings": {"input": ["a"], "model": "e5", "encoding_format": "float", "dimensions": 384, "user": "x"},
    "/tei/": {"inputs": ["a"], "normalize": True, "truncate": True, "truncation_direction": "Right"},
    "/tei/embed": {"inputs": ["a"], "normalize": True, "truncate": True, "prompt_name": "query", "dimensions": 384},
    "/invocations": {"inputs": "a"},
    "/tei/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}, "parameters": {"truncate": True}},
    "/tokenize": {"inputs": "a", "add_special_tokens": True},
    "/decode": {"ids": [[101, 102]], "skip_special_tokens": True},
    "/predict/nlp/{project}/{endpoint}": {"inputs": ["a"]},
    "/predict/generic/{project}/{endpoint}": {"instances": ["a"], "items": [{"id": "1", "value": "a"}]},
    "/samba/v1/embeddings": {"input": ["a"], "model": "e5"},
    "/projects/{project}/endpoints": {"name": "made", "model": "e5", "batch_size": 1, "key": "k" * 20},
    "/batch-jobs": {"value": "a", "id": "1"},
    "/training-jobs": {"dataset": "none", "settings": {"learning_rate": 1e-5}},
    "/pinecone/embed": {"model": "e5", "inputs": [{"text": "a"}], "parameters": {"input_type": "query"}},
    "/indexes": {"name": "made", "dimension": 3, "metric": "cosine", "spec": {"serverless": {"cloud": "aws"}}},
    "/create-for-model": {"name": "made-too", "embed": {"model": "e5", "field_map": {"text": "t"}}},
    "/indexes/{name}": {"deletion_protection": "disabled", "tags": {"a": "b"}},
    "/vectors/upsert": {"vectors": [{"id": "a", "values": [1, 2, 3], "metadata": {"k": "v"}}], "namespace": "n"},
    "/vectors/update": {"id": "a", "values": [1, 2, 3], "setMetadata": {"k": 1}, "namespace": "n"},
    "/vectors/delete": {"ids": ["b"], "namespace": "n"},
    "/fetch_by_metadata": {"filter": {"k": {"$in": ["v"]}}, "limit": 3, "namespace": "n"},
    "/query": {"topK": 3, "vector": [1, 2, 3], "filter": {"k": {"$gte": 1}}, "includeValues": True, "namespace": "n"},
    "/namespaces/{namespace:path}/upsert": {"_id": "a", "t": "text", "k": 1},
    "/namespaces/{namespace:path}/search": {"query": {"inputs": {"text": "a"}, "top_k": 3, "filter": {"k": 1}}},
    "/_i/{name}/namespaces": {"name": "made", "schema": {"fields": {"k": {"filterable": True}}}},
    "/embed": {"texts": ["a"], "role": "query", "model": "e5", "overflow": "end", "dimensions": 384},
    "/similarity": {"texts": ["a"], "others": ["b"], "role": "query"},
    "/deployments": {"name": "made", "model": "nowhere", "allocations": 1, "threads": 1, "wait": 1.5},
    "/deployments/{name:path}": {"allocations": 1, "wait": 2.5},
    "/documents": {"id": "a", "text": "b", "metadata": {"k": 1}},
    "/collections/{name}/search": {"text": "a", "k": 3, "where": "k = 1", "mode": "hybrid"},
    "/collections/{name}/delete": {"ids": ["b"]},
    "/keys": {"name": "made", "scopes": ["embed"], "requests_per_minute": 5},
}
NOT_HERE = ("/deployments", "-jobs/{id}", "/training-jobs")
"""Routes, by a part of their paths, whose objects are not there, or would cost too much."""
NO_REUSE = httpx.Limits(max_keepalive_connections=0)
"""A server may close a connection that is idle just as the next request leaves."""
NAMES = ["fuzz", "texts", "none", "é", "a b", "..", ".", "%00", "a/b", "x" * 300, "'; DROP TABLE record; --"]

ODD = [
    None, True, 0, -1, 2**31, 2**63, 2**64, 10**400, 1e308, -0.0, float("nan"), float("inf"), "", " ", "\0", "\ud800",
    "😀" * 300, "word " * 600, "$", "../../etc/passwd", [], [[]], [None], ["a", 1], ["a"] * 100, [[1, 2], [3]], {},
    {"": {}}, {"$in": "a"}, {"$and": {}}, {"$or": [{"$not": 1}]}, [[[[[[]]]]]],
]  # fmt: skip
anything = st.one_of(
    st.sampled_from(ODD),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)


@st.composite
def changed(draw, value):
    """A value with something in it replaced, left out or added."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        rest = {name: each for name, each in value.items() if name != key}
        return rest if draw(st.integers(0, 5)) == 0 else {**rest, key: draw(changed(value[key]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [draw(changed(value[0])), *value[1:]]
    return draw(anything)


def table(routes, mount="") -> Iterator[tuple[str, str]]:
    """Method and path of every route."""
    for each in routes:
        if isinstance(each, Mount):
            yield from table(each.routes, mount + each.path)
        elif isinstance(each, Route):
            yield from ((method, mount + each.path) for method in sorted(each.methods or ()))


def body_of(path: str) -> object:
    """The right body that fits a path best."""
    fitting = [end for end in BODIES if path.endswith(end)]
    return BODIES[max(fitting, key=len)] if fitting else {}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, httpx.Client]]:
    """A server of its own with an index and an endpoint; with a key, as requests make keys."""
    e5 = Settings(name="e5", model="bundled", precision="fp32", threads=1)
    options = Options(tmp_path_factory.mktemp("fuzz"), (e5,), Limits(body=BODY))
    with serving(options) as running:
        key = running.service.access.create("test", ["manage"])[1]
        with httpx.Client(base_url=running.url, headers={"api-key": key}, timeout=PATIENCE, limits=NO_REUSE) as http:
            made = {"name": "texts", "embed": {"model": "e5", "field_map": {"text": "t"}}}
            assert http.post("/pinecone/indexes/create-for-model", json=made).status_code == 201
            made = BODIES["/indexes"] | {"name": "fuzz"}
            assert http.post("/pinecone/indexes", json=made).status_code == 201
            assert http.post("/pinecone/_i/fuzz/vectors/upsert", json=BODIES["/vectors/upsert"]).status_code == 200
            made = {"name": "fuzz", "model": "e5", "batch_size": 32}
            assert http.post("/samba/api/projects/fuzz/endpoints", json=made).status_code < 300
            line = json.dumps({"id": "a", "text": "b"})
            assert http.post("/collections/fuzz/documents?model=e5", content=line).status_code == 200
            yield running, http


def in_shape(path: str, body: object) -> bool:  # noqa: PLR0911 - one for each form
    """Whether an error is written as the door's protocol writes it."""
    if path.startswith("/es/_ingest/pipeline/") and body == {}:  # no such pipeline
        return True
    match body:
        case {"error": {"message": str(), "type": str(), "param": _, "code": _}}:
            return path.startswith("/openai")
        case {"error": str(), "error_type": str()} | {"message": str(), "code": int(), "type": str()}:
            return path.startswith("/tei")
        case {"error": {"root_cause": [{"type": str(), "reason": str()}], "type": str(), "reason": str()}}:
            return path.startswith("/es") and isinstance(body.get("status"), int)
        case {"succeeded": True, "num_freed": 0}:  # a scroll that is not there
            return path.startswith("/es/_search/scroll")
        case {"_index": _, "_id": _}:  # a document that is not there
            return path.startswith("/es") and (body.get("found") is False or body.get("result") == "not_found")
        case {"error": {"code": str(), "message": str()}, "status": int()}:
            return path.startswith("/pinecone") and not path.startswith("/pinecone/_i")
        case {"code": int(), "message": str(), "details": []}:
            return path.startswith("/pinecone/_i")
        case {"error": {"message": str(), "type": str(), "code": str()}}:
            return path.startswith("/samba")
        case {"error": str(), "code": str()}:
            return not path.startswith(("/openai", "/tei", "/pinecone", "/samba", "/es"))
    return False


def looked_at(answer: httpx.Response) -> None:
    """Complain of what no client should get."""
    path = answer.request.url.path
    said = f"{answer.request.method} {answer.request.url} {answer.request.content[:300]!r}: {answer.status_code}"
    assert answer.status_code < 500, f"{said} {answer.text[:300]}"
    assert answer.status_code < 300 or answer.status_code >= 400, said
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        assert in_shape(path, answer.json()), f"{said} {answer.text[:300]}"


# Requests that have been answered wrongly.
FOUND = {
    "a list for an object": (
        "POST", "/pinecone/indexes", b'{"name": "a", "dimension": 3, "metric": "cosine", "spec": {"serverless": []}}',
    ),
    "a token id of 64 bits": ("POST", "/openai/v1/embeddings", b'{"model": "e5", "input": [9223372036854775808]}'),
    "a rate of 65 bits": (
        "POST", "/keys", b'{"name": "a", "scopes": ["embed"], "requests_per_minute": 18446744073709551616}',
    ),
    "a name too long for a folder": ("GET", f"/collections/{'x' * 300}", None),
    "a line's end in a path": ("GET", "/pinecone/_i/%0A/describe_index_stats", None),
    "a body too large for OpenAI": ("POST", "/openai/v1/embeddings", b" " * (BODY + 1)),
    "a body too large for TEI": ("POST", "/tei/embed", b" " * (BODY + 1)),
}  # fmt: skip


@pytest.mark.parametrize("what", FOUND)
def test_what_was_answered_wrongly_before(fuzzed, what):
    method, path, body = FOUND[what]
    looked_at(fuzzed[1].request(method, path, content=body))


# Nothing may stop or delete what the other requests need.
SPARED = {("DELETE", "/collections/{name}"), ("DELETE", "/pinecone/indexes/{name}")}
SPARED |= {("DELETE", "/samba/api/projects/{project}/endpoints/{endpoint}")}
ROUTES = sorted(set(table(build(Options(home=None)).routes)) - SPARED)


def with_names(path: str, name: Callable[[], str]) -> str:
    return re.sub(r"\{(\w+)(:path)?\}", lambda _: quote(name(), safe="%"), path)


def test_right_bodies_are_answered(fuzzed):
    """Otherwise what is made of them would not get far."""
    for method, path in ROUTES:
        if method in {"POST", "PATCH"} and not any(part in path for part in NOT_HERE) and not path.startswith("/es"):
            filled = with_names(path, lambda: "texts" if "/records/" in path else "fuzz")  # noqa: B023
            answer = fuzzed[1].request(method, filled, json=body_of(path))
            assert answer.status_code < 300 or answer.status_code == 409, f"{method} {filled}: {answer.text}"


@st.composite
def requests(draw):
    method, path = draw(st.sampled_from(ROUTES))
    filled = with_names(path, lambda: draw(st.sampled_from(NAMES)))
    query = draw(
        st.dictionaries(
            st.sampled_from(["ids", "limit", "prefix", "namespace", "model", "key"]), st.text(max_size=8), max_size=2
        )
    )
    if method in {"GET", "HEAD"}:
        return method, filled, query, None
    return method, filled, query, json.dumps(draw(changed(body_of(path)))).encode()


def test_odd_bodies(fuzzed):
    _, http = fuzzed
    wrong: dict[str, str] = {}

    @hypothesis.given(requests())
    @hypothesis.settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    def check(asked):
        method, path, query, body = asked
        try:
            looked_at(http.request(method, path, params=query, content=body))
        except (AssertionError, httpx.HTTPError, ValueError) as error:
            wrong.setdefault(f"{method} {path[:60]}", f"{type(error).__name__} {error} {body!r:.300}")

    check()
    assert not wrong, "\n\n".join(f"{where}: {what}" for where, what in wrong.items())
    assert http.get("/health/ready").status_code == 200


def get(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


CHUNKED = ("POST /tei/embed HTTP/1.1", "host: a", "transfer-encoding: chunked")
PACKED = ("POST /openai/v1/embeddings HTTP/1.1", "host: a", "connection: close", "content-encoding: gzip")
WIRE = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "an unknown method": get("BREW /embed HTTP/1.1", "host: a", "connection: close"),
    "an unknown version": get("GET / HTTP/7.3", "host: a"),
    "no host": get("GET /openai/v1/models HTTP/1.1", "connection: close"),
    "no length": get("POST /embed HTTP/1.1", "host: a", "connection: close"),
    "a length that is no number": get("POST /embed HTTP/1.1", "host: a", "content-length: many", "connection: close"),
    "a negative length": get("POST /embed HTTP/1.1", "host: a", "content-length: -5", "connection: close"),
    "an enormous length": get("POST /samba/v1/embeddings HTTP/1.1", "host: a", f"content-length: {10**18}"),
    "two lengths": get("POST /embed HTTP/1.1", "host: a", "content-length: 2", "content-length: 3", body=b"{}}"),
    "chunks that are none": get(*CHUNKED, body=b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk without end": get(*CHUNKED, body=b"ffffffffffffffff\r\n{}"),
    "chunks beyond the limit": get(*CHUNKED, body=(b"10000\r\n" + b" " * 65536 + b"\r\n") * 20),
    "gzip that is none": get(*PACKED, "content-length: 2", body=b"{}"),
    "gzip cut short": get(*PACKED, "content-length: 12", body=gzip.compress(b'{"input": 1}')[:12]),
    "a gzip bomb": get(*PACKED, f"content-length: {len(BOMB)}", body=BOMB),
    "brotli": get(
        "POST /pinecone/embed HTTP/1.1",
        "host: a",
        "connection: close",
        "content-encoding: br",
        "content-length: 1",
        body=b"x",
    ),
    "bytes that are no text": get("GET /openai/v1/models/\xff\xfe%ff%fe HTTP/1.1", "host: a", "connection: close"),
    "a long header": get("GET / HTTP/1.1", "host: a", "x: " + "a" * 200_000, "connection: close"),
    "many headers": get("GET / HTTP/1.1", "host: a", *(f"x{i}: a" for i in range(5_000)), "connection: close"),
    "a long path": get("GET /" + "a" * 100_000 + " HTTP/1.1", "host: a", "connection: close"),
    "many slashes": get("GET " + "/" * 10_000 + " HTTP/1.1", "host: a", "connection: close"),
    "an odd key": get(
        "GET /openai/v1/models HTTP/1.1", "host: a", "authorization: Bearer \xff\xfe", "connection: close"
    ),
    "an odd request id": get("GET /health/live HTTP/1.1", "host: a", "x-request-id: \xff a\tb", "connection: close"),
    "deep JSON": get(
        "POST /tei/embed HTTP/1.1", "host: a", "connection: close", "content-length: 200000", body=b"[" * 200_000
    ),
    "a websocket": get(
        "GET /embed HTTP/1.1",
        "host: a",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: x",
    ),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("what", WIRE)
def test_odd_http(fuzzed, what):
    running, http = fuzzed
    address = urlsplit(running.url)
    got = b""
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as wire:
        try:
            wire.sendall(WIRE[what])
            wire.shutdown(socket.SHUT_WR)
            while piece := wire.recv(65536):
                got += piece
        except OSError:
            pass  # it would not hear the rest
    statuses = [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3})", got, re.MULTILINE)]
    assert all(200 <= status < 500 for status in statuses), got[:500]
    assert http.get("/health/live").status_code == 200
