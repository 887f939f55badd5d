"""A document on its way through a pipeline, and the paths that processors name its fields by."""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from efive.server.elastic.errors import ElasticError, illegal, unsupported

METADATA = ("_index", "_id", "_version", "_version_type", "_routing")
"""Names beside the source's fields that processors may read and change."""
_REFERENCE = re.compile(r"\{\{\{\s*(?P<bare>.*?)\s*\}\}\}|\{\{\s*(?P<name>.*?)\s*\}\}", re.DOTALL)
_NAME = re.compile(r"[\w@$-]+(?:[. ][\w@$-]+)*")
_JAVA = {
    str: "java.lang.String",
    bool: "java.lang.Boolean",
    int: "java.lang.Integer",
    float: "java.lang.Double",
    list: "java.util.ArrayList",
    dict: "java.util.HashMap",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a processor could not do its work."""

    error: ElasticError
    type: str
    tag: str | None
    pipeline: str | None


@dataclass(slots=True)
class Document:
    """One document. Processors change it in place."""

    index: str
    id: str | None
    source: dict[str, Any]
    version: int = -3
    version_type: str = "internal"
    routing: str | None = None
    dropped: bool = False
    """Whether a processor decided that it is not to be indexed."""
    failure: Failure | None = None
    """What nobody handled; the document is not to be indexed either."""
    ingest: dict[str, Any] = field(default_factory=lambda: {"timestamp": timestamp()})
    """What processors see as `_ingest`."""
    trace: list[dict[str, Any]] | None = None
    """What each processor did, if somebody wants to know."""

    @property
    def error(self) -> ElasticError | None:
        """What it failed with."""
        return self.failure.error if self.failure else None

    # -- fields --------------------------------------------------------------------------------------------------

    def has(self, path: str) -> bool:
        """Say whether there is a field, be it null."""
        try:
            self.get(path)
        except ElasticError:
            return False
        return True

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return the value of a field.

        Raises:
            ElasticError: naming the part of the path that is not there.
        """
        value: Any = self._root(path)
        for name in _steps(path):
            value = _into(value, name, path)
        return value

    def find(self, path: str) -> Any:  # noqa: ANN401
        """Return the value of a field, None where there is none."""
        try:
            return self.get(path)
        except ElasticError:
            return None

    def set(self, path: str, value: Any) -> None:  # noqa: ANN401
        """Give a field a value; objects on the way to it are made.

        Raises:
            ElasticError: if something on the way is no object.
        """
        *outer, last = _steps(path)
        if not outer and path in METADATA:
            self._set_metadata(path, value)
            return
        holder: Any = self._root(path)
        for name in outer:
            if isinstance(holder, dict) and holder.get(name) is None:
                holder[name] = {}
            holder = _into(holder, name, path)
        if isinstance(holder, dict):
            holder[last] = value
        elif isinstance(holder, list):
            holder[_place(holder, last, path)] = value
        else:
            raise illegal(
                f"cannot set [{last}] with parent object of type [{java_type(holder)}] as part of path [{path}]"
            )

    def remove(self, path: str) -> None:
        """Take a field away.

        Raises:
            ElasticError: if it is not there.
        """
        self.get(path)
        *outer, last = _steps(path)
        if not outer and path in METADATA:
            self._set_metadata(path, None)
            return
        holder: Any = self._root(path)
        for name in outer:
            holder = _into(holder, name, path)
        del holder[int(last) if isinstance(holder, list) else last]

    def context(self) -> dict[str, Any]:
        """Return what conditions see as `ctx`."""
        return self._metadata() | {"_ingest": self.ingest} | self.source

    def shown(self) -> dict[str, Any]:
        """Return it as simulations show it, a copy."""
        named = {
            name: value for name, value in self._metadata().items() if value is not None and name != "_version_type"
        }
        if self.version >= 0:
            named["_version"] = str(self.version)
        else:
            named.pop("_version", None)
        return copy.deepcopy({**named, "_source": self.source, "_ingest": {"timestamp": self.ingest["timestamp"]}})

    def _metadata(self) -> dict[str, Any]:
        return {name: getattr(self, name[1:]) for name in METADATA}

    def _set_metadata(self, name: str, value: Any) -> None:  # noqa: ANN401
        if value is not None and not isinstance(value, int if name == "_version" else str):
            raise illegal(f"{name} must be a {'long' if name == '_version' else 'String'} but was [{java_type(value)}]")
        if value is None and name in {"_index", "_version"}:
            raise illegal(f"{name} cannot be removed")
        setattr(self, name[1:], value)

    def _root(self, path: str) -> dict[str, Any]:
        first = path.partition(".")[0]
        if first == "_ingest":
            return {"_ingest": self.ingest}
        return self._metadata() if first in METADATA else self.source


def timestamp() -> str:
    """Return the time of now as processors see it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def java_type(value: Any) -> str:  # noqa: ANN401
    """Return what Elasticsearch's messages call the type of a value."""
    return _JAVA.get(type(value), "null")


def text_of(document: Document, path: str) -> str:
    """Return the value of a field that must be a string."""
    value = document.get(path)
    if not isinstance(value, str):
        raise illegal(f"field [{path}] of type [{java_type(value)}] cannot be cast to [java.lang.String]")
    return value


def template(given: Any) -> Callable[[Document], Any]:  # noqa: ANN401
    """Return what makes a value of a document: strings in it may name fields, as `{{user.name}}`.

    Only plain references are known, not the rest of mustache; values are put in as they are.

    Raises:
        ElasticError: naming what else stands in the braces.
    """
    if isinstance(given, list):
        items = [template(each) for each in given]
        return lambda document: [make(document) for make in items]
    if isinstance(given, dict):
        fields = {name: template(each) for name, each in given.items()}
        return lambda document: {name: make(document) for name, make in fields.items()}
    if not isinstance(given, str) or "{{" not in given:
        return lambda _document: given
    for found in _REFERENCE.finditer(given):
        if not _NAME.fullmatch(_named(found)):
            raise unsupported(f"mustache [{found[0]}]")
    return lambda document: _REFERENCE.sub(lambda found: _written(document.find(_named(found))), given)


def _named(found: re.Match[str]) -> str:
    return found["bare"] or found["name"] or ""


def _written(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _steps(path: str) -> list[str]:
    steps = path.split(".")
    if steps[0] == "_source" and len(steps) > 1:
        steps = steps[1:]
    if not all(steps):
        raise illegal("path cannot be null nor empty" if not path else f"path [{path}] is not valid")
    return steps


def _into(value: Any, name: str, path: str) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        if name not in value:
            raise illegal(f"field [{name}] not present as part of path [{path}]")
        return value[name]
    if isinstance(value, list):
        return value[_place(value, name, path)]
    if value is None:
        raise illegal(f"cannot resolve [{name}] from null as part of path [{path}]")
    raise illegal(f"cannot resolve [{name}] from object of type [{java_type(value)}] as part of path [{path}]")


def _place(value: list[Any], name: str, path: str) -> int:
    if not name.isdecimal():
        raise illegal(f"[{name}] is not an integer, cannot be used as an index as part of path [{path}]")
    if int(name) >= len(value):
        raise illegal(f"[{name}] is out of bounds for array with length [{len(value)}] as part of path [{path}]")
    return int(name)
