"""Reading texts: lines, JSONL or Parquet, from files or stdin, one record at a time."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from efive.errors import InputError

FORMATS = ("text", "jsonl", "parquet")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
_IDS = ("id", "_id")


@dataclass(frozen=True, slots=True)
class Record:
    """Some texts of one line or row."""

    id: str | int
    """The record's own id if it has one, else its 0-based number."""
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from and how to read them."""

    path: Path | None
    """None reads stdin."""
    format: str
    fields: tuple[str, ...]
    """Fields of JSONL and columns of Parquet that hold the texts; in text files, tab-separated columns."""
    skip: Callable[[str], None] | None = None
    """Told of each invalid record, which is then left out; None makes invalid records errors."""

    @classmethod
    def of(cls, path: str | None, form: str | None, fields: tuple[str, ...], *, skip_invalid: bool) -> "Source":
        """Describe a source from command-line arguments; `-` or no path is stdin."""
        file = None if path in {None, "-"} else Path(str(path))
        if file is not None and not file.is_file():
            raise InputError(f"{file} is no file")
        known = form or (_SUFFIXES.get(file.suffix.lower(), "text") if file else "text")
        if known == "parquet" and file is None:
            raise InputError("Parquet cannot be read from a pipe; give the file's path")
        report = (lambda what: click.echo(f"efive: skipped {what}", err=True)) if skip_invalid else None
        return cls(file, known, fields, report)

    def __str__(self) -> str:
        return str(self.path) if self.path else "stdin"

    def state(self) -> dict[str, Any] | None:
        """Return what tells whether the input is still the same, or None for stdin."""
        if self.path is None:
            return None
        stat = self.path.stat()
        described = {"path": str(self.path.resolve()), "bytes": stat.st_size, "modified": stat.st_mtime_ns}
        return described | {"format": self.format, "fields": list(self.fields)}

    def count(self) -> int | None:
        """Return how many records there are, where that can be told without reading them; for progress."""
        if self.path is None:
            return None
        if self.format == "parquet":
            import pyarrow.parquet as pq

            return int(pq.ParquetFile(self.path).metadata.num_rows)
        with self.path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 22), b""))

    def read(self) -> Iterator[Record]:
        """Yield the records in order.

        Raises:
            InputError: naming file and line (or row) of a record that cannot be used.
        """
        if self.format == "parquet":
            yield from self._parquet()
            return
        parse = self._json if self.format == "jsonl" else self._text
        number = 0
        for line_number, raw in enumerate(self._lines(), 1):
            try:
                record = parse(raw, number)
            except InputError as error:
                self._invalid(f"{self}, line {line_number}: {error}")
                continue
            if record is not None:
                yield record
                number += 1

    def _invalid(self, what: str) -> None:
        if self.skip is None:
            raise InputError(f"{what}. Mend it, or leave such records out with --skip-invalid")
        self.skip(what)

    def _lines(self) -> Iterator[bytes]:
        if self.path is None:
            yield from sys.stdin.buffer
            return
        file: BinaryIO
        with self.path.open("rb") as file:
            yield from file

    def _text(self, raw: bytes, number: int) -> Record | None:
        line = _decode(raw).rstrip("\r\n")
        if len(self.fields) == 1:
            return Record(number, (line,))
        columns = line.split("\t")
        if len(columns) != len(self.fields):
            raise InputError(f"{len(columns)} tab-separated columns where {len(self.fields)} are needed")
        return Record(number, tuple(columns))

    def _json(self, raw: bytes, number: int) -> Record | None:
        if not raw.strip():
            return None  # a blank line at the end of a file is no record
        try:
            value = json.loads(_decode(raw))
        except ValueError as error:
            raise InputError(f"broken JSON: {error}") from None
        if isinstance(value, str) and len(self.fields) == 1:
            return Record(number, (value,))
        if not isinstance(value, dict):
            raise InputError(f"a JSON {type(value).__name__} where an object is needed")
        return _record(value, self.fields, number)

    def _parquet(self) -> Iterator[Record]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        assert self.path is not None
        try:
            file = pq.ParquetFile(self.path)
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.path} is no readable Parquet file: {error}") from None
        names = file.schema_arrow.names
        if missing := [field for field in self.fields if field not in names]:
            raise InputError(f"{self.path} has no column {missing[0]!r}; its columns are {', '.join(names)}")
        columns = [*self.fields, *[name for name in _IDS if name in names]]
        row = 0
        for batch in file.iter_batches(batch_size=1024, columns=columns):
            for values in batch.to_pylist():
                try:
                    yield _record(values, self.fields, row)
                except InputError as error:
                    self._invalid(f"{self.path}, row {row}: {error}")
                row += 1


@dataclass(frozen=True, slots=True)
class Given:
    """Texts given on the command line."""

    texts: tuple[str, ...]

    def __str__(self) -> str:
        return "--text"

    def state(self) -> dict[str, Any]:
        """Return what tells whether the input is still the same."""
        return {"texts": list(self.texts)}

    def count(self) -> int:
        """Return how many records there are."""
        return len(self.texts)

    def read(self) -> Iterator[Record]:
        """Yield the records in order."""
        for number, text in enumerate(self.texts):
            yield Record(number, (text,))


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start} is not UTF-8") from None


def _record(values: dict[str, Any], fields: tuple[str, ...], number: int) -> Record:
    texts = []
    for field in fields:
        if field not in values:
            raise InputError(f"no field {field!r}; it has {', '.join(values) or 'none'}. --field names another")
        if not isinstance(values[field], str):
            raise InputError(f"field {field!r} is {json.dumps(values[field])[:40]}, not a string")
        try:
            values[field].encode()
        except UnicodeEncodeError:
            raise InputError(f"field {field!r} has a lone surrogate: it was written with a wrong encoding") from None
        texts.append(values[field])
    own = next((values[name] for name in _IDS if isinstance(values.get(name), (str, int))), number)
    return Record(own, tuple(texts))
