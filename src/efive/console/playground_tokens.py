"""A text as the model reads it: its prefix, its tokens, and what was cut. As parts, and as HTML."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from efive.encoder import Encoder
from efive.inputs import Overflow, Role, split_prefix
from efive.text.tokenizer import Token

_MOST_CUT = 600
"""Characters of a cut part that are shown; the rest is counted."""


class Kind(StrEnum):
    """What a part is."""

    PREFIX = "prefix"
    """What efive writes before the text, or the user wrote there himself."""
    PIECE = "piece"
    """A token of the text."""
    CUT = "cut"
    """What no vector stands for."""
    GAP = "gap"
    """Characters that no token stands for: most often spaces."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some characters of what the model reads."""

    kind: Kind
    text: str
    tokens: int = 1
    """Several stand for one character where the vocabulary has it only as bytes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One text as a model reads it."""

    parts: Sequence[Part]
    seen: int
    """Tokens of the whole text, prefix and special tokens included."""
    used: int
    """Tokens that the model reads."""
    special: int
    """How many of them stand for no part of the text."""

    @property
    def truncated(self) -> bool:
        """Whether something was cut."""
        return self.used < self.seen


def read(encoder: Encoder, text: str, role: Role, overflow: Overflow) -> Reading:
    """Return how an encoder reads a text that is cut by `end` or `start`. Takes its time: for a thread."""
    tokenizer = encoder.tokenizer
    prefix, start = split_prefix(text, role, encoder.prompts)
    whole = prefix + text[start:]
    tokens = tokenizer.tokens(whole, special=False)
    special = tokenizer.leading + tokenizer.trailing
    inner = sum(token.start < len(prefix.rstrip()) for token in tokens)
    kept = _kept(len(tokens), encoder.max_tokens - special, inner, from_end=overflow is Overflow.START)
    return Reading(_parts(whole, tokens, kept, inner), len(tokens) + special, len(kept) + special, special)


def _kept(count: int, room: int, prefix: int, *, from_end: bool) -> set[int]:
    """Return the numbers of the tokens that the model reads."""
    if count <= room:
        return set(range(count))
    if from_end:
        return {*range(prefix), *range(count - (room - prefix), count)}
    return set(range(room))


def _parts(text: str, tokens: Sequence[Token], kept: set[int], prefix: int) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for number, token in enumerate(tokens):
        kind = Kind.CUT if number not in kept else Kind.PREFIX if number < prefix else Kind.PIECE
        start, end = max(at, token.start), max(at, token.end)
        if start > at:
            _add(parts, Part(Kind.CUT if kind is Kind.CUT else Kind.GAP, text[at:start], 0))
        if end > start or not parts:
            _add(parts, Part(kind, text[start:end]))
        elif parts[-1].kind is kind:  # another token of the same characters
            parts[-1] = Part(kind, parts[-1].text, parts[-1].tokens + 1)
        at = end
    if at < len(text):
        _add(parts, Part(Kind.GAP if len(kept) == len(tokens) else Kind.CUT, text[at:], 0))
    return parts


def _add(parts: list[Part], part: Part) -> None:
    """Append a part; what is cut is one part, whatever its tokens."""
    if part.kind is Kind.CUT and parts and parts[-1].kind is Kind.CUT:
        parts[-1] = Part(Kind.CUT, parts[-1].text + part.text, parts[-1].tokens + part.tokens)
    else:
        parts.append(part)


STYLE = """
<style>
.tokens { line-height: 2; overflow-wrap: anywhere; }
.tokens .t { border-radius: 3px; padding: 1px 0; box-shadow: inset 0 -2px 0 #1f4fa3; }
.tokens .t.odd { box-shadow: inset 0 -2px 0 #d98200; }
.tokens .p { border: 1px dashed #777; border-radius: 3px; padding: 0 1px; font-style: italic; }
.tokens del { opacity: .7; text-decoration: line-through; text-decoration-thickness: 2px; }
.tokens sup { font-size: .65em; opacity: .8; }
</style>
"""
"""Neighbours differ in colour; what is cut and what is prefix differ in more than that."""


def to_html(reading: Reading) -> str:
    """Return a reading as HTML; nothing of the text is markup in it."""
    shown, tokens = [], 0
    for part in reading.parts:
        text = html.escape(part.text)
        if part.kind is Kind.CUT:
            rest = len(part.text) - _MOST_CUT
            more = f" … {rest:,} more characters" if rest > 0 else ""
            text = html.escape(part.text[:_MOST_CUT])
            shown.append(f'<del title="cut: {part.tokens} tokens">{text}{more}</del>')
        elif part.kind is Kind.GAP:
            shown.append(text)
        elif part.kind is Kind.PREFIX:
            shown.append(f'<span class="p" title="prefix">{text}{_count(part)}</span>')
        else:
            odd, tokens = " odd" if tokens % 2 else "", tokens + 1
            shown.append(f'<span class="t{odd}">{text}{_count(part)}</span>')
    prefix = sum(part.kind is Kind.PREFIX for part in reading.parts)
    return f'<div class="tokens">{"".join(shown[:prefix])}<bdi>{"".join(shown[prefix:])}</bdi></div>'


def _count(part: Part) -> str:
    return f'<sup title="tokens of this part">{part.tokens}</sup>' if part.tokens > 1 else ""
