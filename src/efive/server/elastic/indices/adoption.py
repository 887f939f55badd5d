"""Documents that came into an index's collection by another way, such as `efive index`, taken over into the index."""

import sqlite3
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from efive.errors import CollectionError
from efive.search.collection import Collection
from efive.search.documents import Document, flat
from efive.search.folder import Folder
from efive.server.elastic.errors import ElasticError
from efive.server.elastic.indices.mapping import DEEPEST, Field, FieldType, Mapping, is_name
from efive.server.elastic.indices.planning import Change, Stored, encoded, lookup
from efive.server.elastic.indices.values import Values, values_of
from efive.server.elastic.indices.writing import digests, finish, next_seq_no

TEXT = "text"
"""The semantic_text field of indices that were collections first."""
_TOGETHER = 256
_ELSEWHERE = frozenset({FieldType.TEXT, FieldType.SEMANTIC_TEXT, FieldType.DENSE_VECTOR})
"""Types of fields whose values are not in the collection: the index alone has them."""


def stamp(path: Path) -> object:
    """Return what changes whenever a collection does; None if there is none."""
    folder = Folder(path)
    try:
        versions = folder.generation() / "passages.lance" / "_versions"
        return folder.changed(), versions.stat().st_mtime_ns
    except (CollectionError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Difference:
    """What a collection has and the index has not, and the other way round."""

    newer: dict[str, str]
    """By id: digests of documents that are new or changed."""
    gone: list[str]

    def __bool__(self) -> bool:
        return bool(self.newer or self.gone)


def difference(connection: sqlite3.Connection, field: str, there: Dictionary[str, str]) -> Difference:
    """Compare what the index has noted of a field's collection with what is there.

    Args:
        connection: to the index's file.
        field: the semantic_text field.
        there: by id: the digests of all documents of the collection.
    """
    known = {}
    for id_, raw in connection.execute("SELECT id, digests FROM document"):
        if noted := orjson.loads(raw).get(field):
            known[id_] = noted
    newer = {id_: found for id_, found in there.items() if known.get(id_) != found}
    return Difference(newer, [id_ for id_ in known if id_ not in there])


def mapped(mapping: Mapping, collection: Collection, ids: Iterable[str]) -> Mapping:
    """Return the mapping with the metadata of documents in it: texts are keywords, as collections compare them."""
    fields = dict(mapping.fields)
    for document in _documents(collection, ids):
        for path, value in flat(document.metadata):
            known = fields.get(path)
            if known is None:
                if _fits(path, fields):
                    fields |= {outer: Field(outer, FieldType.OBJECT) for outer in _above(path) if outer not in fields}
                    fields[path] = Field(path, _type(value))
            elif path not in mapping.fields and known.type is FieldType.LONG and isinstance(value, float):
                fields[path] = Field(path, FieldType.DOUBLE)
    return mapping if len(fields) == len(mapping.fields) else Mapping(fields, mapping.dynamic, mapping.options)


def _fits(path: str, fields: Dictionary[str, Field]) -> bool:
    """Say whether a field can be called so beside the others; what cannot is found in the source only."""
    inside = (fields[outer].type is FieldType.OBJECT for outer in _above(path) if outer in fields)
    return is_name(path) and path.count(".") <= DEEPEST and all(inside)


def _above(path: str) -> list[str]:
    """Return the paths of the objects that a field is in, the outermost first."""
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _type(value: object) -> FieldType:
    if isinstance(value, bool):
        return FieldType.BOOLEAN
    if isinstance(value, int):
        return FieldType.LONG
    return FieldType.DOUBLE if isinstance(value, float) else FieldType.KEYWORD


def _documents(collection: Collection, ids: Iterable[str]) -> Iterator[Document]:
    names = iter(ids)
    while group := list(islice(names, _TOGETHER)):
        yield from collection.get(group)


def take_over(
    connection: sqlite3.Connection, mapping: Mapping, field: str, collection: Collection | None, found: Difference
) -> None:
    """Write what the collection has into the index, within a transaction of the caller's."""
    seq_no = next_seq_no(connection)
    names = iter(found.newer)
    while collection is not None and (group := list(islice(names, _TOGETHER))):
        known, changes = lookup(connection, group), []
        noted = digests(connection, group)
        for document in collection.get(group):
            old = known.get(document.id)
            changes.append(_change(mapping, field, document, old, seq_no))
            seq_no += 1
        finish(connection, mapping, changes, {id_: {**noted.get(id_, {}), field: found.newer[id_]} for id_ in group})
    known = lookup(connection, found.gone)
    gone = [Stored(id_, None, known[id_].version + 1, seq_no + place) for place, id_ in enumerate(found.gone)]
    finish(connection, mapping, [Change(each, Values()) for each in gone], {})


def _change(mapping: Mapping, field: str, document: Document, old: Stored | None, seq_no: int) -> Change:
    source: dict[str, Any] = {}
    if old is not None and old.source is not None:
        source = _rest(mapping, field, old.document())
    source |= document.metadata
    source[field] = document.text
    stored = Stored(document.id, encoded(source), 1 if old is None else old.version + 1, seq_no)
    return Change(stored, _values(mapping, field, source, document))


def _rest(mapping: Mapping, field: str, source: Dictionary[str, Any], above: str = "") -> dict[str, Any]:
    """Return what a document has in fields that its collection has not."""
    found = dict[str, Any]()
    for name, value in source.items():
        known = mapping.fields.get(path := f"{above}{name}")
        if known is not None and known.type is FieldType.OBJECT:
            objects = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
            inner = [_rest(mapping, field, each, f"{path}.") for each in objects]
            if any(inner):
                found[name] = inner if isinstance(value, list) else inner[0]
        elif path != field and (_fits(path, mapping.fields) if known is None else known.type in _ELSEWHERE):
            found[name] = value
    return found


def _values(mapping: Mapping, field: str, source: dict[str, Any], document: Document) -> Values:
    """Return what is kept of a document; metadata that its fields cannot have is found in the source only."""
    try:
        return values_of(mapping, source, document.id)[1]
    except ElasticError:
        return values_of(Mapping({field: mapping.fields[field]}, dynamic=False), {field: document.text}, document.id)[1]
