"""From a document to what is kept of its fields."""

import math
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from efive.search.documents import Value
from efive.search.terms import index_terms
from efive.server.elastic import dates
from efive.server.elastic.errors import ElasticError
from efive.server.elastic.indices.mapping import Field, FieldType, Mapping
from efive.server.elastic.indices.mapping_options import is_true
from efive.server.elastic.indices.numbers import number_of, truth
from efive.server.elastic.indices.walking import Walk, unparsable
from efive.vectors import Floats

_LARGEST = 2**53
_UNIT = 1e-2
"""How far a vector's squared length may be from 1 where only unit vectors are taken."""

Row = tuple[str, str | None, int | float | None]
"""Field, text, number: a row of the table `value` without its document."""


@dataclass(slots=True)
class Values:
    """What is kept of one document besides its source."""

    rows: list[Row] = field(default_factory=list)
    terms: dict[str, str] = field(default_factory=dict)
    """By text field: what its full-text table gets."""
    semantic: dict[str, list[str]] = field(default_factory=dict)
    """By semantic_text field: its texts."""
    vectors: dict[str, Floats] = field(default_factory=dict)
    """By dense_vector field."""
    metadata: dict[str, Value] = field(default_factory=dict)
    """What collections get."""


def values_of(mapping: Mapping, source: Dictionary[str, Any], id_: str) -> tuple[Mapping, Values]:
    """Return what a document's fields hold, and the mapping with the fields that were not in it.

    Raises:
        ElasticError: for a value that its field cannot have.
    """
    walk = Walk(mapping)
    walk.visit(source)
    mapping, values = walk.mapping(), Values()
    copied: dict[str, list[Any]] = {}
    for path, given in walk.found.items():
        targets = mapping.fields[path].options.get("copy_to", ())
        for target in [targets] if isinstance(targets, str) else targets:
            copied.setdefault(target, []).extend(given)
    for each in mapping.fields.values():
        own = walk.found.get(each.of or each.path, [])
        if given := [*own, *copied.get(each.path, [])]:
            filling = _Filling(each, id_, values)
            filling.fill(given)
            if each.path in walk.found and (sound := [value for value in own if filling.takes(value)]):
                _add_metadata(values.metadata, each, sound)
    return _with_dimensions(mapping, values), values


def _with_dimensions(mapping: Mapping, values: Values) -> Mapping:
    """Return the mapping with the dimensions of vectors that are the first of their field."""
    new = {
        path: replace(mapping.fields[path], options={**mapping.fields[path].options, "dims": len(vector)})
        for path, vector in values.vectors.items()
        if "dims" not in mapping.fields[path].options
    }
    return replace(mapping, fields={**mapping.fields, **new}) if new else mapping


@dataclass(frozen=True, slots=True)
class _Filling:
    """One field of one document."""

    field: Field
    id: str
    values: Values

    def fill(self, given: list[Any]) -> None:
        """Take the field's values."""
        path, type_ = self.field.path, self.field.type
        match type_:
            case FieldType.TEXT:
                texts = [self._text(each) for each in given]
                self.values.terms[path] = index_terms("\n".join(texts))
                self.values.rows.append((path, None, None))
            case FieldType.SEMANTIC_TEXT:
                texts = [self._text(each) for each in given]
                if kept := [text for text in texts if text.strip()]:
                    self.values.semantic[path] = kept
                self.values.rows.append((path, None, None))
            case FieldType.DENSE_VECTOR:
                self.values.vectors[path] = self._vector(given)
                self.values.rows.append((path, None, None))
            case FieldType.KEYWORD:
                longest = self.field.options.get("ignore_above", math.inf)
                texts = [self._text(each) for each in given]
                self.values.rows += [(path, text, None) for text in dict.fromkeys(texts) if len(text) <= longest]
            case _:
                numbers = [number for each in given if (number := self._lenient(each)) is not None]
                self.values.rows += [(path, None, number) for number in dict.fromkeys(numbers)]

    def _text(self, value: Any) -> str:  # noqa: ANN401
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str | int | float):
            raise self._refused(value)
        return str(value)

    def takes(self, value: Any) -> bool:  # noqa: ANN401
        """Say whether a value counts: one that is malformed and ignored does not."""
        return not is_true(self.field.options.get("ignore_malformed", False)) or self._lenient(value) is not None

    def _lenient(self, value: Any) -> float | None:  # noqa: ANN401
        try:
            return number_of(self.field, value)
        except ValueError as error:
            if is_true(self.field.options.get("ignore_malformed", False)):
                return None
            raise self._refused(value, str(error)) from None

    def _vector(self, given: list[Any]) -> Floats:
        path, dims = self.field.path, self.field.options.get("dims")
        if len(given) != 1 or not isinstance(given[0], list) or not given[0]:
            raise self._refused(given[0], "it must be one list of numbers")
        if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in given[0]):
            raise self._refused(given[0], "not all of it are numbers")
        try:
            with np.errstate(over="ignore"):
                vector: Floats = np.array(given[0], dtype=np.float64).astype(np.float32)
        except OverflowError:
            raise self._refused(given[0], "a number is too large") from None
        if dims is not None and len(vector) != dims:
            raise self._wrong_vector(
                f"The [dense_vector] field [{path}] in doc [document with id '{self.id}'] has a different number of "
                f"dimensions [{len(vector)}] than defined in the mapping [{dims}]"
            )
        if not np.isfinite(vector).all():
            raise self._wrong_vector(f"element of the [dense_vector] field [{path}] is no finite float")
        self._check_length(vector)
        return vector

    def _check_length(self, vector: Floats) -> None:
        similarity = self.field.options.get("similarity", "cosine")
        squared, shown = float(vector @ vector), vector[:5].tolist()
        if similarity == "cosine" and squared == 0:
            raise self._wrong_vector(
                f"The [cosine] similarity does not support vectors with zero magnitude. Preview of invalid vector: "
                f"{shown}"
            )
        if similarity == "dot_product" and abs(squared - 1) > _UNIT:
            raise self._wrong_vector(
                f"The [dot_product] similarity can only be used with unit-length vectors. Preview of invalid vector: "
                f"{shown}"
            )

    def _wrong_vector(self, reason: str) -> ElasticError:
        return unparsable(f"failed to parse: {reason}")

    def _refused(self, value: Any, why: str = "") -> ElasticError:  # noqa: ANN401
        return unparsable(
            f"failed to parse field [{self.field.path}] of type [{self.field.type}] in document with id "
            f"'{self.id}'. Preview of field's value: '{str(value)[:50]}'" + (f": {why}" if why else "")
        )


def _add_metadata(metadata: dict[str, Value], of: Field, given: list[Any]) -> None:
    """Add what a collection keeps of a field: its values as they were given, as far as collections have such ones."""
    if of.type is FieldType.KEYWORD or of.type is FieldType.DATE:
        texts = [dates.shown(value) if of.type is FieldType.DATE and not isinstance(value, str) else _plain(value)
                 for value in given]  # fmt: skip
        metadata[of.path] = texts[0] if len(texts) == 1 else texts
    elif of.type is FieldType.BOOLEAN:
        truths = [bool(truth(value)) for value in given]
        metadata[of.path] = truths[0] if len(truths) == 1 else [_plain(each) for each in truths]
    elif of.type.is_number:
        metadata[of.path] = _number(given[0]) if len(given) == 1 else [_plain(each) for each in given]


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> Value:  # noqa: ANN401
    if isinstance(value, int | float) and abs(value) <= _LARGEST:
        return value
    return str(value)
