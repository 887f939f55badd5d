"""Measure confidences: how many unanswered questions pass, how many right answers are kept.

    python benchmarks/confidence.py DATA [--cache FOLDER]

A calibration is fitted to sentences of a collection's own passages. Then come real questions, first with their own
document taken out of the collection (nothing answers them, though a near one may be there), then with it. Small
collections are drawn from the whole one, 20 times each; their unanswered questions are those of documents not drawn.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from figures import pools
from terms import table

from efive import Encoder
from efive.nearest import Floats
from efive.search.confidence import SAMPLE, Background, Calibration, Mask, Scores, confidence, fit, z_scores
from efive.text.chunking import sentence_ends

LEVELS = (0.5, 0.8, 0.9, 0.95)
SETS = ("xquad_en", "xquad_zh", "xquad_ru", "scifact")
SMALL = (20, 30, 60, 120)
_DRAWS = 20
_SENTENCES = 400
_SHORT = 12

Owners = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries and the documents that they belong to."""

    vectors: Floats
    own: Mask
    """(queries, documents)."""

    def where(self, rows: npt.NDArray[np.bool_]) -> "Asked":
        """Return some of the queries."""
        return Asked(self.vectors[rows], self.own[rows])


@dataclass(frozen=True, slots=True)
class Case:
    """A collection, real questions, and sentences of its passages."""

    vectors: Floats
    owners: Owners
    questions: Asked
    sentences: Asked

    def only(self, documents: npt.NDArray[np.bool_]) -> "Case":
        """Return the collection with only some of its documents; all questions stay."""
        rows = documents[self.owners]
        inside = self.sentences.own @ documents
        return Case(self.vectors[rows], self.owners[rows], self.questions, self.sentences.where(inside))


def a_sentence(window: str, random: np.random.Generator) -> str:
    ends = sentence_ends(window)
    parts = [window[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)]
    long = [part for part in parts if len(part) >= _SHORT] or [window]
    return long[int(random.integers(len(long)))]


def case(data: Path, name: str, encoder: Encoder, cache: Path | None) -> Case:
    made = pools.pool(data, name, encoder, cache)
    random = np.random.default_rng(0)
    drawn = random.permutation(len(made.windows))[:_SENTENCES]
    file = cache / f"{name}-sentences.npy" if cache else None
    if file and file.exists():
        vectors = np.load(file)
    else:
        vectors = encoder.embed([a_sentence(made.windows[row], random) for row in drawn], "query").vectors
        if file:
            np.save(file, vectors)
    number = {document: n for n, document in enumerate(made.collection.ids)}
    row = {question: n for n, question in enumerate(made.collection.question_ids)}
    own = np.zeros((len(row), len(number)), dtype=bool)
    for question, documents in made.collection.judged.items():
        for document, grade in documents.items():
            own[row[question], number[document]] = grade > 0
    of = np.zeros((len(drawn), len(number)), dtype=bool)
    of[np.arange(len(drawn)), made.owners[drawn]] = True
    return Case(made.vectors, made.owners, Asked(made.questions, own), Asked(vectors, of))


def mixed(cases: list[Case]) -> Case:
    """Return a collection that has each document in one language only, and questions in all of them."""
    documents = cases[0].questions.own.shape[1]
    parts = [one.only(np.arange(documents) % len(cases) == n) for n, one in enumerate(cases)]
    return Case(
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.owners for part in parts]),
        Asked(*(np.concatenate(p) for p in zip(*[(c.questions.vectors, c.questions.own) for c in cases], strict=True))),
        Asked(*(np.concatenate(p) for p in zip(*[(c.sentences.vectors, c.sentences.own) for c in parts], strict=True))),
    )


def best(one: Case, asked: Asked, *, without_own: bool) -> tuple[Scores, Owners]:
    """Return the z of each query's best row, and the row's document."""
    sample = np.random.default_rng(0).permutation(len(one.vectors))[:SAMPLE]
    hidden = asked.own[:, one.owners] & without_own
    means, deviations = Background(one.vectors[sample]).of(asked.vectors, hidden[:, sample])
    z = z_scores(asked.vectors @ one.vectors.T, means[:, None], deviations[:, None])
    z[hidden] = -np.inf
    rows = z.argmax(axis=1)
    return z[np.arange(len(z)), rows], one.owners[rows]


def calibrated(one: Case) -> Calibration:
    z, _ = best(one, one.sentences, without_own=True)
    return fit(z, documents=len(np.unique(one.owners)))


def rates(one: Case, calibration: Calibration, unanswered: Asked, answered: Asked) -> dict[str, float]:
    nothing, _ = best(one, unanswered, without_own=True)
    something, owners = best(one, answered, without_own=False)
    right = answered.own[np.arange(len(owners)), owners]
    found = {"right at rank 1": float(right.mean())}
    for level in LEVELS:
        found[f"unanswered that pass {level}"] = float((confidence(calibration, nothing) >= level).mean())
        kept = right & (confidence(calibration, something) >= level)
        found[f"right and kept at {level}"] = float(kept.mean())
    return found | {"Kolmogorov-Smirnov": calibration.distance, "location": calibration.location}


def small(one: Case, size: int) -> dict[str, float]:
    """Return the mean rates of small collections, and how far the rate at 0.9 varies between them."""
    drawn = []
    for seed in range(_DRAWS):
        chosen = np.zeros(one.questions.own.shape[1], dtype=bool)
        chosen[np.random.default_rng(seed).permutation(len(chosen))[:size]] = True
        part = one.only(chosen)
        inside = one.questions.own @ chosen
        drawn.append(rates(part, calibrated(part), one.questions.where(~inside), one.questions.where(inside)))
    means = {name: float(np.mean([found[name] for found in drawn])) for name in drawn[0]}
    spread = float(np.std([found["unanswered that pass 0.9"] for found in drawn]))
    return means | {"deviation of what passes 0.9": spread}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, help="keep vectors there")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    encoder = pools.load_encoder()
    names = [*SETS, *(f"xquad_{code}" for code in pools.XQUAD if f"xquad_{code}" not in SETS)]
    cases = {name: case(options.data, name, encoder, options.cache) for name in names}
    whole = {name: cases[name] for name in SETS}
    whole["mixed"] = mixed([cases[f"xquad_{code}"] for code in pools.XQUAD])
    found = {name: rates(one, calibrated(one), one.questions, one.questions) for name, one in whole.items()}
    for size in SMALL:
        found |= {f"{name}, {size} documents": small(cases[name], size) for name in ("xquad_en", "xquad_ru")}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    large = {name: values for name, values in found.items() if name in whole}
    print(table(large), table({name: found[name] for name in found if name not in large}), sep="\n\n")


if __name__ == "__main__":
    main()
