"""The distinct passages of training sets as one numbered file, and what is known of each."""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.nearest import Rows
from efive.training.data.examples import Example, Reference, TrainingSet

Keys = npt.NDArray[np.uint64]


def key_of(text: str, seed: int = 0) -> int:
    """Return 64 bits for a text; texts that differ in white space only have the same.

    Two different texts among n share a key with a probability of n² / 2⁶⁵: 0.000003 for ten million.
    """
    same = " ".join(text.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(same, digest_size=8, salt=seed.to_bytes(16, "little")).digest(), "little")


def passage_language(example: Example) -> str:
    """Return the language of an example's passages: yy of `xx-yy`, else the query's own; empty if not known."""
    return example.language.rpartition("-")[2]


def _keys(values: "array[int]") -> Keys:
    return np.frombuffer(values, dtype=np.uint64) if values else np.empty(0, dtype=np.uint64)


class Corpus:
    """Distinct passages, row by row in `path` (SimLM's form); 16 bytes of memory for each.

    Rows are in the order in which the passages first come.
    """

    def __init__(self, path: Path, keys: Keys, limit: int | None = None) -> None:
        """Number the distinct `keys` of a stream of passages, or the `limit` smallest of them.

        Keys are hashes, so the smallest are a uniform sample of the distinct passages (a bottom-k sketch), the
        same whatever the order of the stream.
        """
        self.path = path
        distinct, first = np.unique(keys, return_index=True)
        self._keys, self._first = distinct[:limit], first[:limit]
        self._rows = np.empty(len(self._keys), dtype=np.int64)
        self._rows[np.argsort(self._first)] = np.arange(len(self._keys))
        self._offsets: Rows | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def rows_of(self, keys: Iterable[int] | Keys) -> Rows:
        """Return the row of each key, -1 where there is none."""
        wanted = np.asarray(keys if isinstance(keys, np.ndarray) else list(keys), dtype=np.uint64)
        if not len(self):
            return np.full(len(wanted), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return np.where(self._keys[places] == wanted, self._rows[places], -1)

    def write(self, passages: Iterable[str], done: Callable[[int], object]) -> None:
        """Write the file from the stream that the keys are of, unless it is there already."""
        if self.path.exists():
            return
        draft = self.path.with_name(self.path.name + ".part")
        wanted = iter(np.sort(self._first).tolist())
        upcoming, row = next(wanted, -1), 0
        with draft.open("w", encoding="utf-8") as file:
            for number, passage in enumerate(passages):
                if number != upcoming:
                    continue
                line = json.dumps({"id": str(row), "title": "", "contents": passage}, ensure_ascii=False)
                file.write(line + "\n")
                upcoming, row = next(wanted, -1), row + 1
                done(1)
        draft.replace(self.path)

    def texts(self) -> Iterator[str]:
        """Yield the passages, row by row."""
        with self.path.open("rb") as file:
            for line in file:
                yield json.loads(line)["contents"]

    def texts_at(self, rows: Iterable[int]) -> list[str]:
        """Read some passages; the first call notes where each begins (8 bytes a row)."""
        if self._offsets is None:
            with self.path.open("rb") as file:
                lengths = np.fromiter((len(line) for line in file), dtype=np.int64)
            self._offsets = np.concatenate([[0], np.cumsum(lengths)])
        found = []
        with self.path.open("rb") as file:
            for row in rows:
                file.seek(int(self._offsets[row]))
                found.append(str(json.loads(file.readline())["contents"]))
        return found


@dataclass
class Survey:
    """One reading of some sets: what their texts are, as keys; about 40 bytes for each passage that is named."""

    sets: list[TrainingSet]
    examples: int = 0
    own: "list[array[int]]" = field(default_factory=list)
    """Keys of each set's corpus rows."""
    stream: "array[int]" = field(default_factory=lambda: array("Q"))
    """Keys of `passages`, in its order."""
    named: "array[int]" = field(default_factory=lambda: array("Q"))
    """Keys of the passages that examples name and whose language they say."""
    named_language: "array[int]" = field(default_factory=lambda: array("h"))
    """The languages of these, as numbers from 1."""
    languages: dict[str, int] = field(default_factory=dict)
    answered: "array[int]" = field(default_factory=lambda: array("Q"))
    """Keys of queries, and with the same index in `answers` the key of a positive."""
    answers: "array[int]" = field(default_factory=lambda: array("Q"))

    def read(self, done: Callable[[int], object]) -> "Survey":
        """Read the sets."""
        for number, data in enumerate(self.sets):
            self.own.append(array("Q"))
            for passage in data.passages():
                self.own[number].append(key_of(passage))
                if passage:  # rows that cannot be used are read as ""
                    self.stream.append(self.own[number][-1])
            for example in data.examples():
                self._add(number, example)
                done(1)
        return self

    def _add(self, number: int, example: Example) -> None:
        self.examples += 1
        query, language = key_of(example.query), passage_language(example)
        code = self.languages.setdefault(language, len(self.languages) + 1) if language else 0
        for place, reference in enumerate((*example.positives, *example.negatives)):
            key = self.key(number, reference)
            if isinstance(reference, str):
                self.stream.append(key)
            if code:
                self.named.append(key)
                self.named_language.append(code)
            if place < len(example.positives):
                self.answered.append(query)
                self.answers.append(key)

    def key(self, number: int, reference: Reference) -> int:
        """Return the key of a passage that an example of set `number` names."""
        return key_of(reference) if isinstance(reference, str) else self.own[number][reference]

    def passages(self) -> Iterator[str]:
        """Yield every passage in the order of `stream`: each set's corpus, then what its examples hold inline."""
        for data in self.sets:
            yield from filter(None, data.passages())
            for example in data.examples():
                yield from (each for each in (*example.positives, *example.negatives) if isinstance(each, str))

    def numbered(self) -> Iterator[tuple[int, Example]]:
        """Yield all examples, each with the number of its set."""
        for number, data in enumerate(self.sets):
            for example in data.examples():
                yield number, example

    def corpus(self, path: Path) -> Corpus:
        """Return the distinct passages."""
        return Corpus(path, _keys(self.stream))

    def languages_of(self, corpus: Corpus) -> npt.NDArray[np.int16]:
        """Return the language number of each row, by the first example that says it; 0 where none does."""
        codes = np.zeros(len(corpus), dtype=np.int16)
        if self.named:
            rows = corpus.rows_of(_keys(self.named))
            codes[rows[::-1]] = np.frombuffer(self.named_language, dtype=np.int16)[::-1]
        return codes

    def answers_by_query(self) -> "Answers":
        """Return all positives of every query text, whichever examples name them."""
        queries = _keys(self.answered)
        order = np.argsort(queries, kind="stable")
        return Answers(queries[order], _keys(self.answers)[order])


@dataclass(frozen=True, slots=True)
class Answers:
    """Positives by query, sorted by the query's key."""

    queries: Keys
    passages: Keys

    def of(self, query: str) -> Keys:
        """Return the keys of a query's positives."""
        key: Any = np.uint64(key_of(query))
        first, end = np.searchsorted(self.queries, key, "left"), np.searchsorted(self.queries, key, "right")
        return self.passages[first:end]
