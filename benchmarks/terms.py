"""Measure the terms of full text search: nDCG@10 of BM25 by variant, by Lance's tokenizers, by the unit of text.

    python benchmarks/terms.py DATA [--lance] [--units --cache FOLDER]

DATA holds eval/ with folders in BEIR form and train/ with pairs, of which a Thai and a Hindi set are made. Whole
documents are indexed. A variant changes one decision of efive.search.terms and leaves the others.
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import Stemmer
from figures import pools
from figures.retrieval import Collection, ndcg

from efive.nearest import Floats
from efive.search import terms

Analyser = Callable[[str], list[str]]
_STOP = (
    "a an and are as at be but by for from did do does had has have how i if in into is it its no not of on or such "
    "that the their then there these they this to was were what when where which who will with"
)
STOP = frozenset(_STOP.split())
LANCE: dict[str, dict[str, Any]] = {
    "simple": {"base_tokenizer": "simple", "stem": False, "remove_stop_words": False},
    "icu": {"base_tokenizer": "icu", "stem": False, "remove_stop_words": False},
    "icu + English stem": {"base_tokenizer": "icu", "stem": True, "remove_stop_words": False},
    "ngram(2,3)": {
        "base_tokenizer": "ngram",
        "ngram_min_length": 2,
        "ngram_max_length": 3,
        "stem": False,
        "remove_stop_words": False,
    },
}
KEPT: dict[str, Any] = {
    "base_tokenizer": "whitespace",
    "stem": False,
    "remove_stop_words": False,
    "lower_case": False,
    "ascii_folding": False,
    "max_token_length": None,
}
"""Lance's options for a column that holds terms."""
LANGUAGES = {"xquad_es": "spanish", "xquad_ru": "russian", "tydiqa_dev_fi": "finnish", "d365_hi": "hindi"}
"""Of sets that are neither English nor Arabic, where Snowball has the language."""
LANCE_SETS = ("xquad_en", "xquad_es", "xquad_zh", "xquad_ar", "jaquad_dev_ja", "tydiqa_dev_ko", "iapp_th", "d365_hi")


def indexed(text: str) -> list[str]:
    return terms.index_terms(text).split()


@contextmanager
def changed(**constants: object) -> Iterator[None]:
    """Change module constants of efive.search.terms for a while."""
    before = {name: getattr(terms, name) for name in constants}
    try:
        for name, value in constants.items():
            setattr(terms, name, value)
        terms._texts.cache_clear()
        yield
    finally:
        for name, value in before.items():
            setattr(terms, name, value)
        terms._texts.cache_clear()


def bm25_scores(documents: list[str], questions: list[str], index: Analyser, query: Analyser) -> Floats:
    """Return Lucene's BM25 of all documents for all questions, (questions, documents)."""
    made = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    made.index([index(text) for text in documents], show_progress=False)
    found = np.zeros((len(questions), len(documents)), dtype=np.float32)
    for row, question in enumerate(questions):
        if asked := made.get_tokens_ids(query(question)):
            found[row] = made.get_scores_from_ids(asked)
    return found


def measured(read: Collection, index: Analyser = indexed, query: Analyser = terms.query_terms) -> float:
    return ndcg(bm25_scores(read.texts, read.questions, index, query), read, read)


def stemmed(language: str) -> tuple[Analyser, Analyser]:
    stemmer = Stemmer.Stemmer(language)

    def index(text: str) -> list[str]:
        return stemmer.stemWords(indexed(text))  # type: ignore[no-any-return]

    def query(text: str) -> list[str]:
        return stemmer.stemWords(terms.query_terms(text))  # type: ignore[no-any-return]

    return index, query


def variants(read: Collection) -> dict[str, float]:
    """Return nDCG@10 of efive's terms and of each change to them."""
    found = {"efive": measured(read)}
    for letters in (5, 7, 99):
        with changed(_LETTERS=letters):
            found[f"first {letters} letters" if letters < 99 else "whole words"] = measured(read)
    with changed(_LETTERS=99):
        found["Snowball, English"] = measured(read, *stemmed("english"))
        right = "arabic" if read.name.endswith("_ar") else LANGUAGES.get(read.name, "english")
        found["Snowball, language known"] = measured(read, *stemmed(right))
    with changed(_unaccented=lambda folded: folded):
        found["no forms without accents"] = measured(read)

    unaccented = terms._unaccented

    def bare(text: str) -> list[str]:
        return [unaccented(term) for term in terms.query_terms(text)]

    found["queries without accents"] = measured(read, query=bare)
    with changed(_unaccented=lambda folded: folded):
        found["the same, and no forms without accents"] = measured(read, query=bare)
    found["each term of a query once"] = measured(read, query=lambda text: list(dict.fromkeys(terms.query_terms(text))))
    found["without stop words"] = measured(
        read, query=lambda text: [t for t in terms.query_terms(text) if t not in STOP] or terms.query_terms(text)
    )
    for name, grams in {
        "1 / 2 / 2": {"han": (1,), "unspaced": (2,), "hangul": (2,), "semitic": (2,)},
        "2 / 1+2 / 4": {"han": (2,), "unspaced": (4,), "hangul": (1, 2), "semitic": (4,)},
        "1+2+3 / 2+3 / 3+4": {"han": (1, 2, 3), "unspaced": (3, 4), "hangul": (2, 3), "semitic": (2, 3)},
        "words": {"han": (1, 2), "unspaced": (2, 3), "hangul": (99,), "semitic": (99,)},
    }.items():
        with changed(_GRAMS=grams):
            found[f"n-grams {name}"] = measured(read)
    return found


def lance(read: Collection) -> dict[str, float]:
    """Return nDCG@10 of real full text indexes of Lance, with its tokenizers and over our terms."""
    import lancedb
    from lancedb.index import FTS
    from lancedb.query import MatchQuery

    found = {"efive, bm25s": measured(read)}
    with tempfile.TemporaryDirectory() as folder:
        rows = [{"n": n, "text": text, "terms": terms.index_terms(text)} for n, text in enumerate(read.texts)]
        table = lancedb.connect(folder).create_table("passages", rows)
        for name, options in {"efive": KEPT, **LANCE}.items():
            column = "terms" if name == "efive" else "text"
            table.create_index(column, config=FTS(**options), replace=True)
            scores = np.zeros((len(read.questions), len(read.texts)), dtype=np.float32)
            for row, question in enumerate(read.questions):
                asked = " ".join(terms.query_terms(question)) if name == "efive" else question
                for hit in table.search(MatchQuery(asked, column), query_type="fts").limit(10).to_list():
                    scores[row, hit["n"]] = hit["_score"]
            found[f"Lance, {name}"] = ndcg(scores, read, read)
    return found


def units(made: pools.Pool) -> dict[str, float]:
    """Return nDCG@10 by what is one document of BM25; of windows the best one counts."""
    read, owners = made.collection, made.owners
    rows: dict[int, list[int]] = {}
    for row, owner in enumerate(owners.tolist()):
        rows.setdefault(owner, []).append(row)
    found = {}
    for reach in (0, 1, 2):
        texts = [
            " ".join(made.windows[near] for near in rows[owner] if abs(near - row) <= reach)
            for row, owner in enumerate(owners.tolist())
        ]
        scores = bm25_scores(texts, read.questions, indexed, terms.query_terms)
        found[f"window and {reach} on each side"] = ndcg(pools.best(scores, owners, len(read.texts)), read, read)
    return found | {"document": measured(read)}


def speed(read: Collection) -> float:
    """Return megabytes of UTF-8 a second."""
    started = time.perf_counter()
    for text in read.texts:
        terms.index_terms(text)
    return sum(len(text.encode()) for text in read.texts) / 1e6 / (time.perf_counter() - started)


def table(columns: dict[str, dict[str, float]], form: str = "{:.3f}") -> str:
    """Return a Markdown table, a column for each set."""
    names = list(next(iter(columns.values())))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *[form.format(column[name]) for column in columns.values()]] for name in names]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=[*pools.SETS, *pools.PAIRS])
    parser.add_argument("--lance", action="store_true", help="compare with Lance's tokenizers instead")
    parser.add_argument("--units", action="store_true", help="compare windows and whole documents instead")
    parser.add_argument("--cache", type=Path, help="keep vectors and windows there")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    logging.getLogger("bm25s").setLevel(logging.ERROR)
    if options.units:
        encoder = pools.load_encoder()
        names = ("xquad_en", "xquad_zh", "scifact", "cisi")
        found = {name: units(pools.pool(options.data, name, encoder, options.cache)) for name in names}
    elif options.lance:
        found = {name: lance(pools.read(options.data, name)) for name in LANCE_SETS}
    else:
        read = {name: pools.read(options.data, name) for name in options.sets}
        print(table({name: {"MB/s": speed(one)} for name, one in read.items()}, "{:.1f}"), end="\n\n")
        found = {name: variants(one) for name, one in read.items()}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
