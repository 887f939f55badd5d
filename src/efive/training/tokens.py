"""Training sets, tokenised once and memory-mapped: larger than memory, and the same bytes in every process.

A folder holds two tables of texts, `queries` and `passages` (content tokens one after the other, offsets, text
keys), and the examples as rows of these tables. Prefixes and special tokens are put around the content when a
batch is made, so one table serves every role and every length limit.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from efive.errors import InputError
from efive.inputs import Prompts, Role
from efive.models.checkpoint import Checkpoint
from efive.text.tokenizer import TextTokenizer, TokenIds
from efive.training.data.examples import Example, TrainingSet

_VERSION = 1
_BLOCK = 2048
_DONE = "set.json"
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands before and after a text's content, by role."""

    leads: dict[Role, TokenIds]
    trail: TokenIds

    @classmethod
    def of(cls, tokenizer: TextTokenizer, prompts: Prompts) -> "Frame":
        """Find the tokens that every input of a role begins and ends with."""
        leads, trails = {}, []
        for role in (Role.QUERY, Role.PASSAGE):
            one, other = (ids.tolist() for ids in tokenizer.encode([prompts.of(role) + probe for probe in ("a", "7")]))
            lead = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
            leads[role] = np.asarray(one[:lead], dtype=np.int32)
            trails.append(one[len(one) - tokenizer.trailing :])
        return cls(leads, np.asarray(trails[0], dtype=np.int32))

    def content(self, ids: TokenIds, role: Role) -> TokenIds:
        """Return the tokens of an input without its frame."""
        lead = self.leads[role]
        if not np.array_equal(ids[: len(lead)], lead):
            raise InputError("this tokenizer joins the prefix with the text behind it; such a model cannot be trained")
        return ids[len(lead) : len(ids) - len(self.trail)]

    def build(self, content: TokenIds, role: Role, limit: int) -> TokenIds:
        """Return the input of `content` in a role, cut at its end to `limit` tokens."""
        return np.concatenate([self.leads[role], content[: self.room(role, limit)], self.trail])

    def room(self, role: Role, limit: int) -> int:
        """Return how many content tokens an input of `limit` tokens has."""
        return max(0, limit - len(self.leads[role]) - len(self.trail))


class TextTable:
    """Content tokens of many texts, memory-mapped."""

    def __init__(self, folder: Path, name: str) -> None:
        self.offsets: Longs = np.load(folder / f"{name}.offsets.npy", mmap_mode="r")
        """(texts + 1,) int64."""
        self.keys: Longs = np.load(folder / f"{name}.keys.npy", mmap_mode="r")
        """(texts,) int64: equal texts have equal keys."""
        path = folder / f"{name}.tokens"
        empty = path.stat().st_size == 0
        self._tokens = np.empty(0, np.int32) if empty else np.memmap(path, dtype=np.dtype("<i4"), mode="r")

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, row: int) -> TokenIds:
        ids: TokenIds = np.asarray(self._tokens[self.offsets[row] : self.offsets[row + 1]])
        return ids


@dataclass(frozen=True)
class TokenizedSet:
    """A training set on disk, ready for batches."""

    name: str
    data_digest: str
    """SHA-256 of the files' contents."""
    queries: TextTable
    passages: TextTable
    positives: "Lists"
    negatives: "Lists"
    languages: list[str]
    """Names of the language codes."""
    language: npt.NDArray[np.int16]
    """(examples,) index into `languages`."""

    @property
    def scored(self) -> bool:
        """Whether a teacher's scores stand beside the passages."""
        return self.positives.scored and self.negatives.scored

    def __len__(self) -> int:
        return len(self.language)


class Lists:
    """Lists of passage rows with scores, one per example."""

    def __init__(self, folder: Path, name: str) -> None:
        self._bounds: Longs = np.load(folder / f"{name}.bounds.npy", mmap_mode="r")
        self._rows: Longs = np.load(folder / f"{name}.rows.npy", mmap_mode="r")
        scores = folder / f"{name}.scores.npy"
        self._scores: npt.NDArray[np.float32] | None = np.load(scores, mmap_mode="r") if scores.exists() else None

    @property
    def scored(self) -> bool:
        """Whether there are scores."""
        return self._scores is not None

    def rows(self, example: int) -> Longs:
        """Return the passage rows of an example."""
        return self._rows[self._bounds[example] : self._bounds[example + 1]]

    def scores(self, example: int) -> npt.NDArray[np.float32] | None:
        """Return the teacher's scores of an example's passages, or None where the set has none."""
        return None if self._scores is None else self._scores[self._bounds[example] : self._bounds[example + 1]]


def text_key(text: str) -> int:
    """Return a 63-bit number of a text; different texts share one with a probability of 1e-19 per pair."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def files_digest(files: Iterable[Path]) -> str:
    """Return the SHA-256 of the contents of `files`, in order."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Selection:
    """Which examples of a set to take."""

    languages: tuple[str, ...] = ()
    """Keep an example only if every language of its code is one of these; empty keeps all."""
    containing: str = ""
    """Keep an example only if its code has this language."""
    limit: int | None = None
    """Keep at most so many of these: the first of the file."""
    skip: int = 0
    """Leave out so many of these, the first of the file, before counting."""

    def apply(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield the examples that are taken."""
        end = None if self.limit is None else self.skip + self.limit
        return islice(filter(self._takes, examples), self.skip, end)

    def key(self) -> list[Any]:
        """Return what tells this selection from others, as JSON values."""
        return [self.languages, self.containing, self.limit, self.skip]

    def _takes(self, example: Example) -> bool:
        codes = example.language.split("-")
        return (not self.languages or set(codes) <= set(self.languages)) and self.containing in {"", *codes}


@dataclass(frozen=True, slots=True)
class Coder:
    """How a model reads texts."""

    tokenizer: TextTokenizer
    prompts: Prompts
    digest: str
    """SHA-256 of the tokenizer's file."""
    frame: Frame
    longest: int = 512
    """Content tokens that are kept of each text."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, *, longest: int = 512) -> "Coder":
        """Read a model's tokenizer."""
        tokenizer = TextTokenizer.load(checkpoint.tokenizer_file)
        frame = Frame.of(tokenizer, checkpoint.prompts)
        return cls(tokenizer, checkpoint.prompts, files_digest([checkpoint.tokenizer_file]), frame, longest)

    def contents(self, texts: Sequence[str], role: Role) -> list[TokenIds]:
        """Return the content tokens of texts: no prefix, no special tokens."""
        rows = self.tokenizer.encode([self.prompts.of(role) + text for text in texts])
        return [self.frame.content(row, role)[: self.longest] for row in rows]


def tokenized(training_set: TrainingSet, coder: Coder, cache: Path, selection: Selection) -> TokenizedSet:
    """Return the set as token tables, made in a folder of `cache` unless they are there."""
    files = files_digest(training_set.files)
    key = {
        "version": _VERSION,
        "files": files,
        "tokenizer": coder.digest,
        "prompts": [coder.prompts.query, coder.prompts.passage],
        "selection": selection.key(),
        "longest": coder.longest,
    }
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    folder = cache / f"{training_set.name}-{digest[:16]}"
    if not (folder / _DONE).is_file():
        draft = folder.with_name(folder.name + ".part")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        languages = _write(training_set, selection, coder, draft)
        (draft / _DONE).write_text(json.dumps(key | {"language names": languages}), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    described: dict[str, Any] = json.loads((folder / _DONE).read_text(encoding="utf-8"))
    return TokenizedSet(
        name=training_set.name,
        data_digest=files,
        queries=TextTable(folder, "queries"),
        passages=TextTable(folder, "passages"),
        positives=Lists(folder, "positives"),
        negatives=Lists(folder, "negatives"),
        languages=described["language names"],
        language=np.load(folder / "language.npy", mmap_mode="r"),
    )


class _TableWriter:
    """Appends texts to a table, block by block."""

    def __init__(self, folder: Path, name: str, coder: Coder, role: Role) -> None:
        self._folder, self._name = folder, name
        self._coder, self._role = coder, role
        self._waiting: list[str] = []
        self._file: BinaryIO = (folder / f"{name}.tokens").open("wb")
        self._lengths = _Numbers(np.int64)
        self._keys = _Numbers(np.int64)
        self.count = 0

    def add(self, text: str) -> int:
        """Append a text and return its row."""
        self._waiting.append(text)
        if len(self._waiting) >= _BLOCK:
            self._flush()
        self.count += 1
        return self.count - 1

    def _flush(self) -> None:
        for row in self._coder.contents(self._waiting, self._role):
            self._file.write(row.astype("<i4").tobytes())
            self._lengths.add(len(row))
        for text in self._waiting:
            self._keys.add(text_key(text))
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._file.close()
        if error is not None:
            return
        offsets = np.concatenate([[0], np.cumsum(self._lengths.array())]).astype(np.int64)
        np.save(self._folder / f"{self._name}.offsets.npy", offsets)
        np.save(self._folder / f"{self._name}.keys.npy", self._keys.array())


class _Numbers:
    """A growing array: 8 bytes a number, not Python's 32."""

    def __init__(self, dtype: type) -> None:
        self._full: list[npt.NDArray[Any]] = []
        self._open: list[float] = []
        self._dtype = dtype

    def add(self, number: float) -> None:
        self._open.append(number)
        if len(self._open) >= 1 << 16:
            self._close()

    def _close(self) -> None:
        self._full.append(np.asarray(self._open, dtype=self._dtype))
        self._open = []

    def array(self) -> npt.NDArray[Any]:
        self._close()
        return np.concatenate(self._full)


class _ListWriter:
    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / name
        self._sizes, self._rows, self._scores = _Numbers(np.int64), _Numbers(np.int64), _Numbers(np.float32)
        self._missing = False

    def add(self, rows: Sequence[int], scores: Sequence[float] | None) -> None:
        self._sizes.add(len(rows))
        for row in rows:
            self._rows.add(row)
        self._missing |= scores is None and bool(rows)
        for score in scores if scores is not None else [0.0] * len(rows):
            self._scores.add(score)

    def close(self) -> None:
        bounds = np.concatenate([[0], np.cumsum(self._sizes.array())]).astype(np.int64)
        np.save(self._path.with_name(self._path.name + ".bounds.npy"), bounds)
        np.save(self._path.with_name(self._path.name + ".rows.npy"), self._rows.array())
        if not self._missing:
            np.save(self._path.with_name(self._path.name + ".scores.npy"), self._scores.array())


def _write(training_set: TrainingSet, selection: Selection, coder: Coder, folder: Path) -> list[str]:
    with (
        _TableWriter(folder, "queries", coder, Role.QUERY) as queries,
        _TableWriter(folder, "passages", coder, Role.PASSAGE) as passages,
    ):
        return _fill(training_set, selection, (queries, passages), folder)


def _fill(
    training_set: TrainingSet, selection: Selection, tables: tuple[_TableWriter, _TableWriter], folder: Path
) -> list[str]:
    queries, passages = tables
    positives, negatives = _ListWriter(folder, "positives"), _ListWriter(folder, "negatives")
    names: dict[str, int] = {}
    language = _Numbers(np.int16)
    for text in training_set.passages():
        passages.add(text)

    def row(reference: str | int) -> int:
        return reference if isinstance(reference, int) else passages.add(reference)

    for example in selection.apply(training_set.examples()):
        queries.add(example.query)
        positives.add([row(r) for r in example.positives], example.positive_scores)
        negatives.add([row(r) for r in example.negatives], example.negative_scores)
        language.add(names.setdefault(example.language, len(names)))
    if not queries.count:
        chosen = f" in {', '.join(selection.languages)}" if selection.languages else ""
        raise InputError(f"{training_set.name} has no examples{chosen}")
    positives.close()
    negatives.close()
    np.save(folder / "language.npy", language.array())
    return list(names)
