"""What is seen of a server: Prometheus metrics. Nothing here knows a text."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from efive.deployments.deployment import Phase
from efive.deployments.manager import Deployments
from efive.errors import EfiveError

if TYPE_CHECKING:
    from efive.server.service import EmbedResult

_PHASES = ("tokenize", "queue", "compute")
_ERRORS = (
    "invalid_input", "too_long", "rate_limited", "not_ready", "overloaded", "deadline", "engine", "engine_crashed",
    "non_finite", "gone", "unexpected",
)  # fmt: skip
"""Words that exist before they have happened: those of EfiveError, `gone` where the client went away."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class _Series:
    """What is counted for one door and model."""

    requests: Counter
    tokens: Counter
    texts: Counter
    cut: Counter
    cached: Counter
    seconds: Histogram
    phases: dict[str, Histogram]
    words: set[str]
    """Of the errors that are counted."""


class Telemetry:
    """The metrics of one server."""

    def __init__(self, deployments: Deployments) -> None:
        self.registry = kind = CollectorRegistry()
        labels = ("door", "model")
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
        self._series: dict[tuple[str, str], _Series] = {}
        kind.register(_Gauges(deployments))
        self._deployments = deployments

    def announce(self, *doors: str) -> None:
        """Let the metrics of doors exist before their first requests."""
        self._doors.update(doors)

    @contextmanager
    def watch(self, door: str, model: str) -> "Iterator[Callable[[EmbedResult], None]]":
        """Measure a request; the block reports its result. `model` is a deployment's name, not what a client wrote."""
        begun = time.perf_counter()

        def seen(result: "EmbedResult") -> None:
            series = self._of(door, model)
            series.requests.inc()
            series.tokens.inc(result.tokens)
            series.texts.inc(len(result.usage))
            series.cut.inc(len(result.truncated))
            series.cached.inc(result.cached)
            series.seconds.observe(time.perf_counter() - begun)
            for phase, histogram in series.phases.items():
                histogram.observe(getattr(result.timings, phase))

        try:
            yield seen
        except BaseException as error:
            self._of(door, model).words.add(word := _word(error))
            self._errors.labels(door, model, word).inc()
            raise

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format; those of every door and model exist from the first time."""
        present = {each.name for each in self._deployments}
        for door in self._doors:
            for name in present:
                self._of(door, name)
        for door, model in [key for key in self._series if key[1] not in present]:
            self._forget(door, model)
        return generate_latest(self.registry)

    def _of(self, door: str, model: str) -> _Series:
        """Return the series of a door and model, made when they are first asked for."""
        found = self._series.get((door, model))
        if found is not None:
            return found
        for word in _ERRORS:
            self._errors.labels(door, model, word)
        series = _Series(
            requests=self._requests.labels(door, model),
            tokens=self._tokens.labels(door, model),
            texts=self._texts.labels(door, model),
            cut=self._cut.labels(door, model),
            cached=self._cached.labels(door, model),
            seconds=self._seconds.labels(door, model),
            phases={phase: self._phase.labels(door, model, phase) for phase in _PHASES},
            words=set(_ERRORS),
        )
        return self._series.setdefault((door, model), series)

    def _forget(self, door: str, model: str) -> None:
        """Drop the series of a deployment that was deleted: each has hundreds, and names may be made up every time."""
        for metric in (self._requests, self._tokens, self._texts, self._cut, self._cached, self._seconds):
            metric.remove(door, model)
        for word in self._series.pop((door, model)).words:
            self._errors.remove(door, model, word)
        for phase in _PHASES:
            self._phase.remove(door, model, phase)


def _word(error: BaseException) -> str:
    if isinstance(error, EfiveError):
        return error.code
    return "gone" if isinstance(error, asyncio.CancelledError) else "unexpected"


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
        busy = CounterMetricFamily("efive_busy_seconds", "Seconds that engines computed.", labels=["model"])
        crashes = CounterMetricFamily("efive_crashes", "Crashes of engines since the start.", labels=["model"])
        for each in self._deployments:
            name = [each.name]
            ready.add_metric(name, float(each.phase is Phase.READY))
            engines.add_metric(name, len(each.engines))
            crashes.add_metric(name, each.crashes)
            scheduler = each.scheduler if each.phase is Phase.READY else None
            requests.add_metric(name, scheduler.queue.requests if scheduler else 0)
            tokens.add_metric(name, scheduler.queue.tokens if scheduler else 0)
            busy.add_metric(name, scheduler.tally.busy if scheduler else 0.0)
            fills = scheduler.tally.fills if scheduler else []
            fill.add_metric(name, sum(fills) / len(fills) if fills else 0.0)
        yield from (ready, engines, requests, tokens, fill, busy, crashes)
