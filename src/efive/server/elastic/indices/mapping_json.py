"""Mappings from JSON and to JSON."""

from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from typing import Any

from efive.server.elastic.errors import unsupported
from efive.server.elastic.indices.mapping import DEEPEST, Field, FieldType, Mapping, is_name
from efive.server.elastic.indices.mapping_options import check, dynamic, unparsable_mapping
from efive.server.elastic.inference import chunking
from efive.server.elastic.inference.endpoint import DEFAULT_ID

_ELSEWHERE = frozenset(
    [
        "aggregate_metric_double",
        "alias",
        "annotated_text",
        "binary",
        "completion",
        "constant_keyword",
        "date_nanos",
        "date_range",
        "double_range",
        "exponential_histogram",
        "flattened",
        "float_range",
        "geo_point",
        "geo_shape",
        "histogram",
        "integer_range",
        "ip",
        "ip_range",
        "join",
        "long_range",
        "match_only_text",
        "murmur3",
        "nested",
        "passthrough",
        "percolator",
        "point",
        "rank_feature",
        "rank_features",
        "rank_vectors",
        "scaled_float",
        "search_as_you_type",
        "shape",
        "sparse_vector",
        "token_count",
        "unsigned_long",
        "version",
        "wildcard",
    ]
)
"""Types that Elasticsearch has and efive does not."""
_ROOT = frozenset({"date_detection", "numeric_detection", "_meta"})


def parse(given: Dictionary[str, Any]) -> Mapping:
    """Return the mapping that `{"properties": …, "dynamic": …}` describes.

    Raises:
        ElasticError: naming the field and what is wrong with it, in Elasticsearch's words.
    """
    left = dict(given)
    properties = _object(left.pop("properties", {}), "properties")
    whole = dynamic(left.pop("dynamic", True))
    source = left.pop("_source", None) or {}
    if source not in ({}, {"enabled": True}):
        raise unsupported("[_source] of a mapping")
    if left.pop("dynamic_templates", None):
        raise unsupported("[dynamic_templates]")
    options = {name: left.pop(name) for name in _ROOT & left.keys()}
    if left:
        named = " ".join(f"[{name} : {value}]" for name, value in left.items())
        raise unparsable_mapping(f"Root mapping definition has unsupported parameters:  {named}")
    fields: dict[str, Field] = {}
    for field in _fields(properties, ""):
        if field.type is not FieldType.OBJECT or field.options or field.path not in fields:
            fields[field.path] = field
    return Mapping(fields, whole, options)


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise unparsable_mapping(f"Expected map for property [{name}] but got a value [{value}]")
    return value


def _fields(properties: Dictionary[str, Any], above: str) -> Iterator[Field]:
    for name, given in properties.items():
        if not is_name(name):
            raise unparsable_mapping("field name cannot be an empty string" if not name else f"[{name}] is no name")
        path = f"{above}{name}"
        if path.count(".") > DEEPEST:
            raise unparsable_mapping(f"Limit of mapping depth [{DEEPEST}] has been exceeded")
        if not isinstance(given, dict):
            raise unparsable_mapping(f"Expected map for property [fields] on field [{path}] but got [{given}]")
        *outer, _ = path.split(".")
        for end in range(above.count(".") + 1, len(outer) + 1):  # `a.b` declares the object `a` as well
            yield Field(".".join(outer[:end]), FieldType.OBJECT)
        yield from _field(path, given)


def _field(path: str, given: dict[str, Any]) -> Iterator[Field]:
    options = dict(given)
    type_ = _type(path, options)
    if type_ is FieldType.OBJECT:
        inner = _object(options.pop("properties", {}), "properties")
        check(path, type_, options)
        if "dynamic" in options:
            options["dynamic"] = dynamic(options["dynamic"])
        yield Field(path, type_, options)
        yield from _fields(inner, f"{path}.")
        return
    multi = _object(options.pop("fields", {}), "fields")
    check(path, type_, options)
    _check_chunking(options)
    if type_ is FieldType.SEMANTIC_TEXT:
        options.setdefault("inference_id", DEFAULT_ID)
    yield Field(path, type_, options)
    for name, definition in multi.items():
        yield _multi_field(path, name, definition)


def _type(path: str, options: dict[str, Any]) -> FieldType:
    named = options.pop("type", None)
    if named is None:
        if options and options.keys() <= {"properties", "dynamic", "enabled", "subobjects"}:
            return FieldType.OBJECT
        raise unparsable_mapping(f"No type specified for field [{path}]")
    if not isinstance(named, str):
        raise unparsable_mapping(f"[type] of the field [{path}] must be text, not [{named}]")
    if named in _ELSEWHERE:
        raise unsupported(f"the type [{named}] of the field [{path}]")
    try:
        return FieldType(named)
    except ValueError:
        raise unparsable_mapping(
            f"The mapper type [{named}] declared on field [{path}] does not exist. It might have been created within "
            "a future version or requires a plugin to be installed. Check the documentation."
        ) from None


def _multi_field(path: str, name: str, given: object) -> Field:
    if not isinstance(given, dict) or not name or "." in name:
        raise unparsable_mapping(f"Field name [{name}] which is a multi field of [{path}] cannot contain '.'")
    options = dict(given)
    type_ = _type(f"{path}.{name}", options)
    if type_ is FieldType.OBJECT or "fields" in options or "copy_to" in options:
        raise unparsable_mapping(f"Type [{type_}] cannot be used in multi field")
    check(f"{path}.{name}", type_, options)
    _check_chunking(options)
    if type_ is FieldType.SEMANTIC_TEXT:
        options.setdefault("inference_id", DEFAULT_ID)
    return Field(f"{path}.{name}", type_, options, of=path)


def _check_chunking(options: dict[str, Any]) -> None:
    if "chunking_settings" in options:
        chunking.parse(options["chunking_settings"])


def to_dict(mapping: Mapping) -> dict[str, Any]:
    """Return the mapping as JSON, as Elasticsearch shows it."""
    found: dict[str, Any] = {}
    if mapping.dynamic is not True:
        found["dynamic"] = "false" if mapping.dynamic is False else mapping.dynamic
    found |= mapping.options
    if mapping.fields:
        found["properties"] = _properties(mapping)
    return found


def _properties(mapping: Mapping) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    shown: dict[str, dict[str, Any]] = {}
    for field in sorted(mapping.fields.values(), key=lambda each: each.path.split(".")):
        above, _, name = field.path.rpartition(".")
        shown[field.path] = described = _described(field)
        inside = tree if not above else shown[above].setdefault("fields" if field.of else "properties", {})
        inside[name] = described
    for path, described in shown.items():
        if mapping.fields[path].type is FieldType.OBJECT and "properties" not in described:
            described["type"] = "object"
    return tree


def _described(field: Field) -> dict[str, Any]:
    if field.type is FieldType.OBJECT:
        options = dict(field.options)
        if "dynamic" in options:
            options["dynamic"] = str(options["dynamic"]).lower()
        return options
    return {"type": str(field.type), **field.options}
