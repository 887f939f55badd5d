"""`filter_path`: which parts of an answer a client wants."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_NOTHING = object()
_Path = Sequence[str]


def filtered(value: Any, paths: Sequence[str]) -> Any:  # noqa: ANN401 - JSON
    """Keep what `paths` name, without what those name that begin with a minus.

    Args:
        value: an answer.
        paths: names joined by dots; `*` stands for a part of a name, `**` for any number of names.
    """
    without = [path[1:].split(".") for path in paths if path.startswith("-")]
    only = [path.split(".") for path in paths if not path.startswith("-")]
    if only:
        value = _kept(value, only)
    if without:
        value = _dropped(value, without)
    return {} if value is _NOTHING else value


def _kept(value: Any, paths: Sequence[_Path]) -> Any:  # noqa: ANN401
    if [] in paths:
        return value
    if isinstance(value, list):
        kept = [part for each in value if (part := _kept(each, paths)) is not _NOTHING]
        return kept or _NOTHING
    if not isinstance(value, dict):
        return _NOTHING
    found = {}
    for name, inner in value.items():
        rest = _rest(paths, str(name))
        if rest and (part := _kept(inner, rest)) is not _NOTHING:
            found[name] = part
    return found or _NOTHING


def _dropped(value: Any, paths: Sequence[_Path]) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_dropped(each, paths) for each in value]
    if not isinstance(value, dict):
        return value
    left = {}
    for name, inner in value.items():
        rest = _rest(paths, str(name))
        if [] not in rest:
            left[name] = _dropped(inner, rest) if rest else inner
    return left


def _rest(paths: Sequence[_Path], name: str) -> list[_Path]:
    """Return what is left of paths behind a field, each of it once: names of many stars match in many ways."""
    return [list(path) for path in dict.fromkeys(tuple(below) for path in paths for below in _below(path, name))]


def _below(path: _Path, name: str) -> list[_Path]:
    """Return what is left of a path behind a field, in each way that the field matches its beginning."""
    first, *rest = path
    if first == "**":
        return [path, *_below(rest, name)] if rest else [[]]
    return [rest] if _pattern(first).fullmatch(name) else []


@lru_cache
def _pattern(part: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, part.split("*"))))
