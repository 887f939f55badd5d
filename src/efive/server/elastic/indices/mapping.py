"""The mapping of an index: which fields its documents have, and of which types."""

from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


class FieldType(StrEnum):
    """What a field holds."""

    TEXT = "text"
    KEYWORD = "keyword"
    SEMANTIC_TEXT = "semantic_text"
    DENSE_VECTOR = "dense_vector"
    LONG = "long"
    INTEGER = "integer"
    SHORT = "short"
    BYTE = "byte"
    DOUBLE = "double"
    FLOAT = "float"
    HALF_FLOAT = "half_float"
    BOOLEAN = "boolean"
    DATE = "date"
    OBJECT = "object"

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self in _WHOLE or self in _FLOATING

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self in _WHOLE


_WHOLE = frozenset({FieldType.LONG, FieldType.INTEGER, FieldType.SHORT, FieldType.BYTE})
_FLOATING = frozenset({FieldType.DOUBLE, FieldType.FLOAT, FieldType.HALF_FLOAT})

Dynamic = Literal[True, False, "strict"]

DEEPEST = 20
"""Dots that a field's path can have: objects in objects."""


def is_name(path: str) -> bool:
    """Say whether fields can be called so: no part between dots is empty or blank."""
    return all(part.strip() for part in path.split("."))


@dataclass(frozen=True, slots=True)
class Field:
    """One field."""

    path: str
    """Its full name, `outer.inner`; a multi-field's has its own name behind the field's."""
    type: FieldType
    options: Dictionary[str, Any] = field(default_factory=dict)
    """As they were given: inference_id, dims, similarity, format and the like; without properties and fields."""
    of: str | None = None
    """For a multi-field: the path of the field whose values it has."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """All fields of an index."""

    fields: Dictionary[str, Field] = field(default_factory=dict)
    """By path; objects and multi-fields too."""
    dynamic: Dynamic = True
    """What becomes of fields that are not mapped: mapped by their values, ignored (False), or `strict`."""
    options: Dictionary[str, Any] = field(default_factory=dict)
    """Of the whole: date_detection, numeric_detection, _meta."""

    def of_type(self, type_: FieldType) -> Iterator[Field]:
        """Yield the fields of one type, in their order."""
        return (each for each in self.fields.values() if each.type is type_)

    def dynamic_at(self, path: str) -> Dynamic:
        """Return what becomes of new fields in the object at `path`; the empty path is the document."""
        while path:
            found = self.fields.get(path)
            if found is not None and "dynamic" in found.options:
                given: Dynamic = found.options["dynamic"]
                return given
            path = path.rpartition(".")[0]
        return self.dynamic
