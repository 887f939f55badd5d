"""The reader of each file, loaded when a file needs it."""

import importlib
from collections.abc import Iterator

from efive.errors import InputError
from efive.search.documents import Document
from efive.search.readers.files import File, Options
from efive.search.readers.kinds import KINDS, kind_of, refuse_unreadable

_DEFAULT = Options()
_MODULES = {
    "text": "text",
    "markdown": "markdown",
    "rst": "restructured",
    "html": "html",
    "pdf": "pdf",
    "code": "code",
    "jsonl": "lines",
    "csv": "tables",
    "parquet": "parquet",
}


def read(file: File, options: Options = _DEFAULT) -> Iterator[Document]:
    """Yield the documents of a file: one, or one for each record. A file of an unknown kind is tried as text.

    Raises:
        InputError: naming the file, if it cannot be read: it has vanished, is damaged, binary, empty, encrypted,
            too large, not permitted, or of a kind that efive does not read.
    """
    try:
        _check_name(file.name)
        kind = check_kind(options.kind) if options.kind else _kind(file)
        reader = importlib.import_module(f"efive.search.readers.{_MODULES[kind]}")
        yield from reader.read(file, options)
    except InputError as error:
        raise InputError(f"{_printable(file.name)}: {error}") from None
    except OSError as error:
        raise InputError(f"{_printable(file.name)}: {error.strerror or error}") from None


def _kind(file: File) -> str:
    if file.stream:
        return "text"
    if file.path.is_dir():
        raise InputError("it is a folder; find() lists its files")
    kind = kind_of(file.path)
    if not kind and file.path.exists():
        refuse_unreadable(file.path)
    return kind or "text"


def _check_name(name: str) -> None:
    if _printable(name) != name:
        raise InputError("its name is not UTF-8; rename it")


def _printable(name: str) -> str:
    """Return a name with escapes for the bytes of it that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def check_kind(kind: str) -> str:
    """Return `kind` if files can be read as it.

    Raises:
        InputError: naming those that there are.
    """
    if kind not in KINDS:
        raise InputError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    return kind
