"""From texts to token ids: check, prefix, tokenise, fit into the limit. Pure but for its warnings."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from efive.errors import (
    EfiveWarning,
    EmptyTextWarning,
    InputError,
    PrefixWarning,
    TooLongError,
    TruncationWarning,
)
from efive.inputs import (
    Overflow,
    Prompts,
    Role,
    TokenUsage,
    check_texts,
    prefix_length,
    refuse_prefixed,
    split_prefix,
)
from efive.text.chunking import chunk
from efive.text.tokenizer import TextTokenizer, TokenIds


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller asked for, the same for all texts of a call."""

    role: Role
    overflow: Overflow = Overflow.END
    overlap: int = 0
    """Tokens that neighbouring windows share, with `chunk`."""
    strict: bool = False
    """Refuse texts that already carry a prefix, and empty texts."""


@dataclass(frozen=True, slots=True)
class Span:
    """The part of an input that one vector stands for, in characters of the text as it was given."""

    input: int
    """Number of the text among the call's."""
    start: int
    """First character."""
    end: int
    """Behind the last character."""


@dataclass(slots=True)
class Prepared:
    """Model inputs of some texts."""

    rows: list[TokenIds] = field(default_factory=list)
    usage: list[TokenUsage] = field(default_factory=list)
    """One per text."""
    spans: list[Span] = field(default_factory=list)
    """One per row."""

    def add(self, ids: TokenIds, span: Span) -> None:
        """Append one row."""
        self.rows.append(ids)
        self.spans.append(span)


class Notices:
    """Warns of each kind of thing once per call, at its first occurrence."""

    def __init__(self) -> None:
        self._given: set[type[EfiveWarning]] = set()

    def give(self, kind: type[EfiveWarning], message: str) -> None:
        """Warn, unless this kind was warned of already."""
        if kind not in self._given:
            self._given.add(kind)
            warnings.warn(f"{message} (said once; the token usage tells for every text)", kind, stacklevel=2)


class Silence(Notices):
    """Warns of nothing: for callers whose answers carry the token usage."""

    def give(self, kind: type[EfiveWarning], message: str) -> None:
        """Keep quiet."""


class Preparer:
    """Turns texts into model inputs for one model."""

    def __init__(self, tokenizer: TextTokenizer, prompts: Prompts, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.prompts = prompts
        self.max_tokens = max_tokens
        for prefix in {prompts.query, prompts.passage}:
            self._room(prefix, None)

    def _room(self, prefix: str, index: int | None) -> int:
        """Return the tokens of `prefix`; refuse one that leaves no room for text."""
        tokens = len(self.tokenizer.offsets(prefix.rstrip())) if prefix else 0
        left = self.max_tokens - tokens - self.tokenizer.leading - self.tokenizer.trailing
        if left < 1:
            raise InputError(
                f"the prefix {prefix[:60]!r} takes {tokens} tokens and leaves none of {self.max_tokens} for text; "
                "raise max_tokens or shorten the instruction",
                index=index,
            )
        return tokens

    def prepare(self, texts: Sequence[object], request: Request, first: int, notices: Notices) -> Prepared:
        """Prepare `texts`, whose first one is number `first` of the call.

        Raises:
            InputError: naming the index of the text that cannot be used.
        """
        checked = check_texts(texts, first_index=first)
        for index, text in enumerate(checked, first):
            self._look(text, index, request, notices)
        parts = [split_prefix(text, request.role, self.prompts) for text in checked]
        inputs = [prefix + text[start:] for text, (prefix, start) in zip(checked, parts, strict=True)]
        prepared = Prepared()
        unique = {text: position for position, text in enumerate(dict.fromkeys(inputs))}
        encoded = self.tokenizer.encode(list(unique))  # texts that repeat are tokenised once
        for offset, model_input in enumerate(inputs):
            index, text, ids = first + offset, checked[offset], encoded[unique[model_input]]
            if len(ids) <= self.max_tokens:
                prepared.add(ids, Span(index, 0, len(text)))
                prepared.usage.append(TokenUsage(len(ids), len(ids), truncated=False))
            else:
                self._fit(prepared, _Long(index, text, *parts[offset], ids), request, notices)
        return prepared

    def windows(self, text: str, size: int, overlap: int, context: str) -> tuple[str, list[tuple[int, int]]]:
        """Divide a passage into windows that have at most `size` tokens with `context` before each.

        Return the context, cut from its beginning to a third of the window, and the characters of each window.
        """
        context = self._shortened(context, size // 3)
        counter = _Counter(self.tokenizer, self.prompts.passage + context)
        return context, [(window.start, window.end) for window in chunk(text, counter, size, overlap=overlap)]

    def _shortened(self, context: str, tokens: int) -> str:
        offsets = self.tokenizer.offsets(context)
        if len(offsets) <= tokens:
            return context
        kept = context[int(offsets[len(offsets) - tokens, 0]) :]
        return kept.partition(" ")[2] or kept  # from a whole word on

    def _look(self, text: str, index: int, request: Request, notices: Notices) -> None:
        """Notice what is odd about a text before it is used."""
        if not text.strip():
            if request.strict:
                raise InputError(f"text {index} is empty; leave it out", index=index)
            notices.give(EmptyTextWarning, f"text {index} is empty: its vector carries nothing but the prefix")
        if request.role is Role.RAW:
            return
        if request.strict:
            refuse_prefixed(text, index, self.prompts)
        elif present := prefix_length(text, self.prompts):
            notices.give(
                PrefixWarning,
                f"text {index} already begins with {text[:present]!r}; it is read as a {request.role} with one "
                "prefix. Pass bare texts: efive adds the prefix",
            )

    def _fit(self, prepared: Prepared, long: "_Long", request: Request, notices: Notices) -> None:
        """Apply the overflow policy to a text of more than `max_tokens` tokens."""
        seen = len(long.ids)
        if request.overflow is Overflow.ERROR:
            raise TooLongError(
                f"text {long.index} has {seen} tokens, prefix included; the model reads {self.max_tokens}",
                "The overflow policy `chunk` embeds all of it, `end` and `start` cut it",
                index=long.index,
            )
        if request.overflow is Overflow.CHUNK:
            used = self._chunk(prepared, long, request.overlap)
            prepared.usage.append(TokenUsage(seen, used, truncated=False))
            return
        keep_end = request.overflow is Overflow.START
        prefix = self._room(long.prefix, long.index)
        cut = self.tokenizer.cut(long.ids, self.max_tokens, keep_end=keep_end, prefix_tokens=prefix if keep_end else 0)
        content = cut[self.tokenizer.leading + prefix : len(cut) - self.tokenizer.trailing]
        start, end = self._kept(long, content, from_end=keep_end)
        prepared.add(cut, Span(long.index, start, end))
        prepared.usage.append(TokenUsage(seen, len(cut), truncated=True))
        notices.give(
            TruncationWarning,
            f"text {long.index} has {seen} tokens and was cut to {self.max_tokens}; the overflow policy `chunk` "
            "embeds all of it",
        )

    def _kept(self, long: "_Long", content: TokenIds, *, from_end: bool) -> tuple[int, int]:
        """Find the characters of the text that the tokens `content`, its first or last ones, stand for.

        Only as much of the text is tokenised again as it takes.
        """
        text, size = long.text, 8 * len(content)
        while True:
            low = max(long.start, len(text) - size) if from_end else long.start
            high = len(text) if from_end else min(len(text), long.start + size)
            ids, offsets = self.tokenizer.spans(text[low:high])
            whole = low == long.start and high == len(text)
            found = ids[-len(content) :] if from_end else ids[: len(content)]
            if whole or (len(ids) > len(content) and np.array_equal(found, content)):
                break
            size *= 4
        if from_end:
            return low + int(offsets[-len(content), 0]), len(text)
        return 0, low + int(offsets[len(content) - 1, 1])

    def _chunk(self, prepared: Prepared, long: "_Long", overlap: int) -> int:
        """Add one row per window and return how many tokens they have in all."""
        body = long.text[long.start :]
        try:
            windows = chunk(body, _Counter(self.tokenizer, long.prefix), self.max_tokens, overlap=overlap)
        except InputError as error:
            raise InputError(f"text {long.index}: {error}", index=long.index) from None
        rows = self.tokenizer.encode([long.prefix + body[w.start : w.end] for w in windows])
        for window, ids in zip(windows, rows, strict=True):
            prepared.add(ids, Span(long.index, long.start + window.start, long.start + window.end))
        return sum(len(ids) for ids in rows)


@dataclass(frozen=True, slots=True)
class _Long:
    """A text of more tokens than the model reads."""

    index: int
    text: str
    prefix: str
    """What the model reads before it."""
    start: int
    """Where its own words begin, behind a prefix that was there."""
    ids: TokenIds
    """Of the complete model input."""


class _Counter:
    """Counts as the model will read: with prefix and special tokens."""

    def __init__(self, tokenizer: TextTokenizer, prefix: str) -> None:
        self._tokenizer = tokenizer
        self._prefix = prefix

    def offsets(self, text: str) -> npt.NDArray[np.int64]:
        return self._tokenizer.offsets(text)

    def count(self, texts: Sequence[str]) -> list[int]:
        return self._tokenizer.count([self._prefix + text for text in texts])
