"""Files of tasks, read as a stream: lines, JSON objects, tables, packed or not; and what identifies them."""

import csv
import gzip
import hashlib
import lzma
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BufferedIOBase
from pathlib import Path

from efive.errors import InputError
from efive.jsonlines import decode, encodable, parse, shown, without_bom

LINES = (".jsonl", ".ndjson")
TABLES = (".tsv", ".csv")
PACKED = ("", ".gz", ".xz")
HEADINGS = frozenset(
    (
        *("id", "query", "question", "anchor", "passage", "positive", "negative"),
        *("score", "similarity", "similarity_score", "sentence1", "sentence2"),
        *("text", "sentence", "label", "label_text", "intent", "category"),
    )
)
"""What a header of a table is known by. Two are needed: "positive" alone may be a label."""
_QUERY_COLUMN = frozenset(("query-id", "query_id", "queryid", "query", "qid", "topic"))
_LONGEST = 1 << 26
"""Bytes of one line: a file that is one huge JSON array must not be read into memory whole."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line's named values."""

    place: str
    """File and line, for people."""
    values: Mapping[str, object]

    def has(self, *names: str) -> bool:
        """Say whether one of the fields is there; null counts as absent."""
        return any(self.values.get(name) is not None for name in names)

    def value(self, *names: str) -> object:
        """Return the first of the fields that is there.

        Raises:
            InputError: if none is.
        """
        for name in names:
            if (value := self.values.get(name)) is not None:
                return value
        have = ", ".join(map(str, self.values)).encode("utf-8", "backslashreplace").decode()[:200]
        wanted = " or ".join(map(repr, names))
        raise InputError(f"{self.place}: no field {wanted}; its fields: {have or 'none'}. Rename the one that holds it")

    def text(self, *names: str) -> str:
        """Return the first of the fields, which must be a text."""
        return checked_text(self.value(*names), names[0], self.place)

    def text_or(self, default: str, *names: str) -> str:
        """Return the first of the fields, or `default` if there is none."""
        return self.text(*names) if self.has(*names) else default

    def name(self, *names: str) -> str:
        """Return an id or a label: a string, or a number as one."""
        value = self.value(*names)
        if type(value) not in {str, int}:
            raise InputError(f"{self.place}: field {names[0]!r} is {shown(value)}, neither a string nor an integer")
        return encodable(str(value), f"{self.place}: field {names[0]!r}")

    def number(self, *names: str) -> float:
        """Return the first of the fields, which must be a finite number or one in words of a table."""
        value = self.value(*names)
        try:
            number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        except (ValueError, OverflowError):
            number = None
        if number is None or not math.isfinite(number):
            raise InputError(f"{self.place}: field {names[0]!r} is {shown(value)}, which is no finite number")
        return number

    def texts(self, *names: str) -> list[str]:
        """Return one text or a list of them; those of Tevatron are objects with a title and a text."""
        value = self.value(*names)
        items = value if isinstance(value, list) else [value]
        return [self._item(item, f"{names[0]}, item {n}") for n, item in enumerate(items)]

    def _item(self, item: object, what: str) -> str:
        if isinstance(item, dict):
            return document_text(Record(f"{self.place}, {what}", item))
        return checked_text(item, what, self.place)


def checked_text(value: object, what: str, place: str) -> str:
    """Return `value` if it is a text that can be written again.

    Raises:
        InputError: naming place and field.
    """
    if not isinstance(value, str):
        raise InputError(f"{place}: field {what!r} is {shown(value)}, not a string")
    return value if value.isascii() else encodable(value, f"{place}: field {what!r}")


def document_text(record: Record) -> str:
    """Return title and body joined by a space, as E5, BEIR and mteb read them; either may be empty."""
    title = record.text_or("", "title")
    return f"{title} {record.text('text', 'contents', 'passage')}".strip()


def find(folder: Path, stem: str, suffixes: Iterable[str]) -> Path | None:
    """Return the file of that name, packed or not.

    Raises:
        InputError: if there are two of it.
    """
    found = [file for suffix in suffixes for packed in PACKED if (file := folder / f"{stem}{suffix}{packed}").is_file()]
    if len(found) > 1:
        raise InputError(f"{folder} has both {found[0].name} and {found[1].name}; keep one of them")
    return found[0] if found else None


def parted(file: Path) -> tuple[str, str]:
    """Return a file's name without its suffixes, and its suffix in lower case without that of the packing."""
    bare = file.with_suffix("") if file.suffix.lower() in PACKED[1:] else file
    return bare.stem, bare.suffix.lower()


def lines(file: Path) -> Iterator[tuple[str, str]]:
    r"""Yield place and text of each line, without its end; only `\n` and `\r\n` end one.

    Raises:
        InputError: if the file cannot be read, or naming the line that is not UTF-8.
    """
    number = 0
    try:
        with _opened(file) as stream:
            for raw in without_bom(iter(partial(stream.readline, _LONGEST), b"")):
                number += 1
                place = f"{file}, line {number}"
                if len(raw) >= _LONGEST:
                    raise InputError(f"{place} has more than {_LONGEST:,} bytes; each line must be one record")
                try:
                    text = decode(raw.removesuffix(b"\n").removesuffix(b"\r"))
                except InputError as error:
                    raise InputError(f"{place}: {error}") from None
                yield place, text
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        after = f" after line {number}" if number else ""
        raise InputError(f"{file} cannot be read{after}: {error}. Fetch or unpack it again") from None


def _opened(file: Path) -> BufferedIOBase:
    packing = file.suffix.lower()
    return gzip.open(file) if packing == ".gz" else lzma.open(file) if packing == ".xz" else file.open("rb")


def records(file: Path, columns: Sequence[str] = ()) -> Iterator[Record]:
    """Yield the records of a JSONL, TSV or CSV file.

    A table's first row is its header if two of its cells are names of fields; without a header its columns are
    `columns`. Quotation marks mean nothing in TSV. Blank lines are no records.

    Raises:
        InputError: naming file and line.
    """
    suffix = parted(file)[1]
    if suffix in LINES:
        yield from _objects(file)
        return
    rows = _csv(file) if suffix == ".csv" else ((place, line.split("\t")) for place, line in lines(file))
    names: Sequence[str] = ()
    for place, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if not names:
            heads = [cell.strip().lower() for cell in row]
            header = len(HEADINGS.intersection(heads)) > 1
            names = heads if header else columns
            if header:
                continue
        if len(row) != len(names):
            needed = f"{len(names)} are needed ({', '.join(names)})" if names else "there is no header"
            raise InputError(f"{place}: {len(row)} columns where {needed}. Mend it, or write JSONL instead")
        yield Record(place, dict(zip(names, row, strict=True)))


def _objects(file: Path) -> Iterator[Record]:
    for place, line in lines(file):
        if not line.strip():
            continue
        try:
            values = parse(line)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        if not isinstance(values, dict):
            raise InputError(f"{place}: {shown(values)} where a JSON object is needed")
        yield Record(place, values)


def _csv(file: Path) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader((f"{line}\n" for _, line in lines(file)), strict=True)
    try:
        for row in reader:
            yield f"{file}, line {reader.line_num}", row
    except csv.Error as error:
        raise InputError(f"{file}, line {reader.line_num}: {error}. Write it as JSONL instead") from None


def judgements(file: Path) -> Iterator[tuple[str, str, str, int]]:
    """Yield place, query, document and relevance of each line of a relevance file.

    JSONL, CSV, or columns parted by tabs or spaces: query and document, then the relevance (1 if there is none); four
    columns are TREC's, whose second says nothing. A first row whose first cell names queries is a header.
    """
    if parted(file)[1] in LINES:
        for record in _objects(file):
            query = record.name("query-id", "query_id", "query", "qid")
            document = record.name("corpus-id", "passage_id", "passage", "doc_id", "docid", "document")
            grade = record.number("relevance", "score") if record.has("relevance", "score") else 1
            yield record.place, query, document, _grade(grade, record.place)
        return
    for number, (place, cells) in enumerate(_cells(file)):
        if not cells or (number == 0 and cells[0].strip().lower() in _QUERY_COLUMN):
            continue
        if not 2 <= len(cells) <= 4:
            raise InputError(f"{place}: {len(cells)} columns; a judgement is query, document and relevance")
        document = cells[2] if len(cells) == 4 else cells[1]
        yield place, cells[0], document, _grade(cells[-1] if len(cells) > 2 else 1, place)


def _cells(file: Path) -> Iterator[tuple[str, list[str]]]:
    if parted(file)[1] == ".csv":
        return _csv(file)
    return ((place, line.split("\t" if "\t" in line else None)) for place, line in lines(file))


def _grade(value: object, place: str) -> int:
    try:
        grade = float(str(value))
        if grade == int(grade):
            return int(grade)
    except (ValueError, OverflowError):
        pass
    raise InputError(f"{place}: the relevance is {shown(value)}, no whole number")


def digest(root: Path, files: Iterable[Path]) -> str:
    """Return the SHA-256 over the names below `root` and the contents of `files`."""
    whole = hashlib.sha256()
    for name, file in sorted((file.relative_to(root).as_posix(), file) for file in set(files)):
        state = file.stat()
        whole.update(f"{name}\n{_content(file, state.st_size, state.st_mtime_ns)}\n".encode())
    return whole.hexdigest()


@lru_cache(maxsize=4096)  # the English side of a hundred language pairs is one file
def _content(file: Path, size: int, changed: int) -> str:  # noqa: ARG001 - they tell whether it is still the same
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
