"""What was measured, as data: written as JSON, read by reports, comparisons and gates."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from efive.errors import InputError

FORMAT = 1
MODEL = "model"
"""The system that is the model itself; others are `bm25`, `hybrid_rrf`, `hybrid_normalised`, `hybrid_tuned`."""

Scores = dict[str, float]


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What one system reached on a task."""

    scores: Scores
    """By measure."""
    by_query: dict[str, float] = field(default_factory=dict)
    """The main measure of each query or text, where it has one of its own; else what `each` names."""
    best: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    """The first documents of each query with their scores, best first."""
    note: str = ""
    """How it was set, such as the weights of a tuned hybrid and on what they were tuned."""
    each: str = ""
    """The measure that `by_query` has, where it is not the main one: a sentence has an accuracy and no F1."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """A published figure: not measured here."""

    model: str
    scores: Scores
    source: str


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task."""

    name: str
    kind: str
    language: str
    measures: list[str]
    """The main one first."""
    protocol: str
    roles: dict[str, str]
    """With which role each side was embedded, such as {"queries": "query", "documents": "passage"}."""
    data: dict[str, Any]
    """`digest`, counts (`queries`, `documents`, …), `sampled`."""
    systems: dict[str, SystemResult]
    quoted: list[Quoted] = field(default_factory=list)
    contamination: list[str] = field(default_factory=list)
    """What the model's card says it was trained on that this task is made of; a sentence each."""
    cost: dict[str, float] = field(default_factory=dict)
    """`texts`, `seconds` (wall clock), `texts_per_second`, of embedding, what came from the cache left out. Of
    retrieval also `search_seconds` and `baselines_seconds`."""
    extras: dict[str, Any] = field(default_factory=dict)
    """Distributions, hubness and the like, by name."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that could not be measured."""

    name: str
    kind: str
    language: str
    reason: str
    """What was wrong, for people."""


@dataclass(frozen=True, slots=True)
class Run:
    """All that is needed to know what was measured, and to measure it again."""

    model: dict[str, Any]
    """`name`, `space`, `engine`, `precision`, `device`, `max_tokens`, `window`, `overlap`, `prompts`."""
    machine: dict[str, Any]
    versions: dict[str, str]
    command: str
    seed: int
    created: str
    """ISO 8601, UTC."""
    tasks: list[TaskResult]
    failed: list[Failure] = field(default_factory=list)
    """Tasks that could not be measured; the others went on."""
    extras: dict[str, Any] = field(default_factory=dict)
    """What is of the run and of no task, by name: `languages` (gaps between them, shared pools), `map` (a sample of all
    texts on a plane), `notes` (what is missing beside the figures, and why)."""
    format: int = FORMAT

    def write(self, path: Path) -> None:
        """Write the run as JSON."""
        draft = path.with_name(path.name + ".part")
        text = json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))
        # A path on the command line may be no UTF-8; what stands for its bytes is escaped, as JSON has it.
        draft.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a run.

        Raises:
            InputError: if the file is no run, or one of a later efive.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise InputError(f"{path} has format {values['format']!r}; this efive reads {FORMAT}")
            failed = [Failure(**each) for each in values.get("failed", [])]
            return cls(**values | {"tasks": [_task(task) for task in values["tasks"]], "failed": failed})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is no run of `efive evaluate --json`: {error}") from None


def _task(values: Mapping[str, Any]) -> TaskResult:
    systems = {name: SystemResult(**system) for name, system in values["systems"].items()}
    for system in systems.values():
        for query, found in system.best.items():
            system.best[query] = [(document, score) for document, score in found]
    return TaskResult(**{**values, "systems": systems, "quoted": [Quoted(**each) for each in values["quoted"]]})
