"""The write path in SQLite: what is about to be written, and what has been."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Mapping as Dictionary

import orjson

from efive.server.elastic.indices.mapping import FieldType, Mapping
from efive.server.elastic.indices.planning import Change, Stored, groups
from efive.server.elastic.indices.schema import full_text_table

_TOKENS = "!#$%&()*+,-./:;<=>?@[\\]^_`{|}~"
"""All of ASCII that is neither a letter, nor a figure, nor a space, nor a quote: terms are cut at spaces only."""
Digests = Dictionary[str, Dictionary[str, str]]
"""By id, by semantic_text field: the digest of what its collection has."""


def make_tables(connection: sqlite3.Connection, mapping: Mapping) -> None:
    """Make the full-text tables of text fields that have none."""
    for field in mapping.of_type(FieldType.TEXT):
        table = full_text_table(field.path)
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING "
            f"""fts5(terms, tokenize = "ascii tokenchars '{_TOKENS}'")"""
        )


def digests(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the digests of those of the documents that are there, by id, by semantic_text field."""
    found: dict[str, dict[str, str]] = {}
    for group in groups(ids):
        asked = ",".join("?" * len(group))
        rows = connection.execute(f"SELECT id, digests FROM document WHERE id IN ({asked})", group)  # noqa: S608
        found |= {id_: orjson.loads(raw) for id_, raw in rows}
    return found


def begin(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Note what is about to be written."""
    connection.executemany(
        "INSERT OR REPLACE INTO pending (id, source, version, seq_no) VALUES (?, ?, ?, ?)",
        [(each.stored.id, each.stored.source, each.stored.version, each.stored.seq_no) for each in changes],
    )


def pending(connection: sqlite3.Connection) -> list[Stored]:
    """Return what was about to be written when the process ended."""
    rows = connection.execute("SELECT id, source, version, seq_no FROM pending ORDER BY seq_no")
    return [Stored(*row) for row in rows]


def finish(
    connection: sqlite3.Connection,
    mapping: Mapping,
    changes: Iterable[Change],
    digests: Digests,
    torn: Collection[str] = (),
) -> None:
    """Write documents and what queries ask of them; nothing but those that are `torn` waits any more."""
    texts = [field.path for field in mapping.of_type(FieldType.TEXT)]
    for change in changes:
        if change.stored.source is None:
            _remove(connection, change.stored, texts)
        else:
            _write(connection, change, texts, digests.get(change.stored.id, {}))
    waiting = orjson.dumps(list(torn)).decode()
    connection.execute("DELETE FROM pending WHERE id NOT IN (SELECT value FROM json_each(?))", (waiting,))


def _write(connection: sqlite3.Connection, change: Change, texts: Sequence[str], digests: Dictionary[str, str]) -> None:
    stored, values = change.stored, change.values
    connection.execute("DELETE FROM deleted WHERE id = ?", (stored.id,))
    row = _row(connection, stored.id)
    if row is not None:
        _clear(connection, row, texts)
    (row,) = connection.execute(
        "INSERT INTO document (id, source, version, seq_no, digests) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
        "SET source = excluded.source, version = excluded.version, seq_no = excluded.seq_no, "
        "digests = excluded.digests RETURNING row",
        (stored.id, stored.source, stored.version, stored.seq_no, orjson.dumps(dict(digests))),
    ).fetchone()
    connection.executemany(
        "INSERT INTO value (row, field, text, number) VALUES (?, ?, ?, ?)", [(row, *each) for each in values.rows]
    )
    for path, terms in values.terms.items():
        connection.execute(f"INSERT INTO {full_text_table(path)} (rowid, terms) VALUES (?, ?)", (row, terms))  # noqa: S608


def _remove(connection: sqlite3.Connection, stored: Stored, texts: Sequence[str]) -> None:
    row = _row(connection, stored.id)
    if row is not None:
        _clear(connection, row, texts)
        connection.execute("DELETE FROM document WHERE row = ?", (row,))
    connection.execute("INSERT OR REPLACE INTO deleted VALUES (?, ?, ?)", (stored.id, stored.version, stored.seq_no))


def _row(connection: sqlite3.Connection, id_: str) -> int | None:
    found = connection.execute("SELECT row FROM document WHERE id = ?", (id_,)).fetchone()
    return None if found is None else int(found[0])


def _clear(connection: sqlite3.Connection, row: int, texts: Sequence[str]) -> None:
    connection.execute("DELETE FROM value WHERE row = ?", (row,))
    for path in texts:
        connection.execute(f"DELETE FROM {full_text_table(path)} WHERE rowid = ?", (row,))  # noqa: S608


def next_seq_no(connection: sqlite3.Connection) -> int:
    """Return the number that the next write gets."""
    (last,) = connection.execute(
        "SELECT max((SELECT ifnull(max(seq_no), -1) FROM document), (SELECT ifnull(max(seq_no), -1) FROM deleted), "
        "(SELECT ifnull(max(seq_no), -1) FROM pending))"
    ).fetchone()
    return int(last) + 1
