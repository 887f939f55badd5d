"""What people name: files and folders of the server, and files that they upload."""

from pathlib import Path

from efive.errors import InputError

_LONGEST = 200
"""Bytes of a file's name: file systems take 255."""


def check_path(given: str) -> Path:
    """Return a file or folder of the server.

    Raises:
        InputError: if it is not there.
    """
    if not (name := given.strip()):
        raise InputError("name a folder or a file on the server")
    try:
        path = Path(name).expanduser()
        there = path.exists()
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{name[:100]!r} cannot be a path") from None
    if not path.is_absolute():
        raise InputError(f"{name} is no absolute path; begin with a slash")
    if not there:
        raise InputError(f"{path} is not on the server, or it must not read it")
    return path.resolve()


def checked_name(name: str) -> str:
    """Return the name of a file that comes from elsewhere if a folder can hold it.

    Raises:
        InputError: if it would lead out of the folder, or no file can be called so.
    """
    if name in {"", ".", ".."} or any(c in name for c in "/\\\0\n\r"):
        raise InputError(f"{name!r} cannot be a file's name; rename it")
    if len(name.encode(errors="replace")) > _LONGEST:
        raise InputError(f"{name[:40]!r}… is too long for a file's name: {_LONGEST} bytes at most")
    return name
