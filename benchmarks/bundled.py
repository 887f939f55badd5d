"""Measure the figures of the bundled model's card.

    python benchmarks/bundled.py DATA --window 96 --teacher FOLDER --json figures.json --markdown

DATA holds folders in BEIR form (xquad_en, tydiqa_dev_fi … scifact, cisi; of XQuAD's, document ids are shared between
languages), tatoeba/ and flores/ with aligned line files, and sts/ with `score TAB text TAB text`. What is not there is
left out. benchmarks/card.py makes the card of the JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from figures import pieces, sentences, tables
from figures.bm25 import BM25
from figures.retrieval import Collection, Dense, Floats, fused
from figures.retrieval import ndcg as ndcg_of_scores

from efive import Encoder
from efive.models.store import ModelStore

CROSS = ("es", "vi", "zh", "ru", "ar")
TRAINED = ("ara", "cmn", "fra", "jpn", "rus", "spa", "vie")
"""Languages of Tatoeba with at least 20,000 training pairs with English: the others were hardly or never taught."""
TAUGHT = ("xquad_en", "scifact")
"""Sets that the English teacher is measured on, beside questions in other languages."""

Scores = dict[str, float]


def ndcg(encoder: Encoder, questions: Path, passages: Path) -> float:
    """Return nDCG@10 of one folder's questions on another's passages; the best window counts for a passage."""
    asked, found = Collection.read(questions), Collection.read(passages)
    return ndcg_of_scores(Dense(encoder).scores(asked, found), asked, found)


def say(what: str) -> None:
    print(f"{time.process_time():6.0f} s  {what}", file=sys.stderr, flush=True)


def retrieval(encoder: Encoder, teacher: Encoder | None, data: Path) -> dict[str, dict[str, Scores]]:
    """Return nDCG@10 by set and system: `own` language, and `cross`, questions on English paragraphs."""
    folders = sorted(path.parent for path in data.glob("*/corpus.jsonl"))
    sets = {folder.name: Collection.read(folder) for folder in folders}
    systems = {"model": Dense(encoder), "bm25": BM25()}
    if teacher is not None:
        systems["teacher"] = Dense(teacher, raw=True)

    def measured(questions: Collection, passages: Collection, names: Iterable[str]) -> Scores:
        scores: dict[str, Floats] = {}
        for name in names:
            say(f"{questions.name} on {passages.name}: {name}")
            scores[name] = systems[name].scores(questions, passages)
        scores["hybrid"] = fused(scores["bm25"], scores["model"])
        return {name: ndcg_of_scores(found, questions, passages) for name, found in scores.items()}

    own = {
        name: measured(read, read, [s for s in systems if s != "teacher" or name in TAUGHT])
        for name, read in sets.items()
    }
    found = {"own": own}
    if "xquad_en" in sets:
        asked = {language: sets[f"xquad_{language}"] for language in CROSS if f"xquad_{language}" in sets}
        found["cross"] = {code: measured(read, sets["xquad_en"], systems) for code, read in asked.items()}
    return found


def means(found: dict[str, dict[str, Scores]]) -> dict[str, Scores]:
    """Return the means that the project's aims speak of, by system."""
    xquad = [scores for name, scores in found["own"].items() if name.startswith("xquad_")]
    groups = {"all sets": list(found["own"].values()), "xquad": xquad, "cross": list(found.get("cross", {}).values())}
    return {
        name: {system: mean(s[system] for s in group) for system in group[0] if all(system in s for s in group)}
        for name, group in groups.items()
        if group
    }


def behind(own: dict[str, Scores]) -> list[str]:
    """Return the sets on which the hybrid is not ahead of BM25 alone."""
    return [name for name, scores in own.items() if scores["hybrid"] <= scores["bm25"]]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    data: Path = options.data
    own = {"threads": options.threads}
    with Encoder.load(options.model, precision=options.precision, max_tokens=options.window, **own) as encoder:
        found: dict[str, Any] = {
            "precision": str(encoder.engine_info.precision),
            "window": encoder.max_tokens,
            "space": encoder.space.fingerprint,
        }
        teacher = Encoder.load(options.teacher, precision=options.precision, **own) if options.teacher else None
        scores = retrieval(encoder, teacher, data)
        found |= {"ndcg": scores["own"], "cross": scores.get("cross", {}), "means": means(scores)}
        found["hybrid behind bm25"] = behind(scores["own"])
        found["teacher"] = None
        if teacher is not None:
            found["teacher"] = {"window": teacher.max_tokens}
            teacher.close()
        found["tatoeba"] = sentences.tatoeba(encoder, data / "tatoeba", say)
        vectors = sentences.flores(encoder, data / "flores", say)
        found["sts"] = sentences.sts(encoder, data / "sts", say)
    tatoeba = found["tatoeba"]
    if tatoeba:
        found["means"]["tatoeba"] = {"model": mean(tatoeba.values())}
    if all(language in tatoeba for language in TRAINED):
        found["means"]["tatoeba trained"] = {"model": mean(tatoeba[language] for language in TRAINED)}
    if sentences.ENGLISH in vectors:
        english = vectors[sentences.ENGLISH]
        others = {language: rows for language, rows in vectors.items() if language != sentences.ENGLISH}
        found["flores"] = {language: sentences.accuracy(rows, english) for language, rows in others.items()}
        found["cosines"] = sentences.cosines(vectors)
    found["pieces"] = pieces.fertility(ModelStore().resolve(options.model), data / "flores")
    return found | {"processor seconds": round(time.process_time())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="a folder or a stored name (default: the bundled model)")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--window", type=int, help="tokens of a window (default: the model's own limit)")
    parser.add_argument("--teacher", help="a folder: the English model that was imitated, which wants no prefix")
    parser.add_argument("--threads", type=int, help="processors to use (default: all)")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--markdown", action="store_true", help="print the card's tables instead of JSON")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("\n\n".join(tables.sections(found).values()) if options.markdown else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
