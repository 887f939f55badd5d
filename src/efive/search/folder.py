"""The folder of a collection: which generation of its passages is the current one, and who writes.

    NAME/
    ├── collection.json     names the current generation; replaced in one step
    ├── writer.lock         held by the process that writes
    ├── writer.json         who that is
    └── 0001/               a generation: passages embedded in one space
        ├── settings.json   the space, the windows, how vectors are kept
        ├── calibration.json
        └── passages.lance/

A migration fills the next generation beside the current one and then changes the name in collection.json.
"""

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import filelock

from efive.errors import CollectionBusyError, CollectionError, CollectionNotFoundError, StoreError
from efive.search.passages import Shape
from efive.space import Space

FORMAT = 1
_CURRENT = "collection.json"
_SETTINGS = "settings.json"
_CALIBRATION = "calibration.json"
_WRITER = "writer.json"
_LOCK = "writer.lock"
# A folder with one of these is a generation; others may lie beside them, called 2024 perhaps.
_MARKS = (_SETTINGS, _SETTINGS + ".part", "passages.lance")
_OLD_ENOUGH = 3600.0  # seconds that a generation stays for those who still read it


@dataclass(frozen=True, slots=True)
class Settings:
    """What all passages of a generation share."""

    space: Space
    shape: Shape
    vectors: str
    """How vectors are kept: a name of `efive.search.lance.codec.Vectors`."""
    center: list[float]
    """What compressed vectors are kept as a difference from; empty for floats."""
    terms: int
    """Version of the analysis that full text search is made with."""
    model: str = ""
    """What the model was called by whoever made the collection, so that the command line finds it again."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"space": self.space.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild settings from `to_dict`."""
        known = dict(values)
        return cls(**known | {"space": Space.from_dict(known["space"]), "shape": Shape(**known["shape"])})


class Folder:
    """One collection on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not of a thread: a collection is closed by another one than has written.
        self._lock = filelock.FileLock(path / _LOCK, timeout=0, thread_local=False)

    @property
    def exists(self) -> bool:
        """Whether there is a collection."""
        return (self.path / _CURRENT).is_file()

    def generation(self) -> Path:
        """Return the folder of the current generation.

        Raises:
            CollectionNotFoundError: if there is no collection.
            CollectionError: if it was written by a later efive.
            StoreError: if its file is damaged.
        """
        if not self.exists:
            raise CollectionNotFoundError(f"there is no collection at {self.path}; `efive index` makes one")
        stated = _read(self.path / _CURRENT)
        if stated.get("format") != FORMAT:
            raise CollectionError(
                f"{self.path} has format {stated.get('format')!r}; this efive reads {FORMAT}. Use the efive that "
                "wrote it, or index anew"
            )
        if "current" not in stated:
            raise StoreError(f"{self.path / _CURRENT} is damaged: it names no generation")
        return self.path / str(stated["current"])

    def changed(self) -> tuple[int, int]:
        """Return a value that changes with the current generation."""
        try:
            state = (self.path / _CURRENT).stat()
        except FileNotFoundError:
            return 0, 0
        return state.st_mtime_ns, state.st_ino

    def begin(self, settings: Settings) -> Path:
        """Make the next generation, empty; abandoned ones go. Only for the writer."""
        for abandoned in self._later():
            shutil.rmtree(abandoned, ignore_errors=True)
        numbers = [int(p.name) for p in self._numbered()]
        generation = self.path / f"{max(numbers, default=0) + 1:04d}"
        with _writing(generation):
            generation.mkdir()
        with self.abandoned_on_error(generation):
            write(generation / _SETTINGS, settings.to_dict())
        return generation

    @contextmanager
    def abandoned_on_error(self, generation: Path) -> Iterator[None]:
        """Remove a generation that nobody reads yet if the block fails: the disk may be full."""
        try:
            yield
        except BaseException:
            shutil.rmtree(generation, ignore_errors=True)
            raise

    def unfinished(self, settings: Settings) -> Path | None:
        """Return the generation that a migration to `settings` has begun and not finished."""
        begun = [p for p in self._later() if (p / _SETTINGS).is_file()]
        return next((p for p in begun if replace(settings_of(p), model=settings.model) == settings), None)

    def _numbered(self) -> list[Path]:
        return sorted(p for p in self.path.glob("[0-9][0-9][0-9][0-9]") if p.is_dir())

    def _generations(self) -> list[Path]:
        return [p for p in self._numbered() if any((p / mark).exists() for mark in _MARKS)]

    def _later(self) -> list[Path]:
        """Return the generations that nobody reads yet. Without a current one it is unknown which."""
        return [p for p in self._generations() if p.name > self.generation().name] if self.exists else []

    def remove(self) -> None:
        """Remove the collection, and its folder if nothing else lies in it.

        Raises:
            CollectionBusyError: if another process writes.
            StoreError: if something of it cannot be removed.
        """
        self.acquire()
        try:
            with _writing(self.path):
                (self.path / _CURRENT).unlink()  # first: interrupted, there is no collection, and no broken one
                for generation in self._generations():
                    shutil.rmtree(generation)
                (self.path / _LOCK).unlink(missing_ok=True)
        finally:
            self.release()
        with suppress(OSError):  # not empty
            self.path.rmdir()

    def switch(self, generation: Path) -> None:
        """Make `generation` the current one, in one step."""
        write(self.path / _CURRENT, {"format": FORMAT, "current": generation.name})

    def tidy(self) -> None:
        """Remove generations before the current one that nobody can be reading any more."""
        current = self.generation()
        old = [p for p in self._generations() if p.name < current.name]
        if time.time() - (self.path / _CURRENT).stat().st_mtime > _OLD_ENOUGH:
            for generation in old:
                shutil.rmtree(generation, ignore_errors=True)

    def acquire(self) -> None:
        """Become the writer.

        Raises:
            CollectionBusyError: if another process is.
            StoreError: if the folder cannot be written.
        """
        try:
            if not self.path.is_dir():
                self.path.mkdir(parents=True, exist_ok=True)
                _force(self.path.parent)
            self._lock.acquire()
        except filelock.Timeout:
            raise CollectionBusyError(
                f"{self.path} is being written by {self._writer()}. Searching works meanwhile; "
                "wait for it to end, or stop it"
            ) from None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {explained(error)}") from None
        who = {"process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with suppress(OSError):  # only for messages: on a full disk documents can still be deleted
            (self.path / _WRITER).write_text(json.dumps(who), encoding="utf-8")

    def release(self) -> None:
        """Let others write."""
        with suppress(OSError):
            (self.path / _WRITER).unlink()
        self._lock.release()

    def _writer(self) -> str:
        try:
            who = _read(self.path / _WRITER)
            return f"process {who['process']} on {who['host']} since {who['since']}"
        except (StoreError, KeyError):
            return "another process"


def settings_of(generation: Path) -> Settings:
    """Return the settings of a generation.

    Raises:
        StoreError: if they are missing or damaged.
    """
    values = _read(generation / _SETTINGS)
    try:
        return Settings.from_dict(values)
    except (TypeError, KeyError) as error:
        raise StoreError(f"{generation / _SETTINGS} is damaged: {error}") from None


def calibration_of(generation: Path) -> dict[str, Any] | None:
    """Return what was kept of a calibration, or None."""
    path = generation / _CALIBRATION
    return _read(path) if path.is_file() else None


def keep_calibration(generation: Path, values: Mapping[str, Any] | None) -> None:
    """Keep a calibration with the passages it was measured on; None removes the one before."""
    if values is None:
        with _writing(generation / _CALIBRATION):
            (generation / _CALIBRATION).unlink(missing_ok=True)
    else:
        write(generation / _CALIBRATION, values)


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON so that the file is either the old one or the new one, also after a power cut."""
    draft = path.with_name(path.name + ".part")
    with _writing(path):
        with draft.open("w", encoding="utf-8") as file:
            json.dump(values, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _force(path.parent)


def explained(error: OSError) -> str:
    """Return why something cannot be written, and the way out if the disk is full."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return "the disk is full; free some space and give the command again"
    return str(error)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {explained(error)}") from None


def _force(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise StoreError(f"{path} is damaged: it holds no JSON object")
    return values
