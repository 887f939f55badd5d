"""What a query reads: one index at one moment."""

import sqlite3
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass

from efive.search.collection import Collection
from efive.search.raw import RawVectors
from efive.server.elastic.indices.mapping import Mapping


@dataclass(frozen=True, slots=True)
class Reading:
    """An index, open for reading in one thread."""

    index: str
    mapping: Mapping
    database: sqlite3.Connection
    """In a transaction, so that all that is read belongs together; see `schema.TABLES`."""
    semantic: Dictionary[str, Collection]
    """By semantic_text field: its collection, whose documents have the same ids and the field's text."""
    vectors: Dictionary[str, RawVectors]
    """By dense_vector field."""
