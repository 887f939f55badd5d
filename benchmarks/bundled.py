"""Measure the figures of the bundled model's card.

python benchmarks/bundled.py DATA [--model FOLDER]

DATA holds folders in BEIR form (xquad_en, xquad_es …, whose document ids are shared, and scifact) and Tatoeba's
aligned line files in tatoeba/.
"""

import argparse
import csv
import json
from pathlib import Path
from statistics import mean

import ir_measures
import numpy as np
from ir_measures import nDCG

from efive import Encoder

LANGUAGES = ("en", "es", "vi", "zh", "ru", "ar")
TATOEBA = ("ara", "cmn", "fra", "heb", "jpn", "rus", "spa", "vie")
TOP = 100


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ndcg(encoder: Encoder, questions: Path, passages: Path) -> float:
    """Return nDCG@10 of one folder's questions on another's passages; the best window counts for a passage."""
    corpus, queries = rows(passages / "corpus.jsonl"), rows(questions / "queries.jsonl")
    texts = [f"{document.get('title', '')} {document['text']}".strip() for document in corpus]
    windows = encoder.embed_passages(texts, overflow="chunk", overlap=encoder.max_tokens // 4)
    scores = encoder.embed_queries([query["text"] for query in queries]).vectors @ windows.vectors.T
    best = np.full((len(queries), len(corpus)), -1.0, dtype=np.float32)
    for column, span in enumerate(windows.spans):
        np.maximum(best[:, span.input], scores[:, column], out=best[:, span.input])
    run = [
        ir_measures.ScoredDoc(queries[q]["_id"], corpus[d]["_id"], float(best[q, d]))
        for q in range(len(queries))
        for d in np.argsort(-best[q])[:TOP]
    ]
    judged = csv.reader((questions / "qrels" / "test.tsv").read_text().splitlines()[1:], delimiter="\t")
    qrels = [ir_measures.Qrel(query, document, int(relevance)) for query, document, relevance in judged]
    return float(ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10])


def accuracy(encoder: Encoder, folder: Path, language: str) -> float:
    """Return the share of sentences whose nearest neighbour is their translation, in percent, mean of both ways."""
    pair = [
        encoder.embed_queries((folder / f"tatoeba.{language}-eng.{side}").read_text(encoding="utf-8").splitlines())
        for side in (language, "eng")
    ]
    scores = pair[0].vectors @ pair[1].vectors.T
    right = np.arange(len(scores))
    return 50 * float((scores.argmax(axis=1) == right).mean() + (scores.argmax(axis=0) == right).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="a folder or a stored name (default: the bundled model)")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--window", type=int, default=96, help="tokens of a window")
    options = parser.parse_args()
    encoder = Encoder.load(options.model, precision=options.precision, max_tokens=options.window)
    found = {f"xquad {lang}": ndcg(encoder, *[options.data / f"xquad_{lang}"] * 2) for lang in LANGUAGES}
    found["xquad mono"] = mean(found.values())
    english = options.data / "xquad_en"
    cross = {f"cross {lang}": ndcg(encoder, options.data / f"xquad_{lang}", english) for lang in LANGUAGES[1:]}
    found |= cross | {"cross": mean(cross.values())}
    tatoeba = {f"tatoeba {lang}": accuracy(encoder, options.data / "tatoeba", lang) for lang in TATOEBA}
    found |= tatoeba | {"tatoeba": mean(tatoeba.values())}
    found["scifact"] = ndcg(encoder, *[options.data / "scifact"] * 2)
    print(json.dumps({"precision": str(encoder.engine_info.precision), "window": options.window} | found, indent=1))


if __name__ == "__main__":
    main()
