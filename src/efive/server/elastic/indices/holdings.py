"""What an index keeps outside SQLite, open for reading: collections of semantic_text fields, vectors of others."""

import threading
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from efive.search.collection import Collection
from efive.search.folder import Folder
from efive.search.raw import Metric, RawVector, RawVectors
from efive.server.elastic.indices.mapping import Field, FieldType, Mapping
from efive.server.elastic.indices.planning import Change

_LONGEST = 200
"""Bytes of a field's folder: file systems take 255."""
_METRICS = {
    "cosine": Metric.COSINE,
    "l2_norm": Metric.EUCLIDEAN,
    "dot_product": Metric.DOTPRODUCT,
    "max_inner_product": Metric.DOTPRODUCT,
}


class Holdings:
    """Collections and vectors of one index. Safe to use from several threads."""

    def __init__(self, vectors: Path) -> None:
        """Open nothing yet.

        Args:
            vectors: the folder that has one of each dense_vector field.
        """
        self._folder = vectors
        self._opening = threading.Lock()
        self._collections: dict[Path, Collection] = {}
        self._vectors: dict[str, RawVectors] = {}

    def collection(self, path: Path) -> Collection | None:
        """Return a collection, without an encoder, if there is one."""
        if not Folder(path).exists:
            return None
        with self._opening:
            found = self._collections.get(path)
            if found is None:
                found = self._collections[path] = Collection.open(path, create=False)
            return found

    def vectors(self, mapping: Mapping) -> Dictionary[str, RawVectors]:
        """Return the vectors of every dense_vector field that has some."""
        fields = [field for field in mapping.of_type(FieldType.DENSE_VECTOR) if self._path(field).is_dir()]
        return {field.path: self._opened(field) for field in fields}

    def _path(self, field: Field) -> Path:
        name = quote(field.path, safe="")
        return self._folder / (name if len(name) <= _LONGEST else sha256(name.encode()).hexdigest())

    def _opened(self, field: Field) -> RawVectors:
        with self._opening:
            found = self._vectors.get(field.path)
            if found is None:
                metric = _METRICS[field.options.get("similarity", "cosine")]
                found = self._vectors[field.path] = RawVectors(self._path(field), field.options["dims"], metric)
            return found

    def write_vectors(self, mapping: Mapping, changes: Sequence[Change], existed: Dictionary[str, object]) -> None:
        """Write the vectors of a batch."""
        for field in mapping.of_type(FieldType.DENSE_VECTOR):
            put = {each.stored.id: each.values.vectors.get(field.path) for each in changes}
            new = [RawVector(id_, values) for id_, values in put.items() if values is not None]
            gone = [id_ for id_, values in put.items() if values is None and id_ in existed]
            if new:
                self._opened(field).put(new)
            if gone and self._path(field).is_dir():
                self._opened(field).remove(gone)

    def close(self) -> None:
        """Let go of all."""
        with self._opening:
            for collection in self._collections.values():
                collection.close()
            for vectors in self._vectors.values():
                vectors.close()
            self._collections.clear()
            self._vectors.clear()
