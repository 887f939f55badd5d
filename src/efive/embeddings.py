"""What the encoder is asked for beside the texts, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from efive.errors import InputError
from efive.inputs import Overflow, Role, TokenUsage, parse_overflow, parse_role
from efive.preparation import Request, Span
from efive.space import Space
from efive.vectors import Floats


@dataclass(frozen=True)
class Embeddings:
    """Vectors of some texts, and what became of each text."""

    vectors: Floats
    """(rows, dimension) float32, unit length. One row per text; with `chunk`, one per window."""
    usage: list[TokenUsage]
    """One per text."""
    spans: list[Span]
    """One per row: which text, and which characters of it, the vector stands for."""
    space: Space
    """Vectors may be compared only with vectors of the same space."""

    def __len__(self) -> int:
        return len(self.vectors)


class EmbedOptions(TypedDict, total=False):
    """Options of `embed`, `embed_queries`, `embed_passages` and `stream`."""

    overflow: Overflow | str
    """What to do with texts beyond the token limit: `end` (default), `start`, `chunk`, `error`."""
    overlap: int
    """Tokens that neighbouring windows share, with `chunk`."""
    strict: bool
    """Refuse texts that are empty or already carry a prefix."""
    progress: Callable[[int], None]
    """Called with the number of vectors just computed, from any thread."""


def request_of(role: Role | str, options: EmbedOptions) -> Request:
    """Return what is asked for, with the defaults.

    Raises:
        InputError: naming an option that there is none of, or that does not go with another.
    """
    if unknown := set(options) - set(EmbedOptions.__annotations__):
        raise InputError(f"no option {', '.join(sorted(unknown))}; options: {', '.join(EmbedOptions.__annotations__)}")
    overlap = options.get("overlap", 0)
    overflow = parse_overflow(options.get("overflow", Overflow.END))
    if overlap and overflow is not Overflow.CHUNK:
        raise InputError(f"overlap is {overlap}, but overflow={overflow!s} makes no windows; use overflow='chunk'")
    return Request(parse_role(role), overflow, overlap, options.get("strict", False))
