"""What an index is, apart from its documents: its mapping, its settings, its collections."""

import contextlib
import secrets
import sqlite3
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from efive.errors import StoreError
from efive.server.elastic.indices import mapping_json
from efive.server.elastic.indices.database import keep_setting, setting
from efive.server.elastic.indices.mapping import FieldType, Mapping
from efive.server.elastic.indices.semantic import collection_name
from efive.server.elastic.indices.writing import make_tables


@dataclass(frozen=True, slots=True)
class Description:
    """What an index is."""

    mapping: Mapping = field(default_factory=Mapping)
    settings: dict[str, Any] = field(default_factory=dict)
    """Flat: `index.number_of_shards` and the like, as text."""
    collections: dict[str, str] = field(default_factory=dict)
    """By semantic_text field: the name of its collection; the first field's is the index's own."""
    adopted: bool = False
    """Whether its collection may have documents that came by another way."""
    uuid: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    created: int = field(default_factory=lambda: int(1000 * time.time()))
    """Milliseconds since 1970."""

    def with_mapping(self, name: str, mapping: Mapping) -> Self:
        """Return it with another mapping; new semantic_text fields get a collection."""
        collections = dict(self.collections)
        for each in mapping.of_type(FieldType.SEMANTIC_TEXT):
            if each.path not in collections:
                collections[each.path] = collection_name(name, each.path, first=not collections)
        return replace(self, mapping=mapping, collections=collections)


def keep(connection: sqlite3.Connection, description: Description) -> None:
    """Keep a description, and make the full-text tables of its text fields."""
    keep_setting(connection, "mapping", mapping_json.to_dict(description.mapping))
    for name in ("settings", "collections", "adopted", "uuid", "created"):
        keep_setting(connection, name, getattr(description, name))
    make_tables(connection, description.mapping)


def described(connection: sqlite3.Connection) -> Description:
    """Return the description that a file keeps."""
    mapping = mapping_json.parse(setting(connection, "mapping") or {})
    others = {name: setting(connection, name) for name in ("settings", "collections", "adopted", "uuid", "created")}
    return Description(mapping, **others)


def is_described(path: Path) -> bool:
    """Say whether a file is an index's; a crash may have left one that does not say yet what it is.

    Raises:
        StoreError: if that cannot be read.
    """
    if not path.exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'setting'").fetchone()
            return tables != (0,) and setting(connection, "uuid") is not None
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def settings_in(path: Path) -> dict[str, Any]:
    """Return the settings of an index that is not open; none if it is being made or removed just now."""
    found: dict[str, Any] = {}
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection,
    ):
        found = setting(connection, "settings") or {}
    return found
