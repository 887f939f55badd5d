"""Writing: the table of a collection, one process at a time."""

import threading
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from efive.errors import EfiveError, StoreError
from efive.search.lance import durable, upkeep
from efive.search.lance.codec import Codec
from efive.search.lance.columns import schema, table_of
from efive.search.lance.filters import among
from efive.search.lance.snapshot import LanceSnapshot
from efive.search.store import Entry

_NAME = "passages"
# Versions that one write or one maintenance can have made when the power goes, before they are safe.
_UNSAFE = 8
# What a full disk, a quota and a limit on the size of files are called.
_FULL = ("No space left", "os error 28", "Disk quota", "os error 122", "File too large", "os error 27")


def connect(folder: Path | None) -> Any:  # noqa: ANN401 - the library's types are incomplete
    """Open a folder's tables; with None only load the library, which takes a second and so is not done on import."""
    import lancedb

    return None if folder is None else lancedb.connect(folder)


def _terms() -> Any:  # noqa: ANN401
    """Return the full text index: of whatever `terms` holds, word for word, since efive has analysed it already."""
    from lancedb.index import FTS

    return FTS(
        base_tokenizer="whitespace",
        lower_case=False,
        stem=False,
        remove_stop_words=False,
        ascii_folding=False,
        max_token_length=1_000,
    )


class LanceStore:
    """The passages of a collection in a folder (`efive.search.store.Store`)."""

    def __init__(self, folder: Path, codec: Codec, *, create: bool = False) -> None:
        """Open the table in `folder`, or make it.

        Raises:
            StoreError: if the folder is damaged, or cannot be written.
        """
        self._folder = folder / f"{_NAME}.lance"
        self._codec = codec
        self._writing = threading.Lock()
        self._maintaining = threading.Lock()
        self._refreshing = threading.Lock()
        self._durability = durable.Durability(self._folder)
        with _explained(f"{folder} cannot be opened"):
            self._database = connect(folder)
            if create:
                self._create()
            self._watch: Any = self._database.open_table(_NAME)
        self._snapshot = LanceSnapshot(self._database.open_table(_NAME), codec)
        self._version = self._watch.version

    def _create(self) -> None:
        """Make the table, or what is missing of it if that was interrupted."""
        if any(self._folder.glob("_versions/*.manifest")):
            table = self._database.open_table(_NAME)
        else:
            table = self._database.create_table(_NAME, schema=schema(self._codec))
        if not table.list_indices():
            table.create_index("terms", config=_terms())
        self._durability.sync()

    def snapshot(self) -> LanceSnapshot:
        """Return the newest state."""
        with self._refreshing, _explained(f"{self._folder} cannot be read"):
            self._watch.checkout_latest()
            if self._watch.version != self._version:
                self._version = self._watch.version
                # A table of its own: whoever holds the snapshot before goes on reading it.
                self._snapshot = LanceSnapshot(self._database.open_table(_NAME), self._codec)
            return self._snapshot

    def replace(self, entries: Sequence[Entry]) -> None:
        """Store documents in place of those of the same ids, all or none."""
        if not entries:
            return
        there = self.snapshot().digests([entry.document.id for entry in entries])

        def write(table: Any) -> None:  # noqa: ANN401
            known = table.schema
            rows = table_of(entries, self._codec, known)
            if len(rows.schema) > len(known):
                table.add_columns(rows.schema.empty_table().select(rows.schema.names[len(known) :]).schema)
            if there:
                merge = table.merge_insert("key").when_matched_update_all().when_not_matched_insert_all()
                merge.when_not_matched_by_source_delete(among("document", there)).execute(rows)
            else:
                table.add(rows)

        self._commit(write)

    def remove(self, ids: Sequence[str]) -> None:
        """Remove documents, all or none."""
        if ids:
            self._commit(lambda table: table.delete(among("document", ids)))

    def _commit(self, write: Callable[[Any], object]) -> None:
        with self._writing:
            attempt = durable.Attempt(self._folder)
            try:
                with _explained(f"{self._folder} cannot be written, and is as it was before"):
                    write(self._database.open_table(_NAME))
            except StoreError:
                if self._maintaining.acquire(blocking=False):  # else the files may be those of an index being built
                    with suppress(OSError):
                        attempt.discard()
                    self._maintaining.release()
                raise
            with _explained(f"{self._folder} is written, but perhaps not safe from a power cut"):
                self._durability.sync()

    def maintain(self, *, force: bool = False) -> None:
        """Build the indices that pay by now, cover new passages, merge small files, delete old versions."""
        with self._maintaining:
            attempt = durable.Attempt(self._folder)
            try:
                with _explained(f"{self._folder} cannot be maintained, and is as it was before"):
                    self._maintain(force=force)
            except StoreError:
                with self._writing, suppress(OSError):
                    attempt.discard()
                raise
            self._durability.sync()

    def _maintain(self, *, force: bool) -> None:
        table = self._database.open_table(_NAME)
        due = upkeep.due(table, self._codec, force=force)
        for column in due.build:
            self._beside_writes(table, lambda column=column: upkeep.build(table, column))  # type: ignore[misc]
        if due.merge:
            self._beside_writes(table, lambda: upkeep.merge(table))
            self._durability.sync()  # before what it replaces may go
            self._beside_writes(table, lambda: upkeep.tidy(table))

    def _beside_writes(self, table: Any, work: Callable[[], None]) -> None:  # noqa: ANN401
        """Do what a write at the same moment can get in the way of; the last try lets nobody write."""
        try:
            work()
        except RuntimeError:
            with self._writing:
                table.checkout_latest()
                work()

    def bytes(self) -> int:
        """Return how much disk it takes."""
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())

    def close(self) -> None:
        """Let go of the store: nothing to do, the library holds no file open."""


def sound(folder: Path) -> bool:
    """Return whether the newest version of the table in `folder` is complete. Looks at the ends of files only."""
    return durable.sound(folder / f"{_NAME}.lance")


def heal(folder: Path) -> str | None:
    """Undo what a power cut has torn in a table; return what was done, or None if all is sound.

    Only for the writer, before it writes: takes for abandoned what is half written. Afterwards all that is there is
    on the disk.

    Raises:
        StoreError: if no version is left that can be read.
    """
    path = folder / f"{_NAME}.lance"
    done = None
    with _explained(f"{folder} cannot be healed"):
        durable.sweep(path)
        if not durable.sound(path):
            done = _go_back(folder, path)
            _renew_indices(folder, durable.torn_indices(path))
        durable.Durability(path).sync()
    return done


def _go_back(folder: Path, path: Path) -> str:
    """Make the newest version whose rows are whole the newest one."""
    candidates = durable.complete_versions(path)
    torn = durable.torn_manifests(path)
    if not candidates:
        raise StoreError(f"{folder} is damaged: no version of it can be read. Index anew, or restore a copy")
    durable.drop(torn)
    table = connect(folder).open_table(_NAME)
    newest = table.version
    good = next((version for version in candidates if _readable(table, version)), 0)
    if newest - good > _UNSAFE:
        raise StoreError(
            f"{folder} is damaged: files of version {good + 1} are not complete, and {newest - good - 1} versions have "
            "been built on it. Restore a copy, or index anew"
        )
    if good != newest:
        table.checkout(good)
        table.restore()
    return f"went back from version {newest + len(torn)} to {good}: what came later was not complete"


def _renew_indices(folder: Path, torn: Container[str]) -> None:
    """Make the full text index again if it is torn; the others are made when maintenance finds that they pay."""
    table = connect(folder).open_table(_NAME)
    for index in table.list_indices():
        if index.index_uuid not in torn:
            continue
        if index.columns == ["terms"]:
            table.create_index("terms", config=_terms(), replace=True)
        else:
            table.drop_index(index.name)


def _readable(table: Any, version: int) -> bool:  # noqa: ANN401
    try:
        table.checkout(version)
        for _ in table.search().to_batches():
            pass
    except Exception:
        return False
    return True


class _explained:  # noqa: N801 - used like a function
    """Turn the library's errors within the block into a `StoreError` that begins with `what`."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EfiveError) or not isinstance(error, OSError | RuntimeError | ValueError):
            return
        full = any(sign in str(error) for sign in _FULL)
        why = "the disk is full; free some space and give the command again" if full else str(error).split(", /")[0]
        raise StoreError(f"{self._what}: {why}") from error
