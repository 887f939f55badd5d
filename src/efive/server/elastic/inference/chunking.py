"""How texts of semantic_text fields are divided: by sentences, words or separators, sizes counted in words.

Words and sentences are Unicode's (UAX 29), as Elasticsearch has them but for scripts without spaces: there it looks
words up in dictionaries, and here every character counts as one, so that chunks become shorter, never longer.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import unicode_segmentation_rs as segmentation

from efive.server.elastic.errors import illegal
from efive.server.elastic.inference.checks import Checks

Spans = list[tuple[int, int]]

_SCOPE = "chunking_settings"
_MOST_SEPARATORS = 100
_KEYS = {
    "sentence": ("max_chunk_size", "sentence_overlap"),
    "word": ("max_chunk_size", "overlap"),
    "recursive": ("max_chunk_size", "separators", "separator_group"),
    "none": (),
}
_SURPLUS = {
    "sentence": "Sentence based chunking settings can not have the following settings",
    "word": "Word based chunking settings can not have the following settings",
    "recursive": "Recursive chunking settings can not have the following settings",
    "none": "When chunking is disabled (none), settings can not have the following",
}
_GROUPS = {
    "plaintext": (r"(?<!\n)\n\n(?!\n)", r"(?<!\n)\n(?!\n)"),
    "markdown": (
        *(f"\n{'#' * depth} " for depth in range(1, 7)),
        "\n^(?!\\s*$).*\\n-{1,}\\n",
        "\n^(?!\\s*$).*\\n={1,}\\n",
    ),
}


@dataclass(frozen=True, slots=True)
class Chunking:
    """How a text is divided."""

    strategy: str = "sentence"
    max_chunk_size: int | None = 250
    """Words of a chunk."""
    sentence_overlap: int | None = 1
    """By sentences: how many are repeated, 0 or 1."""
    overlap: int | None = None
    """By words: how many are repeated."""
    separators: tuple[str, ...] | None = None
    """Recursive: regular expressions, tried in this order."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as Elasticsearch shows it."""
        found: dict[str, Any] = {"strategy": self.strategy}
        for name in ("max_chunk_size", "sentence_overlap", "overlap", "separators"):
            if (value := getattr(self, name)) is not None:
                found[name] = list(value) if isinstance(value, tuple) else value
        return found


DEFAULT = Chunking()


def parse(settings: Mapping[str, Any] | None) -> Chunking:
    """Return what a request asks for; nothing, or an empty object, is the default.

    Raises:
        ElasticError: naming every setting that cannot be.
    """
    if not settings:
        return DEFAULT
    if "strategy" not in settings:
        raise illegal("Can't generate Chunker without ChunkingStrategy provided")
    strategy = str(settings["strategy"]).lower()
    if strategy not in _KEYS:
        raise illegal(f"Invalid chunkingStrategy {settings['strategy']}")
    checks = Checks.of(_SCOPE, settings)
    surplus = [name for name in settings if name not in {"strategy", *_KEYS[strategy]}]
    if surplus:
        checks.faults.append(f"{_SURPLUS[strategy]}: [{', '.join(surplus)}]")
    chunking = _PARSERS[strategy](checks)
    checks.end()
    return chunking


def _sentence(checks: Checks) -> Chunking:
    size = checks.positive("max_chunk_size", required=True, least=20)
    overlap = checks.take("sentence_overlap", int)
    if overlap not in {None, 0, 1}:
        checks.faults.append(f"sentence_overlap[{overlap}] must be either 0 or 1")
    return Chunking("sentence", size, 1 if overlap is None else overlap)


def _word(checks: Checks) -> Chunking:
    size = checks.positive("max_chunk_size", required=True, least=10, most=300)
    overlap = None if size is None else checks.positive("overlap", required=True, most=size // 2)
    return Chunking("word", size, None, overlap)


def _recursive(checks: Checks) -> Chunking:
    size = checks.positive("max_chunk_size", required=True, least=10, most=300)
    group, separators = checks.text("separator_group"), checks.take("separators", list)
    if group is not None and separators is not None:
        checks.faults.append("Recursive chunking settings can not have both separators and separator_group")
    if group is not None and group.strip().lower() not in _GROUPS:
        checks.faults.append(
            f"[{_SCOPE}] Invalid value [{group}] received. [separator_group] must be one of [markdown, plaintext]"
        )
        group = None
    if separators is None:
        return Chunking("recursive", size, None, separators=_GROUPS[(group or "plaintext").strip().lower()])
    if not 0 < len(separators) <= _MOST_SEPARATORS:
        checks.faults.append(
            f"Recursive chunking settings can not have more than {_MOST_SEPARATORS} separators"
            if separators
            else "Recursive chunking settings can not have an empty list of separators"
        )
    for each in separators:
        if fault := _no_expression(each):
            checks.faults.append(f"[separators] must be regular expressions: [{each}] is none: {fault}")
    return Chunking("recursive", size, None, separators=tuple(map(str, separators)))


def _no_expression(separator: object) -> str:
    if not isinstance(separator, str):
        return "it is no text"
    try:
        re.compile(separator)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""


_PARSERS: dict[str, Callable[[Checks], Chunking]] = {
    "sentence": _sentence,
    "word": _word,
    "recursive": _recursive,
    "none": lambda _: Chunking("none", None, None),
}


def spans(text: str, chunking: Chunking) -> Spans:
    """Return the characters (start, end) of each chunk; none of a blank text.

    Chunks follow one another without gaps, but for what they repeat: white space between two goes along.
    """
    if not text.strip():
        return []
    words, stop, size = _Words.of(text), len(text), chunking.max_chunk_size
    if size is None or words.count(0, stop) <= size:
        return [(0, stop)]
    if chunking.strategy == "word":
        return words.windows(0, stop, size, chunking.overlap or 0)
    if chunking.strategy == "sentence":
        return _by_sentences(text, words, (0, stop), size, bool(chunking.sentence_overlap))
    return _by_separators(text, words, (0, stop), size, chunking.separators or ())


@dataclass(frozen=True, slots=True)
class _Words:
    """Where the words of a text end."""

    ends: list[int]

    @classmethod
    def of(cls, text: str) -> "_Words":
        """Find the words: what lies between two word boundaries and has a letter or a digit."""
        ends, position = [], 0
        for part in segmentation.split_word_bounds(text):
            position += len(part)
            if part.isalnum() or any(map(str.isalnum, part)):
                ends.append(position)
        return cls(ends)

    def count(self, start: int, stop: int) -> int:
        """Return how many words end behind `start`, up to `stop`."""
        return bisect_right(self.ends, stop) - bisect_right(self.ends, start)

    def last(self, stop: int, count: int) -> int:
        """Return where the last `count` words up to `stop` begin: behind the word before them."""
        first = bisect_right(self.ends, stop) - count
        return self.ends[first - 1] if first > 0 else 0

    def windows(self, start: int, stop: int, size: int, overlap: int) -> Spans:
        """Divide characters into windows of `size` words; the last one has what is left."""
        first, behind = bisect_right(self.ends, start), bisect_right(self.ends, stop)
        found: Spans = []
        while first + size < behind:
            found.append((start, self.ends[first + size - 1]))
            first += size - overlap
            start = self.ends[first - 1]
        return [*found, (start, stop)]


def _by_sentences(text: str, words: _Words, within: tuple[int, int], size: int, overlap: bool) -> Spans:  # noqa: FBT001
    """Fill chunks with sentences; one that is too long is cut between words, and half of each part is repeated.

    Where the sentence before is repeated and is too long for it, its last words are, as many as there is room for.
    """
    found: Spans = []
    start = end = last = within[0]
    count = before = 0  # words of the chunk so far, and of its last sentence, which begins at `last`
    for stop in _sentence_ends(text, within):
        more = words.count(end, stop)
        if count and count + more > size:
            found.append((start, end))
            whole = before + more <= size
            count = 0 if not overlap else before if whole else max(0, min(size // 2, size - more))
            start = end if not count else last if whole else words.last(end, count)
        if count + more > size:
            *full, (start, _) = words.windows(start, stop, size, (size - 1) // 2)
            found += full
            count = words.count(start, stop)
        else:
            count += more
        last, end, before = end, stop, more
    return [*found, (start, end)]


def _sentence_ends(text: str, within: tuple[int, int]) -> list[int]:
    """Return where sentences end, with the white space behind them; what has no word begins the next one."""
    ends, position = [], within[0]
    for sentence in segmentation.unicode_sentences(text[within[0] : within[1]]):
        position = text.index(sentence, position) + len(sentence)
        ends.append(position)
    return [*ends[:-1], within[1]]


def _by_separators(text: str, words: _Words, within: tuple[int, int], size: int, separators: Sequence[str]) -> Spans:
    """Divide at the first separator, put pieces together that fit, and divide those that do not at the next one."""
    start, stop = within
    if words.count(start, stop) <= size:
        return [within]
    if not separators:
        return _by_sentences(text, words, within, size, overlap=False)
    cuts = [start + found.start() for found in re.finditer(separators[0], text[start:stop]) if found.start()]
    found: Spans = []
    for cut in dict.fromkeys([*cuts, stop]):
        begin, end = found[-1] if found else (start, start)
        before, more = words.count(begin, end), words.count(end, cut)
        if found and (before + more <= size or not before or not more):  # what has no word stays with its neighbour
            found[-1] = begin, cut
        else:
            found.append((end, cut))
    return [span for each in found for span in _by_separators(text, words, each, size, separators[1:])]
