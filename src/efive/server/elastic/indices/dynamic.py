"""Fields that are not mapped, by their values."""

from collections.abc import Mapping as Dictionary
from typing import Any

from efive.server.elastic import dates
from efive.server.elastic.indices.mapping import Field, FieldType

_IGNORED_ABOVE = 256


def guessed(path: str, value: Any, options: Dictionary[str, Any]) -> list[Field]:  # noqa: ANN401 - JSON
    """Return the fields that Elasticsearch makes of a value: the field itself, and multi-fields.

    Args:
        path: of the field.
        value: one value of it, or a long list of numbers, which is a vector.
        options: of the mapping: date_detection, numeric_detection.
    """
    if isinstance(value, list):
        return [Field(path, FieldType.DENSE_VECTOR, {"dims": len(value), "index": True, "similarity": "cosine"})]
    if isinstance(value, bool):
        return [Field(path, FieldType.BOOLEAN)]
    if isinstance(value, int | float):
        return [Field(path, FieldType.LONG if isinstance(value, int) else FieldType.FLOAT)]
    if options.get("date_detection", True) is True and dates.looks_like_date(value):
        known = {} if dates.fits(value) else {"format": dates.DETECTED}
        return [Field(path, FieldType.DATE, known)]
    if options.get("numeric_detection") is True and (number := _number(value)) is not None:
        return [Field(path, FieldType.LONG if isinstance(number, int) else FieldType.FLOAT)]
    keyword = Field(f"{path}.keyword", FieldType.KEYWORD, {"ignore_above": _IGNORED_ABOVE}, of=path)
    return [Field(path, FieldType.TEXT), keyword]


def _number(text: str) -> float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
