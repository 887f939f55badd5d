"""JSON lines: each line an object or a text."""

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from efive.errors import InputError
from efive.jsonlines import decode, parse, shown, without_bom
from efive.search.documents import Document
from efive.search.readers.files import File, Options, mebibytes
from efive.search.readers.records import TEXT_FIELDS, Record, documents


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield a document for each line that is one."""
    yield from documents(file, "jsonl", "line", _records(file, options), options)


def _records(file: File, options: Options) -> Iterator[Record]:
    with file.open() as opened:
        for number, raw in enumerate(without_bom(_lines(opened, options.max_bytes)), 1):
            if not raw.strip():
                continue  # a blank line is no record
            try:
                yield number, _values(raw, options)
            except InputError as error:
                yield number, error


def _lines(opened: BinaryIO, longest: int) -> Iterator[bytes]:
    """Yield the lines; of one that is too long, just so much that it can be told."""
    while line := opened.readline(longest + 1):
        rest = line
        while len(rest) > longest and not rest.endswith(b"\n"):
            rest = opened.readline(longest + 1)
        yield line


def _values(raw: bytes, options: Options) -> Mapping[str, object]:
    if len(raw) > options.max_bytes:
        raise InputError(f"it is larger than the limit of {mebibytes(options.max_bytes)}")
    value = parse(decode(raw.rstrip(b"\r\n")))
    if isinstance(value, str):
        return {options.text_field or TEXT_FIELDS[0]: value}
    if not isinstance(value, dict):
        raise InputError(f"{shown(value)} where a JSON object is needed")
    return value
