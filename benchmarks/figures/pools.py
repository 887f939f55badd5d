"""Collections for the search room's measurements: their windows, and vectors that are kept between runs."""

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from efive import Encoder
from efive.nearest import Floats
from figures.retrieval import Collection

XQUAD = ("en", "es", "ru", "zh", "ar", "vi")
TYDIQA = ("en", "fi", "ko", "sw", "ar")
SETS = (
    *(f"xquad_{code}" for code in XQUAD),
    *(f"tydiqa_dev_{code}" for code in TYDIQA),
    "jaquad_dev_ja",
    "arcd_test_ar",
    "scifact",
    "cisi",
)
PAIRS = {"iapp_th": ("iapp_wiki_qa", "th"), "d365_hi": ("d365_project_docs", "hi")}
"""Languages without an evaluation set: pairs of training data, so their dense scores flatter the model."""
_WINDOW = 96
_OVERLAP = 24


def read(data: Path, name: str) -> Collection:
    """Read a set of DATA/eval in BEIR form, or make one of the pairs of DATA/train."""
    if name not in PAIRS:
        return Collection.read(data / "eval" / name)
    file, language = PAIRS[name]
    rows = [row for row in _pairs(data / "train" / f"{file}.jsonl.xz") if row["lang"] == language]
    asked: dict[str, set[str]] = {}
    for row in rows:
        asked.setdefault(row["query"], set()).add(row["passage"])
    # A heading such as "Overview" that stands over many sections asks for none of them; 1,500 are enough.
    clear = {question: passages.pop() for question, passages in asked.items() if len(passages) == 1}
    kept = dict(list(clear.items())[:1500])
    texts = list(dict.fromkeys(row["passage"] for row in rows))
    number = {text: str(n) for n, text in enumerate(texts)}
    return Collection(
        name=name,
        ids=list(number.values()),
        texts=texts,
        question_ids=[f"q{n}" for n in range(len(kept))],
        questions=list(kept),
        judged={f"q{n}": {number[text]: 1} for n, text in enumerate(kept.values())},
    )


def _pairs(path: Path) -> Iterator[dict[str, str]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@dataclass(frozen=True, slots=True)
class Pool:
    """A collection as a store holds it: one row per window."""

    collection: Collection
    owners: npt.NDArray[np.int64]
    """The document of each window."""
    windows: list[str]
    vectors: Floats
    """(windows, dimension), unit length."""
    questions: Floats
    """(questions, dimension), unit length."""


def pool(data: Path, name: str, encoder: Encoder, cache: Path | None) -> Pool:
    """Read a set with its vectors, which are embedded unless `cache` holds them."""
    collection = read(data, name)
    file = cache / f"{name}.npz" if cache else None
    if file and file.exists():
        kept = dict(np.load(file))
    else:
        made = encoder.embed(collection.texts, "passage", overflow="chunk", overlap=_OVERLAP)
        asked = encoder.embed(collection.questions, "query").vectors
        spans = np.array([(span.input, span.start, span.end) for span in made.spans], dtype=np.int64)
        kept = {"vectors": made.vectors, "spans": spans, "questions": asked}
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, **kept)
    spans = kept["spans"]
    windows = [collection.texts[owner][start:end] for owner, start, end in spans.tolist()]
    return Pool(collection, spans[:, 0], windows, kept["vectors"], kept["questions"])


def load_encoder(threads: int | None = None) -> Encoder:
    """Load the bundled model with the windows that it is best in."""
    return Encoder.load(max_tokens=_WINDOW, threads=threads)


def best(scores: Floats, owners: npt.NDArray[np.int64], documents: int) -> Floats:
    """Return each document's best window: (questions, windows) to (questions, documents)."""
    found = np.full((documents, len(scores)), -np.inf, dtype=np.float32)
    np.maximum.at(found, owners, scores.T)
    return found.T
