"""BM25 over whole documents, by bm25s: Lucene's, with the terms of `efive.search.terms`, which know any language."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from efive.errors import DependencyError
from efive.evaluation.retrieval import Found, Hits
from efive.search.terms import VERSION, index_terms, query_terms

K1 = 1.2
B = 0.75


class BM25:
    """An index in memory: some 3 GB for a million passages of 600 characters while it is made."""

    def __init__(self, texts: Iterable[str], *, common: float = 1.0) -> None:
        """Index `texts`, which are numbered from 0.

        Args:
            texts: of the documents, read once.
            common: queries do without terms that more than this share of the documents has: stop words of any
                language, without a list. 1 keeps all.

        Raises:
            DependencyError: if bm25s is not installed.
        """
        try:
            import bm25s  # noqa: PLC0415 - optional
        except ImportError:
            raise DependencyError("BM25 needs bm25s: pip install 'efive[evaluate]'") from None
        self._common = common
        self._numbers: dict[str, int] = {}
        rows = [array("i", self._numbered(text)) for text in texts]
        self._index: Any = None
        if self._numbers:
            self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
            self._index.index((rows, self._numbers), create_empty_token=False, show_progress=False)
            having = np.diff(self._index.scores["indptr"])
            self._left_out = set(np.flatnonzero(having > common * len(rows)).tolist())

    def _numbered(self, text: str) -> Iterator[int]:
        terms = (term for term in index_terms(text).split(" ") if term)
        return (self._numbers.setdefault(term, len(self._numbers)) for term in terms)

    @property
    def note(self) -> str:
        """How it is set."""
        left_out = f", without terms of more than {self._common:.0%} of the documents" if self._common < 1 else ""
        return f"Lucene's BM25 over whole documents, k1 {K1}, b {B}, terms version {VERSION}{left_out}"

    def search(self, queries: Mapping[str, str], depth: int) -> Found:
        """Return the `depth` documents with the highest scores above 0; of equal ones the first stays."""
        return {query: self._best(text, depth) for query, text in queries.items()}

    def _best(self, text: str, depth: int) -> Hits:
        asked = [self._numbers[term] for term in query_terms(text) if term in self._numbers]
        asked = [term for term in asked if term not in self._left_out] if asked else []
        if not asked:
            return {}
        scores = self._index.get_scores_from_ids(asked)
        rows = np.flatnonzero(scores > 0)
        if len(rows) > depth:  # sort few
            rows = rows[scores[rows] >= np.partition(scores[rows], -depth)[-depth]]
        best = rows[np.argsort(-scores[rows], kind="stable")][:depth]
        return dict(zip(best.tolist(), scores[best].tolist(), strict=True))
