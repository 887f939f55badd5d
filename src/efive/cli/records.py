"""Reading texts: lines, JSONL or Parquet, from files or stdin, one record at a time."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from efive.errors import InputError
from efive.jsonlines import decode, encodable, parse, shown, without_bom

FORMATS = ("text", "jsonl", "parquet")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
_UNCLEAR = (".json", ".csv", ".npy", ".gz", ".zst", ".bz2", ".xz", ".zip", ".xlsx", ".pdf", ".docx")
_IDS = ("id", "_id")


@dataclass(frozen=True, slots=True)
class Record:
    """Some texts of one line or row."""

    id: str | int
    """The record's own `id` or `_id` if it has one, else its 0-based number in the input; invalid ones count."""
    texts: tuple[str, ...]
    place: str
    """Where it is in the input, for people."""


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
        if file is not None and file.is_dir():
            raise InputError(f"{file} is a folder; name one file")
        if file is not None and not file.exists():
            raise InputError(f"{file} does not exist; for a text instead of a file, see --help")
        if file is not None and not form and file.suffix.lower() in _UNCLEAR:
            raise InputError(
                f"{file}: {file.suffix} is no format that efive reads. If each of its lines is a JSON value, use "
                "--from jsonl; if each line is a text, --from text; else convert it to .txt, .jsonl or .parquet"
            )
        known = form or (_SUFFIXES.get(file.suffix.lower(), "text") if file else "text")
        report = (lambda what: click.echo(f"efive: skipped {what}", err=True)) if skip_invalid else None
        source = cls(file, known, fields, report)
        if known == "parquet" and source.file is None:
            raise InputError("Parquet cannot be read from a pipe; give the file's path")
        return source

    def __str__(self) -> str:
        return str(self.path) if self.path else "stdin"

    @property
    def file(self) -> Path | None:
        """The file, if the input can be read again: None for stdin and named pipes."""
        return self.path if self.path and self.path.is_file() else None

    def state(self) -> dict[str, Any] | None:
        """Return what tells whether the input is still the same, or None for input that comes only once."""
        if self.file is None:
            return None
        stat = self.file.stat()
        described = {"input": str(self.file.resolve()), "input size": stat.st_size, "time of change": stat.st_mtime_ns}
        return described | {"input format": self.format, "field": ", ".join(self.fields)}

    def count(self) -> int | None:
        """Return how many records there are, where that can be told; for progress, so only on a terminal."""
        if self.file is None or not sys.stderr.isatty():
            return None
        if self.format == "parquet":
            return int(self._open_parquet().metadata.num_rows)
        with self.file.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 22), b""))

    def read(self) -> Iterator[Record]:
        """Yield the records in order.

        Raises:
            InputError: naming file and line (or row) of a record that cannot be used.
        """
        if self.format == "parquet":
            yield from self._parquet()
            return
        record_of = self._json if self.format == "jsonl" else self._text
        number = 0
        for line_number, raw in enumerate(self._lines(), 1):
            if self.format == "jsonl" and not raw.strip():
                continue  # a blank line is no record
            place = f"line {line_number}"
            try:
                yield record_of(raw, number, place)
            except InputError as error:
                self._invalid(f"{self}, {place}: {error}")
            number += 1

    def _invalid(self, what: str) -> None:
        if self.skip is None:
            raise InputError(f"{what}. Mend it, or leave such records out with --skip-invalid")
        self.skip(what)

    def _lines(self) -> Iterator[bytes]:
        if self.path is None:
            if sys.stdin.isatty():
                click.echo("efive: reading from the terminal, one text a line; Ctrl-D ends", err=True)
            yield from without_bom(sys.stdin.buffer)
            return
        with self.path.open("rb") as file:
            yield from without_bom(file)

    def _text(self, raw: bytes, number: int, place: str) -> Record:
        line = decode(raw).removesuffix("\n").removesuffix("\r")
        if len(self.fields) == 1:
            return Record(number, (line,), place)
        columns = line.split("\t")
        if len(columns) != len(self.fields):
            raise InputError(f"{len(columns)} tab-separated columns where {len(self.fields)} are needed")
        return Record(number, tuple(columns), place)

    def _json(self, raw: bytes, number: int, place: str) -> Record:
        value = parse(decode(raw.rstrip(b"\r\n")))
        if isinstance(value, str) and len(self.fields) == 1:
            return Record(number, (encodable(value, "the text"),), place)
        if not isinstance(value, dict):
            raise InputError(f"{shown(value)} where a JSON object is needed")
        return self._record(value, number, place)

    def _open_parquet(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.path} is no readable Parquet file: {error}") from None

    def _parquet(self) -> Iterator[Record]:
        import pyarrow as pa

        file = self._open_parquet()
        names = file.schema_arrow.names
        if missing := [field for field in self.fields if field not in names]:
            raise InputError(
                f"{self.path} has no column {missing[0]!r}; its columns are {', '.join(names)}. "
                f"Name another with {self._option}"
            )
        columns = list(dict.fromkeys([*self.fields, *[name for name in _IDS if name in names]]))
        row = 0
        try:
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for values in batch.to_pylist():
                    place = f"row {row}"
                    try:
                        yield self._record(values, row, place)
                    except InputError as error:
                        self._invalid(f"{self.path}, {place}: {error}")
                    row += 1
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.path} is damaged after row {row}: {error}") from None

    @property
    def _option(self) -> str:
        return "--field" if len(self.fields) == 1 else "--fields"

    def _record(self, values: dict[str, Any], number: int, place: str) -> Record:
        texts = []
        for field in self.fields:
            if field not in values:
                have = ", ".join(values) or "none"
                raise InputError(f"no field {field!r}; its fields: {have}. Name another with {self._option}")
            if not isinstance(values[field], str):
                raise InputError(f"field {field!r} is {shown(values[field])}, not a string")
            texts.append(encodable(values[field], f"field {field!r}"))
        own = next((values[name] for name in _IDS if values.get(name) is not None), number)
        if type(own) not in {str, int}:
            raise InputError(f"its id is {shown(own)}, neither a string nor an integer")
        return Record(encodable(own, "its id") if isinstance(own, str) else own, tuple(texts), place)


@dataclass(frozen=True, slots=True)
class Given:
    """Texts given on the command line."""

    texts: tuple[str, ...]
    file: Path | None = None

    def __str__(self) -> str:
        return "--text"

    def state(self) -> dict[str, Any]:
        """Return what tells whether the input is still the same."""
        return {"--text": list(self.texts)}

    def count(self) -> int:
        """Return how many records there are."""
        return len(self.texts)

    def read(self) -> Iterator[Record]:
        """Yield the records in order."""
        for number, text in enumerate(self.texts):
            yield Record(number, (text,), f"number {number + 1}")
