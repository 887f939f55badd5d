"""What an index finds when it is opened: writes that a crash interrupted, documents that came by another way."""

import sqlite3
from collections.abc import Iterable
from collections.abc import Mapping as Dictionary
from dataclasses import replace

from efive.search.collection import Collection
from efive.server.elastic.indices import adoption, writing
from efive.server.elastic.indices.database import Database
from efive.server.elastic.indices.description import Description, keep
from efive.server.elastic.indices.mapping import Mapping
from efive.server.elastic.indices.planning import Change, Plan, Stored, lookup
from efive.server.elastic.indices.values import Values, values_of


def interrupted(
    database: Database, mapping: Mapping, seq_no: int, collections: Dictionary[str, Collection | None]
) -> tuple[Plan, writing.Digests] | None:
    """Return what was about to be written when the process ended, and what the collections have of it already.

    Args:
        database: of the index.
        mapping: which had been kept by then.
        seq_no: the next one.
        collections: by semantic_text field, where there is one.
    """
    with database.reading() as connection:
        waiting = writing.pending(connection)
        if not waiting:
            return None
        return _again(connection, Plan(mapping, seq_no), waiting, collections)


def unchanged(
    database: Database, mapping: Mapping, seq_no: int, collections: Dictionary[str, Collection | None], ids: list[str]
) -> tuple[Plan, writing.Digests]:
    """Return documents as they are, to be written once more, and what the collections have of them.

    Args:
        database: of the index.
        mapping: of the index.
        seq_no: the next one.
        collections: by semantic_text field, where there is one.
        ids: of documents that are there, or not.
    """
    with database.reading() as connection:
        known = lookup(connection, ids)
        found = [known.get(id_) or Stored(id_, None, 0, -1) for id_ in ids]
        return _again(connection, Plan(mapping, seq_no), found, collections)


def _again(
    connection: sqlite3.Connection,
    made: Plan,
    documents: Iterable[Stored],
    collections: Dictionary[str, Collection | None],
) -> tuple[Plan, writing.Digests]:
    for each in documents:
        values = Values() if each.source is None else values_of(made.mapping, each.document(), each.id)[1]
        made.changes[each.id] = Change(each, values)
    before = writing.digests(connection, list(made.changes))
    for field, collection in collections.items():
        there = {} if collection is None else collection.digests(list(made.changes))
        for id_ in made.changes:
            noted = before.setdefault(id_, {})
            noted.pop(field, None)
            if id_ in there:
                noted[field] = there[id_]
    return made, before


def adopted(database: Database, description: Description, field: str, collection: Collection | None) -> Description:
    """Take over into an index what its collection has and it has not, and return what the index is then.

    Args:
        database: of the index.
        description: as it is.
        field: the semantic_text field whose collection it is.
        collection: None if it is not there, or no more.
    """
    there = {} if collection is None else collection.digests()
    with database.reading() as connection:
        found = adoption.difference(connection, field, there)
    if not found:
        return description
    mapping = description.mapping
    if collection is not None:
        mapping = adoption.mapped(mapping, collection, found.newer)
    description = replace(description, mapping=mapping, adopted=True)
    with database.writing() as connection:
        keep(connection, description)
        adoption.take_over(connection, mapping, field, collection, found)
    return description
