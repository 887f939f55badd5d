"""reStructuredText: its sections, found by docutils; the text itself stays as it is."""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from docutils import nodes, utils
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser, states

from efive.search.documents import Document
from efive.search.readers.files import File, Options, Parsed
from efive.search.readers.outline import Heading, sections
from efive.search.readers.text import decode

_SILENT = 5
# docutils reads no document with a line over 10 000 characters, and no title is nearly as long.
_LONGEST_LINE = 1000
_TARGET = re.compile(r"\s*<[^<>]*>$")
_RULE = re.compile(r"([!-/:-@\[-`{-~])\1*")


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield the one document of a file of reStructuredText."""
    yield file.document("rst", parse(decode(file.contents(options.max_bytes))))


def parse(text: str) -> Parsed:
    """Return a text in reStructuredText with its sections."""
    headings = _headings(text)
    title = headings[0].text if headings else None
    return Parsed(text, sections(text, headings), title)


def _plain_role(
    rawsource: str,
    text: str,
    role: str,  # noqa: ARG001 - docutils names the arguments
    lineno: int,  # noqa: ARG001
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Take every role for plain text, so that those of Sphinx are known too and none has an effect."""
    shown = _TARGET.sub("", utils.unescape(text)) or text
    return [nodes.inline(rawsource, shown.lstrip("~!"))], []


def _headings(text: str) -> list[Heading]:
    # As docutils divides lines: form feeds are spaces to it, some rarer characters end a line.
    lines = text.replace("\v", " ").replace("\f", " ").splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    bare = [line.rstrip()[:_LONGEST_LINE] for line in lines]
    found: list[Heading] = []
    for level, title, line in _titles("\n".join(bare)):
        first, last = _extent(bare, line)
        if not found or starts[first] >= found[-1].end:
            found.append(Heading(level, title, starts[first], starts[last]))
    return found


def _titles(text: str) -> list[tuple[int, str, int]]:
    """Return level, title and line (from 0, that of the underline) of each section."""
    settings = get_default_settings(Parser)
    settings.report_level = settings.halt_level = _SILENT
    settings.warning_stream = False
    settings.file_insertion_enabled = settings.raw_enabled = False
    settings.syntax_highlight = "none"
    document = utils.new_document("text", settings)
    inliner = states.Inliner()
    inliner.interpreted = _plain_role  # type: ignore[method-assign] # docutils breaks on subclasses
    try:
        Parser(inliner=inliner).parse(text, document)
    except Exception:  # docutils has bugs of its own; a text without sections is better than none
        return []
    return list(_nested(document.children, 1))


def _nested(children: Sequence[Any], level: int) -> Iterator[tuple[int, str, int]]:
    for child in children:
        if isinstance(child, nodes.section):
            title = " ".join(child[0].astext().split())
            yield level, title, (child.line or 1) - 1
            yield from _nested(child.children, level + 1)


def _extent(lines: Sequence[str], underline: int) -> tuple[int, int]:
    """Return the first line of a title and the line behind it, from the line of its underline."""
    above = underline - 2
    overlined = above >= 0 and _RULE.fullmatch(lines[above]) and lines[above] == lines[underline]
    return (above if overlined else underline - 1), underline + 1
