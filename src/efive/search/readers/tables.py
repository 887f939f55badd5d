"""CSV and TSV with a header line: each row a record."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import TextIOWrapper

from efive.errors import InputError
from efive.search.documents import Document
from efive.search.readers.files import File, Options
from efive.search.readers.records import ID_FIELDS, Record, documents, text_field
from efive.search.readers.text import encoding_of

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})(\.\d+)?(?:[eE][+-]?\d{1,3})?")
_SAMPLE = 256 << 10

Row = tuple[int, list[str] | InputError]
"""The line that it begins in, from 1, and its cells, or why there are none."""


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield a document for each row that can be one; numbers are numbers where a column has nothing else.

    Raises:
        InputError: for a header that cannot be used.
    """
    csv.field_size_limit(options.max_bytes)  # it is the whole process's; the default is 128 KiB
    with file.seekable(options.max_bytes) as opened:
        sample = opened.read(_SAMPLE)
        opened.seek(0)
        encoding = encoding_of(sample)
        mark = _delimiter(sample.decode(encoding, "replace").partition("\n")[0], file)
        # What is not UTF-8 comes as surrogates, and its record is refused; other encodings have no such way.
        text = TextIOWrapper(opened, encoding, "surrogateescape" if encoding == "utf-8" else "replace", newline="")
        try:
            yield from _documents(text, mark, file, options)
        finally:
            text.detach()  # whoever opened the file closes it


def _documents(text: TextIOWrapper, mark: str, file: File, options: Options) -> Iterator[Document]:
    rows = _rows(text, mark)
    header = _header(rows)
    texts = {text_field(header, options), "title", options.id_field, *ID_FIELDS}
    numeric = _numeric(rows, header, texts)
    text.seek(0)
    rows = _rows(text, mark)
    next(rows)
    yield from documents(file, "csv", "line", _records(rows, header, numeric), options)


def _rows(text: TextIOWrapper, mark: str) -> Iterator[Row]:
    """Yield the rows of a table from where it is, those without any cell left out."""
    reader = csv.reader(text, delimiter=mark, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start, InputError(f"broken CSV: {error} (read up to line {reader.line_num})")
        else:
            if cells:
                yield start, cells


def _delimiter(header: str, file: File) -> str:
    """Return what separates cells: spreadsheets write semicolons where the comma is the decimal mark."""
    if file.path.suffix.lower() == ".tsv":
        return "\t"
    return next((mark for mark in ",;\t" if mark in header), ",")


def _header(rows: Iterator[Row]) -> list[str]:
    _, cells = next(rows, (0, InputError("it is empty: there is no header line")))
    if isinstance(cells, InputError):
        raise cells
    names = [cell.strip() for cell in cells]
    twice = [name for number, name in enumerate(names) if name and name in names[:number]]
    if twice:
        raise InputError(f"two of its columns are named {twice[0]!r}; rename one")
    return names


def _numeric(rows: Iterable[Row], header: Sequence[str], texts: set[str | None]) -> set[str]:
    """Return the columns that hold nothing but numbers: leading zeros mean that they are codes."""
    left = {number: name for number, name in enumerate(header) if name not in texts}
    for _, cells in rows:
        if not left:
            break
        for number, cell in enumerate([] if isinstance(cells, InputError) else cells):
            if number in left and cell.strip() and not _NUMBER.fullmatch(cell.strip()):
                del left[number]
    return set(left.values())


def _records(rows: Iterable[Row], header: Sequence[str], numeric: set[str]) -> Iterator[Record]:
    for line, cells in rows:
        if isinstance(cells, InputError):
            yield line, cells
        elif len(cells) != len(header):
            yield line, InputError(f"{len(cells)} cells where the header has {len(header)}")
        else:
            pairs = zip(header, cells, strict=True)
            yield line, {name: _number(cell) if name in numeric else cell or None for name, cell in pairs}


def _number(cell: str) -> int | float | None:
    found = _NUMBER.fullmatch(cell.strip())
    if not found:
        return None
    return int(cell) if cell.strip().lstrip("+-").isdigit() else float(cell)
