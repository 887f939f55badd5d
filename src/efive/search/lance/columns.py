"""Entries to Arrow tables and back.

Each row is a passage. A document's own text and outline stand in the row of its first passage. A field of metadata
has a column for each type that it occurs in (`number year`, `text year`): types never mix, and never conflict.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa

from efive.errors import InputError
from efive.search.documents import Document, Section, Value, flat
from efive.search.lance.codec import Codec, Vectors
from efive.search.store import Entry, Passage
from efive.vectors import Floats

_KINDS = {
    "text": pa.string(),
    "number": pa.float64(),
    "truth": pa.bool_(),
    "texts": pa.list_(pa.string()),
}
_MOST_FIELDS = 512
PASSAGE = ["document", "number", "text", "start", "end", "line", "page", "headings", "metadata"]


def schema(codec: Codec) -> pa.Schema:
    """Return the columns that every table has."""
    return pa.schema(
        [
            ("key", pa.string()),
            ("document", pa.string()),
            ("number", pa.int32()),
            ("text", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("line", pa.int32()),
            ("page", pa.int32()),
            ("headings", pa.list_(pa.string())),
            ("metadata", pa.string()),
            ("terms", pa.string()),
            ("digest", pa.string()),
            ("whole", pa.string()),
            ("outline", pa.string()),
            *((name, column.type) for name, column in vector_columns(_no_vectors(codec), codec).items()),
        ]
    )


def kind_of(value: object) -> str:
    """Return the type of a value of metadata: `text`, `number`, `truth` or `texts`."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "truth"
    return "texts" if isinstance(value, list) else "number"


def column_of(kind: str, field: str) -> str:
    """Return the name of the column for values of one type in one field of metadata."""
    return f"{kind} {quote(field, safe='').replace('.', '%2E')}"  # the library allows no dot in a column's name


def vector_names(codec: Codec) -> list[str]:
    """Return the columns that hold vectors."""
    return list(vector_columns(_no_vectors(codec), codec))


def _no_vectors(codec: Codec) -> Floats:
    return np.empty((0, len(codec.center)), dtype=np.float32)


def vector_columns(vectors: Floats, codec: Codec) -> dict[str, Any]:
    """Return the columns that keep `vectors`."""

    def fixed(rows: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
        return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])

    if not codec.kind.compressed:
        return {"vector": fixed(vectors.astype(codec.kind.value))}
    bits = {"bits": fixed(codec.bits(vectors))}
    if codec.kind is Vectors.BINARY:
        return bits | {"size": pa.array(codec.sizes(vectors) if len(vectors) else [], pa.float32())}
    codes, scale = codec.codes(vectors) if len(vectors) else (vectors.astype(np.int8), np.empty(0, np.float32))
    return bits | {"code": fixed(codes), "scale": pa.array(scale, pa.float32())}


def vectors_of(table: Any, codec: Codec) -> Floats:  # noqa: ANN401 - pyarrow has no types
    """Return the vectors of a table's rows: (n, dimension) float32."""
    dimension = len(codec.center)

    def matrix(name: str, width: int) -> Any:  # noqa: ANN401
        return table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)

    if codec.kind is Vectors.BINARY:
        return codec.from_bits(matrix("bits", dimension // 8), table["size"].to_numpy())
    if codec.kind is Vectors.INT8:
        return codec.from_codes(matrix("code", dimension), table["scale"].to_numpy())
    found: Floats = matrix("vector", dimension).astype(np.float32)
    return found


def table_of(entries: Sequence[Entry], codec: Codec, known: pa.Schema) -> Any:  # noqa: ANN401
    """Return the rows of `entries`, with the columns of `known` and those that their metadata needs besides.

    Raises:
        InputError: if the collection would have too many fields of metadata.
    """
    rows = [
        {
            "key": key(entry.document.id, p.number),
            "document": entry.document.id,
            **{name: getattr(p, name) for name in PASSAGE if name not in {"document", "headings", "metadata"}},
            "headings": list(p.headings),
            "metadata": metadata,
            "terms": terms,
            "digest": entry.digest,
            "whole": None if p.number else entry.document.text,
            "outline": None if p.number else _outline(entry.document),
            **fields,
        }
        for entry in entries
        for metadata, fields in [(_json(entry.document.metadata), _fields(entry.document))]
        for p, terms in zip(entry.passages, entry.terms, strict=True)
    ]
    vectors = vector_columns(np.concatenate([entry.vectors for entry in entries]), codec)
    wanted = _with_fields(known, rows)
    columns = {
        field.name: vectors[field.name]
        if field.name in vectors
        else pa.array([row.get(field.name) for row in rows], field.type)
        for field in wanted
    }
    return pa.table(columns, schema=wanted)


def key(document: str, number: int) -> str:
    """Return the name of a passage in its table."""
    return f"{document}\x1f{number}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _fields(document: Document) -> dict[str, Value]:
    return {column_of(kind_of(value), name): value for name, value in flat(document.metadata)}  # type: ignore[misc]


def _with_fields(known: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> pa.Schema:
    names = set(known.names)
    new = sorted({name for row in rows for name in row} - names)
    if len(new) + len(names) > _MOST_FIELDS:
        newest = unquote(new[-1]).split(" ", 1)[1]
        raise InputError(
            f"metadata has more than {_MOST_FIELDS} different fields in all, the newest {newest!r}; "
            "keep such values in the text, or in fewer fields"
        )
    return pa.schema([*known, *((name, _KINDS[name.split(" ", 1)[0]]) for name in new)])


def _outline(document: Document) -> str:
    sections = [[s.start, s.end, s.headings, s.page] for s in document.sections]
    return _json({"sections": sections, "lines": list(document.lines)})


def passage_of(row: Mapping[str, Any]) -> Passage:
    """Return the passage of a row that has the columns `PASSAGE`."""
    values = {name: row[name] for name in PASSAGE}
    return Passage(**values | {"headings": tuple(row["headings"]), "metadata": json.loads(row["metadata"])})


def document_of(row: Mapping[str, Any]) -> Document:
    """Return the document of its first passage's row."""
    outline = json.loads(row["outline"])
    sections = [Section(start, end, tuple(headings), page) for start, end, headings, page in outline["sections"]]
    return Document(row["document"], row["whole"], json.loads(row["metadata"]), sections, outline["lines"])


def entries_of(table: Any, codec: Codec) -> list[Entry]:  # noqa: ANN401
    """Return the documents whose complete rows `table` holds."""
    vectors = vectors_of(table, codec)
    rows = sorted(enumerate(table.to_pylist()), key=lambda at: (at[1]["document"], at[1]["number"]))
    entries = []
    for _, group in groupby(rows, key=lambda at: at[1]["document"]):
        own = list(group)
        found = list(map(itemgetter(1), own))
        document = document_of(found[0])
        entries.append(
            Entry(
                document,
                found[0]["digest"],
                [replace(passage_of(row), metadata=document.metadata) for row in found],
                [row["terms"] for row in found],
                vectors[[at for at, _ in own]],
            )
        )
    return entries
