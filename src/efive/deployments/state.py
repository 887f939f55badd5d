"""What a server remembers between runs: small records by kind and name, in SQLite."""

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import TypeVar

import msgspec

from efive.errors import DeploymentError

_VERSION = 1
Record = TypeVar("Record")


class State:
    """A file of records. Every change is on the disk when the call returns. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it, readable by its owner only: it has the hashes of keys.

        Raises:
            DeploymentError: if it is damaged, of a later efive, or cannot be written.
        """
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise DeploymentError(f"{path} cannot be used as the server's state: {error}") from None

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        (found,) = run("PRAGMA user_version").fetchone()
        if found > _VERSION:
            raise DeploymentError(f"{self._path} was written by a later efive (state version {found})")
        run("CREATE TABLE IF NOT EXISTS record (kind TEXT, name TEXT, value BLOB NOT NULL, PRIMARY KEY (kind, name))")
        run(f"PRAGMA user_version={_VERSION}")

    def put(self, kind: str, name: str, value: object) -> None:
        """Keep a value, anything that msgspec writes as JSON, in place of the one before."""
        self._run("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", kind, name, msgspec.json.encode(value))

    def get(self, kind: str, name: str, type_: type[Record]) -> Record | None:
        """Return a value as `type_`, or None."""
        rows = self._run("SELECT value FROM record WHERE kind = ? AND name = ?", kind, name)
        return self._read(kind, name, rows[0][0], type_) if rows else None

    def all(self, kind: str, type_: type[Record]) -> dict[str, Record]:
        """Return all values of a kind as `type_`, by name."""
        rows = self._run("SELECT name, value FROM record WHERE kind = ? ORDER BY name", kind)
        return {name: self._read(kind, name, value, type_) for name, value in rows}

    def _read(self, kind: str, name: str, value: bytes | str, type_: type[Record]) -> Record:
        try:
            return msgspec.json.decode(value, type=type_)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DeploymentError(f"{self._path}: the {kind} {name!r} cannot be read: {error}") from None

    def remove(self, kind: str, name: str) -> bool:
        """Forget a value; say whether it was there."""
        return bool(self._run("DELETE FROM record WHERE kind = ? AND name = ? RETURNING name", kind, name))

    def _run(self, statement: str, *values: object) -> list[tuple[str, bytes]]:
        try:
            with self._lock:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise DeploymentError(f"{self._path} cannot be used as the server's state: {error}") from None

    def close(self) -> None:
        """Close the file."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._database.close()
