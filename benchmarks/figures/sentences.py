"""Sentences beside sentences: translations that find each other, similarity as people judge it, cosines."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from efive import Encoder

Floats = npt.NDArray[np.float32]
Progress = Callable[[str], None]
Spread = dict[str, float]
ENGLISH = "eng_Latn"
_SHIFT = 331
"""Lines between a sentence and its random partner in FLORES: far enough to come from another article."""


def lines(path: Path) -> list[str]:
    """Return the lines of a file; unlike str.splitlines, only a line feed ends one."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def accuracy(left: Floats, right: Floats) -> float:
    """Return the share of rows whose nearest row of the other side is their own translation, mean of both ways.

    In percent. Row i of `left` (n, dim) translates row i of `right`.
    """
    cosines = left @ right.T
    own = np.arange(len(cosines))
    return 50 * float((cosines.argmax(axis=1) == own).mean() + (cosines.argmax(axis=0) == own).mean())


def tatoeba(encoder: Encoder, folder: Path, say: Progress) -> dict[str, float]:
    """Return the accuracy with English of each language of LASER's Tatoeba set, in percent."""
    found = {}
    for path in sorted(folder.glob("tatoeba.*-eng.eng")):
        language = path.name.split(".")[1].removesuffix("-eng")
        say(f"tatoeba {language}")
        sides = [encoder.embed_queries(lines(path.with_suffix(f".{side}"))).vectors for side in (language, "eng")]
        found[language] = accuracy(*sides)
    return found


def flores(encoder: Encoder, folder: Path, say: Progress) -> dict[str, Floats]:
    """Return the vectors of FLORES' sentences by language; line i says the same in each."""
    found = {}
    for path in sorted(folder.glob("*.txt")):
        say(f"flores {path.stem}")
        found[path.stem] = encoder.embed_queries(lines(path)).vectors
    return found


def spread(values: npt.ArrayLike) -> Spread:
    """Return the mean and the 5th and 95th percentile."""
    low, high = np.percentile(values, [5, 95])
    return {"mean": float(np.mean(values)), "p5": float(low), "p95": float(high)}


def cosines(vectors: dict[str, Floats]) -> dict[str, dict[str, Spread]]:
    """Return, by language, cosines of sentences that have nothing to do with each other and of translations.

    `random` pairs are both in the language; `translations` are with English. `all` takes every pair of neighbouring
    languages in the dictionary's order and English with each.
    """
    english = vectors[ENGLISH]
    found, random, translations = {}, [], []
    for language, rows in vectors.items():
        random.append(_pairwise(rows, np.roll(rows, _SHIFT, axis=0)))
        found[language] = {"random": spread(random[-1])}
        if language != ENGLISH:
            translations.append(_pairwise(rows, english))
            found[language]["translations"] = spread(translations[-1])
    names = list(vectors)
    mixed = [
        _pairwise(vectors[a], np.roll(vectors[b], _SHIFT, axis=0))
        for a, b in zip(names, names[1:] + names[:1], strict=True)
        if a != b
    ]
    found["all"] = {"random": spread(np.concatenate([*random, *mixed]))}
    if translations:
        found["all"]["translations"] = spread(np.concatenate(translations))
    return found


def _pairwise(left: Floats, right: Floats) -> Floats:
    return np.einsum("nd,nd->n", left, right)


def sts(encoder: Encoder, folder: Path, say: Progress) -> dict[str, float]:
    """Return Spearman's correlation of cosines with people's scores for each file of `score TAB text TAB text`."""
    found = {}
    for path in sorted(folder.glob("*.tsv")):
        say(f"sts {path.stem}")
        rows = [line.split("\t") for line in lines(path)]
        left, right = (encoder.embed_queries([row[side] for row in rows]).vectors for side in (1, 2))
        judged = [float(row[0]) for row in rows]
        found[path.stem] = float(spearmanr(_pairwise(left, right), judged).statistic)
    return found
