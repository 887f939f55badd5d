"""What deployments did in the last minutes: a sample every two seconds, kept in memory and no longer than that."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from efive.deployments.deployment import Deployment, Phase
from efive.server.service import Service
from efive.server.telemetry import Telemetry

INTERVAL = 2.0
"""Seconds between samples."""
MOST = 300
"""Samples of a deployment: ten minutes, about 100 KiB."""
_LATELY = 5
"""Samples over which latencies are taken."""
_COUNTERS = {
    "efive_requests_total": "requests",
    "efive_truncations_total": "cut",
    "efive_errors_total": "errors",
}
_BUCKETS = "efive_request_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of a deployment."""

    at: float
    """Seconds since 1970."""
    tokens: float = 0.0
    """Tokens a second that engines computed."""
    requests: float = 0.0
    """Requests a second that were answered."""
    cut: float = 0.0
    """Texts a second that were truncated."""
    errors: float = 0.0
    """Requests a second that failed."""
    waiting: int = 0
    """Requests in the queue."""
    p50: float | None = None
    """Seconds of the median request of the last ten seconds; None if there was none."""
    p99: float | None = None
    """Seconds of the 99th percentile of the same."""


@dataclass(slots=True)
class Totals:
    """What a deployment has done since the server's start."""

    requests: float = 0.0
    cut: float = 0.0
    errors: float = 0.0
    tokens: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)
    """Requests by the longest time that they took, cumulative, in seconds."""


def totals(telemetry: Telemetry) -> dict[str, Totals]:
    """Return what the metrics say of each deployment, all doors together."""
    found: dict[str, Totals] = {}
    for metric in telemetry.registry.restricted_registry([*_COUNTERS, _BUCKETS]).collect():
        for sample in metric.samples:
            one = found.setdefault(sample.labels["model"], Totals())
            if sample.name == _BUCKETS:
                most = float(sample.labels["le"])
                one.buckets[most] = one.buckets.get(most, 0.0) + sample.value
            elif sample.name in _COUNTERS:
                name = _COUNTERS[sample.name]
                setattr(one, name, getattr(one, name) + sample.value)
    return found


def quantile(buckets: dict[float, float], share: float) -> float | None:
    """Return the time within which a share of requests was answered, evenly spread within its bucket.

    Args:
        buckets: requests by the longest time that they took, cumulative, `inf` last.
        share: of the requests, 0 to 1.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    wanted = share * buckets[bounds[-1]]
    low, below = 0.0, 0.0
    for high in bounds:
        if buckets[high] >= wanted:
            if high == float("inf"):
                return low
            return low + (high - low) * (wanted - below) / max(buckets[high] - below, 1e-9)
        low, below = high, buckets[high]
    return low


class History:
    """The last samples of each deployment that there is."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[Sample]] = {}
        self._totals: dict[str, deque[Totals]] = {}
        self._at = 0.0

    def of(self, name: str) -> Sequence[Sample]:
        """Return a deployment's samples, oldest first."""
        return tuple(self._samples.get(name, ()))

    def last(self, name: str) -> Sample | None:
        """Return a deployment's last sample."""
        samples = self._samples.get(name)
        return samples[-1] if samples else None

    def look(self, deployments: Iterable[Deployment], found: dict[str, Totals], now: float) -> None:
        """Take a sample of each deployment; forget those that are gone."""
        passed, self._at = now - self._at if self._at else 0.0, now
        present = list(deployments)
        for each in present:
            ready = each.phase is Phase.READY
            total = found.get(each.name, Totals())
            total.tokens = float(each.scheduler.tally.tokens) if ready else 0.0
            earlier = self._totals.setdefault(each.name, deque(maxlen=_LATELY))
            one = _sample(total, earlier, passed, now, each.scheduler.queue.requests if ready else 0)
            self._samples.setdefault(each.name, deque(maxlen=MOST)).append(one)
            earlier.append(total)
        for gone in self._samples.keys() - {each.name for each in present}:
            del self._samples[gone], self._totals[gone]


def _sample(now: Totals, earlier: deque[Totals], passed: float, at: float, waiting: int) -> Sample:
    if not earlier or passed <= 0:
        return Sample(at, waiting=waiting)
    before, first = earlier[-1], earlier[0]
    lately = {most: count - first.buckets.get(most, 0.0) for most, count in now.buckets.items()}
    return Sample(
        at=at,
        tokens=_rate(now.tokens, before.tokens, passed),
        requests=_rate(now.requests, before.requests, passed),
        cut=_rate(now.cut, before.cut, passed),
        errors=_rate(now.errors, before.errors, passed),
        waiting=waiting,
        p50=quantile(lately, 0.5),
        p99=quantile(lately, 0.99),
    )


def _rate(now: float, before: float, passed: float) -> float:
    """Return what was counted a second; a count that fell has begun anew."""
    return (now - before if now >= before else now) / passed


class Following:
    """Takes samples of a server's deployments as long as it runs."""

    def __init__(self, service: Service) -> None:
        self.history = History()
        self._service = service
        self._task = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        while True:
            found = await asyncio.to_thread(totals, self._service.telemetry)  # there may be many
            self.history.look(self._service.deployments, found, time.time())
            await asyncio.sleep(INTERVAL)

    async def close(self) -> None:
        """Take no more samples."""
        self._task.cancel()
        await asyncio.wait([self._task])
