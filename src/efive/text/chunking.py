"""Cut a text that is longer than the model reads into chunks, at the best places there are.

- A chunk ends where a sentence ends; inside a sentence that is too long, at a line's end, at white space,
  between words, between graphemes (what a reader takes for one character), in this order.
- The text is tokenised once to plan. The chunks' real slices are counted afterwards, because a slice can
  have more tokens alone than it has in its context, and what is over the limit is planned again.
- Positions are characters of the original text, lengths are tokens. Nothing but white space lies between
  two chunks.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np
import numpy.typing as npt
import sentencex  # type: ignore[import-untyped]
import unicode_segmentation_rs as segmentation

from efive.errors import InputError

Positions = npt.NDArray[np.int64]
Span = tuple[int, int]

_VISIBLE = re.compile(r"\S")
_SPACES = re.compile(r"\s+")
# Thai and Lao end a sentence with a space and nothing else; one beside a number or a Latin word ends nothing.
_THAI_LAO_SPACE = re.compile(r"(?<=[\u0e01-\u0e4e\u0e81-\u0ece]) +(?=[\u0e01-\u0e4e\u0e81-\u0ece])")
# sentencex 1.0 panics on white space beyond ASCII ("A\u00a0."): it reads plain one instead, one for one.
_PLAIN_SPACE = str.maketrans(
    dict.fromkeys("\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))), " ")
    | dict.fromkeys("\x85\u2028\u2029", "\n")
)
# Characters that sentencex reads at once: it is quadratic in quotation marks that nobody closes.
_BLOCK = 4096
# Characters that are tokenised at once: tokenizers holds some 300 bytes for each and slows down as they grow.
_TOKENIZER_BLOCK = 200_000
# Characters beyond a possible cut that decide whether it is one.
_LOOKAHEAD = 32


class TokenCounter(Protocol):
    """What chunking needs to know of a tokenizer."""

    def offsets(self, text: str) -> Positions:
        """Character (start, end) of each content token of `text` (n, 2), no prefix, no special tokens."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of the complete model input for each text: prefix and special tokens included."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Characters `start` to `end` of a text, and the tokens of their complete model input."""

    start: int
    end: int
    tokens: int


def chunk(text: str, counter: TokenCounter, max_tokens: int, *, overlap: int = 0) -> list[Chunk]:
    """Cut `text` into chunks whose complete model input has at most `max_tokens` tokens.

    A text that fits is one chunk, just as it is; the chunks of a longer one neither begin nor end with
    white space. A grapheme is cut only if it is over the limit all by itself.

    Args:
        text: the bare text, without prefix.
        counter: the tokenizer, with the prefix and the special tokens that the chunks will get.
        max_tokens: tokens of a complete model input.
        overlap: at most so many tokens are repeated from the end of the chunk before: whole sentences, or
            else whole words. Fewer where repeating would break up a sentence or a word that fits alone.

    Raises:
        InputError: if the prefix, the overlap or a single character leaves no room.
    """
    budget = _content_budget(counter, max_tokens, overlap)
    offsets = _offsets(text, counter)
    if len(offsets) <= 2 * max_tokens:  # context changes a count by a few tokens, it does not halve it
        tokens = counter.count([text])[0]
        if tokens <= max_tokens:
            return [Chunk(0, len(text), tokens)]
    if not text.strip():
        return [Chunk(0, 0, counter.count([""])[0])]
    return _pack(_Plan.of(text, offsets, _Limits(counter, max_tokens, budget, overlap)))


def sentence_ends(text: str) -> list[int]:
    """Return where the sentences of `text` end, in characters, before the white space that may follow."""
    plain = text.translate(_PLAIN_SPACE)
    ends = {space.start() for space in _THAI_LAO_SPACE.finditer(plain)}
    start = 0
    while start < len(plain):
        # No abbreviation list is right for every language; the English one knows "Dr." and does little harm.
        sentences = sentencex.segment("en", plain[start : start + _BLOCK])
        if start + _BLOCK < len(plain):
            unfinished = sentences.pop()  # the next block reads it from its start, unless it fills this one
            start += 0 if sentences else len(unfinished)
        for sentence in sentences:
            if visible := len(sentence.rstrip()):
                ends.add(start + visible)
            start += len(sentence)
    return sorted(end for end in ends if not _in_grapheme(text, end))


def _in_grapheme(text: str, position: int) -> bool:
    """Return whether the character at `position` is part of the one before it: an accent, a joiner."""
    if position >= len(text) or text[position].isspace():
        return False
    around = text[max(0, position - _LOOKAHEAD) : position + 1]
    return len(segmentation.graphemes(around, is_extended=True)[-1]) > 1


@dataclass(frozen=True, slots=True)
class _Limits:
    counter: TokenCounter
    max_tokens: int
    """Of a complete model input."""
    budget: int
    """Tokens of text that this leaves for a chunk."""
    overlap: int
    """Tokens of text that a chunk may repeat."""

    def fits(self, text: str) -> bool:
        return self.counter.count([text])[0] <= self.max_tokens


def _content_budget(counter: TokenCounter, max_tokens: int, overlap: int) -> int:
    """Return the tokens of a chunk that are left for text."""
    # Not the count of "": a prefix that ends with a space can have a token more when nothing follows.
    overhead = counter.count(["a"])[0] - len(counter.offsets("a"))
    budget = max_tokens - overhead
    if budget < 1:
        raise InputError(f"max_tokens={max_tokens} leaves no room for text: prefix and special tokens take {overhead}")
    if not 0 <= overlap < budget:
        raise InputError(
            f"overlap={overlap} must be at least 0 and less than {budget}, the tokens of text that "
            f"max_tokens={max_tokens} leaves for a chunk"
        )
    return budget


def _offsets(text: str, counter: TokenCounter) -> Positions:
    """Return the (start, end) characters of each token of `text`, tokenised in blocks that end before a space."""
    parts, start = [], 0
    while True:
        stop = start + _TOKENIZER_BLOCK
        if stop < len(text):
            space = max(text.rfind(" ", start, stop), text.rfind("\n", start, stop))
            stop = space if space > start else stop
        parts.append(counter.offsets(text[start:stop]) + start)
        start = stop
        if start >= len(text):
            return np.concatenate(parts)


def _pack(plan: "_Plan") -> list[Chunk]:
    """Plan chunks, count them, keep those before the first that is too long, go on there with less room.

    The number planned ahead doubles after success and falls back after failure, so that no more is
    planned in vain than was planned for good.
    """
    chunks: list[Chunk] = []
    limits = plan.limits
    last: Span = (-1, 0)
    room, failures, width = limits.budget, 0, 64
    while last[1] < plan.stop:
        spans = plan.ahead(last, room, width)
        counts = limits.counter.count([plan.text[start:end] for start, end in spans])
        good = next((i for i, tokens in enumerate(counts) if tokens > limits.max_tokens), len(spans))
        for (start, end), tokens in zip(spans[:good], counts[:good], strict=True):
            chunks.append(Chunk(start, end, tokens))
        if good:
            last, room, failures = spans[good - 1], limits.budget, 0
        if good == len(spans):
            width = min(2 * width, 512)  # a counter holds some 100 bytes for each token of what it counts
            continue
        width = max(1, good)
        if room == 0:
            raise _indivisible(plan, spans[good], counts[good])
        room = plan.less_room(last, room, (counts[good] - limits.max_tokens) << failures)
        failures += 1
    return chunks


def _indivisible(plan: "_Plan", span: Span, tokens: int) -> InputError:
    start, end = span
    return InputError(
        f"{plan.text[start:end]!r} at character {start} cannot be divided and makes {tokens} tokens of model "
        f"input, more than max_tokens={plan.limits.max_tokens}"
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """A tokenised text and where it may be cut."""

    text: str
    limits: _Limits
    starts: Positions
    """Where each token starts, never descending."""
    ends: Positions
    """Where each token ends, never descending."""
    sentences: Positions
    """Where sentences end; 0 before them, `stop` after them."""
    stop: int
    """Where the last visible character ends."""

    @classmethod
    def of(cls, text: str, offsets: Positions, limits: _Limits) -> "_Plan":
        """Put the tokens of `text` in order and find its sentences."""
        starts, ends = np.maximum.accumulate(offsets, axis=0).T.copy()
        stop = len(text.rstrip())
        sentences = np.unique(np.array([0, *sentence_ends(text), stop], dtype=np.int64))
        return cls(text, limits, starts, ends, sentences, stop)

    def ahead(self, last: Span, room: int, width: int) -> list[Span]:
        """Return up to `width` chunks after `last`; the first has `room` tokens, the others the budget."""
        spans: list[Span] = []
        while len(spans) < width and last[1] < self.stop:
            after = self._skip(last[1])
            start = self._repeat(last, after, room) if self.limits.overlap and last[1] else after
            end = self._cut(start, after, room)
            # What is left without any token goes along, so that every chunk has a token of its own.
            last = (start, end if self.ends[-1] > end else self.stop)
            spans.append(last)
            room = self.limits.budget
        return spans

    def less_room(self, last: Span, room: int, excess: int) -> int:
        """Return the room to try after `room` was `excess` tokens too much for the chunk after `last`."""
        after = self._skip(last[1])
        unit = self._unit(after, room)
        whole = self._tokens(after, unit) + self._mark(after)
        smaller = room - min(excess, (room + 1) // 2)
        # The whole sentence (or word) alone, nothing repeated, is tried before it is broken up.
        return max(smaller, whole) if whole < room else smaller

    def _skip(self, position: int) -> int:
        """Return the first visible character from `position` on."""
        found = _VISIBLE.search(self.text, position)
        return found.start() if found else self.stop

    def _tokens(self, start: int, end: int) -> int:
        """Return how many tokens have characters between `start` and `end`."""
        return int(self.starts.searchsorted(end) - self.ends.searchsorted(start, "right"))

    def _mark(self, start: int) -> int:
        """Return the token to spare for the word-start mark that a slice from `start` may need for itself.

        It does if it begins inside a word, or behind a space that is a token and holds the mark.
        """
        token = self.ends.searchsorted(start, "right")
        return int(token > 0 and self.ends[token - 1] == start)

    def _reach(self, start: int, room: int) -> int:
        """Return where the first token starts that a chunk from `start` with `room` tokens cannot hold."""
        token = int(self.ends.searchsorted(start, "right")) + room - self._mark(start)
        return int(self.starts[token]) if token < len(self.starts) else self.stop

    def _floor(self, after: int) -> int:
        """Return where the first token that ends beyond `after` starts: a chunk has to end beyond that."""
        token = self.ends.searchsorted(after, "right")
        start = int(self.starts[token]) if token < len(self.starts) else after
        return min(self._skip(max(after, start)), self.stop - 1)

    def _unit(self, after: int, room: int) -> int:
        """Return the end of the sentence from `after`, or of the word, or of the grapheme: what fits into `room`."""
        reach, floor = self._reach(after, room), self._floor(after)
        sentence = int(self.sentences[self.sentences.searchsorted(floor, "right")])
        if sentence <= reach:
            return sentence
        space = _SPACES.search(self.text, floor, reach + 1)
        if space:
            return space.start()
        return min(cut for cut in self._graphemes(after, max(reach, floor)) if cut > floor)

    def _repeat(self, last: Span, after: int, room: int) -> int:
        """Return where the chunk after `last` starts, so that it repeats the end of `last`."""
        new = self._tokens(last[1], self._unit(after, room))
        repeated = min(self.limits.overlap, room - 1 - new)  # 1 for the word-start mark
        if repeated < 1:
            return after
        first = int(self.starts.searchsorted(last[1])) - repeated
        least = max(last[0] + 1, int(self.ends[first - 1]) if first > 0 else 0)
        sentence = int(self.sentences[self.sentences.searchsorted(least)])
        if sentence < last[1]:
            return self._skip(sentence)
        space = _SPACES.search(self.text, least - 1, last[1])
        if space:
            return space.end()
        words, _ = self._words(*last, self._graphemes(*last))
        return min((w for w in words if least <= w < last[1] and self.text[w].isalnum()), default=after)

    def _cut(self, start: int, after: int, room: int) -> int:
        """Return the best end of a chunk from `start` that holds `room` tokens, some of them after `after`."""
        reach, floor = self._reach(start, room), self._floor(after)
        if reach >= self.stop:
            return self.stop
        sentence = int(self.sentences[self.sentences.searchsorted(reach, "right") - 1])
        if sentence > floor:
            return sentence
        spaces = [s for s in _SPACES.finditer(self.text, floor, reach + _LOOKAHEAD) if s.start() <= reach]
        lines = [s for s in spaces if "\n" in s.group()]
        if spaces:
            return (lines or spaces)[-1].start()
        return self._cut_word(start, after, max(reach, floor + 1))

    def _cut_word(self, start: int, after: int, reach: int) -> int:
        """Return the best end of a chunk from `start` in a run without white space, at `reach` or before."""
        floor = self._floor(after)
        graphemes = self._graphemes(after, reach)
        for cuts in *self._words(after, reach, graphemes), graphemes:
            if end := max((cut for cut in cuts if floor < cut <= reach), default=0):
                return end
        grapheme = min(cut for cut in graphemes if cut > floor)
        return grapheme if self.limits.fits(self.text[start:grapheme]) else reach

    def _graphemes(self, start: int, stop: int) -> set[int]:
        """Return where graphemes end from `start` to some way beyond `stop`."""
        window = self.text[start : stop + _LOOKAHEAD]
        return {start + length for length in accumulate(map(len, segmentation.graphemes(window, is_extended=True)))}

    def _words(self, start: int, stop: int, graphemes: set[int]) -> tuple[set[int], set[int]]:
        """Return which of `graphemes` end a word and a token, and which end a token.

        Unicode has no rule for the words of Thai or Chinese and takes every character for one: it is the
        tokens that come close to words there.
        """
        window = self.text[start : stop + _LOOKAHEAD]
        words = {start + length for length in accumulate(map(len, segmentation.split_word_bounds(window)))}
        first, last = self.starts.searchsorted([start, stop + _LOOKAHEAD])
        tokens = graphemes.intersection(self.starts[first:last].tolist())
        return words & tokens, tokens
