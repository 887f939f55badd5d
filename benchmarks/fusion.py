"""Measure hybrid search: nDCG@10 of vectors, full text and both fused, in one language, across, and in a mixed pool.

    python benchmarks/fusion.py DATA [--cache FOLDER] [--best 100] [--noise 1.0]

DATA holds eval/ and train/ as for benchmarks/terms.py. Each side gives its best rows, as a store does: a row is a
window of 96 tokens, and a document counts by its best row. Noise makes the vectors worse: does the hybrid still hold
if the model is weak?

Two pools hold six languages. In `mixed` every paragraph is there in all of them, so a question finds its own language.
In `scattered` each paragraph is there in one: five of six answers are in another language than the question.
"""

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
from figures import pools
from figures.retrieval import Collection, ndcg
from terms import bm25_scores, indexed, table

from efive.nearest import Floats
from efive.search import terms
from efive.search.confidence import SAMPLE, Background
from efive.search.function_words import content
from efive.search.fusion import normalised, reciprocal_rank

CROSS = ("es", "vi", "zh", "ru", "ar")


Measure = Callable[[Floats, Collection, Collection], float]


@dataclass(frozen=True, slots=True)
class Found:
    """What both sides give for one query."""

    cosines: dict[int, float]
    """Of the rows that either side found, best first."""
    dense: list[int]
    texts: dict[int, float]
    background: tuple[float, float]
    terms: list[str]

    def normalised(self, weight: float) -> dict[int, float]:
        """Fuse by normalised scores."""
        return normalised(self.cosines, self.texts, background=self.background, terms=self.terms, text_weight=weight)

    def reciprocal(self, text_weight: float) -> dict[int, float]:
        """Fuse by reciprocal ranks."""
        return reciprocal_rank([self.dense, list(self.texts)], [1, text_weight])


FUSIONS: dict[str, Callable[[Found], dict[int, float]]] = {
    "vectors": lambda found: {row: found.cosines[row] for row in found.dense},
    "BM25": lambda found: found.texts,
    "reciprocal ranks, 1 : 1": partial(Found.reciprocal, text_weight=1),
    "reciprocal ranks, 1 : 2": partial(Found.reciprocal, text_weight=2),
    **{f"normalised, {weight}": partial(Found.normalised, weight=weight) for weight in (0.5, 1, 2)},
}


def best_rows(scores: Floats, count: int) -> list[int]:
    rows = np.argsort(-scores, kind="stable")[:count]
    return [int(row) for row in rows if scores[row] > 0]


def found_by(asked: pools.Pool, made: pools.Pool, count: int) -> list[Found]:
    """Return what both sides give for each question."""
    questions = [content(question) for question in asked.collection.questions]
    texts = bm25_scores(made.windows, questions, indexed, terms.query_terms)
    sample = np.random.default_rng(0).permutation(len(made.vectors))[:SAMPLE]
    means, deviations = Background(made.vectors[sample]).of(asked.questions)
    rows = []
    for n, question in enumerate(questions):
        cosines = made.vectors @ asked.questions[n]
        dense, text = best_rows(cosines, count), best_rows(texts[n], count)
        either = sorted({*dense, *text}, key=lambda row: (-cosines[row], row))
        rows.append(
            Found(
                {row: float(cosines[row]) for row in either},
                dense,
                {row: float(texts[n, row]) for row in text},
                (float(means[n]), float(deviations[n])),
                terms.query_terms(question),
            )
        )
    return rows


def measured(asked: pools.Pool, made: pools.Pool, count: int, measure: Measure = ndcg) -> dict[str, float]:
    found = found_by(asked, made, count)
    values = {}
    for name, fuse in FUSIONS.items():
        scores = np.full((len(found), len(made.collection.texts)), -np.inf, dtype=np.float32)
        for n, one in enumerate(found):
            for row, score in fuse(one).items():
                owner = made.owners[row]
                scores[n, owner] = max(scores[n, owner], score)
        values[name] = measure(scores, asked.collection, made.collection)
    return values


def right_first(scores: Floats, questions: Collection, passages: Collection) -> float:
    """Return the share of questions whose best passage is relevant."""
    pairs = zip(questions.question_ids, scores.argmax(axis=1).tolist(), strict=True)
    return mean(questions.judged[question].get(passages.ids[document], 0) > 0 for question, document in pairs)


def mixed(sets: list[pools.Pool]) -> tuple[pools.Pool, pools.Pool]:
    """Return questions and rows of all sets in one pool; a question's document is relevant in every language."""
    ids = [f"{n}/{document}" for n, made in enumerate(sets) for document in made.collection.ids]
    starts = np.cumsum([0, *[len(made.collection.ids) for made in sets]])
    judged = {
        f"{n}/{question}": {f"{other}/{d}": grade for other in range(len(sets)) for d, grade in documents.items()}
        for n, made in enumerate(sets)
        for question, documents in made.collection.judged.items()
    }
    collection = Collection(
        name="mixed",
        ids=ids,
        texts=[text for made in sets for text in made.collection.texts],
        question_ids=[f"{n}/{question}" for n, made in enumerate(sets) for question in made.collection.question_ids],
        questions=[question for made in sets for question in made.collection.questions],
        judged=judged,
    )
    whole = pools.Pool(
        collection,
        np.concatenate([made.owners + start for made, start in zip(sets, starts, strict=False)]),
        [window for made in sets for window in made.windows],
        np.concatenate([made.vectors for made in sets]),
        np.concatenate([made.questions for made in sets]),
    )
    return whole, whole


def scattered(sets: list[pools.Pool]) -> tuple[pools.Pool, pools.Pool]:
    """Return every fourth question of all sets, and rows of a pool in which each document is in one language."""
    documents = sets[0].collection.ids
    home = dict(zip(documents, np.random.default_rng(0).integers(0, len(sets), len(documents)).tolist(), strict=True))
    kept = [
        [place for place, document in enumerate(made.collection.ids) if home[document] == n]
        for n, made in enumerate(sets)
    ]
    asked = [(n, q) for n, made in enumerate(sets) for q in range(0, len(made.collection.questions), 4)]
    own = [sets[n].collection.question_ids[q] for n, q in asked]
    judged = {f"{n}/{name}": sets[n].collection.judged[name] for (n, _), name in zip(asked, own, strict=True)}
    collection = Collection(
        name="scattered",
        ids=[made.collection.ids[place] for made, own in zip(sets, kept, strict=True) for place in own],
        texts=[made.collection.texts[place] for made, own in zip(sets, kept, strict=True) for place in own],
        question_ids=list(judged),
        questions=[sets[n].collection.questions[q] for n, q in asked],
        judged=judged,
    )
    rows = [
        [row for row, owner in enumerate(made.owners.tolist()) if owner in set(own)]
        for made, own in zip(sets, kept, strict=True)
    ]
    place_of = {document: place for place, document in enumerate(collection.ids)}
    whole = pools.Pool(
        collection,
        np.array(
            [
                place_of[made.collection.ids[made.owners[row]]]
                for made, own in zip(sets, rows, strict=True)
                for row in own
            ]
        ),
        [made.windows[row] for made, own in zip(sets, rows, strict=True) for row in own],
        np.concatenate([made.vectors[own] for made, own in zip(sets, rows, strict=True)]),
        np.stack([sets[n].questions[q] for n, q in asked]),
    )
    return whole, whole


def worse(made: pools.Pool, noise: float) -> pools.Pool:
    """Add noise to all vectors, of `noise` times their length."""
    random = np.random.default_rng(0)

    def noisy(vectors: Floats) -> Floats:
        moved = vectors + noise * random.standard_normal(vectors.shape, np.float32) / vectors.shape[1] ** 0.5
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)

    return replace(made, vectors=noisy(made.vectors), questions=noisy(made.questions))


def means(columns: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the mean over sets, and how far each fusion is behind BM25 or the vectors where it does worst."""
    names = list(FUSIONS)
    own = [column for name, column in columns.items() if name in {*pools.SETS, *pools.PAIRS}]
    cross = [column for name, column in columns.items() if " on " in name]
    return {
        "mean, own language": {name: mean(column[name] for column in own) for name in names},
        "worst beside BM25": {name: min(column[name] - column["BM25"] for column in own) for name in names},
        "mean, cross": {name: mean(column[name] for column in cross) for name in names},
        "worst beside vectors": {name: min(column[name] - column["vectors"] for column in cross) for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, help="keep vectors there")
    parser.add_argument("--best", type=int, default=100, help="rows that each side gives")
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    logging.getLogger("bm25s").setLevel(logging.ERROR)
    encoder = pools.load_encoder()
    sets = {
        name: worse(pools.pool(options.data, name, encoder, options.cache), options.noise)
        for name in [*pools.SETS, *pools.PAIRS]
    }
    found = {name: measured(made, made, options.best) for name, made in sets.items()}
    english = sets["xquad_en"]
    found |= {f"{code} on en": measured(sets[f"xquad_{code}"], english, options.best) for code in CROSS}
    both = mixed([sets[f"xquad_{code}"] for code in pools.XQUAD])
    found["mixed"] = measured(*both, options.best)
    found["mixed, first right"] = measured(*both, options.best, right_first)
    found["scattered"] = measured(*scattered([sets[f"xquad_{code}"] for code in pools.XQUAD]), options.best)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found), table(means(found)), sep="\n\n")


if __name__ == "__main__":
    main()
