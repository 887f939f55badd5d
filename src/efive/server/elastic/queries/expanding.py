"""What a query means for one mapping: fields behind wildcards, models behind fields."""

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from efive.server.elastic.indices.mapping import Field, FieldType, Mapping
from efive.server.elastic.queries.tree import Bool, DisMax, Knn, Match, MultiMatch, Phrase, Query, Semantic, children

_WORDS = frozenset({FieldType.TEXT, FieldType.KEYWORD})
_NO_WORDS = frozenset({FieldType.OBJECT, FieldType.DENSE_VECTOR})


def embedder_of(field: Field) -> str:
    """Return the endpoint that embeds what is searched for in a semantic_text field."""
    options = field.options
    return str(options.get("search_inference_id") or options["inference_id"])


def fields_of(query: MultiMatch, mapping: Mapping) -> list[tuple[Field, float]]:
    """Return the fields that a multi_match asks, with their boosts."""
    if not query.fields:
        return [(field, 1.0) for field in mapping.fields.values() if field.type in _WORDS]
    found: dict[str, float] = {}
    for name, boost in query.fields:
        matching = [name] if name in mapping.fields else [each for each in mapping.fields if fnmatchcase(each, name)]
        for each in matching:
            if each == name or mapping.fields[each].type not in _NO_WORDS:
                found[each] = found.get(each, 1.0) * boost
    return [(mapping.fields[name], boost) for name, boost in found.items()]


def expanded(query: MultiMatch, mapping: Mapping) -> Query:
    """Return a multi_match, other than one across fields, as queries of single fields."""
    fields = fields_of(query, mapping)
    if query.kind == "phrase":
        phrases = [Phrase(field.path, str(query.text), boost=boost) for field, boost in fields]
        return DisMax(tuple(phrases), query.tie or 0.0)
    wild = not query.fields or any("*" in name for name, _ in query.fields)
    parts = tuple(
        Match(field.path, query.text, query.every_word, query.at_least, lenient=query.lenient or wild, boost=boost)
        for field, boost in fields
    )
    if query.kind == "most_fields" and query.tie is None:
        return Bool(should=parts)
    return DisMax(parts, (1.0 if query.kind == "most_fields" else 0.0) if query.tie is None else query.tie)


def wanted(query: Query, mapping: Mapping) -> Iterator[tuple[str, str]]:
    """Yield the texts that must be embedded before a query can be evaluated, each behind the name of what embeds it."""
    for part in children(query):
        yield from wanted(part, mapping)
    if isinstance(query, MultiMatch) and query.kind != "cross_fields":
        yield from wanted(expanded(query, mapping), mapping)
    elif (asked := vector_of(query, mapping)) is not None:
        yield asked


def vector_of(query: Query, mapping: Mapping) -> tuple[str, str] | None:
    """Return the text that a query compares by its meaning, behind the name of what embeds it; None if it does not."""
    if not isinstance(query, Match | Semantic | Knn) or (field := mapping.fields.get(query.field)) is None:
        return None
    semantic = field.type is FieldType.SEMANTIC_TEXT
    if isinstance(query, Knn):
        if query.text is None or (query.model is None and not semantic):
            return None
        return query.model or embedder_of(field), query.text
    text = query.text if isinstance(query, Semantic) else str(query.value)
    return (embedder_of(field), text) if semantic and text.strip() else None


def compares_vectors(query: Query, mapping: Mapping) -> bool:
    """Say whether a query, or a part of it, compares vectors."""
    if isinstance(query, Knn) or vector_of(query, mapping) is not None:
        return True
    if isinstance(query, MultiMatch):
        return any(field.type is FieldType.SEMANTIC_TEXT for field, _ in fields_of(query, mapping))
    return any(compares_vectors(part, mapping) for part in children(query))


def shown_parts(query: Query, mapping: Mapping) -> Iterator[Query]:
    """Yield the parts of a query that documents match, as queries of single fields: what highlights show."""
    if isinstance(query, MultiMatch):
        one_by_one = replace(query, kind="most_fields") if query.kind == "cross_fields" else query
        query = expanded(one_by_one, mapping)
    yield query
    for part in children(replace(query, must_not=()) if isinstance(query, Bool) else query):
        yield from shown_parts(part, mapping)
