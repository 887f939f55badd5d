"""What the mapping of a field may say, type by type."""

from collections.abc import Callable
from typing import Any

from efive.server.elastic import dates
from efive.server.elastic.errors import ElasticError, unsupported
from efive.server.elastic.indices.mapping import FieldType

Check = Callable[[str, str, Any], None]
"""Gets the field's path, the option's name and its value; raises what is wrong with it."""

MOST_DIMENSIONS = 4096
SIMILARITIES = ("cosine", "dot_product", "l2_norm", "max_inner_product")


def unparsable_mapping(reason: str) -> ElasticError:
    """Return the error of a mapping that cannot be."""
    return ElasticError(400, "mapper_parsing_exception", f"Failed to parse mapping: {reason}")


def check(path: str, type_: FieldType, options: dict[str, Any]) -> None:
    """Check the options of a field, its type left out.

    Raises:
        ElasticError: in Elasticsearch's words.
    """
    known = _OPTIONS[type_]
    for name, value in options.items():
        if name not in known:
            raise unparsable_mapping(f"unknown parameter [{name}] on mapper [{path}] of type [{type_}]")
        if value is None and name != "null_value":
            raise unparsable_mapping(f"[{name}] on mapper [{path}] of type [{type_}] must not have a [null] value")
        known[name](path, name, value)


def is_true(value: object) -> bool:
    """Return whether an option that is true or false is true; Elasticsearch takes them as text as well."""
    return value is True or value == "true"


def _anything(_path: str, _name: str, _value: object) -> None:
    """Accept what changes nothing here."""


def _truth(_path: str, _name: str, value: object) -> None:
    if value not in (True, False, "true", "false"):
        raise unparsable_mapping(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")


def _only(*accepted: object) -> Check:
    def check(path: str, name: str, value: object) -> None:
        if (str(value).lower() if isinstance(value, bool) else value) not in accepted:
            raise unsupported(f"[{name}] [{value}] of the field [{path}]")

    return check


def _never(path: str, name: str, _value: object) -> None:
    raise unsupported(f"[{name}] of the field [{path}]")


def _text(path: str, name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise unparsable_mapping(f"[{name}] on mapper [{path}] must be text and not empty, not [{value}]")


def _names(path: str, name: str, value: object) -> None:
    if not isinstance(value, str) and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        raise unparsable_mapping(f"[{name}] on mapper [{path}] must be the name of a field or a list of them")


def _whole(path: str, name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise unparsable_mapping(f"[{name}] on mapper [{path}] must be a whole number, not [{value}]")


def _object(path: str, name: str, value: object) -> None:
    if not isinstance(value, dict):
        raise unparsable_mapping(f"[{name}] on mapper [{path}] must be an object")


def _dimensions(path: str, _name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_DIMENSIONS:
        raise unparsable_mapping(
            f"The number of dimensions for field [{path}] should be in the range [1, {MOST_DIMENSIONS}] but was "
            f"[{value}]"
        )


def _similarity(_path: str, name: str, value: object) -> None:
    if value not in SIMILARITIES:
        raise unparsable_mapping(
            f"Unknown value [{value}] for field [{name}] - accepted values are [{', '.join(SIMILARITIES)}]"
        )


def _dynamic(_path: str, _name: str, value: object) -> None:
    dynamic(value)


def dynamic(value: object) -> Any:  # noqa: ANN401 - Dynamic
    """Return the option `dynamic`, checked."""
    if value == "runtime":
        raise unsupported("[dynamic] [runtime]")
    if value == "strict":
        return "strict"
    _truth("", "dynamic", value)
    return is_true(value)


def _format(path: str, _name: str, value: object) -> None:
    _text(path, "format", value)
    dates.check(str(value))


_COMMON: dict[str, Check] = {"meta": _object, "copy_to": _names, "store": _truth, "index": _truth}
_COLUMN: dict[str, Check] = {**_COMMON, "doc_values": _truth, "null_value": _anything}
_PLAIN: dict[str, Check] = {**_COLUMN, "ignore_malformed": _truth, "script": _never}
_NUMBER: dict[str, Check] = {**_PLAIN, "coerce": _truth}
_RANKING: dict[str, Check] = {"norms": _truth, "index_options": _text, "eager_global_ordinals": _truth}

_OPTIONS: dict[FieldType, dict[str, Check]] = {
    FieldType.TEXT: {
        **_COMMON,
        **_RANKING,
        "analyzer": _only("standard"),
        "search_analyzer": _only("standard"),
        "search_quote_analyzer": _only("standard"),
        "similarity": _text,
        "fielddata": _only("false"),
        "index_phrases": _truth,
        "index_prefixes": _object,
        "position_increment_gap": _whole,
        "term_vector": _text,
    },
    FieldType.KEYWORD: {
        **_COLUMN,
        **_RANKING,
        "ignore_above": _whole,
        "normalizer": _never,
        "script": _never,
        "similarity": _only("BM25", "boolean"),
        "split_queries_on_whitespace": _truth,
    },
    FieldType.SEMANTIC_TEXT: {
        "inference_id": _text,
        "search_inference_id": _text,
        "chunking_settings": _object,
        "model_settings": _object,
        "index_options": _object,
        "meta": _object,
    },
    FieldType.DENSE_VECTOR: {
        "dims": _dimensions,
        "similarity": _similarity,
        "index": _truth,
        "index_options": _object,
        "element_type": _only("float"),
        "meta": _object,
    },
    FieldType.BOOLEAN: _PLAIN,
    FieldType.DATE: {**_PLAIN, "format": _format, "locale": _text},
    FieldType.OBJECT: {"dynamic": _dynamic, "enabled": _truth, "subobjects": _only("true")},
    **{each: _NUMBER for each in FieldType if each.is_number},
}
