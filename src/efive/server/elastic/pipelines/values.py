"""Processors that change the value of one field."""

import math
import re
from collections.abc import Callable
from typing import Any

from efive.server.elastic.errors import ElasticError, illegal
from efive.server.elastic.pipelines.document import Document, java_type
from efive.server.elastic.pipelines.fields import Action
from efive.server.elastic.pipelines.options import Options, mistaken

Change = Callable[[Any], Any]
_GROUP = re.compile(r"\\(.)|\$(\d|\{\w+\})", re.DOTALL)
_NAMED = re.compile(r"(?<!\\)\(\?<(?=[A-Za-z])")
_WHOLE = re.compile(r"[+-]?(\d{1,100}|0[xX][0-9a-fA-F]{1,100})", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def lowercase(options: Options) -> Action:
    """Write a text in small letters."""
    return _each(options, _text(str.lower))


def uppercase(options: Options) -> Action:
    """Write a text in capitals."""
    return _each(options, _text(str.upper))


def trim(options: Options) -> Action:
    """Take away white space around a text."""
    return _each(options, _text(str.strip))


def gsub(options: Options) -> Action:
    """Replace what a regular expression matches."""
    pattern = _pattern(options, "pattern")
    replacement = _replacement(options.string("replacement"), pattern)
    return _each(options, _text(lambda value: pattern.sub(replacement, value)))


def split(options: Options) -> Action:
    """Cut a text into a list where a regular expression matches."""
    pattern, trailing = _pattern(options, "separator"), options.flag("preserve_trailing")

    def cut(value: str) -> list[str]:
        parts, start = [], 0
        for found in pattern.finditer(value):
            if found.end():  # nothing at the very beginning separates nothing
                parts.append(value[start : found.start()])
                start = found.end()
        parts.append(value[start:])
        while len(parts) > 1 and not trailing and not parts[-1]:
            parts.pop()
        return parts

    return _one(options, _text(cut))


def join(options: Options) -> Action:
    """Put a list together to one text."""
    separator = options.string("separator")

    def joined(value: Any) -> str:  # noqa: ANN401
        if not isinstance(value, list):
            raise illegal(f"field of type [{java_type(value)}] cannot be cast to [java.util.List]")
        return str(separator).join(_written(each) for each in value)

    return _one(options, joined)


def convert(options: Options) -> Action:
    """Read a value as another type."""
    name = options.string("type")
    if name not in _READERS:
        raise mistaken(f"[type] type [{name}] not supported, cannot convert field.")
    return _each(options, _READERS[name])


# -- how they are alike ----------------------------------------------------------------------------------------------


def _one(options: Options, change: Change) -> Action:
    path, skip, target = options.path(), options.flag("ignore_missing"), options.string("target_field", None)

    def run(document: Document) -> None:
        field = path(document)
        if skip and document.find(field) is None:
            return
        value = document.get(field)
        if value is None:
            raise illegal(f"field [{field}] is null, cannot process it.")
        document.set(target or field, change(value))

    return run


def _each(options: Options, change: Change) -> Action:
    """Change a value, or each of a list's."""
    return _one(options, lambda value: [change(each) for each in value] if isinstance(value, list) else change(value))


def _text(change: Callable[[str], Any]) -> Change:
    def checked(value: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, str):
            raise illegal(f"value of type [{java_type(value)}] cannot be cast to [java.lang.String]")
        return change(value)

    return checked


def _pattern(options: Options, name: str) -> re.Pattern[str]:
    given = options.string(name)
    try:
        return re.compile(_NAMED.sub("(?P<", given))
    except re.error as error:
        raise mistaken(f"[{name}] Invalid regex pattern. {error}: {given}") from None


def _replacement(given: str, pattern: re.Pattern[str]) -> str:
    """Write Java's `$1` and `${name}` as Python does.

    Raises:
        ElasticError: if the pattern has no such group.
    """
    for found in _GROUP.finditer(given):
        name = (found[2] or "0").strip("{}")
        if int(name) > pattern.groups if name.isdecimal() else name not in pattern.groupindex:
            raise mistaken(f"[replacement] [{given}]: [pattern] has no group [{name}]")
    if "\\" in _GROUP.sub("", given):
        raise mistaken(f"[replacement] [{given}]: a character must follow the last backslash")

    def written(found: re.Match[str]) -> str:
        if found[1] is not None:
            return "\\\\" if found[1] == "\\" else str(found[1])
        return rf"\g<{found[2].strip('{}')}>"

    return _GROUP.sub(written, given)


# -- convert's types -------------------------------------------------------------------------------------------------


def _whole(bits: int, named: str) -> Change:
    def read(value: Any) -> int:  # noqa: ANN401
        text = _written(value).strip()
        if not _WHOLE.fullmatch(text):
            raise illegal(f"unable to convert [{text}] to {named}")
        found = int(text, 16 if "x" in text.lower() else 10)
        if not -(1 << bits - 1) <= found < 1 << bits - 1:
            raise illegal(f"unable to convert [{text}] to {named}")
        return found

    return read


def _decimal(named: str) -> Change:
    def read(value: Any) -> float:  # noqa: ANN401
        text = _written(value).strip()
        # What is larger than any double would be infinite, which JSON cannot write.
        if not _DECIMAL.fullmatch(text) or math.isinf(found := float(text)):
            raise illegal(f"unable to convert [{text}] to {named}")
        return found

    return read


def _boolean(value: Any) -> bool:  # noqa: ANN401
    text = _written(value).lower()
    if text not in {"true", "false"}:
        raise illegal(f"[{_written(value)}] is not a boolean value, cannot convert to boolean")
    return text == "true"


def _best(value: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, str):
        return value
    for read in (_boolean, _whole(64, "long"), _decimal("double")):
        try:
            return read(value)
        except ElasticError:  # not that, then
            continue
    return value


def _written(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


_READERS: dict[str, Change] = {
    "integer": _whole(32, "integer"),
    "long": _whole(64, "long"),
    "float": _decimal("float"),
    "double": _decimal("double"),
    "boolean": _boolean,
    "string": _written,
    "auto": _best,
}
