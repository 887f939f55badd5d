"""Parquet: each row a record, read in batches."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from efive.errors import InputError
from efive.search.documents import Document
from efive.search.exporting import JSON_COLUMN
from efive.search.readers.files import File, Options
from efive.search.readers.records import Record, documents, text_field

_ROWS = 256
_SCALARS = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_date,
    pa.types.is_timestamp,
    pa.types.is_null,
)


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield a document for each row that can be one.

    Raises:
        InputError: for a file that is no Parquet, or has no column for the text.
    """
    with file.seekable(options.max_bytes) as opened:
        try:
            parquet = pq.ParquetFile(opened)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"it is damaged, or no Parquet file: {error}") from None
        columns = [column.name for column in parquet.schema_arrow if _is_kept(column.type)]
        text_field(columns, options)
        left_out = [repr(name) for name in parquet.schema_arrow.names if name not in columns]
        if left_out and options.notice:
            options.notice(f"{file.name}: left out of the metadata, for their type: {', '.join(left_out)}")
        packed = [column.name for column in parquet.schema_arrow if column.metadata == JSON_COLUMN]
        yield from documents(file, "parquet", "row", _records(parquet, columns, packed), options)


def _is_kept(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    """Return whether metadata can hold a column, so that images and vectors are not even read."""
    if pa.types.is_struct(kind):
        return all(_is_kept(part.type) for part in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return bool(pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type))
    if pa.types.is_dictionary(kind):
        return _is_kept(kind.value_type)
    return any(is_kind(kind) for is_kind in _SCALARS)


def _records(parquet: Any, columns: list[str], packed: list[str]) -> Iterator[Record]:  # noqa: ANN401
    row = 0
    try:
        for batch in parquet.iter_batches(batch_size=_ROWS, columns=columns):
            for number in range(batch.num_rows):
                row += 1
                yield row, _values(batch.slice(number, 1), packed)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"it is damaged after row {row}: {error}") from None


def _values(row: Any, packed: list[str]) -> dict[str, object] | InputError:  # noqa: ANN401
    """Return a row alone, so that one with broken text or an impossible date does not take others with it.

    Columns named in `packed` hold JSON.
    """
    try:
        values: dict[str, object] = row.to_pylist()[0]
        for name in packed:
            values[name] = json.loads(str(values[name]))
    except (ValueError, OverflowError) as error:
        return InputError(f"it cannot be read: {error}")
    return values
