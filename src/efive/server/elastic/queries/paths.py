"""Values in a document by the dotted paths of its fields, and documents cut down to some of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any


def values_at(source: Any, path: str) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """Yield what stands at a path; objects may be nested or have dots in their names, lists are gone through."""
    if isinstance(source, list):
        for each in source:
            yield from values_at(each, path)
    elif not path:
        yield source
    elif isinstance(source, Mapping):
        for name, inner in source.items():
            if path == name:
                yield from values_at(inner, "")
            elif path.startswith(f"{name}."):
                yield from values_at(inner, path[len(name) + 1 :])


def vector_at(source: Any, path: str) -> list[Any] | None:  # noqa: ANN401
    """Return the list of numbers at a path."""
    found = [value for value in values_at(source, path) if isinstance(value, int | float)]
    return found or None


def texts_at(source: Any, path: str) -> list[str]:  # noqa: ANN401
    """Return the texts at a path; numbers and booleans as JSON writes them."""
    return [
        str(value).lower() if isinstance(value, bool) else str(value)
        for value in values_at(source, path)
        if isinstance(value, str | int | float)
    ]


def cut(source: Mapping[str, Any], includes: Sequence[str], excludes: Sequence[str]) -> dict[str, Any]:
    """Return a document with only the fields that are included, if any are named, and not excluded.

    A name stands for what is below it too; `*` is any characters, dots as well.
    """
    kept = _cut(source, "", tuple(includes), tuple(excludes), inside=not includes)
    return kept if isinstance(kept, dict) else {}


def _cut(value: Any, path: str, includes: tuple[str, ...], excludes: tuple[str, ...], *, inside: bool) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        parts = [_cut(each, path, includes, excludes, inside=inside) for each in value]
        kept = [part for part in parts if part is not None]
        return kept if kept or inside else None
    if not isinstance(value, Mapping):
        return value if inside else None
    found = {}
    for name, inner in value.items():
        at = f"{path}.{name}" if path else name
        if any(matcher(pattern).fullmatch(at) for pattern in excludes):
            continue
        within = inside or any(matcher(pattern).fullmatch(at) for pattern in includes)
        part = _cut(inner, at, includes, excludes, inside=within)
        if part is not None or (within and inner is None):
            found[name] = part
    return found if found or inside else None


@cache
def matcher(pattern: str) -> re.Pattern[str]:
    """Return what a name with `*` matches."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
