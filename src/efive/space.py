"""The name of a vector space: vectors may be compared only if they come from the same one."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, Self

SPACE_VERSION = 1
"""Moves when a change of efive moves vectors beyond the published bounds."""

_LABELS = {
    "weights": "the weights",
    "tokenizer": "the tokenizer",
    "query_prefix": "the query prefix",
    "passage_prefix": "the passage prefix",
    "pooling": "the pooling",
    "normalized": "the normalisation",
    "dimension": "the dimension",
    "precision": "the precision",
    "version": "efive's space version",
}


@dataclass(frozen=True, slots=True)
class Space:
    """All that decides where a text lands. Two equal spaces give comparable vectors, on any machine."""

    weights: str
    """SHA-256 of the network: its arithmetic, and every tensor by name, shape and float32 value."""
    tokenizer: str
    """SHA-256 of `tokenizer.json`, canonically serialised."""
    query_prefix: str
    """What stands before queries; for instruct models the template, for each query may have its own task."""
    passage_prefix: str
    """What stands before passages."""
    pooling: str
    """`mean` or `last`."""
    normalized: bool
    """Whether vectors have length 1."""
    dimension: int
    """Components of a vector."""
    precision: str
    """`fp32`, `bf16`, `fp16` or `int8`."""
    version: int = SPACE_VERSION
    """Of efive's own arithmetic."""

    @property
    def fingerprint(self) -> str:
        """A short, stable name: `e5-` and 16 hexadecimal digits."""
        return _fingerprint(self)

    def difference(self, other: Self) -> str | None:
        """Return one sentence that says what differs from `other`, or None if nothing does."""
        parts = [
            f"{_LABELS[f.name]} ({_shown(getattr(self, f.name))} and {_shown(getattr(other, f.name))})"
            for f in fields(self)
            if getattr(self, f.name) != getattr(other, f.name)
        ]
        if not parts:
            return None
        listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
        verb = "differs" if len(parts) == 1 else "differ"
        return f"Spaces {self.fingerprint} and {other.fingerprint} are not the same: {listed} {verb}."

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain JSON values, the fingerprint among them."""
        return {"fingerprint": self.fingerprint, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild a space from `to_dict`."""
        names = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in names})


@lru_cache
def _fingerprint(space: Space) -> str:
    canonical = json.dumps(asdict(space), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return "e5-" + hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _shown(value: object) -> str:
    text = repr(value)
    is_hash = isinstance(value, str) and len(value) == 64
    return f"{value:.12}…" if is_hash else text
