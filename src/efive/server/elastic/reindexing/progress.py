"""How far work on many documents is."""

import time
from dataclasses import dataclass, field
from typing import Any

from efive.server.elastic.errors import ElasticError
from efive.server.elastic.indices.operations import Outcome


@dataclass(slots=True)
class Progress:
    """How far such a task is; its counters have Elasticsearch's names."""

    requests_per_second: float = -1.0
    proceed: bool = False
    """Whether a document that was changed meanwhile is counted and no more."""
    total: int = 0
    updated: int = 0
    created: int = 0
    deleted: int = 0
    batches: int = 0
    version_conflicts: int = 0
    noops: int = 0
    throttled: float = 0.0
    """Seconds that it has slept."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    cancelled: bool = False

    def status(self) -> dict[str, Any]:
        """Return the counters, as tasks show them."""
        return {
            "total": self.total,
            "updated": self.updated,
            "created": self.created,
            "deleted": self.deleted,
            "batches": self.batches,
            "version_conflicts": self.version_conflicts,
            "noops": self.noops,
            "retries": {"bulk": 0, "search": 0},
            "throttled_millis": int(1000 * self.throttled),
            "requests_per_second": self.requests_per_second,
            "throttled_until_millis": 0,
        }

    def answer(self) -> dict[str, Any]:
        """Return what the request is answered with."""
        took = {"took": int(1000 * (time.monotonic() - self.began)), "timed_out": False}
        ended = {"canceled": "by user request"} if self.cancelled else {}
        return {**took, **self.status(), **ended, "failures": self.failures}

    def count(self, index: str, outcome: Outcome) -> None:
        """Take note of what became of a document."""
        if outcome.error is not None:
            if outcome.error.status == 409:
                self.version_conflicts += 1
                if self.proceed:
                    return
            self.fail(index, outcome.id, outcome.error)
        elif outcome.result == "created":
            self.created += 1
        elif outcome.result == "updated":
            self.updated += 1
        elif outcome.result == "deleted":
            self.deleted += 1
        else:
            self.noops += 1

    def fail(self, index: str, id_: str | None, error: ElasticError) -> None:
        """Take note of a document that could not be written."""
        self.failures.append({"index": index, "id": id_, "cause": error.to_dict(), "status": error.status})
