"""Models that come in parts: each part a file, written at once or not at all, so that a crash loses nothing of them."""

import base64
import binascii
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec

from efive.server.elastic.errors import ElasticError, exists, illegal, invalid_action

MOST_PARTS = 10_000
_MOST_BYTES = 50 << 30
_ONE = threading.Lock()
"""Uploads write one at a time: two of the same part, or of the first two parts, would be in each other's way."""


class Vocabulary(msgspec.Struct, frozen=True):
    """What the vocabulary's upload has."""

    vocabulary: list[str]
    merges: list[str] = []
    scores: list[float] = []


class Part(msgspec.Struct, frozen=True):
    """What the upload of a part has."""

    definition: str
    total_definition_length: int
    total_parts: int


class Upload:
    """The folder of a model that is on its way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = folder / "parts"
        self._vocabulary = folder / "vocabulary.json"

    def add(self, number: int, part: Part, model_id: str) -> None:
        """Keep a part; when the call returns, it is on the disk.

        Raises:
            ElasticError: if it cannot be a part of this model, or is there already.
        """
        content = _content(number, part)
        with _ONE:
            _make(self._parts)
            self._agree(part)
            path = self._parts / f"{number:05d}"
            if path.exists():
                raise exists(f"Trained machine learning model [{model_id}] definition part [{number}] already exists")
            there = sum(each.stat().st_size for each in self._parts.iterdir() if each.suffix != ".new")
            if there + len(content) > part.total_definition_length:
                raise illegal(
                    f"with part [{number}] the definition would have [{there + len(content)}] bytes; "
                    f"[total_definition_length] is [{part.total_definition_length}]"
                )
            _write(path, content)

    def _agree(self, part: Part) -> None:
        """Let the first part say how many there are; the others must say the same."""
        totals = {"length": part.total_definition_length, "parts": part.total_parts}
        known = self.totals()
        if known is None:
            free = shutil.disk_usage(self._parts).free
            if 4 * part.total_definition_length > free:
                raise illegal(
                    f"a definition of {part.total_definition_length} bytes needs four times that on the disk while it "
                    f"is taken over; {free} are free"
                )
            _write(self.folder / "totals.json", json.dumps(totals).encode())
        elif known != totals:
            raise illegal(
                f"[total_definition_length] and [total_parts] are [{part.total_definition_length}] and "
                f"[{part.total_parts}]; an earlier part of this definition had [{known['length']}] and "
                f"[{known['parts']}]"
            )

    def totals(self) -> dict[str, int] | None:
        """Return how long the definition is and how many parts it has, if one has come."""
        path = self.folder / "totals.json"
        return json.loads(path.read_bytes()) if path.is_file() else None

    def put_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Keep the vocabulary."""
        if not vocabulary.vocabulary:
            raise invalid_action("[vocabulary] must not be empty")
        with _ONE:
            _make(self.folder)
            _write(self._vocabulary, msgspec.json.encode(vocabulary))

    def vocabulary(self) -> Vocabulary | None:
        """Return the vocabulary, if it has come.

        Raises:
            ElasticError: if it is none.
        """
        if not self._vocabulary.is_file():
            return None
        try:
            return msgspec.json.decode(self._vocabulary.read_bytes(), type=Vocabulary)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise illegal(f"[vocabulary] cannot be read: {error}") from None

    @property
    def arrived(self) -> int:
        """Parts that are here."""
        return sum(1 for path in self._parts.iterdir() if path.suffix != ".new") if self._parts.is_dir() else 0

    def complete(self, *, vocabulary: bool = True) -> bool:
        """Say whether all parts are here, and the vocabulary where one is needed."""
        totals = self.totals()
        whole = totals is not None and self.arrived == totals["parts"]
        return whole and (self._vocabulary.is_file() or not vocabulary)

    def join(self, target: Path) -> None:
        """Write the parts as one file.

        Raises:
            ElasticError: if they are not as long as was said.
        """
        totals: Any = self.totals()
        with target.open("wb") as whole:
            for path in sorted(path for path in self._parts.iterdir() if path.suffix != ".new"):
                with path.open("rb") as part:
                    shutil.copyfileobj(part, whole)
            size = whole.tell()
        if size != totals["length"]:
            raise illegal(f"the parts have [{size}] bytes together; [total_definition_length] is [{totals['length']}]")

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _content(number: int, part: Part) -> bytes:
    faults = []
    if number < 0:
        faults.append("[part] must be greater or equal to 0")
    if number >= part.total_parts:
        faults.append("[part] must be less than total_parts")
    if part.total_definition_length <= 0:
        faults.append("[total_definition_length] must be greater than 0")
    if part.total_definition_length > _MOST_BYTES:
        faults.append(f"[total_definition_length] must be less than or equal to {_MOST_BYTES}")
    if part.total_parts <= 0:
        faults.append("[total_parts] must be greater than 0")
    if part.total_parts > MOST_PARTS:
        faults.append(f"[total_parts] must be less than or equal to {MOST_PARTS}")
    if faults:
        raise invalid_action(*faults)
    try:
        content = base64.b64decode(part.definition, validate=True)
    except (binascii.Error, ValueError) as error:
        raise illegal(f"[definition] of part [{number}] is no base64: {error}") from None
    if not content or len(content) > part.total_definition_length:
        raise illegal(
            f"part [{number}] has [{len(content)}] bytes; [total_definition_length] is [{part.total_definition_length}]"
        )
    return content


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_kept(error) from error


def _write(path: Path, content: bytes) -> None:
    """Write a file at once or not at all; it is on the disk then."""
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise _not_kept(error) from error


def _not_kept(error: OSError) -> ElasticError:
    """Return the error of a full disk: the same request may be sent again when there is room."""
    return ElasticError(
        500, "exception", f"the server cannot keep this upload: {error.strerror}; nothing of it is kept"
    )
