"""The benchmark's arithmetic, free of engines and processes: FLOPs, medians, ratios within a round."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from shapes import Shape

Record = Mapping[str, Any]


def flops_per_token(shape: Shape, lengths: Sequence[int] | npt.NDArray[np.int64]) -> float:
    """Return the floating-point operations of one real token, matrix products and attention included.

    A layer multiplies each token with its matrices (four of H x H and two of H x FF; Mistral's are others), and each
    of the L tokens of a text with its L keys and L values. Two operations per multiply-add; no padding, no pooler.
    """
    tokens = np.asarray(lengths, dtype=np.float64)
    context = float((tokens**2).sum() / tokens.sum())
    h = shape.hidden
    return shape.layers * (2.0 * shape.matrices + 4.0 * h * context)


def sorted_padding(lengths: Sequence[int] | npt.NDArray[np.int64], batch: int = 32) -> float:
    """Return computed over real tokens where texts are sorted by length and each batch padded to its longest."""
    ordered = np.sort(np.asarray(lengths))[::-1]
    padded = sum(int(part[0]) * len(part) for part in np.split(ordered, range(batch, len(ordered), batch)))
    return padded / float(ordered.sum())


@dataclass(frozen=True)
class Spread:
    """A median and the values it lies between."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """Return the spread, or None where there is no value."""
        found = sorted(values)
        return cls(median(found), found[0], found[-1]) if found else None


def rate(record: Record, clock: str) -> float:
    """Real tokens per second of `clock`: "wall" or "cpu"."""
    return float(record["tokens"]) / float(record[f"{clock}_s"])


def ratio(ours: Sequence[Record], theirs: Sequence[Record], clock: str) -> Spread | None:
    """Return how many times faster `ours` is: the spread of the quotients taken within each round."""
    other = {record["round"]: rate(record, clock) for record in theirs}
    return Spread.of(rate(r, clock) / other[r["round"]] for r in ours if r["round"] in other)


def share_of_limit(record: Record, clock: str) -> float | None:
    """Return achieved FLOP/s over the machine's own in the record's precision, measured just before it.

    By the "cpu" clock the time is the processors' own, spread over the threads.
    """
    limit = (record.get("limit") or {}).get(record["precision"])
    seconds = record["cpu_s"] / record["threads"] if clock == "cpu" else record["wall_s"]
    return float(record["flops"]) / float(seconds) / float(limit) if limit else None


def percentiles(records: Sequence[Record]) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds of every single query of every round."""
    times = np.concatenate([np.asarray(record["query_ms"], dtype=np.float64) for record in records])
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


def min_cosine(vectors: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float:
    """Return the smallest cosine between matching rows."""
    a, b = vectors.astype(np.float64), reference.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: npt.NDArray[np.float64] = (a * b).sum(axis=1) / lengths
    return float(cosines.min())
