"""A teacher's vectors of a training set: computed once, resumable, kept as float16 beside the token tables."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from efive.encoder import Encoder
from efive.errors import InputError, TruncationWarning
from efive.inputs import Role
from efive.training.data.examples import Example, TrainingSet
from efive.training.tokens import Selection, files_digest, text_key

_VERSION = 1
_BLOCK = 4096
UNREAD = -1


@dataclass(frozen=True, slots=True)
class TeacherVectors:
    """What a teacher says of a set's texts."""

    rows: npt.NDArray[np.int64]
    """(examples, 2): the row of `vectors` that query and passage learn; -1 where the student does not read it."""
    vectors: npt.NDArray[np.float16]
    """(texts, d), unit length."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Which side of a pair the teacher reads, and how."""

    language: str
    """Of a pair in two languages it reads the side in this one, for both; empty reads each side for itself."""
    prefixed: bool
    """Whether the teacher wants E5's prefixes."""
    symmetric: bool
    foreign_only: bool
    """Whether the student reads only the side in the other language."""

    def sides(self, example: Example) -> tuple[tuple[str, Role], tuple[str, Role]]:
        """Return the texts (and roles) whose vectors query and passage learn."""
        passage = example.positives[0]
        if not isinstance(passage, str):
            raise InputError(f"{example.place}: imitation learns pairs of texts; this set holds document ids")
        other = Role.QUERY if self.symmetric else Role.PASSAGE
        query_role, passage_role = (Role.QUERY, other) if self.prefixed else (Role.RAW, Role.RAW)
        query, answer = (example.query, query_role), (passage, passage_role)
        codes = example.language.split("-")
        if not self.language or len(codes) < 2:
            return query, answer
        return (query, query) if codes[0] == self.language else (answer, answer)

    def learned(self, example: Example) -> tuple[bool, bool]:
        """Return which of query and passage the student reads."""
        codes = example.language.split("-")
        if not self.foreign_only or len(codes) < 2:
            return True, True
        return codes[0] != self.language, codes[1] != self.language


def teacher_vectors(
    training_set: TrainingSet,
    selection: Selection,
    reading: Reading,
    encoder: Encoder,
    cache: Path,
    progress: Callable[[int], None] = lambda _done: None,
) -> TeacherVectors:
    """Return the teacher's vectors of a set, made in a folder of `cache` unless they are there.

    Interrupted, it goes on at the last whole block.
    """
    key = {
        "version": _VERSION,
        "files": files_digest(training_set.files),
        "teacher": [encoder.space.fingerprint, encoder.max_tokens],
        "selection": selection.key(),
        "reading": [reading.language, reading.prefixed, reading.symmetric, reading.foreign_only],
    }
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    folder = cache / f"{training_set.name}-teacher-{digest[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "rows.npy"
    if not done.is_file():
        with warnings.catch_warnings():  # the limit is the run's own setting
            warnings.simplefilter("ignore", TruncationWarning)
            _fill(folder / "vectors.f16", done, _Texts(training_set, selection, reading), encoder, progress)
    vectors = np.memmap(folder / "vectors.f16", dtype=np.float16, mode="r").reshape(-1, encoder.dimension)
    return TeacherVectors(np.load(done, mmap_mode="r"), vectors)


class _Texts:
    """The distinct texts that the teacher reads, in the order in which they first come."""

    def __init__(self, training_set: TrainingSet, selection: Selection, reading: Reading) -> None:
        self._set, self._selection = training_set, selection
        self._reading = reading
        self._seen: dict[int, int] = {}
        self.rows: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[tuple[str, Role]]:
        for example in self._selection.apply(self._set.examples()):
            pair = []
            for text, role in self._reading.sides(example):
                known = len(self._seen)
                row = self._seen.setdefault(text_key(f"{role}\n{text}"), known)
                if row == known:
                    yield text, role
                pair.append(row)
            learned = self._reading.learned(example)
            self.rows.append((pair[0] if learned[0] else UNREAD, pair[1] if learned[1] else UNREAD))


def _fill(path: Path, done: Path, texts: _Texts, encoder: Encoder, progress: Callable[[int], None]) -> None:
    width = 2 * encoder.dimension
    whole = path.stat().st_size // width if path.exists() else 0
    incoming = iter(texts)
    for _ in islice(incoming, whole):
        pass
    progress(whole)
    with path.open("ab") as file:
        file.truncate(whole * width)
        while block := list(islice(incoming, _BLOCK)):
            vectors: npt.NDArray[np.float16] = np.empty((len(block), encoder.dimension), dtype=np.float16)
            for role in {role for _, role in block}:
                of_role = [index for index, (_, its) in enumerate(block) if its is role]
                vectors[of_role] = encoder.embed([block[index][0] for index in of_role], role).vectors
            file.write(vectors.tobytes())
            progress(len(block))
    draft = done.with_suffix(".part.npy")
    np.save(draft, np.asarray(texts.rows, dtype=np.int64).reshape(-1, 2))
    draft.rename(done)
