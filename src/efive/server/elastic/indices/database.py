"""The SQLite file of an index: one connection that writes, any number that read."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from efive.errors import StoreError
from efive.search.folder import explained
from efive.server.elastic.indices.schema import TABLES

_BUSY = 30.0
"""Seconds that a write waits for another process's, such as a copy being made."""


class Database:
    """A file that is made if there is none. Safe to use from several threads; readers never wait for the writer."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            StoreError: if it is damaged or cannot be written.
        """
        self.path = path
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._closed = False
        self._writing = threading.Lock()
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=FULL")
            self._writer.executescript(TABLES)

    def _connect(self, mode: str = "") -> sqlite3.Connection:
        address = self.path.absolute().as_uri() + mode
        return sqlite3.connect(address, _BUSY, check_same_thread=False, isolation_level=None, uri=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees one moment of the file."""
        try:
            connection = self._idle.get_nowait()
        except Empty:
            with _explained(self.path):
                connection = self._connect("?mode=rw")  # not made anew where it has just been removed
        try:
            connection.execute("BEGIN")
            yield connection
        except sqlite3.Error as error:
            raise StoreError(f"{self.path} cannot be read: {error}") from error
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            if self._closed:
                connection.close()
            else:
                self._idle.put(connection)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection that writes; all that the block writes is on the disk afterwards, or none of it."""
        with self._writing, _explained(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.rollback()
                raise
            self._writer.commit()

    def close(self) -> None:
        """Close the file; those who read it finish first."""
        self._closed = True
        with contextlib.suppress(Empty):
            while True:
                self._idle.get_nowait().close()
        with self._writing:
            self._writer.close()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be used: {error}") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {explained(error)}") from None


def setting(connection: sqlite3.Connection, name: str) -> Any:  # noqa: ANN401 - JSON
    """Return a setting of the index, or None."""
    found = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return None if found is None else msgspec.json.decode(found[0])


def keep_setting(connection: sqlite3.Connection, name: str, value: object) -> None:
    """Keep a setting of the index, in place of the one before."""
    connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, msgspec.json.encode(value)))
