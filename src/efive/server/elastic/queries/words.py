"""Full text: BM25 as Lucene computes it, on SQLite's full-text tables.

FTS5 scores a term by BM25 too, k1 = 1.2 and b = 0.75 as Lucene has them, but with an idf of ln((N-n+0.5)/(n+0.5)),
which it cuts off near 0: in a small index, words of half the documents would count nothing. So each term is asked for
by itself, its idf is taken out again and Lucene's put in: ln(1 + (N-n+0.5)/(n+0.5)).
"""

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from efive.search.terms import fold, query_terms
from efive.server.elastic.indices.schema import full_text_table
from efive.server.elastic.queries.matches import NOTHING, Matches, Rows, often, rows_of, summed

_WORD = re.compile(r"\w+")
_LEAST = 1e-6  # FTS5's own
Texts = Callable[[int], Iterable[str]]
"""The texts of a field of one document."""


def idf(documents: int, having: int) -> float:
    """Return how telling a term is that so many of the documents have."""
    return math.log(1 + (documents - having + 0.5) / (having + 0.5))


def term_matches(database: sqlite3.Connection, field: str, texts: Sequence[str]) -> list[Matches]:
    """Return what each distinct term of some texts matches in a text field."""
    counts = Counter(term for text in texts for term in query_terms(text))
    table = full_text_table(field)
    if not counts or not _there(database, table):
        return [NOTHING] * len(counts)
    # The shadow table has a row for each of the table's, and counting them does not read the texts.
    (documents,) = database.execute(f'SELECT count(*) FROM {table[:-1]}_docsize"').fetchone()  # noqa: S608
    return [_term(database, table, term, documents).times(count) for term, count in counts.items()]


def _there(database: sqlite3.Connection, table: str) -> bool:
    name = table[1:-1].replace('""', '"')
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None


def _term(database: sqlite3.Connection, table: str, term: str, documents: int) -> Matches:
    quoted = '"' + term.replace('"', '""') + '"'
    found = database.execute(
        f"SELECT rowid, bm25({table}) FROM {table} WHERE {table} MATCH ? ORDER BY rowid",  # noqa: S608
        (quoted,),
    ).fetchall()
    if not found:
        return NOTHING
    theirs = max(math.log((documents - len(found) + 0.5) / (len(found) + 0.5)), _LEAST)
    ours = idf(documents, len(found))
    columns = np.array(found, np.float64)  # rows below 2^53
    return Matches(columns[:, 0].astype(np.int64), (columns[:, 1] * (-ours / theirs)).astype(np.float32))


def words(database: sqlite3.Connection, field: str, text: str, needed: int | None, within: Rows | None) -> Matches:
    """Return the documents whose field has words of `text`.

    Args:
        database: of the index.
        field: a text field.
        text: what is asked for.
        needed: terms that a document must have; None: one.
        within: only these; None: all.
    """
    parts = [part.within(within) for part in term_matches(database, field, [text])]
    if not parts:
        return NOTHING
    found = summed(parts)
    return found if needed is None or needed <= 1 else found.within(often(parts, needed))


def phrase(database: sqlite3.Connection, field: str, text: str, within: Rows | None, texts: Texts) -> Matches:
    """Return the documents whose field has the words of `text` one behind the other, whole words of any case."""
    parts = [part.within(within) for part in term_matches(database, field, [text])]
    if not parts:
        return NOTHING
    found = summed(parts)
    candidates = found.within(often(parts, len(parts)))
    wanted = _plain(text)
    holds = [row for row in candidates.rows.tolist() if any(wanted in _plain(each) for each in texts(row))]
    return candidates.within(rows_of(holds))


def _plain(text: str) -> str:
    return " " + " ".join(fold(word) for word in _WORD.findall(text)) + " "
