"""A log of queries: what was found and how fast, without what was asked unless somebody wants it kept.

A line is a JSON object:

    {"time": "2026-05-04T09:30:00.120000+00:00", "hash": "5f0c…", "hits": 10, "cosine": 0.91, "confidence": 0.97,
     "mode": "hybrid", "collection": "notes", "space": "e5-0123456789abcdef", "milliseconds": 12.5}

`cosine` and `confidence` are those of the best hit, null where there is none. `query` is there if texts are kept, and
`vector` (float32, little-endian, base64) if vectors are kept; texts can partly be guessed from their vectors, so both
are asked for. `hash` is BLAKE2b with a random key, which lies beside the log in `LOG.key`: equal queries have equal
hashes, and nobody without the key can try texts until one fits. Delete the key, and hashes say nothing any more.
"""

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from efive.errors import InputError
from efive.jsonlines import decode, parse, shown, without_bom
from efive.vectors import Floats, from_base64, to_base64

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_KEY_BYTES = 32
_HASH_BYTES = 16
_PRIVATE = 0o600


class Found(Protocol):
    """What a log needs to know of a hit."""

    @property
    def cosine(self) -> float | None:
        """With the query."""

    @property
    def confidence(self) -> float | None:
        """Between 0 and 1."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A query as a log has it."""

    time: datetime
    """With its time zone."""
    hash: str
    hits: int
    cosine: float | None
    confidence: float | None
    mode: str
    collection: str
    space: str
    """The fingerprint of the vectors' space, empty for full text alone."""
    milliseconds: float
    query: str | None = None
    vector: Floats | None = None
    """(dimension,) float32."""

    def to_json(self) -> str:
        """Return the line of a log, without its end."""
        values: dict[str, Any] = {
            "time": self.time.isoformat(), "hash": self.hash, "hits": self.hits, "cosine": self.cosine,
            "confidence": self.confidence, "mode": self.mode, "collection": self.collection, "space": self.space,
            "milliseconds": round(self.milliseconds, 3),
        }  # fmt: skip
        if self.query is not None:
            values["query"] = self.query
        if self.vector is not None:
            values["vector"] = to_base64(self.vector)
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read a line of a log.

        Raises:
            InputError: if it is none.
        """
        values = parse(line)
        if not isinstance(values, dict):
            raise InputError(f"{shown(values)} where a JSON object is needed")
        try:
            vector = None if values.get("vector") is None else from_base64(values["vector"])
            return cls(
                time=_time(values["time"]),
                hash=str(values["hash"]),
                hits=int(values["hits"]),
                cosine=_number(values.get("cosine")),
                confidence=_number(values.get("confidence")),
                mode=str(values["mode"]),
                collection=str(values["collection"]),
                space=str(values["space"]),
                milliseconds=_finite(values["milliseconds"]),
                query=None if values.get("query") is None else str(values["query"]),
                vector=vector,
            )
        except KeyError as error:
            raise InputError(f"no field {error}") from None
        except (ValueError, TypeError) as error:
            raise InputError(f"a field cannot be used: {error}") from None


class QueryLog:
    """Appends to a log. Several processes may write to one at the same time: a line is written at once."""

    def __init__(self, path: str | Path, *, texts: bool = False, vectors: bool = False) -> None:
        """Open or begin a log, which only its owner may read.

        Args:
            path: of the log; its key is `PATH.key`.
            texts: whether queries are kept as they were asked.
            vectors: whether their vectors are kept, by which drift and content gaps are seen.

        Raises:
            InputError: if the key beside the log is damaged.
        """
        self._path = Path(path)
        self._texts, self._vectors = texts, vectors
        self._path.touch(mode=_PRIVATE)
        _mend(self._path)
        self._key = _key(self._path.with_name(self._path.name + ".key"))

    def note(
        self,
        query: str,
        hits: Sequence[Found],
        *,
        mode: str,
        collection: str,
        space: str,
        milliseconds: float,
        vector: Floats | None = None,
    ) -> None:
        """Append a query.

        Args:
            query: as it was asked.
            hits: what was found; the best is the one with the highest cosine.
            mode: of the search.
            collection: its name.
            space: fingerprint of the space of `vector` and cosines, empty for full text alone.
            milliseconds: from the question to the hits.
            vector: of the query, (dimension,).
        """
        logged = Logged(
            time=datetime.now(UTC),
            hash=hashlib.blake2b(query.encode(), key=self._key, digest_size=_HASH_BYTES).hexdigest(),
            hits=len(hits),
            cosine=max((hit.cosine for hit in hits if hit.cosine is not None), default=None),
            confidence=max((hit.confidence for hit in hits if hit.confidence is not None), default=None),
            mode=mode,
            collection=collection,
            space=space,
            milliseconds=milliseconds,
            query=query if self._texts else None,
            vector=vector if self._vectors else None,
        )
        line = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _PRIVATE)
        try:
            with _alone(line):
                os.write(line, (logged.to_json() + "\n").encode())
        finally:
            os.close(line)


def read(path: str | Path) -> Iterator[Logged]:
    """Yield the queries of a log; a last line that a power cut has torn is left out.

    Raises:
        InputError: naming file and line of one that cannot be used.
    """
    path = Path(path)
    with path.open("rb") as file:
        for number, raw in enumerate(without_bom(file), 1):
            if not raw.strip():
                continue
            try:
                yield Logged.from_json(decode(raw.rstrip(b"\r\n")))
            except InputError as error:
                if not raw.endswith(b"\n"):
                    return
                raise InputError(f"{path}, line {number}: {error}") from None


@contextlib.contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Keep other writers of the file out meanwhile, where the system has such locks."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _mend(path: Path) -> None:
    """End a last line that a power cut has torn, by itself: the next query must not become a part of it."""
    with path.open("r+b") as file, _alone(file.fileno()):
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read(1) in {b"", b"\n"}:
            return
        file.seek(0)
        last = file.read().rpartition(b"\n")[2]
        try:
            Logged.from_json(decode(last))
        except InputError:
            file.truncate(size - len(last))
        else:
            file.write(b"\n")


def _key(path: Path) -> bytes:
    """Read the key of a log, or make one: written aside and linked, so that of two processes one's key is both's."""
    if not path.exists():
        descriptor, draft = tempfile.mkstemp(dir=path.parent)  # nobody else may read it
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            Path(draft).unlink()
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise InputError(f"{path} is no key of a log; delete it, and queries get other hashes from now on")
    return key


def _time(value: object) -> datetime:
    time = datetime.fromisoformat(str(value))
    if time.tzinfo is None:
        raise ValueError(f"time {value} has no time zone; write it as …+00:00")
    return time


def _number(value: object) -> float | None:
    return None if value is None else _finite(value)


def _finite(value: object) -> float:
    number = float(str(value))
    if not np.isfinite(number):
        raise ValueError(f"{value} is not finite")
    return number
