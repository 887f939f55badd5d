"""Settings of indices: those that mean something here, and those that are kept for whoever reads them back."""

from collections.abc import Iterator
from collections.abc import Mapping as Dictionary
from typing import Any

from efive.server.elastic.errors import illegal, unsupported
from efive.server.elastic.indices.mapping import FieldType, Mapping
from efive.server.elastic.indices.mapping_options import unparsable_mapping

DEFAULT_PIPELINE = "index.default_pipeline"
FINAL_PIPELINE = "index.final_pipeline"
_STATIC = {"number_of_shards": "1", "codec": None, "routing_partition_size": None, "soft_deletes.enabled": None}
"""Cannot change once the index is there."""
_DYNAMIC = frozenset(
    [
        "number_of_replicas",
        "auto_expand_replicas",
        "refresh_interval",
        "max_result_window",
        "max_inner_result_window",
        "max_rescore_window",
        "max_docvalue_fields_search",
        "max_script_fields",
        "max_ngram_diff",
        "max_shingle_diff",
        "max_terms_count",
        "max_regex_length",
        "max_refresh_listeners",
        "gc_deletes",
        "hidden",
        "priority",
        "default_pipeline",
        "final_pipeline",
        "mapping.total_fields.limit",
        "mapping.depth.limit",
        "mapping.nested_fields.limit",
        "mapping.nested_objects.limit",
        "mapping.field_name_length.limit",
        "mapping.dimension_fields.limit",
        "mapping.ignore_malformed",
        "mapping.coerce",
        "highlight.max_analyzed_offset",
        "search.idle.after",
        "translog.durability",
        "translog.sync_interval",
        "translog.flush_threshold_size",
        "unassigned.node_left.delayed_timeout",
        "query.default_field",
    ]
)
_SIMILARITY = "similarity."
_BM25 = {"type": "BM25", "k1": "1.2", "b": "0.75", "discount_overlaps": "true"}
"""The one similarity that there is, as SQLite computes it."""
_REFUSED = ("analysis.", "sort.", "blocks.", "routing.", "lifecycle.", "mode")
"""What would change answers if it were honoured."""


def parse(given: Dictionary[str, Any]) -> dict[str, Any]:
    """Return settings flat, `index.number_of_shards` and the like, values as text.

    Raises:
        ElasticError: naming a setting that there is none of, or that efive does not have.
    """
    found = {}
    for name, value in _flat(given):
        bare = name.removeprefix("index.")
        if bare.startswith(_REFUSED):
            raise unsupported(f"the index setting [index.{bare}]")
        if bare.startswith(_SIMILARITY):
            _check_similarity(bare, value)
        elif bare not in _DYNAMIC and bare not in _STATIC:
            raise illegal(
                f"unknown setting [index.{bare}] please check that any required plugins are installed, or check the "
                "breaking changes documentation for removed settings"
            )
        if isinstance(value, list) and bare != "query.default_field":
            raise illegal(f"Failed to parse value {value} for setting [index.{bare}]: it is one value, no list")
        found[f"index.{bare}"] = _text(value)
    for name, least in (("index.number_of_shards", 1), ("index.number_of_replicas", 0)):
        _check_count(name, found.get(name), least)
    return found


def changed(given: Dictionary[str, Any], name: str) -> dict[str, Any]:
    """Return settings to be changed; None is one that is to have its default again.

    Raises:
        ElasticError: as `parse`, and for one that cannot change.
    """
    found = parse(given)
    fixed = [each for each in found if (bare := each.removeprefix("index.")) in _STATIC or bare.startswith(_SIMILARITY)]
    if fixed:
        raise illegal(f"Can't update non dynamic settings [[{', '.join(fixed)}]] for open indices [[{name}]]")
    return found


def check_similarities(mapping: Mapping, settings: Dictionary[str, Any]) -> None:
    """Refuse similarities of text fields that nothing defines.

    Raises:
        ElasticError: naming the field.
    """
    for field in mapping.of_type(FieldType.TEXT):
        name = field.options.get("similarity", "BM25")
        if name != "BM25" and f"index.{_SIMILARITY}{name}.type" not in settings:
            raise unparsable_mapping(f"Unknown Similarity type [{name}] for field [{field.path}]")


def _check_similarity(setting: str, value: Any) -> None:  # noqa: ANN401
    """Refuse what is not BM25 with its usual parameters."""
    option = setting.rpartition(".")[2]
    usual = _BM25.get(option)
    if usual is None or (_text(value) != usual and (value is not None or option == "type")):
        raise unsupported(f"the index setting [index.{setting}] [{value}], other than BM25 with k1 1.2 and b 0.75,")


def _flat(given: Dictionary[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _text(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return [_text(each) for each in value]
    return None if value is None else str(value)


def _check_count(name: str, value: Any, least: int) -> None:  # noqa: ANN401
    if value is None:
        return
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise illegal(f"Failed to parse value [{value}] for setting [{name}]") from None
    if number < least:
        raise illegal(f"Failed to parse value [{value}] for setting [{name}] must be >= {least}")


def shown(settings: Dictionary[str, Any], name: str, uuid: str, created: int) -> dict[str, Any]:
    """Return the settings of an index as Elasticsearch shows them: a tree below `index`."""
    flat = {
        "index.number_of_shards": "1",
        "index.number_of_replicas": "1",
        **{each: value for each, value in settings.items() if value is not None},
        "index.uuid": uuid,
        "index.provided_name": name,
        "index.creation_date": str(created),
        "index.version.created": "9039000",
    }
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *above, last = path.split(".")
        inside = tree
        for each in above:
            inside = inside.setdefault(each, {})
        inside[last] = value
    return tree
