"""Markdown: its headings and its front matter; the text itself stays as it is."""

import re
from collections.abc import Iterator
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from efive.search.documents import Document, Value
from efive.search.readers.files import File, Options, Parsed
from efive.search.readers.outline import Heading, line_starts, sections
from efive.search.readers.text import decode

# Headings are all that is asked for, and inline text is most of the work.
_BLOCKS = MarkdownIt("commonmark").disable(["inline", "text_join"])
_INLINE = MarkdownIt("commonmark")

_FRONT = re.compile(r"---[ \t]*\r?\n(.*?\r?\n)??(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z_][\w.-]*)[ \t]*:(?:[ \t]+(.*))?")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)")
_QUOTED = re.compile(r"""(["'])((?:(?!\1)[^\\])*)\1\s*(?:#.*)?""")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"[+-]?\d+\.\d+")
# What begins like this is YAML that only a YAML parser reads: blocks, anchors, tags, objects.
_COMPLEX = tuple("|>&*!{[%@`\"'#")


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield the one document of a Markdown file."""
    yield file.document("markdown", parse(decode(file.contents(options.max_bytes))))


def parse(text: str) -> Parsed:
    """Return a Markdown text with its sections; front matter is no part of them."""
    front = _FRONT.match(text)
    start = front.end() if front else 0
    metadata = front_matter(front.group(1) or "") if front else {}
    headings = _headings(text, start)
    named = str(metadata.pop("title", "")) or None
    first = next((heading.text for heading in headings if heading.level == 1), None)
    return Parsed(text, sections(text, headings, start, named), named or first, metadata)


def _headings(text: str, start: int) -> list[Heading]:
    starts = [start + position for position in line_starts(text[start:])]
    tokens = _BLOCKS.parse(text[start:])
    found = []
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open" and opening.level == 0 and opening.map:
            first, last = opening.map
            found.append(Heading(int(opening.tag[1:]), _plain(content.content), starts[first], starts[last]))
    return found


def _plain(markup: str) -> str:
    """Return what a reader sees of inline Markdown."""
    return " ".join(_shown(_INLINE.parseInline(markup)).split())


def _shown(tokens: list[Token]) -> str:
    parts = []
    for token in tokens:
        if token.children is not None:  # a line of text, or the description of an image
            parts.append(_shown(token.children))
        elif token.type in {"softbreak", "hardbreak"}:
            parts.append(" ")
        elif token.type != "html_inline":
            parts.append(token.content)
    return "".join(parts)


def front_matter(block: str) -> dict[str, Value]:
    """Return the fields of a block of YAML that are a plain value or a list of them; others are left out."""
    fields: dict[str, Value] = {}
    items: list[str] = []
    for line in block.splitlines():
        item, named = _ITEM.fullmatch(line), _FIELD.fullmatch(line)
        if item:
            value = _scalar(item.group(1))
            items += [] if value is None else [str(value)]
        elif named:
            name, value = named.group(1), (named.group(2) or "").strip()
            items = []
            if not value:
                fields[name] = items
            elif (known := _value(value)) is not None:
                fields[name] = known
    return {name: value for name, value in fields.items() if value != []}


def _value(written: str) -> Value | None:
    if written.startswith("[") and written.endswith("]"):
        items = [_scalar(part.strip()) for part in written[1:-1].split(",") if part.strip()]
        return [str(item) for item in items if item is not None]
    return _scalar(written)


def _scalar(written: str) -> str | int | float | bool | None:
    if quoted := _QUOTED.fullmatch(written):
        return quoted.group(2)
    bare = written.partition(" #")[0].rstrip()
    if not bare or bare.startswith(_COMPLEX) or bare in {"~", "null"}:
        return None
    if bare.lower() in {"true", "false"}:
        return bare.lower() == "true"
    if _INTEGER.fullmatch(bare):
        return int(bare)
    return float(bare) if _DECIMAL.fullmatch(bare) else bare
