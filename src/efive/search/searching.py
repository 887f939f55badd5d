"""From a question to hits: candidates of both kinds, one ranking, the best passage of each document."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.search.conditions import Condition
from efive.search.confidence import Calibration, confidence, threshold, z_scores
from efive.search.function_words import content
from efive.search.fusion import normalised, reciprocal_rank
from efive.search.store import Matches, Passage, Rows, Snapshot
from efive.search.terms import Span, highlights, query_terms
from efive.vectors import Floats

MODES = ("hybrid", "dense", "text")
# Passages that each kind of search contributes at first, and so many for each document that is ranked by them.
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
        path = self.passage.metadata.get("path")
        name, _, record = self.document.partition("#")
        if isinstance(path, str) and f"{self.document}#".startswith(f"{path}#"):  # it may have a # in it
            name, record = path, self.document[len(path) + 1 :]
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

    def take(self, places: Sequence[int] | npt.NDArray[np.intp]) -> "_Candidates":
        at = np.asarray(places, dtype=int)
        chosen = [self.documents[i] for i in at]
        return _Candidates(self.rows[at], chosen, self.scores[at], self.cosines[at], self.bm25[at], self.complete)

    def behind(self, first: "_Candidates") -> "_Candidates":
        """Return `first` and, behind it, those of other documents."""
        known = set(first.documents)
        new = self.take([place for place, document in enumerate(self.documents) if document not in known])
        return _Candidates(
            np.concatenate([first.rows, new.rows]),
            first.documents + new.documents,
            np.concatenate([first.scores, new.scores]),
            np.concatenate([first.cosines, new.cosines]),
            np.concatenate([first.bm25, new.bm25]),
            new.complete,
        )


def search(snapshot: Snapshot, question: Question, options: Options, calibration: Calibration | None) -> list[Hit]:
    """Return hits number `offset` to `offset + k`, best first."""
    wanted = options.offset + options.k
    found = _ranking(snapshot, question, options, _least(question, options, calibration))
    page = found.take(range(options.offset, min(wanted, len(found.rows))))
    return _hits(snapshot, question, page, _confidences(page.cosines, question, calibration), options.offset)


def _least(question: Question, options: Options, calibration: Calibration | None) -> float | None:
    """Return the cosine that has the confidence `min_confidence`."""
    if options.min_confidence is None or calibration is None:
        return None
    mean, deviation = question.background
    # No cosine is certain, but some are so nearly that their confidence is 1.
    return mean + deviation * threshold(calibration, min(options.min_confidence, math.nextafter(1, 0)))


def _ranking(snapshot: Snapshot, question: Question, options: Options, least: float | None) -> _Candidates:
    """Return the documents up to the end of the page, the same first ones for every page.

    A deeper search finds passages that would have come earlier, and BM25 scores of others. To rank all anew would
    repeat hits on the next page and leave out others, so what it finds stands behind what has a rank already.
    """
    depth, found = _DEPTH, None
    while True:
        deeper = _best_of_each(_candidates(snapshot, question, options, depth, least))
        found = deeper if found is None else deeper.behind(found)
        if options.unique is not None:
            found = found.take(_unlike(snapshot.vectors(found.rows), options.unique))
        if found.complete or depth > _DEPTH_EACH * MOST:
            return found
        found = found.take(range(min(len(found.rows), depth // _DEPTH_EACH)))
        if len(found.rows) >= options.offset + options.k:
            return found
        depth *= 4


def _candidates(
    snapshot: Snapshot, question: Question, options: Options, depth: int, least: float | None
) -> _Candidates:
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
    found = _ranked(snapshot, question, options, found)
    if least is None:
        return found
    sure = found.take(np.flatnonzero(found.cosines >= least))
    # Whatever is sure enough is above the last one that the vectors' side has found.
    return replace(sure, complete=sure.complete or not len(dense) or float(dense.scores[-1]) < least)


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


def _confidences(cosines: Floats, question: Question, calibration: Calibration | None) -> list[float | None]:
    if calibration is None:
        return [None] * len(cosines)
    mean, deviation = question.background
    certain = confidence(calibration, z_scores(cosines, mean, deviation))
    return [None if np.isnan(cosine) else float(c) for cosine, c in zip(cosines, certain, strict=True)]


def _unlike(vectors: Floats, most: float) -> list[int]:
    """Return the rows that are less like every row kept before than the cosine `most`."""
    kept: list[int] = []
    for row, vector in enumerate(vectors):
        if not kept or float((vectors[kept] @ vector).max()) < most:
            kept.append(row)
    return kept


def _hits(
    snapshot: Snapshot, question: Question, found: _Candidates, certain: list[float | None], offset: int
) -> list[Hit]:
    def number(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    words = content(question.text)
    return [
        Hit(
            document=passage.document,
            rank=offset + place + 1,
            score=float(found.scores[place]),
            cosine=number(found.cosines[place]),
            bm25=number(found.bm25[place]),
            confidence=certain[place],
            passage=passage,
            highlights=highlights(passage.text, words),
        )
        for place, passage in enumerate(snapshot.passages(found.rows))
    ]
