"""Languages side by side, and in one pool: who lags behind, and whether a query prefers its own language. Pure.

A model that has learnt languages as islands ranks any text of the query's language above the answer in another one
(LAReQA, arXiv 2004.05484). Figures of single languages do not show that; a mixed pool does.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.nearest import Rows

_ENGLISH = {"en", "eng"}


def gaps(scores: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a row for each language, best first: `language`, `score`, and how far it is `to_best` and `to_english`.

    Distances are positive where the language is behind; `to_english` is None where no English is among them. Codes
    may be `en`, `eng` or `eng_Latn`.
    """
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    english = next((score for code, score in ordered if is_english(code)), None)
    return [
        {
            "language": code,
            "score": score,
            "to_best": ordered[0][1] - score,
            "to_english": None if english is None else english - score,
        }
        for code, score in ordered
    ]


def is_english(code: str) -> bool:
    """Say whether a language's code is English's, whatever stands behind it (`eng_Latn`, `en-GB`)."""
    return code.replace("_", "-").split("-")[0].lower() in _ENGLISH


def pool_figures(
    mixed: Rows,
    alone: Rows,
    asked_in: Sequence[str],
    written_in: Sequence[str],
    relevant: Sequence[Collection[int]],
) -> dict[str, Any]:
    """Compare a search in a pool of several languages with one in each query's own language alone.

    Args:
        mixed: (queries, k), what each query found in the whole pool, best first, -1 for nothing.
        alone: (queries, k), what it found in its own language.
        asked_in: the language of each query.
        written_in: the language of each document.
        relevant: for each query, its relevant documents; only those of its own language count.

    Returns:
        `k`, and for each of the `languages`: `queries`; `own_share` of the first k in the query's language,
        `by_chance`, the language's share of the pool, and `preference`, the one over the other; `recall_alone` among
        the documents of the language, `recall_mixed` in the whole pool, and `drop` from the one to the other (None
        where no query has a relevant document in its language). `mean` has the same over the languages, each as much
        as the others.
    """
    asked, written = np.asarray(asked_in), np.asarray(written_in)
    own = [{row for row in rows if written[row] == language} for rows, language in zip(relevant, asked_in, strict=True)]
    share, recalls = _own_share(mixed, asked, written), (_recall(alone, own), _recall(mixed, own))
    languages = {}
    for language in sorted(set(asked_in)):
        of_it = asked == language
        figures = _preference(share[of_it], float((written == language).mean()))
        figures |= _drop(*(_mean(recall[of_it]) for recall in recalls))
        languages[language] = figures
    return {"k": mixed.shape[1], "languages": languages, "mean": _means(languages)}


def _own_share(found: Rows, asked: npt.NDArray[np.str_], written: npt.NDArray[np.str_]) -> npt.NDArray[np.float64]:
    """Return for each query the share of what was found that is in its own language."""
    there = found >= 0
    own = (written[np.maximum(found, 0)] == asked[:, None]) & there
    return np.asarray(own.sum(axis=1) / np.maximum(there.sum(axis=1), 1))


def _recall(found: Rows, relevant: Sequence[set[int]]) -> npt.NDArray[np.float64]:
    """Return the recall of each query; NaN where nothing is relevant."""
    rows = zip(found.tolist(), relevant, strict=True)
    return np.array([len(wanted & set(got)) / len(wanted) if wanted else np.nan for got, wanted in rows])


def _preference(share: npt.NDArray[np.float64], chance: float) -> dict[str, Any]:
    own = float(share.mean())
    preference = own / chance if chance > 0 else None
    return {"queries": len(share), "own_share": own, "by_chance": chance, "preference": preference}


def _drop(alone: float | None, mixed: float | None) -> dict[str, float | None]:
    drop = None if alone is None or mixed is None else alone - mixed
    return {"recall_alone": alone, "recall_mixed": mixed, "drop": drop}


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _means(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    names = [name for name in next(iter(languages.values())) if name != "queries"]
    found = {name: [row[name] for row in languages.values() if row[name] is not None] for name in names}
    return {name: sum(values) / len(values) if values else None for name, values in found.items()}
