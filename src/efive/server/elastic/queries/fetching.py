"""From rows to hits: what they show of their documents."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from efive.search.store import Entry
from efive.server.elastic import dates
from efive.server.elastic.indices.mapping import Field, FieldType
from efive.server.elastic.indices.numbers import number_of
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries.highlighting import Highlighter
from efive.server.elastic.queries.nearest import entries
from efive.server.elastic.queries.paths import cut, matcher, texts_at, values_at, vector_at
from efive.server.elastic.queries.plan import Shown

INFERENCE = "_inference_fields"


@dataclass(frozen=True, slots=True)
class Stored:
    """A document of an index."""

    id: str
    source: dict[str, Any]
    version: int
    seq_no: int


def stored(reading: Reading, rows: Sequence[int], newest: int | None = None) -> dict[int, Stored]:
    """Return those of the documents that are there.

    Args:
        reading: the index.
        rows: which.
        newest: a row whose first document came after this write is another document's by now, and left out.
    """
    query = "SELECT row, id, source, version, seq_no FROM document WHERE row IN (SELECT value FROM json_each(?))"
    found = reading.database.execute(query, (json.dumps(list(rows)),))
    return {
        row: Stored(id_, orjson.loads(source), version, seq_no)
        for row, id_, source, version, seq_no in found
        if newest is None or version > 1 or seq_no <= newest
    }


class Fetching:
    """Makes hits of documents of one index."""

    def __init__(self, reading: Reading, shown: Shown, highlighter: Highlighter | None) -> None:
        self._reading = reading
        self._shown = shown
        self._highlighter = highlighter
        self._hidden = [] if shown.vectors else self._vectors_to_hide()

    def _vectors_to_hide(self) -> list[str]:
        """Return vector fields that nobody has asked for by their names."""
        fields = self._reading.mapping.of_type(FieldType.DENSE_VECTOR)
        return [field.path for field in fields if field.path not in self._shown.includes]

    def hits(self, documents: Mapping[int, Stored]) -> dict[int, dict[str, Any]]:
        """Return documents as hits show them, without scores."""
        chunks = self._chunks([each.id for each in documents.values()])
        return {row: self._hit(each, chunks) for row, each in documents.items()}

    def _chunks(self, ids: list[str]) -> dict[str, dict[str, Entry]]:
        """Return the embedded passages of each semantic_text field that something has to be shown of, by ids."""
        wanted = {
            field.path
            for field in self._reading.mapping.of_type(FieldType.SEMANTIC_TEXT)
            if self._wants_inference()
            or any(form == "chunks" and matcher(name).fullmatch(field.path) for name, form in self._shown.fields)
            or (self._highlighter is not None and self._highlighter.wants_chunks(field.path))
        }
        return {path: entries(self._reading.semantic.get(path), ids) for path in wanted}

    def _wants_inference(self) -> bool:
        return self._shown.vectors or any(name == INFERENCE for name, _ in self._shown.fields)

    def _hit(self, document: Stored, chunks: Mapping[str, Mapping[str, Entry]]) -> dict[str, Any]:
        hit: dict[str, Any] = {"_index": self._reading.index, "_id": document.id}
        if self._shown.version:
            hit["_version"] = document.version
        if self._shown.seq_no:
            hit |= {"_seq_no": document.seq_no, "_primary_term": 1}
        hit["_score"] = None
        own = {path: found[document.id] for path, found in chunks.items() if document.id in found}
        if self._shown.source:
            hit["_source"] = self._source(document, own)
        if fields := self._fields(document, own):
            hit["fields"] = fields
        if self._highlighter is not None and (marked := self._highlighter.marked(document.source, own)):
            hit["highlight"] = marked
        return hit

    def _source(self, document: Stored, chunks: Mapping[str, Entry]) -> dict[str, Any]:
        shown = self._shown
        source = document.source
        if shown.includes or shown.excludes or self._hidden:
            source = cut(source, shown.includes, (*shown.excludes, *self._hidden))
        if self._wants_inference() and chunks:
            source = {**source, INFERENCE: {path: self._inference(path, entry) for path, entry in chunks.items()}}
        return source

    def _inference(self, path: str, entry: Entry) -> dict[str, Any]:
        options = self._reading.mapping.fields[path].options
        settings = options.get("model_settings") or {
            "service": "elasticsearch", "task_type": "text_embedding", "dimensions": entry.vectors.shape[1],
            "similarity": "cosine", "element_type": "float",
        }  # fmt: skip
        chunks = [
            {"start_offset": passage.start, "end_offset": passage.end, "embeddings": vector}
            for passage, vector in zip(entry.passages, entry.vectors, strict=True)
        ]
        inference = {"inference_id": options.get("inference_id"), "model_settings": settings, "chunks": {path: chunks}}
        return {"inference": inference}

    def _fields(self, document: Stored, chunks: Mapping[str, Entry]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for pattern, form in self._shown.fields:
            for path, field in self._reading.mapping.fields.items():
                if path != pattern and not matcher(pattern).fullmatch(path):
                    continue
                if form == "chunks" and field.type is FieldType.SEMANTIC_TEXT:
                    shown: list[Any] = [passage.text for passage in chunks[path].passages] if path in chunks else []
                else:
                    shown = _values(document.source, field, form)
                if shown:
                    found[path] = shown
        return found


def _values(source: Mapping[str, Any], field: Field, form: str | None) -> list[Any]:
    """Return the values of a field as `fields` has them: always a list."""
    path = field.of or field.path
    match field.type:
        case FieldType.OBJECT:
            return []
        case FieldType.DENSE_VECTOR:
            return vector_at(source, path) or []
        case FieldType.TEXT | FieldType.KEYWORD | FieldType.SEMANTIC_TEXT:
            return texts_at(source, path)
        case FieldType.DATE:
            format_ = form or field.options.get("format") or dates.DEFAULT
            return [dates.shown(value, format_) for value in _numbers(source, field)]
        case FieldType.BOOLEAN:
            return [bool(value) for value in _numbers(source, field)]
        case _:
            return _numbers(source, field)


def _numbers(source: Mapping[str, Any], field: Field) -> list[int | float]:
    """Return the values of a field as its index keeps them; it has ignored what is malformed."""
    found = []
    for value in values_at(source, field.of or field.path):
        with contextlib.suppress(ValueError):
            found.append(number_of(field, value))
    return found
