"""Values of keyword, number, boolean and date fields: which documents have them. SQL on the table `value`."""

import json
import re
import sqlite3
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from efive.server.elastic import dates
from efive.server.elastic.errors import ElasticError, illegal
from efive.server.elastic.indices.mapping import Field, FieldType
from efive.server.elastic.queries.matches import NO_ROWS, Rows, rows_of
from efive.server.elastic.queries.tree import Range, Scalar

_LARGEST = 2**63
_LETTERS = re.compile("[A-Z]+")
"""What SQLite's `lower` changes, and Elasticsearch's `case_insensitive` passes over."""
_WHOLE = re.compile(r"[+-]?\d{1,400}", re.ASCII)
"""What floats would round beyond 2^53: programs without such numbers write them as text."""
_MOST = sys.float_info.max


def everything(database: sqlite3.Connection) -> Rows:
    """Return all documents."""
    return _rows(database, "SELECT row FROM document")


def by_id(database: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the rows of those of the documents that are there."""
    query = "SELECT id, row FROM document WHERE id IN (SELECT value FROM json_each(?))"
    return dict(database.execute(query, (json.dumps(list(ids)),)))


def ids_of(database: sqlite3.Connection, rows: Sequence[int]) -> list[str]:
    """Return the ids of those of the documents that are there, in the order of `rows`."""
    query = "SELECT row, id FROM document WHERE row IN (SELECT value FROM json_each(?))"
    found = dict(database.execute(query, (json.dumps(list(rows)),)))
    return [found[row] for row in rows if row in found]


def having(database: sqlite3.Connection, path: str) -> Rows:
    """Return the documents that have a value at a path, or below it."""
    return _rows(
        database,
        "SELECT row FROM value WHERE field = ? OR (field >= ? AND field < ?)",
        path, f"{path}.", f"{path}/",  # '/' is what comes after '.'
    )  # fmt: skip


def equal(
    database: sqlite3.Connection, field: Field, values: Sequence[Scalar], now: datetime, *, any_case: bool = False
) -> Rows:
    """Return the documents one of whose values is among `values`."""
    if field.type is FieldType.KEYWORD:
        texts = json.dumps([_text(value) for value in values])
        test = "text COLLATE NOCASE IN" if any_case else "text IN"
        return _rows(
            database,
            f"SELECT row FROM value WHERE field = ? AND {test} (SELECT value FROM json_each(?))",  # noqa: S608
            field.path, texts,
        )  # fmt: skip
    if field.type is FieldType.DATE:
        parts = [between(database, field, Range(field.path, from_=value, to=value), now) for value in values]
        return rows_of(row for part in parts for row in part.tolist())
    numbers = [number for value in values if (number := _number(field, value)) is not None]
    return _rows(
        database,
        "SELECT row FROM value WHERE field = ? AND number IN (SELECT value FROM json_each(?))",
        field.path, json.dumps(numbers),
    )  # fmt: skip


def like(database: sqlite3.Connection, field: Field, glob: str, *, any_case: bool) -> Rows:
    """Return the documents one of whose texts looks so."""
    texts, pattern = ("lower(text)", _LETTERS.sub(lambda found: found[0].lower(), glob)) if any_case else ("text", glob)
    return _rows(database, f"SELECT row FROM value WHERE field = ? AND {texts} GLOB ?", field.path, pattern)  # noqa: S608


def between(database: sqlite3.Connection, field: Field, asked: Range, now: datetime) -> Rows:
    """Return the documents one of whose values lies in a range."""
    bounds = [
        (sign, value)
        for sign, value in ((">", asked.above), (">=", asked.from_), ("<", asked.below), ("<=", asked.to))
        if value is not None
    ]
    column = "text" if field.type is FieldType.KEYWORD else "number"
    given = [_bound(field, sign, value, asked, now) for sign, value in bounds]
    tests = "".join(f" AND {column} {sign} ?" for sign, _ in bounds)
    return _rows(
        database,
        f"SELECT row FROM value WHERE field = ? AND {column} IS NOT NULL{tests}",  # noqa: S608
        field.path, *given,
    )  # fmt: skip


def _bound(field: Field, sign: str, value: Scalar, asked: Range, now: datetime) -> Any:  # noqa: ANN401 - SQL
    if field.type is FieldType.KEYWORD:
        return _text(value)
    if field.type is FieldType.DATE:
        formats = asked.format or field.options.get("format") or dates.DEFAULT
        first, last = dates.span(str(value), formats, asked.zone, now)
        return last if sign in {">", "<="} else first
    number = _number(field, value, exact=False)
    assert number is not None
    return number


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(field: Field, value: Scalar, *, exact: bool = True) -> int | float | None:
    """Return a value as the field keeps it; None if it cannot be there: a fraction in a field of whole numbers."""
    if field.type is FieldType.BOOLEAN:
        if value in (True, "true"):
            return 1
        if value in (False, "false", ""):
            return 0
        raise illegal(f"Can't parse boolean value [{value}], expected [true] or [false]")
    if isinstance(value, bool):
        raise _no_number(field, value)
    try:
        number = int(value) if isinstance(value, int) or _WHOLE.fullmatch(value := str(value)) else float(value)
    except ValueError:
        raise _no_number(field, value) from None
    if not -_MOST <= number <= _MOST:
        raise _no_number(field, value)
    if abs(number) >= _LARGEST:
        return None if exact and field.type.is_whole else float(number)
    if number == int(number):
        return int(number)
    return None if exact and field.type.is_whole else number


def _no_number(field: Field, value: Scalar) -> ElasticError:
    return ElasticError(
        400, "number_format_exception", f'failed to create query: For input string: "{value}" in field [{field.path}]'
    )


def count_of(database: sqlite3.Connection, field: str) -> int:
    """Return how many documents have values of a field."""
    found: int = database.execute("SELECT count(DISTINCT row) FROM value WHERE field = ?", (field,)).fetchone()[0]
    return found


def _rows(database: sqlite3.Connection, query: str, *given: object) -> Rows:
    try:
        found = database.execute(query, given).fetchall()
    except UnicodeEncodeError:
        raise illegal("a text of the query has a lone surrogate: it was decoded wrongly") from None
    return np.unique(np.array(found, np.int64)) if found else NO_ROWS
