"""What the library leaves out: its files are forced to the disk, and what a power cut tore is recognised.

Lance writes new files and never changes old ones, and each version has a manifest that names its files. It does not
wait for the disk, so after a power cut the newest manifest, or files that it names, can be empty. Nobody was told
that such a version is stored: the one before it is the collection.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID

# The last bytes of complete files; a file of another kind has to hold something.
_ENDS = {".manifest": b"LANC", ".lance": b"LANC", ".idx": b"LANC", ".arrow": b"ARROW1"}
_ROWS, _INDICES = ("data", "_deletions"), ("_indices",)
"""Folders of a table whose files a version names: what it holds, and what can be made again from that."""


class Durability:
    """Forces to the disk what has come since the last time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # A writer that was killed before has perhaps left files that are not on the disk: none is taken for safe.
        self._safe = set[Path]()
        self._lock = threading.Lock()

    def sync(self) -> None:
        """Return when every file below the folder is on the disk."""
        with self._lock:
            files = set(_files(self._folder))
            new = files - self._safe
            folders = {parent for path in new for parent in (path.parent, path.parent.parent)}
            if not self._safe:
                folders.add(self._folder.parent)
            for path in [*new, *folders]:
                _force(path)
            self._safe = files


class Attempt:
    """A write that may fail: knows what was there before it."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._newest = _manifests(table)[:1]
        self._before = set(_parts(table))

    def discard(self) -> None:
        """Delete what has come since and no version names, so that a full disk gets its space back.

        Nobody else may be writing to the table.
        """
        since = [m for m in _manifests(self._table) if not self._newest or m.name <= self._newest[0].name]
        named = b"".join(manifest.read_bytes() for manifest in since)
        for path in set(_parts(self._table)) - self._before:
            if not _names(named, path):
                path.unlink(missing_ok=True)


def sound(table: Path) -> bool:
    """Return whether the newest version of a table is complete: its manifest and the files that it names."""
    newest = _manifests(table)[:1]
    return bool(newest) and _complete(newest[0]) and not _names_any(newest[0], _torn(table, _ROWS + _INDICES))


def torn_manifests(table: Path) -> list[Path]:
    """Return the newest manifests of a table that are not complete, up to the first one that is."""
    torn = []
    for manifest in _manifests(table):
        if _complete(manifest):
            break
        torn.append(manifest)
    return torn


def complete_versions(table: Path) -> list[int]:
    """Return the versions of a table whose rows are in no torn file, the newest first."""
    torn = _torn(table, _ROWS)
    found = [manifest for manifest in _manifests(table) if _complete(manifest) and not _names_any(manifest, torn)]
    return [2**64 - 1 - int(manifest.stem) for manifest in found]


def torn_indices(table: Path) -> set[str]:
    """Return the UUIDs of indices that are not complete, of whatever version."""
    return {path.parent.name for path in _torn(table, _INDICES)}


def drop(manifests: Iterable[Path]) -> None:
    """Delete manifests, and the hint that may point to one of them."""
    for manifest in manifests:
        manifest.unlink()
        (manifest.parent / "latest_version_hint.json").unlink(missing_ok=True)


def sweep(table: Path) -> None:
    """Delete what a killed writer had not finished: files that do not have their names yet. Nobody may be writing."""
    for path in _files(table):
        if path.name.startswith(".tmp") or "#" in path.name:
            path.unlink(missing_ok=True)


def _manifests(table: Path) -> list[Path]:
    return sorted((table / "_versions").glob("*.manifest"))  # the names count down: the newest comes first


def _torn(table: Path, parts: Iterable[str]) -> list[Path]:
    return [path for part in parts for path in _files(table / part) if not _complete(path)]


def _complete(path: Path) -> bool:
    end = _ENDS.get(path.suffix, b"")
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(end)))
            return size > 0 and file.read() == end if end else size > 0
    except FileNotFoundError:
        return True  # tidied away meanwhile


def _names_any(manifest: Path, files: list[Path]) -> bool:
    if not files:
        return False
    content = manifest.read_bytes()
    return any(_names(content, path) for path in files)


def _names(manifest: bytes, path: Path) -> bool:
    """Return whether a manifest, a protocol buffer, names a file of its table."""
    if path.parent.parent.name == "_indices":  # the index by the 16 bytes of its UUID
        try:
            return UUID(path.parent.name).bytes in manifest
        except ValueError:
            return False
    if path.parent.name == "_deletions":  # FRAGMENT-VERSION-NUMBER.arrow by its number, field 3
        number = path.stem.rsplit("-", 1)[-1]
        return number.isdecimal() and b"\x18" + _varint(int(number)) in manifest
    return path.name.encode() in manifest


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _parts(table: Path) -> Iterator[Path]:
    for part in _ROWS + _INDICES:
        yield from _files(table / part)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _force(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return  # tidied away meanwhile
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
