"""OpenTelemetry traces: a span for each request, with where its time went. Nothing here knows a text or a key.

Off unless asked for: importing this needs `efive[tracing]`. The spans are made of what every door says in its answer's
headers, so no door knows of them.
"""

import asyncio
import os
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from efive import __version__
from efive.errors import DependencyError, InputError

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise DependencyError("traces need some packages more: pip install 'efive[tracing]'") from None

_PHASES = {"tokenize": "x-tokenization-time", "queue": "x-queue-time", "compute": "x-inference-time"}
"""The spans below a request's, in their order, and the headers that have their milliseconds."""
_FACTS = {
    "efive.model": "x-efive-model",
    "efive.role": "x-efive-role",
    "efive.tokens": "x-efive-tokens",
    "efive.cached": "x-efive-cached",
}
_NUMBERS = {"efive.tokens", "efive.cached"}
_QUIET = ("/health/", "/metrics")
"""What is asked all the time and tells nothing."""


def to_collector(url: str) -> TracerProvider:
    """Return a provider that sends spans to a collector, in batches.

    Args:
        url: of the collector's OTLP receiver over HTTP, such as `http://localhost:4318/v1/traces`. OpenTelemetry's own
            variables, such as `OTEL_SERVICE_NAME` and `OTEL_TRACES_SAMPLER`, hold as well.

    Raises:
        InputError: if it is no HTTP address.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(
            f"traces go to a collector's HTTP address such as http://localhost:4318/v1/traces, not {url!r}"
        )
    name = os.environ.get("OTEL_SERVICE_NAME", "efive")
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return provider


class Tracing:
    """Middleware that makes a span of each request; it stands next to the router, whose routes name the spans.

    The last spans are sent before the server says that it has ended: a process that ends by a signal runs no exit
    handlers.
    """

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._provider = provider
        self._tracer = provider.get_tracer("efive", __version__)
        self._parent = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; its `traceparent` says which trace it belongs to."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if scope["type"] != "http" or scope["path"].startswith(_QUIET):
            await self._app(scope, receive, send)
            return
        begun = time.time_ns()
        parent = self._parent.extract(dict(Headers(scope=scope)))
        with self._tracer.start_as_current_span(
            scope["method"], parent, SpanKind.SERVER, start_time=begun, record_exception=False
        ) as span:

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._answered(span, begun, message)
                await send(message)

            try:
                await self._app(scope, receive, sending)
            finally:
                _name(span, scope)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await asyncio.to_thread(self._provider.shutdown)
            await send(message)

        await self._app(scope, receive, sending)

    def _answered(self, span: Span, begun: int, message: Message) -> None:
        """Note what an answer says of itself, and lay its phases one behind the other."""
        span.set_attribute("http.response.status_code", message["status"])
        if message["status"] >= 500:
            span.set_status(StatusCode.ERROR)
        headers = Headers(raw=message["headers"])
        for fact, header in _FACTS.items():
            if (value := headers.get(header)) is not None:
                span.set_attribute(fact, int(value) if fact in _NUMBERS else value)
        if "x-total-time" not in headers:
            return
        now, within = time.time_ns(), set_span_in_context(span)
        start = max(begun, now - _nanoseconds(headers["x-total-time"]))
        for phase, header in _PHASES.items():
            end = min(now, start + _nanoseconds(headers.get(header, "0")))
            self._tracer.start_span(phase, within, start_time=start).end(end)
            start = end


def _name(span: Span, scope: Scope) -> None:
    """Name a span after its route, not its path: names of models and collections would make too many."""
    method, route = scope["method"], scope.get("route")
    span.set_attribute("http.request.method", method)
    span.set_attribute("url.path", scope["path"])
    if (path := getattr(route, "path", None)) is not None:
        template = scope.get("root_path", "") + path
        span.update_name(f"{method} {template}")
        span.set_attribute("http.route", template)


def _nanoseconds(milliseconds: str) -> int:
    return int(float(milliseconds) * 1e6)
