"""Lines of JSON: bytes to text to values, strictly, and values in messages, briefly."""

import json
from collections.abc import Iterable, Iterator

from efive.errors import InputError

_BOM = b"\xef\xbb\xbf"


def without_bom(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `lines` without the byte order mark that the first may begin with."""
    for number, line in enumerate(lines):
        bare = line.removeprefix(_BOM) if number == 0 else line
        if bare:
            yield bare


def decode(raw: bytes) -> str:
    """Return UTF-8 bytes as text.

    Raises:
        InputError: naming the first byte that is not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start} (0x{raw[error.start]:02x}) is not UTF-8; `iconv -t UTF-8` converts files"
        ) from None


def parse(text: str) -> object:
    """Return the value of a JSON text.

    Raises:
        InputError: naming the column where the JSON breaks, or why it cannot be used.
    """
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"broken JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise InputError("JSON nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise InputError(f"unusable JSON: {error}") from None
    return value


def encodable(text: str, what: str) -> str:
    r"""Return `text` if it can be written as UTF-8; JSON's `\ud800` makes strings that cannot.

    Raises:
        InputError: naming `what` and the character, for a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"\\u{ord(text[error.start]):04x} at character {error.start}"
        raise InputError(f"{what} has a lone surrogate ({found}): it was written with a wrong encoding") from None
    return text


def shown(value: object) -> str:
    """Return `value` as JSON in at most 41 characters, for messages."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 40 else text[:40] + "…"
