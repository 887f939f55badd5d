"""A collection as a file: JSONL or Parquet that `efive index` reads again."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from efive.errors import InputError
from efive.search.store import Entry

_GROUP = 256
JSON_COLUMN = {b"efive": b"json"}
"""What a Parquet column says of itself whose texts are JSON."""


def export(entries: Iterable[Entry], output: Path, *, vectors: bool, progress: Callable[[int], object]) -> int:
    """Write entries to `output`, whose suffix says how, and return how many there were.

    A row has the document's `id`, `text` and `metadata` (in Parquet as JSON text, for its fields differ from row to
    row), and with `vectors` its `passages`: each with `start`, `end` and `vector`.

    Raises:
        InputError: if the suffix is neither .jsonl nor .parquet.
    """
    writers = {".jsonl": _json_lines, ".parquet": _parquet}
    if output.suffix not in writers:
        raise InputError(f"{output}: end its name in .jsonl or .parquet")
    draft = output.with_name(output.name + ".part")
    groups = _groups(entries, vectors=vectors, progress=progress)
    count = writers[output.suffix](groups, draft)
    draft.replace(output)
    return count


def _groups(
    entries: Iterable[Entry], *, vectors: bool, progress: Callable[[int], object]
) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(entries)
    while group := [_row(entry, vectors=vectors) for entry in islice(remaining, _GROUP)]:
        yield group
        progress(len(group))


def _row(entry: Entry, *, vectors: bool) -> dict[str, Any]:
    document = entry.document
    row: dict[str, Any] = {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}
    if vectors:
        row["passages"] = [
            {"start": passage.start, "end": passage.end, "vector": vector.tolist()}
            for passage, vector in zip(entry.passages, entry.vectors, strict=True)
        ]
    return row


def _json_lines(groups: Iterable[list[dict[str, Any]]], draft: Path) -> int:
    count = 0
    with draft.open("w", encoding="utf-8") as file:
        for group in groups:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in group)
            count += len(group)
    return count


def _parquet(groups: Iterable[list[dict[str, Any]]], draft: Path) -> int:
    import pyarrow as pa  # noqa: PLC0415 - heavy, and seldom needed
    import pyarrow.parquet as pq  # noqa: PLC0415

    passage = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("vector", pa.list_(pa.float32()))])
    columns = [
        pa.field("id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("metadata", pa.string(), metadata=JSON_COLUMN),
        pa.field("passages", pa.list_(passage)),
    ]
    count = 0
    with pq.ParquetWriter(draft, pa.schema(columns)) as writer:
        for group in groups:
            rows = [row | {"metadata": json.dumps(row["metadata"], ensure_ascii=False)} for row in group]
            writer.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)))
            count += len(group)
    return count
