"""HTML: the text that a reader of the page sees, by blocks, with the source line of each line."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import accumulate

from efive.search.documents import Document
from efive.search.readers.files import File, Options, Parsed
from efive.search.readers.outline import Heading, sections
from efive.search.readers.text import decode


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SKIPPED = _words("script style nav noscript template svg iframe canvas button select textarea datalist")
_VOID = _words("area base br col embed hr img input link meta param source track wbr")
# Blocks with an empty line around them, and those that only begin a new one.
_APART = _words(
    "address article aside blockquote body details dl fieldset figure footer form header hr html main ol p pre "
    "section table ul"
).union(_HEADINGS)
_LINES = _words("br caption dd div dt figcaption legend li option summary tbody tfoot thead tr")
_CELLS = {"td", "th"}
# Links that documentation puts beside its headings.
_ANCHORS = {"#", "¶", "§", "🔗"}
# A row stays one line although its cells hold these.
_CELL_BLOCKS = {"p", "div"}
_DECLARED = re.compile(rb"<(?:meta\b[^>]*\bcharset|\?xml\b[^>]*\bencoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
# What these names mean on the web.
_WINDOWS = {"iso-8859-1", "latin1", "latin-1", "ascii", "us-ascii"}
# A line end that is no line end of the source.
_LINE_REFERENCE = re.compile(r"&(?:#0*10(?!\d)|#x0*a(?![0-9a-f])|newline(?=;));?", re.IGNORECASE)
_DISPLAY_NONE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield the one document of an HTML file."""
    raw = file.contents(options.max_bytes)
    parsed = parse(decode(raw, declared_encoding(raw)))
    yield file.document("html", parsed)


def declared_encoding(raw: bytes) -> str | None:
    """Return the encoding that the first bytes of a page name, if it is one that they can be in."""
    found = _DECLARED.search(raw[:2048])
    name = found.group(1).decode("ascii", "replace").lower() if found else ""
    if name in _WINDOWS:
        return "cp1252"
    # A page whose declaration can be read is not in UTF-16, whatever it says; Python has codecs that are none.
    return None if not name or name.startswith(("utf-16", "utf-32", "utf-7", "unicode", "raw")) else name


def parse(text: str) -> Parsed:
    """Return the visible text of a page, however broken its HTML is."""
    page = _Page()
    page.feed(_LINE_REFERENCE.sub("\v", text))
    page.close()
    return page.parsed()


class _Page(HTMLParser):
    """The lines of a page as they come."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.sources: list[int] = []
        self.headings: list[tuple[int, int, int]] = []
        """Level, first line and the line behind the last, counted in `lines`."""
        self.title: list[str] | None = None
        self._title_open = False
        self._skipped = ""
        self._depth = 0
        self._line = ""
        self._source = 1
        self._pre = 0
        self._in_cell = False
        self._heading: tuple[int, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._title_open = False
        if self._skipped and not (self._skipped == "p" and tag in _APART):
            self._depth += tag == self._skipped
        elif tag == "title":
            self._title_open = self.title is None
            self.title = self.title or []
        else:
            self._skipped = ""
            self._start(tag, dict(attrs))

    def _start(self, tag: str, attributes: dict[str, str | None]) -> None:
        self._block(tag)
        if tag in _SKIPPED or (tag not in _VOID and _hidden(attributes)):
            self._skipped, self._depth = tag, 1
        elif tag in _HEADINGS:
            self._heading = (_HEADINGS[tag], len(self.lines))
        elif tag == "pre":
            self._pre += 1
        elif tag in _CELLS:
            self._in_cell = True
            self._line = f"{self._line.rstrip()} | " if self._line.strip() else ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:  # an empty element of XHTML
            return
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            self._depth -= tag == self._skipped
            self._skipped = self._skipped if self._depth else ""
        elif tag == "title":
            self._title_open = False
        else:
            self._block(tag)
            self._pre = max(0, self._pre - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._title_open and self.title is not None:
            self.title.append(data)
        elif not (self._skipped or (self._heading and data.strip() in _ANCHORS)):
            source = self.getpos()[0]
            for number, line in enumerate(data.split("\n")):
                for part, text in enumerate(line.split("\v")):
                    self._add(text, source + number, is_first=number == part == 0)

    def _add(self, text: str, source: int, *, is_first: bool) -> None:
        """Add a line of data; in flowing text its end is a space."""
        if self._pre:
            if not is_first:
                self._flush()
            words = " ".join(text.splitlines())  # form feeds and the like end no line here
        else:
            words = " ".join(text.split())
            glued = is_first and not text[:1].isspace()
            if self._line and not self._line[-1].isspace() and not glued:
                self._line += " "
            if text[-1:].isspace() and words:
                words += " "
        if not self._line.strip() and words.strip():
            self._source = source
        self._line += words if self._line or self._pre else words.lstrip()

    def _block(self, tag: str) -> None:
        """End the line at the start or the end of a block."""
        if tag in {"tr", "table"}:
            self._in_cell = False
        if tag not in _APART and tag not in _LINES:
            return
        if self._in_cell and tag in _CELL_BLOCKS:
            self._line += " " if self._line and not self._line[-1].isspace() else ""
            return
        self._flush()
        if tag in _APART:
            self._end_heading(tag)
        if tag in _APART and self.lines and self.lines[-1]:
            self._append("", self.sources[-1])

    def _flush(self) -> None:
        line, self._line = self._line.rstrip(), ""
        if line or (self._pre and self.lines and self.lines[-1]):
            self._append(line, self._source if line else self.sources[-1])

    def _append(self, line: str, source: int) -> None:
        self.lines.append(line)
        self.sources.append(source)

    def _end_heading(self, tag: str) -> None:
        """End the heading that is open, at any block behind its text: some pages never close one."""
        if self._heading:
            level, first = self._heading
            has_text = len(self.lines) > first
            if has_text:
                self.headings.append((level, first, len(self.lines)))
            if has_text or tag in _HEADINGS:
                self._heading = None

    def parse_html_declaration(self, i: int) -> int:
        """Take `<![if x]>` for the comment that it is to browsers; HTMLParser fails on it."""
        return self.parse_bogus_comment(i) if self.rawdata.startswith("<![", i) else super().parse_html_declaration(i)

    def parsed(self) -> Parsed:
        """Return what has come, after `close`."""
        self._flush()
        self._end_heading("h1")
        while self.lines and not self.lines[-1]:
            self.lines.pop()
            self.sources.pop()
        text = "\n".join(self.lines)
        starts = [*accumulate((len(line) + 1 for line in self.lines), initial=0)]
        starts[-1] = len(text)
        headings = []
        for level, first, last in self.headings:
            words = " ".join(self.lines[first:last]).split()
            headings.append(Heading(level, " ".join(words), starts[first], starts[min(last, len(self.lines))]))
        named = " ".join("".join(self.title or []).split()) or None
        title = named or next((heading.text for heading in headings if heading.level == 1), None)
        return Parsed(text, sections(text, headings, title=named), title, lines=self.sources)


def _hidden(attributes: dict[str, str | None]) -> bool:
    """Return whether an element is not shown."""
    style = _DISPLAY_NONE.search(attributes.get("style") or "")
    return bool(style) or "hidden" in attributes
