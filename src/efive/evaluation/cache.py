"""Vectors of texts kept on disk, so that no text is embedded twice: by a later run, another task, or after a break.

For each space, role, token limit and instruction there is a folder with two files that grow together: `vectors.npy`,
a float16 row for each text, and `keys.npy`, 16 bytes of its digest. The vectors are written first, so that a run that
is torn leaves rows without a key at most; they are passed over.
"""

import hashlib
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from efive.encoder import Encoder
from efive.errors import InputError
from efive.inputs import Role
from efive.nearest import Floats, GrowingArray, Halves, Rows, open_rows
from efive.vectors import normalize

Watch = Callable[[str, int | None, int], AbstractContextManager[Callable[[int], object]]]
"""Called with what begins, its number of steps (None: not known) and those done before; told of each step done."""
Keys = npt.NDArray[np.bytes_]

_STORED = np.dtype("<f2")
_KEY = np.dtype("S16")
_BLOCK = 1024
"""Texts that are looked up together."""
_RECENT = 1 << 16
"""New keys that are kept aside before they are sorted in."""


@contextmanager
def unwatched(_what: str, _total: int | None, _done: int) -> Iterator[Callable[[int], object]]:
    """Watch nothing."""
    yield lambda _steps: None


@dataclass(frozen=True, slots=True)
class Vectors:
    """Rows of a file in the order of some texts, read as they are used."""

    stored: Halves
    """(any, dimension), mapped into memory."""
    rows: Rows
    """(n,) the row of each text."""

    @property
    def shape(self) -> tuple[int, int]:
        """Texts and components."""
        return len(self.rows), int(self.stored.shape[1])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: "slice | Rows") -> Halves:
        return np.asarray(self.stored[self.rows[which]])

    @property
    def array(self) -> Halves:
        """These rows for functions that want of an array its length, its shape and slices."""
        return cast("Halves", self)

    def floats(self, which: "slice | Rows" = slice(None)) -> Floats:
        """Read some rows, or all: float32, unit length."""
        return normalize(self[which].astype(np.float32))


@dataclass(slots=True)
class Cost:
    """What embedding took. What came from the cache is left out."""

    texts: int = 0
    seconds: float = 0.0

    def described(self) -> dict[str, float]:
        """Return the cost as `TaskResult.cost` has it."""
        rate = {"texts_per_second": self.texts / self.seconds} if self.texts else {}
        return {"texts": float(self.texts), "seconds": self.seconds, **rate}


class EmbeddingCache:
    """Embeds what it has not embedded before."""

    def __init__(self, folder: Path, encoder: Encoder, watch: Watch = unwatched) -> None:
        """Keep the vectors of `encoder` below `folder`, which many encoders may share."""
        self.folder = folder
        self.encoder = encoder
        self.cost = Cost()
        self._watch = watch

    def embed(self, texts: Iterable[str], role: Role, done: Callable[[int], object] = lambda _texts: None) -> Vectors:
        """Return the vectors of `texts`; `done` is told of texts as their vectors are there.

        Memory is 8 bytes for each text, 24 for each that the cache holds, and blocks. A text beyond the encoder's
        limit is cut at its end.

        Raises:
            InputError: if a file of the cache is damaged, or a text cannot be used.
        """
        folder = self._place(role)
        with self._alone(folder), _Store(folder, self.encoder.dimension) as store:
            rows, handed = array("q"), deque[bytes]()
            index = _Index(store.keys())
            began = 0.0

            def missing() -> Iterator[str]:
                nonlocal began
                incoming = iter(texts)
                while block := list(islice(incoming, _BLOCK)):
                    keys = [_key(text) for text in block]
                    found, new = index.take(keys)
                    rows.extend(found)
                    done(len(block) - len(new))
                    for position in new:
                        began = began or time.perf_counter()
                        handed.append(keys[position])
                        yield block[position]

            before = self.cost.seconds
            for part in self.encoder.stream(missing(), role):
                store.append(part.vectors, [handed.popleft() for _ in range(len(part))])
                self.cost.texts += len(part)
                self.cost.seconds = before + time.perf_counter() - began
                done(len(part))
            return Vectors(store.vectors(), np.array(rows, dtype=np.int64))

    def _place(self, role: Role) -> Path:
        """Return the folder of what decides a vector beside its text; the space leaves out limit and instruction."""
        prompt = hashlib.sha256(self.encoder.prompts.of(role).encode()).hexdigest()[:8]
        return self.folder / self.encoder.space.fingerprint / f"{role}-{self.encoder.max_tokens}-{prompt}"

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Wait until no other process embeds into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with self._watch("waiting for another run that embeds the same", None, 0):
                lock.acquire()
        try:
            yield
        finally:
            lock.release()


class _Store:
    """The two files."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._paths = folder / "vectors.npy", folder / "keys.npy"
        with ExitStack() as opened:
            try:
                self._vectors = opened.enter_context(GrowingArray(self._paths[0], dimension, _STORED))
                self._keys = opened.enter_context(GrowingArray(self._paths[1], None, _KEY))
            except InputError:
                raise self._damaged() from None
            orphans = self._vectors.rows - self._keys.rows
            if orphans < 0:
                raise self._damaged()
            self._opened = opened.pop_all()
        if orphans:  # a run was torn between the two: no text has the key of zeros
            self._keys.append(np.zeros(orphans, dtype=_KEY))

    def _damaged(self) -> InputError:
        return InputError(f"{self._paths[0].parent} is damaged; delete that folder, and its texts are embedded anew")

    def append(self, vectors: Floats, keys: Sequence[bytes]) -> None:
        self._vectors.append(vectors)
        self._keys.append(np.array(keys, dtype=_KEY))

    def keys(self) -> Keys:
        return np.array(open_rows(self._paths[1]))

    def vectors(self) -> Halves:
        return open_rows(self._paths[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._opened.close()


class _Index:
    """Rows by key: sorted arrays, and a dictionary of what came since they were sorted."""

    def __init__(self, keys: Keys) -> None:
        """Take the keys of the rows from 0 on."""
        self._count = len(keys)
        self._recent: dict[bytes, int] = {}
        self._sort(keys, np.arange(len(keys)))

    def take(self, keys: Sequence[bytes]) -> tuple[list[int], list[int]]:
        """Return the row of each key, and the positions of keys that were not known: they get the next rows."""
        asked: Any = np.array(keys, dtype=_KEY)
        places = np.minimum(np.searchsorted(self._sorted, asked), max(len(self._sorted) - 1, 0))
        known = self._sorted[places] == asked if len(self._sorted) else np.zeros(len(asked), dtype=np.bool_)
        rows = np.where(known, self._rows[places], -1).tolist() if len(self._sorted) else [-1] * len(asked)
        new = []
        for position in np.flatnonzero(~known).tolist():
            row = self._recent.setdefault(keys[position], self._count)
            if row == self._count:
                self._count += 1
                new.append(position)
            rows[position] = row
        if len(self._recent) > max(_RECENT, len(self._sorted) // 4):
            recent = np.array(list(self._recent), dtype=_KEY)
            numbers = np.fromiter(self._recent.values(), dtype=np.int64)
            self._sort(np.concatenate([self._sorted, recent]), np.concatenate([self._rows, numbers]))
            self._recent = {}
        return rows, new

    def _sort(self, keys: Keys, rows: Rows) -> None:
        order = np.argsort(keys)
        self._sorted, self._rows = keys[order], rows[order]


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY.itemsize).digest()
