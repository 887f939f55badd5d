"""More fields for a mapping, and what may change of those it has."""

from collections.abc import Mapping as Dictionary
from typing import Any

from efive.server.elastic.errors import illegal
from efive.server.elastic.indices.mapping import Field, FieldType, Mapping

_MOST_FIELDS = 1000

_CHANGEABLE = frozenset(
    [
        "meta",
        "copy_to",
        "coerce",
        "ignore_malformed",
        "ignore_above",
        "search_analyzer",
        "search_quote_analyzer",
        "norms",
        "fielddata",
        "eager_global_ordinals",
        "split_queries_on_whitespace",
        "dynamic",
        "inference_id",
        "search_inference_id",
        "chunking_settings",
        "index_options",
    ]
)
_DEFAULTS: Dictionary[str, Any] = {"index": True, "doc_values": True, "store": False, "similarity": "cosine"}


def merged(mapping: Mapping, more: Mapping, *, dynamic_given: bool) -> Mapping:
    """Return `mapping` with the fields of `more`.

    Args:
        mapping: as it is.
        more: what is to be added or changed.
        dynamic_given: whether `more` says what becomes of fields that are not mapped.

    Raises:
        ElasticError: for a field that would change its type, or an option that cannot change.
    """
    fields = dict(mapping.fields)
    for path, new in more.fields.items():
        old = fields.get(path)
        fields[path] = new if old is None else _changed(old, new)
    check_size(len(fields), len(fields) - len(mapping.fields))
    _check_parents(fields)
    dynamic = more.dynamic if dynamic_given else mapping.dynamic
    return Mapping(fields, dynamic, {**mapping.options, **more.options})


def check_size(total: int, added: int) -> None:
    """Refuse more fields than an index may have.

    Raises:
        ElasticError: if there would be too many.
    """
    if total > _MOST_FIELDS and added:
        raise illegal(f"Limit of total fields [{_MOST_FIELDS}] has been exceeded while adding new fields [{added}]")


def _changed(old: Field, new: Field) -> Field:
    if FieldType.OBJECT in (old.type, new.type) and old.type is not new.type:
        if old.type is FieldType.OBJECT:
            raise illegal(f"can't merge a non object mapping [{old.path}] with an object mapping")
        raise illegal(f"can't merge a non object mapping [{old.path}] with an object mapping [{new.path}]")
    if old.type is not new.type:
        raise illegal(f"mapper [{old.path}] cannot be changed from type [{old.type}] to [{new.type}]")
    options = {**old.options, **new.options}
    for name in sorted(old.options.keys() | new.options.keys()):
        default = _DEFAULTS.get(name)
        before, after = old.options.get(name, default), options.get(name, default)
        if before == after or name in _CHANGEABLE or (name in {"dims", "model_settings"} and before is None):
            continue
        raise illegal(
            f"Mapper for [{old.path}] conflicts with existing mapper:\n\tCannot update parameter [{name}] from "
            f"[{before}] to [{after}]"
        )
    return Field(old.path, old.type, options, old.of)


def _check_parents(fields: Dictionary[str, Field]) -> None:
    for field in fields.values():
        above = field.path.rpartition(".")[0]
        if field.of is None and above in fields and fields[above].type is not FieldType.OBJECT:
            raise illegal(f"can't merge a non object mapping [{above}] with an object mapping")
