"""Traces as a collector gets them."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from efive.deployments.settings import Settings
from efive.errors import InputError
from efive.server.app import Options, build

trace = pytest.importorskip("opentelemetry.sdk.trace", reason="needs efive[tracing]")
tracing = pytest.importorskip("efive.server.tracing")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, "memory.InMemorySpanExporter"]]:
    spans, provider = memory.InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(spans))
    e5 = Settings(name="e5", model="bundled", precision="fp32", threads=1)
    app = build(Options(tmp_path_factory.mktemp("traced"), (e5,)))
    app.user_middleware.append(Middleware(tracing.Tracing, provider))
    with TestClient(app) as http:
        while http.get("/health/ready").status_code != 200:
            pass
        yield http, spans


def asked(traced, *request, **more):
    """The spans of one request, the outermost last, and its answer."""
    http, spans = traced
    spans.clear()
    answer = http.request(*request, **more)
    return spans.get_finished_spans(), answer


def test_a_request_s_phases_lie_within_it_one_behind_the_other(traced):
    body = {"model": "e5:query", "input": ["a secret text", "another"]}
    (tokenize, queue, compute, request), answer = asked(traced, "POST", "/openai/v1/embeddings", json=body)
    assert answer.status_code == 200
    assert [s.name for s in (tokenize, queue, compute, request)] == [
        "tokenize", "queue", "compute", "POST /openai/v1/embeddings",
    ]  # fmt: skip
    assert {s.parent.span_id for s in (tokenize, queue, compute)} == {request.context.span_id}
    assert request.start_time <= tokenize.start_time <= tokenize.end_time == queue.start_time
    assert queue.end_time == compute.start_time < compute.end_time <= request.end_time
    found = request.attributes
    assert (found["efive.model"], found["efive.role"], found["http.response.status_code"]) == ("e5", "query", 200)
    assert found["efive.tokens"] == answer.json()["usage"]["total_tokens"]
    assert "secret" not in "".join(s.to_json() for s in (tokenize, queue, compute, request))


def test_a_span_joins_its_client_s_trace(traced):
    (span,), _ = asked(traced, "GET", "/openai/v1/models/e5", headers={"traceparent": PARENT})
    assert f"{span.context.trace_id:032x}" == PARENT[3:35]
    assert f"{span.parent.span_id:016x}" == PARENT[36:52]
    assert span.name == "GET /openai/v1/models/{name:path}"
    (alone,), _ = asked(traced, "GET", "/openai/v1/models")
    assert alone.parent is None


def test_a_mistake_of_the_client_s_is_no_error_of_ours(traced):
    (span,), answer = asked(traced, "POST", "/embed", json={"texts": ["a"], "role": "query", "model": "none"})
    assert (answer.status_code, span.attributes["http.response.status_code"]) == (404, 404)
    assert span.status.is_unset


def test_health_and_metrics_make_no_spans(traced):
    assert asked(traced, "GET", "/health/live")[0] == ()
    assert asked(traced, "GET", "/metrics")[0] == ()


def test_spans_reach_a_collector():
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        provider = tracing.to_collector(f"http://127.0.0.1:{collector.server_port}/v1/traces")
        provider.get_tracer("test").start_span("seen from afar").end()
        provider.shutdown()
        collector.shutdown()
    ((path, body),) = got
    assert path == "/v1/traces"
    assert b"seen from afar" in body
    assert b"efive" in body


def test_the_last_spans_are_sent_when_the_server_ends(tmp_path):
    spans, provider = memory.InMemorySpanExporter(), trace.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(export.BatchSpanProcessor(spans, schedule_delay_millis=3_600_000))
    app = build(Options(tmp_path))
    app.user_middleware.append(Middleware(tracing.Tracing, provider))
    with TestClient(app) as http:
        http.get("/openai/v1/models")
        assert not spans.get_finished_spans()
    assert [span.name for span in spans.get_finished_spans()] == ["GET /openai/v1/models"]


def test_an_address_that_is_none_is_refused():
    with pytest.raises(InputError, match="4318"):
        tracing.to_collector("localhost:4318")
