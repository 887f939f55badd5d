"""What a training set holds and what is wrong with it, in one pass and bounded memory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from efive.training.data.examples import Example, Problem
from efive.training.data.formats import open_sets
from efive.training.data.sets import Advance
from efive.training.data.tallies import Distribution, Histogram, Names, Repeats, Repetitions, script_of

PLACES = 20
"""Problems of each kind that are kept in full; the rest are counted."""
HASHES = 1 << 23
"""Hashes that each of the two counts of repetitions holds: 64 MiB, and as much again while they are sorted."""
_TOKENISE = 256


class TokenCounter(Protocol):
    """Counts tokens, as `TextTokenizer` does."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        ...


@dataclass(frozen=True, slots=True)
class Problems:
    """All problems of one kind."""

    count: int
    first: tuple[Problem, ...]
    """The first 20 of them."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a training set holds. Distributions are None where there was nothing to measure."""

    files: tuple[str, ...]
    sets: dict[str, int]
    """Usable examples of each file, or of the folder."""
    examples: int
    corpus: int
    """Usable passages of the corpus; 0 where the examples hold their texts."""
    scored: int
    """Examples whose positives and negatives all have a teacher's score."""
    positives: Distribution | None
    """Positives of an example."""
    negatives: Distribution | None
    """Negatives of an example."""
    query_characters: Distribution | None
    passage_characters: Distribution | None
    """Of the corpus, or of the positives and negatives as often as they come."""
    query_tokens: Distribution | None
    """Special tokens included, prefixes not."""
    passage_tokens: Distribution | None
    languages: dict[str, int]
    """Examples of each language that is named."""
    scripts: dict[str, int]
    """Examples without a named language, by the script of their query."""
    repeated_queries: Repetitions
    """Examples whose query came before."""
    repeated_pairs: Repetitions
    """Query and positive passage that came before as a pair."""
    problems: dict[str, Problems]
    """By kind."""

    @property
    def problem_count(self) -> int:
        """All problems."""
        return sum(each.count for each in self.problems.values())


def check(
    path: Path,
    *,
    split: str = "train",
    tokenizer: TokenCounter | None = None,
    advance: Advance | None = None,
    hashes: int = HASHES,
) -> Report:
    """Read everything at `path` once and report on it.

    Memory does not grow with the data: two times `hashes` · 8 bytes for repetitions (once more while they are
    sorted), an eighth of a byte per corpus row if some rows are unusable, and one record. No text is kept.

    Args:
        path: What `open_sets` opens.
        split: Which file of a folder holds the examples.
        tokenizer: Counts tokens too; that takes most of the time then.
        advance: Told of the bytes that were read since the last call.
        hashes: How many hashes each count of repetitions holds; it is exact up to half as many different items.

    Raises:
        InputError: if nothing at `path` can be read.
    """
    problems, tally = _ProblemTally(), _Tally(tokenizer, hashes)
    sets = open_sets(path, split=split, on_problem=problems.add, advance=advance)
    found: dict[str, int] = {}
    for each in sets:
        for text in each.passages():
            if text:
                tally.corpus += 1
                tally.passages.add(text)
        before = tally.examples
        for example in each.examples():
            tally.add(example)
        name = each.name if each.name not in found else str(each.files[-1])
        found[name] = tally.examples - before
        if not found[name]:
            where = str(each.files[-1])
            problems.add(Problem(where, "empty", "no usable example in it"))
    files = tuple(str(file) for each in sets for file in each.files)
    return tally.report(files, found, problems.all())


class _ProblemTally:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, list[Problem]] = {}

    def add(self, problem: Problem) -> None:
        self._counts[problem.kind] += 1
        first = self._first.setdefault(problem.kind, [])
        if len(first) < PLACES:
            first.append(problem)

    def all(self) -> dict[str, Problems]:
        return {kind: Problems(count, tuple(self._first[kind])) for kind, count in self._counts.most_common()}


class _Lengths:
    """Lengths of texts in characters, and in tokens if a tokenizer is there."""

    def __init__(self, tokenizer: TokenCounter | None) -> None:
        self._tokenizer = tokenizer
        self._characters, self._tokens = Histogram(), Histogram()
        self._waiting: list[str] = []

    def add(self, text: str) -> None:
        self._characters.add(len(text))
        if self._tokenizer:
            self._waiting.append(text)
            if len(self._waiting) == _TOKENISE:
                self._count_tokens(self._tokenizer)

    def _count_tokens(self, tokenizer: TokenCounter) -> None:
        for count in tokenizer.count(self._waiting):
            self._tokens.add(count)
        self._waiting.clear()

    def characters(self) -> Distribution | None:
        return self._characters.distribution()

    def tokens(self) -> Distribution | None:
        if self._tokenizer and self._waiting:
            self._count_tokens(self._tokenizer)
        return self._tokens.distribution()


class _Tally:
    """What is counted over the examples and passages."""

    def __init__(self, tokenizer: TokenCounter | None, hashes: int) -> None:
        self.examples = self.corpus = self._scored = 0
        self.queries, self.passages = _Lengths(tokenizer), _Lengths(tokenizer)
        self._positives, self._negatives = Histogram(), Histogram()
        self._languages, self._scripts = Names(), Names()
        self._seen_queries, self._seen_pairs = Repeats(hashes), Repeats(hashes)

    def add(self, example: Example) -> None:
        self.examples += 1
        self.queries.add(example.query)
        for passage in (*example.positives, *example.negatives):
            if isinstance(passage, str):
                self.passages.add(passage)
        self._positives.add(len(example.positives))
        self._negatives.add(len(example.negatives))
        scored = example.negative_scores is not None or not example.negatives
        self._scored += example.positive_scores is not None and scored
        if example.language:
            self._languages.add(example.language)
        else:
            self._scripts.add(script_of(example.query))
        self._seen_queries.add(example.query)
        for positive in example.positives:
            self._seen_pairs.add(example.query, str(positive))

    def report(self, files: tuple[str, ...], sets: dict[str, int], problems: dict[str, Problems]) -> Report:
        return Report(
            files=files,
            sets=sets,
            examples=self.examples,
            corpus=self.corpus,
            scored=self._scored,
            positives=self._positives.distribution(),
            negatives=self._negatives.distribution(),
            query_characters=self.queries.characters(),
            passage_characters=self.passages.characters(),
            query_tokens=self.queries.tokens(),
            passage_tokens=self.passages.tokens(),
            languages=self._languages.counts(),
            scripts=self._scripts.counts(),
            repeated_queries=self._seen_queries.result(),
            repeated_pairs=self._seen_pairs.result(),
            problems=problems,
        )
