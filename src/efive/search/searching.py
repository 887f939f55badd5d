"""From a question to hits: candidates of both kinds, one ranking, the best passage of each document."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from efive.search.conditions import Condition
from efive.search.confidence import Calibration, confidence, z_scores
from efive.search.function_words import content
from efive.search.fusion import normalised, reciprocal_rank
from efive.search.store import Matches, Passage, Rows, Snapshot
from efive.search.terms import Span, highlights, query_terms
from efive.vectors import Floats

MODES = ("hybrid", "dense", "text")
# Passages that each kind of search contributes: at least so many, and so many for each document that is asked for.
_DEPTH, _DEPTH_EACH = 100, 4
MOST = 10_000
"""Documents that can be paged through."""


class Fusion(StrEnum):
    """How the rankings of both searches become one."""

    NORMALISED = "normalised"
    """By scores, each set against what chance gives: `efive.search.fusion.normalised`."""
    RANKS = "ranks"
    """By ranks alone, whatever the scores: `efive.search.fusion.reciprocal_rank`."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to search; what `Collection.search` takes."""

    k: int = 10
    offset: int = 0
    where: Condition | None = None
    mode: str = "hybrid"
    fusion: Fusion = Fusion.NORMALISED
    min_confidence: float | None = None
    unique: float | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A query as both kinds of search take it."""

    text: str
    vector: Floats | None
    """(dimension,) float32; None searches by full text alone."""
    background: tuple[float, float] = (0.0, 1.0)
    """Mean and standard deviation of the query's cosines with a sample of the collection."""

    def terms(self, mode: str) -> list[str]:
        """Return what full text search is asked for."""
        return query_terms(self.text if mode == "text" else content(self.text))


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that answers, by its best passage."""

    document: str
    rank: int
    """From 1."""
    score: float
    """What it is ranked by: a cosine, a BM25 score, or what the fusion made of both."""
    cosine: float | None
    """As it is, between -1 and 1; those of E5 lie in a narrow band, so their differences count."""
    bm25: float | None
    """None if full text search did not find the passage."""
    confidence: float | None
    """Of 100 questions that the collection does not answer, so many (as a share) have a weaker best hit."""
    passage: Passage
    highlights: list[Span]
    """Characters of the passage's text that match the question's terms."""

    def place(self, relative_to: Path | None = None) -> str:
        """Return where the hit is, for people: its file, relative to a folder above it, and line, page or record."""
        name, _, record = self.document.partition("#")
        if relative_to is not None and Path(name).is_relative_to(relative_to):
            name = Path(name).relative_to(relative_to).as_posix()
        if record:
            return f"{name}#{record}"
        return f"{name}, page {self.passage.page}" if self.passage.page else f"{name}:{self.passage.line}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        p = self.passage
        return {
            "document": self.document,
            "rank": self.rank,
            "score": self.score,
            "cosine": self.cosine,
            "bm25": self.bm25,
            "confidence": self.confidence,
            "passage": {
                "text": p.text, "number": p.number, "start": p.start, "end": p.end, "line": p.line, "page": p.page,
                "headings": list(p.headings),
            },
            "highlights": [list(span) for span in self.highlights],
            "metadata": dict(p.metadata),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Passages of both searches, each once, best first."""

    rows: Rows
    documents: list[str]
    scores: Floats
    cosines: Floats
    """NaN where it is not known."""
    bm25: Floats
    """NaN where full text search did not find it."""
    complete: bool
    """Whether there are no more."""

    def take(self, places: Sequence[int]) -> "_Candidates":
        at = np.asarray(places, dtype=int)
        chosen = [self.documents[i] for i in at]
        return _Candidates(self.rows[at], chosen, self.scores[at], self.cosines[at], self.bm25[at], self.complete)


def search(snapshot: Snapshot, question: Question, options: Options, calibration: Calibration | None) -> list[Hit]:
    """Return hits number `offset` to `offset + k`, best first."""
    wanted = options.offset + options.k
    depth = max(_DEPTH, _DEPTH_EACH * wanted)
    while True:
        found = _best_of_each(_candidates(snapshot, question, options, depth))
        if found.complete or len(found.rows) >= wanted or depth > _DEPTH_EACH * MOST:
            break
        depth *= 4  # many passages of few documents: look deeper
    certain = _confidences(found, question, calibration)
    if options.min_confidence is not None:
        kept = [i for i, c in enumerate(certain) if c is not None and c >= options.min_confidence]
        found, certain = found.take(kept), [certain[i] for i in kept]
    if options.unique is not None:
        kept = _unlike(snapshot.vectors(found.rows), options.unique, wanted)
        found, certain = found.take(kept), [certain[i] for i in kept]
    page = range(options.offset, min(wanted, len(found.rows)))
    return _hits(snapshot, question, found.take(page), [certain[i] for i in page], options.offset)


def _candidates(snapshot: Snapshot, question: Question, options: Options, depth: int) -> _Candidates:
    dense = text = Matches(np.empty(0, np.uint64), [], np.empty(0, np.float32))
    if options.mode != "text" and question.vector is not None:
        dense = snapshot.dense(question.vector, depth, options.where, exact=options.exact)
    if options.mode != "dense":
        text = snapshot.text(question.terms(options.mode), depth, options.where)
    rows, first = np.unique(np.concatenate([dense.rows, text.rows]), return_index=True)
    names = dense.documents + text.documents
    found = _Candidates(
        rows,
        [names[i] for i in first],
        np.empty(0, np.float32),
        _aligned(rows, dense),
        _aligned(rows, text),
        complete=len(dense) < depth and len(text) < depth,
    )
    return _ranked(snapshot, question, options, found)


def _aligned(rows: Rows, matches: Matches) -> Floats:
    scores = np.full(len(rows), np.nan, dtype=np.float32)
    scores[np.searchsorted(rows, matches.rows)] = matches.scores
    return scores


def _ranked(snapshot: Snapshot, question: Question, options: Options, found: _Candidates) -> _Candidates:
    if options.mode == "text":
        scores = found.bm25
    elif options.mode == "dense":
        scores = found.cosines
    else:
        unknown = np.flatnonzero(np.isnan(found.cosines))
        if len(unknown) and question.vector is not None:
            found.cosines[unknown] = snapshot.vectors(found.rows[unknown]) @ question.vector
        scores = _fused(question, options.fusion, found)
    # Equal scores in the order of names, so that pages neither repeat nor leave out a hit.
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], found.documents[i], found.rows[i]))
    return replace(found, scores=scores).take(order)


def _fused(question: Question, fusion: Fusion, found: _Candidates) -> Floats:
    cosines = dict(enumerate(found.cosines.tolist()))
    texts = {row: score for row, score in enumerate(found.bm25.tolist()) if not math.isnan(score)}
    if fusion is Fusion.NORMALISED:
        scores = normalised(cosines, texts, background=question.background, terms=question.terms("hybrid"))
    else:
        scores = reciprocal_rank([_order(side, found.documents) for side in (cosines, texts)])
    return np.array([scores[row] for row in range(len(found.rows))], dtype=np.float32)


def _order(scores: dict[int, float], documents: list[str]) -> list[int]:
    """Return rows by score, equals in the order of names."""
    return sorted(scores, key=lambda row: (-scores[row], documents[row]))


def _best_of_each(found: _Candidates) -> _Candidates:
    """Keep the first passage of each document."""
    first: dict[str, int] = {}
    for place, document in enumerate(found.documents):
        first.setdefault(document, place)
    return found.take(list(first.values()))


def _confidences(found: _Candidates, question: Question, calibration: Calibration | None) -> list[float | None]:
    if calibration is None:
        return [None] * len(found.rows)
    mean, deviation = question.background
    certain = confidence(calibration, z_scores(found.cosines, mean, deviation))
    return [None if np.isnan(cosine) else float(c) for cosine, c in zip(found.cosines, certain, strict=True)]


def _unlike(vectors: Floats, most: float, wanted: int) -> list[int]:
    """Return the rows that are less like every row kept before than the cosine `most`, `wanted` of them at most."""
    kept: list[int] = []
    for row, vector in enumerate(vectors):
        if len(kept) == wanted:
            break
        if not kept or float((vectors[kept] @ vector).max()) < most:
            kept.append(row)
    return kept


def _hits(
    snapshot: Snapshot, question: Question, found: _Candidates, certain: list[float | None], offset: int
) -> list[Hit]:
    def number(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return [
        Hit(
            document=passage.document,
            rank=offset + place + 1,
            score=float(found.scores[place]),
            cosine=number(found.cosines[place]),
            bm25=number(found.bm25[place]),
            confidence=certain[place],
            passage=passage,
            highlights=highlights(passage.text, content(question.text)),
        )
        for place, passage in enumerate(snapshot.passages(found.rows))
    ]
