"""Plain text: bytes to characters."""

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress

from efive.errors import InputError
from efive.search.documents import Document
from efive.search.readers.files import File, Options, Parsed

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Control characters that no text has; tab, line ends, form feed, backspace and escape do occur.
_CONTROL = re.compile(rb"[\x01-\x07\x0e-\x1a\x1c-\x1f\x7f]")
_SAMPLE = 256 << 10
_FOREIGN = re.compile(r"[^\x00-\x7f\ufffd]")


def read(file: File, options: Options) -> Iterator[Document]:
    """Yield the one document of a file of plain text."""
    yield file.document("text", Parsed(decode(file.contents(options.max_bytes))))


def decode(raw: bytes, declared: str | None = None) -> str:
    """Return bytes as text: as their byte order mark says, as declared, as UTF-8, or as it seems.

    Args:
        raw: the bytes of a whole file.
        declared: the encoding that the file itself names; one that does not fit is not believed.

    Raises:
        InputError: for bytes that are no text.
    """
    if encoding := _marked(raw):
        return _strictly(raw, encoding)
    refuse_binary(raw)
    for encoding in filter(None, [declared, "utf-8"]):
        with suppress(UnicodeError, LookupError):
            return raw.decode(encoding)
    return raw.decode(_guess(raw), "replace")


def encoding_of(sample: bytes) -> str:
    """Return the encoding of a file, as Python names it, from its first bytes.

    Raises:
        InputError: for bytes that are no text.
    """
    if encoding := _marked(sample):
        return encoding
    refuse_binary(sample)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # it may end inside a character
    except UnicodeDecodeError:
        return _guess(sample)
    return "utf-8"


def _marked(raw: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS.items() if raw.startswith(mark)), None)


def refuse_binary(raw: bytes) -> None:
    """Refuse bytes that are no text in any encoding without zero bytes.

    Raises:
        InputError: for zero bytes, and for many control characters.
    """
    zero = raw.find(b"\0")
    if zero >= 0:
        raise InputError(
            f"it is binary: byte {zero} is zero. If it is text in UTF-16, `iconv -f UTF-16 -t UTF-8` converts it"
        )
    sample = raw[:_SAMPLE]
    if len(_CONTROL.findall(sample)) > len(sample) // 50:
        raise InputError("it is binary: too many of its bytes are control characters")


def _strictly(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not ({error.reason})"
        raise InputError(f"it begins with the mark of {encoding}, but {reason}") from None


def _guess(raw: bytes) -> str:
    """Return the encoding that text seems to have that is not quite UTF-8."""
    from charset_normalizer import from_bytes  # noqa: PLC0415 - most files never need it

    # A few bytes that are not UTF-8, as logs have them: one in ten of its characters is too many.
    text = raw.decode("utf-8", "replace")
    if 10 * text.count("\ufffd") <= len(_FOREIGN.findall(text)):
        return "utf-8"
    # Whole lines, because half a character at the end would exclude its encoding.
    sample = raw[: raw.rfind(b"\n", 0, _SAMPLE) + 1] if len(raw) > _SAMPLE else raw
    best = from_bytes(sample or raw[:_SAMPLE]).best()
    if best is None:
        raise InputError("it is neither UTF-8 nor text in another known encoding; `iconv -t UTF-8` converts files")
    return best.encoding
