"""What a log of queries says: how often nothing was found, how sure the hits were, what has changed, what is missing.

Collections and spaces are reported apart: their cosines mean different things, and their vectors nothing to each other.
Texts are shown only where they are asked for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from efive.errors import InputError
from efive.evaluation.drift import clusters, energy, stability
from efive.evaluation.query_log import Logged
from efive.vectors import Floats

Embed = Callable[[str, list[str]], Floats | None]
"""Vectors of texts in the space of a fingerprint, (texts, dimension), or None where it is another's."""

PERCENTILES = (50, 90, 95, 99)
_LEAST = 20
"""Queries of either period without which nothing is said of drift."""
_LEAST_OF_GAP = 3
"""Queries that make a gap: fewer could be told by their number."""
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """How a log is read."""

    threshold: float = 0.5
    """Confidences below it are low."""
    with_texts: bool = False
    """Whether texts are shown."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """A subject that people ask about and find little."""

    queries: int
    share: float
    """Of the queries whose vectors are known."""
    confidence: float | None
    """The mean of those known."""
    texts: list[str]
    """Those nearest to the middle; empty unless asked for."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What has changed since the period before; None where it cannot be said."""

    queries_before: int
    confidence: dict[str, float] | None
    """`efive.evaluation.drift.stability`."""
    cosine: dict[str, float] | None
    vectors: dict[str, Any] | None
    """`efive.evaluation.drift.energy`."""


@dataclass(frozen=True, slots=True)
class Report:
    """A collection's queries in one space."""

    collection: str
    space: str
    first: str
    last: str
    """ISO 8601."""
    queries: int
    distinct: int
    zero_results: float
    """Share of the queries."""
    threshold: float
    low_confidence: float | None
    """Share of the queries with a known confidence."""
    confidence_known: int
    milliseconds: dict[str, float]
    """Percentiles."""
    vectors_known: int
    drift: Drift | None
    """None without a period before."""
    gaps: list[Gap] | None
    """Largest first; None where no vectors are known."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def monitor(
    queries: Iterable[Logged],
    settings: Settings,
    *,
    before: Iterable[Logged] | None = None,
    collection: str | None = None,
    embed: Embed | None = None,
) -> list[Report]:
    """Report the queries of a log, those of the busiest collection first.

    Args:
        queries: of the period that is looked at.
        settings: threshold, texts, seed.
        before: queries of an earlier period, to compare with.
        collection: only this one.
        embed: makes vectors of queries that have a text and no vector.

    Raises:
        InputError: if vectors of one space have different dimensions.
        DependencyError: if scikit-learn is not installed and there are vectors.
    """
    now = _groups(queries, collection)
    earlier = None if before is None else _groups(before, collection)
    reports = []
    for key, group in sorted(now.items(), key=lambda item: (-len(item[1]), item[0])):
        old = None if earlier is None else _embedded(earlier.get(key, []), embed)
        reports.append(_report(_embedded(group, embed), old, settings))
    return reports


def _groups(queries: Iterable[Logged], collection: str | None) -> dict[tuple[str, str], list[Logged]]:
    groups: dict[tuple[str, str], list[Logged]] = {}
    for query in queries:
        if collection is None or query.collection == collection:
            groups.setdefault((query.collection, query.space), []).append(query)
    return groups


def _embedded(queries: list[Logged], embed: Embed | None) -> list[Logged]:
    """Give vectors to those that have a text and no vector."""
    bare = [i for i, query in enumerate(queries) if query.vector is None and query.query and query.space]
    if embed is None or not bare:
        return queries
    vectors = embed(queries[0].space, [queries[i].query or "" for i in bare])
    if vectors is None:
        return queries
    made = dict(zip(bare, vectors, strict=True))
    return [replace(query, vector=made[i]) if i in made else query for i, query in enumerate(queries)]


def _report(queries: Sequence[Logged], before: Sequence[Logged] | None, settings: Settings) -> Report:
    confidences = _known(queries, "confidence")
    times = sorted(query.time for query in queries)
    taken = [query.milliseconds for query in queries]
    vectors = _vectors(queries)
    return Report(
        collection=queries[0].collection,
        space=queries[0].space,
        first=times[0].isoformat(),
        last=times[-1].isoformat(),
        queries=len(queries),
        distinct=len({query.hash for query in queries}),
        zero_results=sum(query.hits == 0 for query in queries) / len(queries),
        threshold=settings.threshold,
        low_confidence=_share([value < settings.threshold for value in confidences]),
        confidence_known=len(confidences),
        milliseconds={str(p): float(np.percentile(taken, p)) for p in PERCENTILES},
        vectors_known=len(vectors),
        drift=None if before is None else _drift(before, queries, settings.seed),
        gaps=_gaps(queries, settings) if len(vectors) else None,
    )


def _known(queries: Sequence[Logged], name: str) -> list[float]:
    return [value for query in queries if (value := getattr(query, name)) is not None]


def _vectors(queries: Sequence[Logged]) -> Floats:
    known = [query.vector for query in queries if query.vector is not None]
    if len(sizes := sorted({len(vector) for vector in known})) > 1:
        raise InputError(f"the log has vectors of {sizes} dimensions in the space {queries[0].space}: it is damaged")
    return np.stack(known) if known else np.empty((0, 0), dtype=np.float32)


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _drift(before: Sequence[Logged], now: Sequence[Logged], seed: int) -> Drift:
    def shift(name: str) -> dict[str, float] | None:
        old, new = _known(before, name), _known(now, name)
        return stability(old, new) if min(len(old), len(new)) >= _LEAST else None

    old, new = _vectors(before), _vectors(now)
    enough = min(len(old), len(new)) >= _LEAST
    return Drift(
        queries_before=len(before),
        confidence=shift("confidence"),
        cosine=shift("cosine"),
        vectors=energy(old, new, seed=seed) if enough else None,
    )


def _gaps(queries: Sequence[Logged], settings: Settings) -> list[Gap]:
    """Group the queries that found nothing, or nothing sure."""
    known = [query for query in queries if query.vector is not None]
    weak = [query for query in known if query.hits == 0 or _low(query, settings.threshold)]
    if len(weak) < _LEAST_OF_GAP:
        return []
    vectors = _vectors(weak)
    groups = clusters(vectors, seed=settings.seed)
    found = []
    for group in range(int(groups.max()) + 1):
        rows = np.flatnonzero(groups == group)
        if len(rows) < _LEAST_OF_GAP:
            continue
        members = [weak[row] for row in rows]
        certain = _known(members, "confidence")
        found.append(
            Gap(
                queries=len(rows),
                share=len(rows) / len(known),
                confidence=sum(certain) / len(certain) if certain else None,
                texts=_typical(members, vectors[rows]) if settings.with_texts else [],
            )
        )
    return sorted(found, key=lambda gap: -gap.queries)


def _low(query: Logged, threshold: float) -> bool:
    return query.confidence is not None and query.confidence < threshold


def _typical(queries: Sequence[Logged], vectors: Floats) -> list[str]:
    """Return different texts, those nearest to the middle first."""
    order = np.argsort(-(vectors @ vectors.mean(axis=0)), kind="stable")
    texts = dict.fromkeys(text for row in order if (text := queries[row].query) is not None)
    return list(texts)[:_EXAMPLES]
