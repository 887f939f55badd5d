"""What the files of a training set say, whatever their form: queries, their passages, and scores."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Reference = str | int
"""A passage: its text, or the 0-based row of the set's corpus."""


@dataclass(frozen=True, slots=True)
class Example:
    """One training example, as it stands in a file."""

    query: str
    positives: tuple[Reference, ...]
    """Passages that answer the query; at least one."""
    negatives: tuple[Reference, ...] = ()
    """Passages that do not."""
    positive_scores: tuple[float, ...] | None = None
    """A teacher's scores, one per positive."""
    negative_scores: tuple[float, ...] | None = None
    """A teacher's scores, one per negative."""
    language: str = ""
    """`xx`, or `xx-yy` for a query in xx with passages in yy; empty where the file does not say."""
    place: str = ""
    """File and line (1-based) or row (0-based), for people."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that cannot be used as it stands."""

    place: str
    kind: str
    """One stable word.

    `json`, `missing`, `type`, `empty`, `unknown_id`, `encoding`, `scores`: the record is left out.
    `damaged`: the file cannot be read further. `overlap`, `row_id`: the record is used, see `mended`.
    """
    message: str
    mended: bool = False
    """True if the record is used all the same: without the negatives that are positives too (`overlap`), or a
    passage by its row although its own `id` says another number (`row_id`)."""


OnProblem = Callable[[Problem], None]
"""Told of each record that is left out or mended."""


class TrainingSet(Protocol):
    """A training set on disk, read in a stream as often as needed."""

    @property
    def name(self) -> str:
        """Of the folder or file, for people and logs."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from; their content is the data's fingerprint."""
        ...

    def passages(self) -> Iterator[str]:
        """Yield the corpus row by row, title and text joined; nothing for forms that hold texts inline.

        A row that cannot be used is `""`, so that later rows keep their numbers; no example refers to it.
        """
        ...

    def examples(self) -> Iterator[Example]:
        """Yield the examples in the order of the file; every `int` in them is a usable row of the corpus."""
        ...
