"""The kinds of training sets: JSON lines, Parquet rows, and examples beside a corpus, each read in a stream."""

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from efive.errors import InputError
from efive.jsonlines import without_bom
from efive.training.data.examples import Example, OnProblem, Problem
from efive.training.data.records import (
    LONGEST_LINE,
    Refused,
    Rows,
    Values,
    indexed_example,
    inline_example,
    is_known,
    passage_of,
    values_of,
    without_overlap,
    wrong_row_id,
)

Advance = Callable[[int], None]
"""Told of bytes read since the last call, as they lie on disk; for progress."""

_BATCH = 1024
_WAY_OUT = "Mend it, or leave such records out (on_problem, --skip-invalid); `efive data check` lists them all"


@dataclass(slots=True)
class LineSet:
    """A file of JSON lines that hold their texts: pairs, triplets, FlagEmbedding, Sentence Transformers, Tevatron."""

    name: str
    files: tuple[Path, ...]
    on_problem: OnProblem | None = None
    advance: Advance | None = None

    def passages(self) -> Iterator[str]:
        """Yield nothing: the texts are in the examples."""
        return iter(())

    def examples(self) -> Iterator[Example]:
        """Yield the examples in the order of the file; blank lines are no records.

        Raises:
            InputError: naming file and line, without `on_problem`.
        """
        return _examples(_records(self.files[0], self.on_problem, self.advance), inline_example, self.on_problem)


@dataclass(slots=True)
class ParquetSet:
    """A Parquet file with the columns of a `LineSet`'s fields."""

    name: str
    files: tuple[Path, ...]
    on_problem: OnProblem | None = None
    advance: Advance | None = None

    def passages(self) -> Iterator[str]:
        """Yield nothing: the texts are in the examples."""
        return iter(())

    def examples(self) -> Iterator[Example]:
        """Yield the examples row by row.

        Raises:
            InputError: naming file and row, without `on_problem`.
        """
        return _examples(self._rows(), inline_example, self.on_problem)

    def _rows(self) -> Iterator[tuple[str, Values | Refused]]:
        path, row = self.files[0], 0
        try:
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
                # Without a known column pyarrow yields no rows: then every column is read, and each row refused.
                columns = [name for name in names if is_known(name)] or names
                size, total = path.stat().st_size, max(1, file.metadata.num_rows)
                for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                    for values in _batch_values(batch):
                        yield f"{path}, row {row}", values
                        row += 1
                    if self.advance:
                        self.advance(size * row // total - size * (row - len(batch)) // total)
        except (pa.ArrowException, OSError) as error:
            _tell(Problem(str(path), "damaged", f"no readable Parquet after row {row}: {error}"), self.on_problem)


@dataclass(slots=True)
class CorpusSet:
    """SambaStudio's and SimLM's form (arXiv 2207.02578): passages by row, examples that name them by 0-based row."""

    name: str
    files: tuple[Path, ...]
    on_problem: OnProblem | None = None
    advance: Advance | None = None
    _known: Rows | None = field(default=None, repr=False)

    def passages(self) -> Iterator[str]:
        """Yield the corpus row by row, `""` for rows that cannot be used.

        Raises:
            InputError: naming file and line, without `on_problem`.
        """
        rows = Rows()
        yield from _corpus(self.files[0], rows, self.on_problem, self.advance)
        self._known = rows

    def examples(self) -> Iterator[Example]:
        """Yield the examples in the order of the file.

        Which rows exist must be known: unless `passages()` was read to its end, the corpus is read once before.

        Raises:
            InputError: naming file and line, without `on_problem`.
        """
        if self._known is None:
            rows = Rows()
            for _ in _corpus(self.files[0], rows, self.on_problem and _hear_nothing, None):
                pass
            self._known = rows
        records = _records(self.files[1], self.on_problem, self.advance)
        yield from _examples(records, partial(indexed_example, rows=self._known), self.on_problem)


def _examples(
    records: Iterable[tuple[str, Values | Refused]],
    make: Callable[[Values, str], Example],
    on_problem: OnProblem | None,
) -> Iterator[Example]:
    """Yield what `make` makes of each record; tell of those that it refuses."""
    for place, values in records:
        try:
            if isinstance(values, Refused):
                raise values
            example, wrong = without_overlap(make(values, place))
        except Refused as refused:
            _tell(Problem(place, refused.kind, str(refused)), on_problem)
            continue
        if wrong:
            _tell(Problem(place, "overlap", wrong, mended=True), on_problem)
        yield example


def _corpus(file: Path, rows: Rows, on_problem: OnProblem | None, advance: Advance | None) -> Iterator[str]:
    """Yield the rows and count them; blank lines at the end are no rows, others are rows without a passage."""
    blank = 0
    for number, raw in _lines(file, on_problem, advance):
        if not raw.strip():
            blank += 1
            continue
        for line in range(number - blank, number):
            _tell(Problem(f"{file}, line {line}", "empty", f"a blank line where row {line - 1} should be"), on_problem)
            rows.add(usable=False)
            yield ""
        blank = 0
        text = _passage(raw, f"{file}, line {number}", rows.count, on_problem)
        rows.add(usable=bool(text))
        yield text


def _passage(raw: bytes, place: str, row: int, on_problem: OnProblem | None) -> str:
    try:
        values = values_of(raw)
        text = passage_of(values)
    except Refused as refused:
        _tell(Problem(place, refused.kind, str(refused)), on_problem)
        return ""
    if wrong := wrong_row_id(values, row):
        _tell(Problem(place, "row_id", wrong, mended=True), on_problem)
    return text


def _hear_nothing(_: Problem) -> None:
    """Be told of problems that `passages()` tells, too."""


def _tell(problem: Problem, on_problem: OnProblem | None) -> None:
    if on_problem is None:
        raise InputError(f"{problem.place}: {problem.message}. {_WAY_OUT}")
    on_problem(problem)


def _batch_values(batch: Any) -> Iterator[Values | Refused]:  # noqa: ANN401 - pyarrow has no types
    """Yield the rows of a batch; a string that is no UTF-8 spoils only its own row."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:  # before the first row, for the list is made at once
        for number in range(len(batch)):
            try:
                row = batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                row = Refused("encoding", f"a text is not UTF-8 ({error.reason}); write the file anew")
            yield row


def _records(
    file: Path, on_problem: OnProblem | None, advance: Advance | None
) -> Iterator[tuple[str, Values | Refused]]:
    """Yield place and object of each line that is not blank."""
    for number, raw in _lines(file, on_problem, advance):
        if raw.strip():
            try:
                values: Values | Refused = values_of(raw)
            except Refused as refused:
                values = refused
            yield f"{file}, line {number}", values


def _lines(path: Path, on_problem: OnProblem | None, advance: Advance | None) -> Iterator[tuple[int, bytes]]:
    """Yield line numbers from 1 and lines, blank ones too; a damaged packed file ends with a problem."""
    number = before = 0
    with path.open("rb") as raw, _unpacked(raw, path) as file:
        try:
            for number, line in enumerate(without_bom(_bounded(file)), 1):
                yield number, line
                if advance and number % _BATCH == 0:
                    here = raw.tell()
                    advance(here - before)
                    before = here
        except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
            _tell(Problem(str(path), "damaged", f"damaged after line {number}: {error}"), on_problem)
        if advance:
            advance(raw.tell() - before)


def _unpacked(raw: BinaryIO, path: Path) -> BinaryIO:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast("BinaryIO", gzip.open(raw))
    return cast("BinaryIO", lzma.open(raw)) if suffix == ".xz" else raw


def _bounded(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines; of one that is longer than `LONGEST_LINE`, only so much that its length is seen."""
    while line := file.readline(LONGEST_LINE + 1):
        rest = line
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE + 1)
        yield line
