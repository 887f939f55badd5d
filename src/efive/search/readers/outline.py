"""Headings to sections."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from efive.search.documents import Section

_VISIBLE = re.compile(r"\S")
_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading in a text."""

    level: int
    """1 is the outermost."""
    text: str
    start: int
    """First character of its line."""
    end: int
    """Behind its last line: underlines are part of it."""


def sections(text: str, headings: Iterable[Heading], start: int = 0, title: str | None = None) -> list[Section]:
    """Return the parts of `text` below and between its headings, the heading lines themselves left out.

    Headings with nothing below them make no section, unless there is nothing else in the text.

    Args:
        text: the whole text.
        headings: in the order of the text, not overlapping.
        start: what is before this character, as front matter, belongs to no section.
        title: stands above what is above the first heading of level 1.
    """
    above = [Heading(1, title, start, start)] if title else []
    parts: list[Section | None] = []
    for following in [*headings, None]:
        path = tuple(heading.text for heading in above if heading.text)
        parts.append(visible(text, start, following.start if following else len(text), path))
        if following:
            above = [*(heading for heading in above if heading.level < following.level), following]
            start = following.end
    kept = [part for part in parts if part]
    return kept or [part for part in [visible(text, 0, len(text), ())] if part]


def visible(text: str, start: int, end: int, headings: tuple[str, ...], page: int | None = None) -> Section | None:
    """Return a section without the blank lines around it, or None if there are only blank lines."""
    first = _VISIBLE.search(text, start, end)
    if not first:
        return None
    line = max(text.rfind("\n", start, first.start()), text.rfind("\r", start, first.start())) + 1
    return Section(max(start, line), start + len(text[start:end].rstrip()), headings, page)


def line_starts(text: str) -> list[int]:
    r"""Return where each line of `text` starts, and its length at last; lines end with `\n`, `\r\n` or `\r`."""
    return [0, *(end.end() for end in _LINE_END.finditer(text)), len(text)]
