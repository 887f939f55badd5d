"""Through a document: the values of its fields, and the fields that are not mapped yet."""

from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from typing import Any

from efive.server.elastic.errors import ElasticError
from efive.server.elastic.indices.dynamic import guessed
from efive.server.elastic.indices.mapping import DEEPEST, Field, FieldType, Mapping, is_name
from efive.server.elastic.indices.mapping_merging import check_size
from efive.server.elastic.indices.mapping_options import is_true


def unparsable(reason: str) -> ElasticError:
    """Return the error of a document that its mapping does not allow."""
    return ElasticError(400, "document_parsing_exception", reason)


class Walk:
    """Collects the values of a document by the paths of their fields; fields that are new are mapped."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._fields = mapping.fields
        self.found: dict[str, list[Any]] = {}

    def mapping(self) -> Mapping:
        """Return the mapping with the fields that were new."""
        if self._fields is self._mapping.fields:
            return self._mapping
        added = len(self._fields) - len(self._mapping.fields)
        check_size(len(self._fields), added)
        return Mapping(self._fields, self._mapping.dynamic, self._mapping.options)

    def visit(self, inside: Dictionary[str, Any], above: str = "") -> None:
        """Collect the values of an object; `above` is its path and a dot."""
        for name, value in inside.items():
            if not is_name(name):
                raise unparsable("field name cannot be an empty string" if not name else f"[{name}] is no field name")
            if above.count(".") + name.count(".") > DEEPEST:
                raise unparsable(f"Limit of mapping depth [{DEEPEST}] has been exceeded")
            self._take(f"{above}{name}", value)

    def _take(self, path: str, value: Any) -> None:  # noqa: ANN401 - JSON
        known = self._fields.get(path)
        if known is not None and known.of is None and known.type is FieldType.DENSE_VECTOR:
            if value is not None:
                self.found.setdefault(path, []).append(value)
            return
        if known is None and _is_vector(value):
            self._new(path, value)
            if path in self._fields:
                self.found.setdefault(path, []).append(value)
            return
        for each in _flattened(value):
            if isinstance(each, dict) and (known is None or known.type is FieldType.OBJECT):
                self._object(path, each)
            else:
                self._leaf(path, each)
            known = self._fields.get(path)

    def _object(self, path: str, value: dict[str, Any]) -> None:
        known = self._fields.get(path)
        if known is None and not self._may_add(path):
            return
        if known is None:
            self._add(Field(path, FieldType.OBJECT))
        elif not is_true(known.options.get("enabled", True)):
            return
        self.visit(value, f"{path}.")

    def _leaf(self, path: str, value: Any) -> None:  # noqa: ANN401
        known = self._fields.get(path)
        if known is None:
            self._new(path, value)
            known = self._fields.get(path)
        elif known.type is FieldType.OBJECT:
            if not is_true(known.options.get("enabled", True)):
                return
            raise unparsable(
                f"object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
            )
        if known is not None:
            self.found.setdefault(path, []).append(value)

    def _new(self, path: str, value: Any) -> None:  # noqa: ANN401
        if self._may_add(path):
            for each in guessed(path, value, self._mapping.options):
                self._add(each)

    def _may_add(self, path: str) -> bool:
        above, _, name = path.rpartition(".")
        known = self._fields.get(above)
        if known is not None and known.type is not FieldType.OBJECT:
            raise unparsable(
                f"Could not dynamically add mapping for field [{path}]. Existing mapping for [{above}] must be of type "
                f"object but found [{known.type}]."
            )
        if known is not None and not is_true(known.options.get("enabled", True)):
            return False
        dynamic = Mapping(self._fields, self._mapping.dynamic).dynamic_at(above)
        if dynamic == "strict":
            raise ElasticError(
                400,
                "strict_dynamic_mapping_exception",
                f"mapping set to strict, dynamic introduction of [{name}] within [{above or '_doc'}] is not allowed",
            )
        return dynamic is True

    def _add(self, new: Field) -> None:
        if self._fields is self._mapping.fields:
            self._fields = dict(self._fields)
        above = new.path.rpartition(".")[0]
        if above and above not in self._fields:
            self._add(Field(above, FieldType.OBJECT))
        assert isinstance(self._fields, dict)
        self._fields[new.path] = new


def _flattened(value: Any) -> Iterator[Any]:  # noqa: ANN401
    if isinstance(value, list):
        for each in value:
            yield from _flattened(each)
    elif value is not None:
        yield value


def _is_vector(value: object) -> bool:
    """Return whether a list becomes a dense_vector of its own accord."""
    return isinstance(value, list) and 128 <= len(value) <= 4096 and all(isinstance(each, float) for each in value)
