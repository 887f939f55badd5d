"""What mining gave, counted from the file that it wrote."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one mined set; a mean is None where there is nothing to take the mean of."""

    queries: int
    passages: int
    full: int
    """Queries with as many negatives as were asked for."""
    fewer: int
    """Queries with some, but fewer."""
    none: int
    """Queries without any."""
    dropped: int
    """Candidates that scored too close to a positive."""
    queries_with_dropped: int
    positive_score: float | None
    """Mean over all positives."""
    negative_score: float | None
    """Mean over all negatives."""
    mrr: float
    """Mean of 1 / rank of the first positive; 0 beyond `cutoff`."""
    cutoff: int

    @classmethod
    def of(cls, file: Path, negatives: int, cutoff: int, passages: int) -> "Statistics":
        """Count the lines of a mined `train.jsonl`."""
        count: Counter[str] = Counter()
        total: Counter[str] = Counter()
        reciprocal = 0.0
        with file.open(encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                found = len(line["negatives"]["doc_id"])
                count["queries"] += 1
                count["full" if found == negatives else "fewer" if found else "none"] += 1
                count["dropped"] += line["dropped"]
                count["with dropped"] += line["dropped"] > 0
                for side in ("positives", "negatives"):
                    count[side] += len(line[side]["score"])
                    total[side] += sum(line[side]["score"])
                reciprocal += 1 / line["rank"] if line["rank"] else 0
        mean = {side: total[side] / count[side] if count[side] else None for side in ("positives", "negatives")}
        return cls(
            queries=count["queries"],
            passages=passages,
            full=count["full"],
            fewer=count["fewer"],
            none=count["none"],
            dropped=count["dropped"],
            queries_with_dropped=count["with dropped"],
            positive_score=mean["positives"],
            negative_score=mean["negatives"],
            mrr=reciprocal / max(1, count["queries"]),
            cutoff=cutoff,
        )

    def lines(self) -> Iterator[str]:
        """Yield what people read."""
        yield f"{self.queries} queries, {self.passages} passages"
        yield f"negatives: {self.full} queries got all, {self.fewer} fewer, {self.none} none"
        yield f"dropped as false negatives: {self.dropped} candidates of {self.queries_with_dropped} queries"
        yield f"mean score: positives {_number(self.positive_score)}, negatives {_number(self.negative_score)}"
        yield f"MRR@{self.cutoff} of the positives before training: {self.mrr:.4f}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
