"""Collections whose scores are matrices, for measurements that try many ways to score one; nDCG@10 of such a matrix."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from efive.errors import InputError
from efive.evaluation.formats import open_task
from efive.evaluation.metrics import measure
from efive.evaluation.tasks import Retrieval
from efive.nearest import Floats

_MEASURE = "ndcg_at_10"
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
    judged: Mapping[str, Mapping[str, int]]
    """Relevance of passages by question."""

    @classmethod
    def read(cls, folder: Path) -> "Collection":
        """Read a folder in BEIR form."""
        (task,) = open_task(folder)
        if not isinstance(task, Retrieval):
            raise InputError(f"{folder} is no retrieval task")
        corpus = dict(task.corpus())
        queries = task.queries
        return cls(folder.name, list(corpus), list(corpus.values()), list(queries), list(queries.values()), task.judged)


def ndcg(scores: Floats, questions: Collection, passages: Collection) -> float:
    """Return the mean nDCG@10 of `scores` (questions, passages); of equal scores the earlier passage comes first."""
    ranking = {
        # Ranks instead of scores: the measure would put equal scores in an order of its own.
        question: [(passages.ids[d], -float(rank)) for rank, d in enumerate(np.argsort(-row, kind="stable")[:_DEEP])]
        for question, row in zip(questions.question_ids, scores, strict=True)
    }
    return measure(questions.judged, ranking, [_MEASURE])[_MEASURE].mean
