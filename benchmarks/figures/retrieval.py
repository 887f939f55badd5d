"""Finding passages: folders in BEIR form, scores of an encoder, fusion of two scores, nDCG@10."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np
import numpy.typing as npt
from ir_measures import nDCG

from efive import Encoder

Floats = npt.NDArray[np.float32]
_MEASURE = nDCG @ 10
_DEEP = 10
"""Documents of each question that the measure looks at."""


@dataclass(frozen=True)
class Collection:
    """Passages, questions and judgements."""

    name: str
    ids: list[str]
    texts: list[str]
    """Title and text of each passage."""
    question_ids: list[str]
    questions: list[str]
    judged: list[ir_measures.Qrel]

    @classmethod
    def read(cls, folder: Path) -> "Collection":
        """Read `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv`."""
        corpus, queries = _rows(folder / "corpus.jsonl"), _rows(folder / "queries.jsonl")
        lines = csv.reader((folder / "qrels" / "test.tsv").read_text().splitlines()[1:], delimiter="\t")
        return cls(
            name=folder.name,
            ids=[document["_id"] for document in corpus],
            texts=[f"{document.get('title', '')} {document['text']}".strip() for document in corpus],
            question_ids=[query["_id"] for query in queries],
            questions=[query["text"] for query in queries],
            judged=[ir_measures.Qrel(query, document, int(relevance)) for query, document, relevance in lines],
        )


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Dense:
    """Cosines of an encoder; keeps the vectors that it made, for a collection may be asked more than once."""

    def __init__(self, encoder: Encoder, *, raw: bool = False) -> None:
        """With `raw` nothing is put before texts: for models that want no prefix."""
        self.encoder = encoder
        self._roles = ("raw", "raw") if raw else ("query", "passage")
        self._passages: dict[str, tuple[Floats, npt.NDArray[np.int64]]] = {}
        self._questions: dict[str, Floats] = {}

    def scores(self, questions: Collection, passages: Collection) -> Floats:
        """Return each passage's best window's cosine with each question, (questions, passages).

        Windows are as long as the encoder's token limit and share a quarter with their neighbours.
        """
        windows, owners = self._windows(passages)
        if questions.name not in self._questions:
            self._questions[questions.name] = self.encoder.embed(questions.questions, self._roles[0]).vectors
        cosines = windows @ self._questions[questions.name].T
        best = np.full((len(passages.texts), len(questions.questions)), -1, dtype=np.float32)
        for row, owner in enumerate(owners):
            np.maximum(best[owner], cosines[row], out=best[owner])
        return best.T

    def _windows(self, passages: Collection) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return the vectors of all windows, and of each the passage that it is part of."""
        if passages.name not in self._passages:
            overlap = self.encoder.max_tokens // 4
            made = self.encoder.embed(passages.texts, self._roles[1], overflow="chunk", overlap=overlap)
            self._passages[passages.name] = made.vectors, np.array([span.input for span in made.spans])
        return self._passages[passages.name]


def z_scores(scores: Floats) -> Floats:
    """Scale each row to mean 0 and deviation 1 over all passages; a row of equal scores becomes zeros."""
    spread = scores.std(axis=1, keepdims=True)
    centred = scores - scores.mean(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def fused(lexical: Floats, dense: Floats, share: float = 0.7) -> Floats:
    """Add the z-scores of two systems, `share` of the lexical one and the rest of the dense one."""
    return share * z_scores(lexical) + (1 - share) * z_scores(dense)


def ndcg(scores: Floats, questions: Collection, passages: Collection) -> float:
    """Return the mean nDCG@10 of `scores` (questions, passages); of equal scores the earlier passage comes first."""
    run = [
        # Ranks instead of scores: the measure would put equal scores in an order of its own.
        ir_measures.ScoredDoc(question, passages.ids[document], -float(rank))
        for question, row in zip(questions.question_ids, scores, strict=True)
        for rank, document in enumerate(np.argsort(-row, kind="stable")[:_DEEP])
    ]
    return float(ir_measures.calc_aggregate([_MEASURE], questions.judged, run)[_MEASURE])
