"""PDF: its text, page by page."""

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import accumulate

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from efive.errors import InputError
from efive.search.documents import Document
from efive.search.readers.files import File, Options, Parsed, Report, mebibytes
from efive.search.readers.outline import visible

# PDFium may be called by one thread at a time, whatever the documents.
_ALONE = threading.Lock()
# PDFium writes U+0002 or U+FFFE, and no line end, for most hyphens that end a line, those of compounds too.
_DIVIDED = re.compile(r"(?<=\w)(?:[\x02\ufffe]\n?|[-\u2010\u00ad][^\S\n]*\n)[^\S\n]*(?=\w)")
_COMPOUND = re.compile(r"\b\w{1,40}-\w{1,40}\b")
_LAST_WORD = re.compile(r"\w{1,40}\Z")
_FIRST_WORD = re.compile(r"\w{1,40}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\ufffe\uffff]")
_PAGE_GAP = "\n\n"


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield the one document of a PDF file; its sections are its pages."""
    try:
        with _ALONE:
            title, pages = _text(file, options)
    except pdfium.PdfiumError as error:
        raise InputError(_reason(error)) from None
    if not any(page.strip() for page in pages):
        raise InputError(f"no text in it: {len(pages)} pages of images; run OCR first, for example `ocrmypdf`")
    yield file.document("pdf", parse(pages, title))


def parse(pages: list[str], title: str | None = None) -> Parsed:
    """Return pages as one text with a section for each that has text."""
    compounds = {word for page in pages for word in _COMPOUND.findall(page)}
    texts = [joined(page, compounds) for page in pages]
    text = _PAGE_GAP.join(texts)
    starts = accumulate((len(page) + len(_PAGE_GAP) for page in texts), initial=0)
    found = [
        visible(text, start, start + len(page), (), number)
        for number, (start, page) in enumerate(zip(starts, texts, strict=False), 1)
    ]
    return Parsed(text, [section for section in found if section], title)


def joined(page: str, compounds: set[str]) -> str:
    """Return a page with the words in one piece that are divided at the end of a line.

    Args:
        page: the text of a page.
        compounds: words with a hyphen inside a line; these keep theirs, as words do before a capital or a digit.
    """

    def mended(divided: re.Match[str]) -> str:
        before = _LAST_WORD.search(page, max(0, divided.start() - 40), divided.start())
        after = _FIRST_WORD.match(page, divided.end())
        assert before
        assert after
        compound = f"{before.group()}-{after.group()}"
        is_word = before.group()[-1].isalpha() and after.group()[0].islower()
        return "" if is_word and compound not in compounds else "-"

    return _UNPRINTABLE.sub("", _DIVIDED.sub(mended, page))


def _text(file: File, options: Options) -> tuple[str | None, list[str]]:
    with file.seekable(options.max_bytes) as opened, pdfium.PdfDocument(opened) as document:
        title = " ".join(_UNPRINTABLE.sub("", document.get_metadata_value("Title")).split()) or None
        pages: list[str] = []
        size = 0
        for number in range(len(document)):
            pages.append(_page(document, number, options.notice, file.name))
            size += len(pages[-1])
            if size > options.max_bytes:
                limit = mebibytes(options.max_bytes)
                raise InputError(f"its text is larger than the limit of {limit}; split it, or raise the limit")
    return title, pages


def _page(document: pdfium.PdfDocument, number: int, notice: Report | None, name: str) -> str:
    """Return the text of a page, or none where the page is damaged."""
    try:
        # Closed here, because the garbage collector would do it at any time and in any thread.
        with closing(document.get_page(number)) as page, closing(page.get_textpage()) as text:
            return str(text.get_text_bounded()).replace("\r\n", "\n").replace("\r", "\n")
    except pdfium.PdfiumError:
        if notice:
            notice(f"{name}: page {number + 1} is damaged and left out")
        return ""


def _reason(error: pdfium.PdfiumError) -> str:
    if error.err_code == pdfium_c.FPDF_ERR_PASSWORD:
        return "it asks for a password; save it without one, for example with `qpdf --decrypt`"
    if error.err_code == pdfium_c.FPDF_ERR_SECURITY:
        return "its encryption is not supported; save it without one"
    return f"it is damaged, or no PDF ({str(error).rstrip('.')}); `qpdf IN.pdf OUT.pdf` mends some"
