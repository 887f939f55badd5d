"""Reading: one version of the table, and the searches in it."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from efive.search.conditions import Condition
from efive.search.documents import Document
from efive.search.lance.codec import Codec, Vectors
from efive.search.lance.columns import PASSAGE, document_of, entries_of, passage_of, vector_names, vectors_of
from efive.search.lance.filters import among, sql
from efive.search.store import Counts, Entry, Matches, Passage, Rows
from efive.vectors import Floats

# All partitions of the index are searched, so recall depends neither on a filter nor on how the vectors lie. So many
# times more candidates than wanted, by their 4-bit codes, are scored anew by their whole vectors.
_ALL, _REFINE = 1_000_000, 2
# Candidates by signs alone that are scored anew: so many for each that is wanted, and at least so many. A filter needs
# more of them: those that it leaves are less unlike in their distance from the query.
_BY_SIGNS = {Vectors.INT8: (8, 800), Vectors.BINARY: (5, 200)}
_FIRST = "number = 0"
_NONE = Matches(np.empty(0, np.uint64), [], np.empty(0, np.float32))


class LanceSnapshot:
    """One version of a table (`efive.search.store.Snapshot`). Other versions do not touch it."""

    def __init__(self, table: Any, codec: Codec) -> None:  # noqa: ANN401 - the library's types are incomplete
        self._table = table
        self._codec = codec

    @property
    def dimension(self) -> int:
        """Numbers of a vector."""
        return len(self._codec.center)

    @cached_property
    def columns(self) -> frozenset[str]:
        """The table's columns."""
        return frozenset(self._table.schema.names)

    def dense(self, query: Floats, limit: int, where: Condition | None, *, exact: bool = False) -> Matches:
        """Return the passages with the highest cosines."""
        if self._codec.kind.compressed:
            return self._every(query, limit, where) if exact else self._by_signs(query, limit, where)
        search = self._table.search(query.astype(np.float32), vector_column_name="vector").distance_type("cosine")
        search = search.bypass_vector_index() if exact else search.nprobes(_ALL).refine_factor(_REFINE)
        found = self._run(search, limit, where, "_distance")
        return Matches(_rows(found), found["document"].to_pylist(), 1 - found["_distance"].to_numpy())

    def _by_signs(self, query: Floats, limit: int, where: Condition | None) -> Matches:
        """Score anew what has the most signs in common with the query."""
        signs = self._codec.bits(query[None])[0]
        search = self._table.search(signs, vector_column_name="bits").distance_type("hamming")
        each, fewest = _BY_SIGNS[self._codec.kind]
        found = self._run(search, max(each * limit, fewest), where, "_distance")
        rows = _rows(found)
        return _best(rows, found["document"].to_pylist(), self.vectors(rows) @ query, limit)

    def _every(self, query: Floats, limit: int, where: Condition | None) -> Matches:
        """Score every vector as it is kept."""
        best = _NONE
        search = self._table.search() if where is None else self._table.search().where(sql(where, self.columns))
        for batch in search.select(["document", *vector_names(self._codec)]).with_row_id(with_row_id=True).to_batches():
            part = pa.Table.from_batches([batch])
            scores = np.concatenate([best.scores, vectors_of(part, self._codec) @ query])
            rows = np.concatenate([best.rows, _rows(part)])
            best = _best(rows, best.documents + part["document"].to_pylist(), scores, limit)
        return best

    def compared(self, query: Floats, ids: Sequence[str]) -> list[tuple[str, float]]:
        """Return those of the documents that are there, each with the cosine of its best passage, in any order."""
        best: dict[str, float] = {}
        found = self._table.search().where(among("document", ids))
        found = found.select(["document", *vector_names(self._codec)]).to_arrow()
        scores = (vectors_of(found, self._codec) @ query).tolist()
        for document, score in zip(found["document"].to_pylist(), scores, strict=True):
            best[document] = max(best.get(document, -2.0), score)
        return list(best.items())

    def text(self, terms: Sequence[str], limit: int, where: Condition | None) -> Matches:
        """Return the passages with the highest BM25 scores."""
        if not terms:
            return _NONE
        from lancedb.query import MatchQuery

        query = MatchQuery(" ".join(terms), "terms")  # type: ignore[call-arg]  # mypy does not see the defaults
        search = self._table.search(query, query_type="fts")
        found = self._run(search, limit, where, "_score")
        return Matches(_rows(found), found["document"].to_pylist(), found["_score"].to_numpy())

    def _run(self, search: Any, limit: int, where: Condition | None, score: str) -> Any:  # noqa: ANN401
        if where is not None:
            search = search.where(sql(where, self.columns), prefilter=True)
        return search.select(["document", score]).with_row_id(with_row_id=True).limit(limit).to_arrow()

    def vectors(self, rows: Rows) -> Floats:
        """Return the vectors of `rows`: (n, dimension) float32."""
        found = self._take(rows, vector_names(self._codec))
        return vectors_of(found, self._codec) if len(rows) else np.empty((0, self.dimension), np.float32)

    def passages(self, rows: Rows) -> list[Passage]:
        """Return `rows` in their order."""
        return [passage_of(row) for row in self._take(rows, PASSAGE).to_pylist()]

    def _take(self, rows: Rows, columns: list[str]) -> Any:  # noqa: ANN401
        found = self._table.take_row_ids(rows.tolist()).select(columns).with_row_id().to_arrow()
        at = {row: place for place, row in enumerate(found["_rowid"].to_pylist())}
        return found.take(np.array([at[row] for row in rows.tolist()], dtype=np.int64))

    def sample(self, size: int) -> tuple[list[str], Floats]:
        """Return at most `size` passages, spread evenly: their documents and vectors."""
        total = self._table.count_rows()
        offsets = np.unique(np.linspace(0, max(total - 1, 0), min(size, total)).astype(int)).tolist()
        if not offsets:
            return [], np.empty((0, self.dimension), np.float32)
        columns = ["document", *vector_names(self._codec)]
        found = self._table.take_offsets(offsets).select(columns).to_arrow()
        return found["document"].to_pylist(), vectors_of(found, self._codec)

    def documents(self, ids: Sequence[str]) -> list[Document]:
        """Return those of the documents that are there, in the order of `ids`."""
        rows = self._scan(f"{_FIRST} AND {among('document', ids)}", ["document", "metadata", "whole", "outline"])
        found = {row["document"]: document_of(row) for batch in rows for row in batch.to_pylist()}
        return [found[name] for name in ids if name in found]

    def digests(self, ids: Sequence[str] | None) -> dict[str, str]:
        """Return the digests of those of the documents that are there; None asks for all."""
        rows = self._scan(_FIRST if ids is None else f"{_FIRST} AND {among('document', ids)}", ["document", "digest"])
        return {row["document"]: row["digest"] for batch in rows for row in batch.to_pylist()}

    def ids(self, where: Condition | None = None) -> Iterator[str]:
        """Yield the ids of all documents, or of those that `where` holds for."""
        for batch in self._scan(self._first(where), ["document"]):
            yield from batch["document"].to_pylist()

    def entries(self, ids: Sequence[str]) -> list[Entry]:
        """Return documents with all that is stored of them."""
        columns = [*PASSAGE, "terms", "digest", "whole", "outline", *vector_names(self._codec)]
        found = self._table.search().where(among("document", ids)).select(columns).to_arrow()
        return entries_of(found, self._codec)

    def counts(self, where: Condition | None = None) -> Counts:
        """Count documents and passages."""
        if where is None:
            return self._all
        return Counts(self._table.count_rows(self._first(where)), self._table.count_rows(sql(where, self.columns)))

    @cached_property
    def _all(self) -> Counts:
        """How much a version has never changes, and every search asks for it."""
        return Counts(self._table.count_rows(_FIRST), self._table.count_rows())

    def _first(self, where: Condition | None) -> str:
        return _FIRST if where is None else f"{_FIRST} AND {sql(where, self.columns)}"

    def _scan(self, where: str, columns: list[str]) -> Iterator[Any]:
        return iter(self._table.search().where(where).select(columns).to_batches())


def _rows(found: Any) -> Rows:  # noqa: ANN401
    rows: Rows = found["_rowid"].to_numpy().astype(np.uint64)
    return rows


def _best(rows: Rows, documents: Sequence[str], scores: Floats, limit: int) -> Matches:
    order = np.argsort(-scores, kind="stable")[:limit]
    return Matches(rows[order], [documents[i] for i in order], scores[order])
