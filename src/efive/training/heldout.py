"""Measuring a model on examples that it was not trained on."""

import ir_measures
import numpy as np
from ir_measures import RR, R, nDCG

from efive.encoder import Encoder
from efive.training.sources import HeldOut
from efive.training.tokens import text_key

_TOP = 100
_BLOCK = 512
MEASURES = (nDCG @ 10, RR @ 10, R @ 100)


def measure(encoder: Encoder, held_out: HeldOut) -> dict[str, float]:
    """Return nDCG@10, RR@10 and R@100 of finding each query's positives among all passages of the examples."""
    corpus: dict[int, int] = {}
    texts: list[str] = []
    queries: list[str] = []
    judged: list[ir_measures.Qrel] = []

    def row(reference: str | int) -> int:
        text = held_out.passages[reference] if isinstance(reference, int) else reference
        index = corpus.setdefault(text_key(text), len(texts))
        if index == len(texts):
            texts.append(text)
        return index

    for example in held_out.examples:
        judged += [ir_measures.Qrel(str(len(queries)), str(row(positive)), 1) for positive in example.positives]
        for negative in example.negatives:
            row(negative)
        queries.append(example.query)
    asked = encoder.embed_queries(queries).vectors
    found = encoder.embed(texts, "query" if held_out.symmetric else "passage").vectors
    run: list[ir_measures.ScoredDoc] = []
    for start in range(0, len(queries), _BLOCK):
        scores = asked[start : start + _BLOCK] @ found.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]
        run += [
            ir_measures.ScoredDoc(str(start + q), str(d), float(scores[q, d]))
            for q, documents in enumerate(best)
            for d in documents
        ]
    values = ir_measures.calc_aggregate(MEASURES, judged, run)
    return {str(name): float(values[name]) for name in MEASURES}
