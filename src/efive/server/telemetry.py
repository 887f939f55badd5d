"""What is seen of a server: Prometheus metrics. Nothing here knows a text."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from efive.deployments.manager import Deployments
from efive.errors import EfiveError

if TYPE_CHECKING:
    from efive.server.service import EmbedResult

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Telemetry:
    """The metrics of one server."""

    def __init__(self, deployments: Deployments) -> None:
        self.registry = CollectorRegistry()
        labels = ("door", "model")
        kind = self.registry
        self._requests = Counter("efive_requests", "Requests that were answered.", labels, registry=kind)
        self._errors = Counter("efive_errors", "Requests that failed, by error.", (*labels, "error"), registry=kind)
        self._tokens = Counter("efive_tokens", "Tokens that models read.", labels, registry=kind)
        self._texts = Counter("efive_texts", "Texts that were embedded.", labels, registry=kind)
        self._cut = Counter("efive_truncations", "Texts that were cut.", labels, registry=kind)
        self._cached = Counter("efive_cached", "Texts whose vectors were known.", labels, registry=kind)
        self._seconds = Histogram("efive_request_seconds", "Whole requests.", labels, registry=kind, buckets=_SECONDS)
        self._phase = Histogram(
            "efive_phase_seconds",
            "Tokenising, queueing, computing.",
            (*labels, "phase"),
            registry=kind,
            buckets=_SECONDS,
        )
        self._doors: set[str] = set()
        kind.register(_Gauges(deployments))
        self._deployments = deployments

    def announce(self, door: str) -> None:
        """Let the metrics of a door exist before its first request."""
        self._doors.add(door)

    @contextmanager
    def watch(self, door: str, model: str) -> "Iterator[Callable[[EmbedResult], None]]":
        """Measure a request; the block reports its result."""
        begun = time.perf_counter()

        def seen(result: "EmbedResult") -> None:
            self._requests.labels(door, model).inc()
            self._tokens.labels(door, model).inc(result.tokens)
            self._texts.labels(door, model).inc(len(result.usage))
            self._cut.labels(door, model).inc(len(result.truncated))
            self._cached.labels(door, model).inc(result.cached)
            self._seconds.labels(door, model).observe(time.perf_counter() - begun)
            for phase in ("tokenize", "queue", "compute"):
                self._phase.labels(door, model, phase).observe(getattr(result.timings, phase))

        try:
            yield seen
        except EfiveError as error:
            self._errors.labels(door, model, error.code).inc()
            raise

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format; those of every door and model exist from the first time."""
        for door in self._doors:
            for deployment in self._deployments:
                for metric in (self._requests, self._tokens, self._texts, self._cut, self._cached, self._seconds):
                    metric.labels(door, deployment.name)
                for phase in ("tokenize", "queue", "compute"):
                    self._phase.labels(door, deployment.name, phase)
        return generate_latest(self.registry)


class _Gauges:
    """What is read off the deployments when somebody looks."""

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments

    def collect(self) -> Iterable[Metric]:
        """Yield the state of each deployment."""
        ready = GaugeMetricFamily("efive_ready", "Whether the deployment answers.", labels=["model"])
        engines = GaugeMetricFamily("efive_allocations", "Engines at work.", labels=["model"])
        requests = GaugeMetricFamily("efive_queue_requests", "Requests that wait.", labels=["model"])
        tokens = GaugeMetricFamily("efive_queue_tokens", "Tokens that wait.", labels=["model"])
        fill = GaugeMetricFamily("efive_batch_fill", "Share of the token budget of late.", labels=["model"])
        busy = GaugeMetricFamily("efive_busy_seconds", "Seconds that engines computed.", labels=["model"])
        crashes = GaugeMetricFamily("efive_crashes", "Crashes of engines since the start.", labels=["model"])
        for each in self._deployments:
            name = [each.name]
            ready.add_metric(name, float(each.phase == "ready"))
            engines.add_metric(name, len(each.engines))
            crashes.add_metric(name, each.crashes)
            scheduler = each.scheduler if each.phase == "ready" else None
            requests.add_metric(name, scheduler.queue.requests if scheduler else 0)
            tokens.add_metric(name, scheduler.queue.tokens if scheduler else 0)
            busy.add_metric(name, scheduler.tally.busy if scheduler else 0.0)
            fills = scheduler.tally.fills if scheduler else []
            fill.add_metric(name, sum(fills) / len(fills) if fills else 0.0)
        yield from (ready, engines, requests, tokens, fill, busy, crashes)
