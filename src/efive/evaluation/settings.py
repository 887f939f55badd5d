"""What an evaluation is told, and what its tasks are measured with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from efive.errors import InputError
from efive.evaluation.cache import EmbeddingCache, Watch
from efive.evaluation.corpus import Shape
from efive.evaluation.results import SystemResult

BASELINES = ("bm25", "hybrid_rrf", "hybrid_normalised", "hybrid_tuned")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an evaluation depends on beside encoder and tasks."""

    window: int | None = None
    """Tokens of a window of documents; None is the model's own."""
    overlap: int | None = None
    """Tokens that windows share; None is a quarter of the window."""
    baselines: Sequence[str] = BASELINES
    """Systems that retrieval is measured with beside the model."""
    cache: Path | None = None
    """Where vectors are kept; None forgets them after the run."""
    prefixes: Mapping[str, str] = field(default_factory=dict)
    """Policies by name or kind of task; see `efive.evaluation.roles`."""
    seed: int = 0
    threads: int | None = None
    """Processors for arithmetic beside the encoder's, which has its own; None is all."""
    keep: int = 10
    """Documents of each query to keep in the result; 0 keeps none."""
    full_train: bool = False
    """Whether classification trains on all training texts once, not on ten draws of 8 for each label."""
    common: float = 1.0
    """BM25's queries do without terms that more than this share of the documents has; 1 keeps all."""
    distributions: bool = True
    """Whether scores and hubness are looked at."""
    pooled: int = 300
    """Queries of each language that are asked where a set's languages are searched in one pool; 0 leaves it out."""
    model: str = ""
    """What the model is called."""
    command: str = ""
    """That asked for the run, to ask for it again."""

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.baselines) - set(BASELINES)):
            raise InputError(f"no baseline {', '.join(unknown)}; there are {', '.join(BASELINES)}")


@dataclass(frozen=True, slots=True)
class Bench:
    """What tasks are measured with."""

    cache: EmbeddingCache
    shape: Shape
    settings: Settings
    watch: Watch


@dataclass(frozen=True, slots=True)
class Outcome:
    """What measuring a task gave."""

    systems: dict[str, SystemResult]
    data: dict[str, Any]
    """Counts."""
    extras: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall clock by what was done; embedding is counted by the cache."""
