"""BM25 over many scripts: the baseline that a small encoder has to be useful beside.

Texts are normalised (NFKC) and lower-cased, nothing is stemmed and no word is left out. A term is

- in scripts that put spaces between words: a word, that is a run of letters, marks and digits;
- in Chinese and Japanese: each character and each pair of neighbours;
- in Korean: each pair of neighbours of a word, for its particles are written onto the word;
- in Thai, Lao, Khmer and Burmese, which have no spaces either: each three neighbours.

The script of each run decides, not the language that a file claims, so mixed texts need no care.
"""

import re
import sys
import unicodedata
from collections.abc import Iterator

import bm25s
import numpy as np

from figures.retrieval import Collection, Floats

# Python's \w has no combining marks, and without them Hindi words fall apart at every vowel sign.
_MARKS = "".join(c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) in {"Mn", "Mc"})
_HAN = "々〆\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HANGUL = "\u1100-\u11ff\uac00-\ud7ff"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_RUN = re.compile(
    rf"(?P<han>[{_HAN}]+)|(?P<hangul>[{_HANGUL}]+)|(?P<unspaced>[{_UNSPACED}]+)"
    rf"|(?P<word>(?:(?![{_HAN}{_HANGUL}{_UNSPACED}])[\w{_MARKS}])+)"
)
_LENGTHS = {"han": (1, 2), "hangul": (2,), "unspaced": (3,)}


def terms(text: str) -> list[str]:
    """Return the terms of a text, in its order."""
    return list(_terms(unicodedata.normalize("NFKC", text).lower()))


def _terms(text: str) -> Iterator[str]:
    for run in _RUN.finditer(text):
        found, script = run.group(), run.lastgroup
        for length in _LENGTHS.get(script or "word", ()):
            yield from (found[i : i + length] for i in range(len(found) - length + 1))
        if script == "word" or len(found) < min(_LENGTHS[script or "han"]):
            yield found


class BM25:
    """Lucene's BM25 with its defaults, k1 = 1.2 and b = 0.75, over whole passages; keeps the indexes it made."""

    def __init__(self) -> None:
        self._indexes: dict[str, bm25s.BM25] = {}

    def scores(self, questions: Collection, passages: Collection) -> Floats:
        """Return the scores of all passages for all questions, (questions, passages)."""
        index = self._indexes.get(passages.name)
        if index is None:
            index = self._indexes[passages.name] = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
            index.index([terms(text) for text in passages.texts], show_progress=False)
        found = np.zeros((len(questions.questions), len(passages.texts)), dtype=np.float32)
        for row, question in enumerate(questions.questions):
            if asked := index.get_tokens_ids(terms(question)):
                found[row] = index.get_scores_from_ids(asked)
        return found
