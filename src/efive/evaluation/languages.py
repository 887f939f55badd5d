"""Languages side by side, and in one pool: who lags behind, and whether a query prefers its own language. Pure.

A model that has learnt languages as islands ranks any text of the query's language above the answer in another one
(LAReQA, arXiv 2004.05484). Figures of single languages do not show that; a mixed pool does.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.errors import InputError
from efive.evaluation.distributions import first_rows
from efive.nearest import Allowed, Floats, Halves, Rows

_ENGLISH = {"en", "eng"}
_DEPTH = 10


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


def mixed_pool(
    queries: Floats,
    asked_in: Sequence[str],
    documents: Halves | Floats,
    written_in: Sequence[str],
    relevant: Sequence[Sequence[int]],
    *,
    k: int = _DEPTH,
) -> dict[str, Any]:
    """Search documents of several languages in one pool, and those of each query's own language alone.

    Args:
        queries: (queries, dimension), unit length.
        asked_in: the language of each query.
        documents: (documents, dimension), unit length, of one space with the queries.
        written_in: the language of each document.
        relevant: for each query, the rows of its relevant documents; only those of its own language count.
        k: results of a query.

    Returns:
        `k`, and for each of the `languages`: `queries`; `own_share` of the first k in the query's language,
        `by_chance`, the language's share of the pool, and `preference`, the one over the other; `recall_alone` among
        the documents of the language, `recall_mixed` in the whole pool, and `drop` from the one to the other (None
        where no query has a relevant document in its language). `mean` has the same over the languages, each as much
        as the others.

    Raises:
        InputError: if lengths do not fit, there is no query, or no document in the language of one.
    """
    if len(asked_in) != len(queries) or len(relevant) != len(queries) or len(written_in) != len(documents):
        raise InputError(
            f"{len(queries)} queries, {len(asked_in)} languages and {len(relevant)} lists of theirs; "
            f"{len(documents)} documents, {len(written_in)} languages of theirs: one each"
        )
    if not len(queries):
        raise InputError("there is no query; a pool says nothing without any")
    asked, written = np.asarray(asked_in), np.asarray(written_in)
    if missing := sorted(set(asked_in) - set(written_in)):
        raise InputError(f"no document is in {missing[0]!r}, the language of a query")

    def alike(part: slice) -> Allowed:
        return lambda first, end: np.asarray(asked[part, None] == written[None, first:end])

    mixed, alone = first_rows(queries, documents, k), first_rows(queries, documents, k, alike)
    return pool_figures(mixed, alone, asked_in, written_in, relevant)


def pool_figures(
    mixed: Rows,
    alone: Rows,
    asked_in: Sequence[str],
    written_in: Sequence[str],
    relevant: Sequence[Collection[int]],
) -> dict[str, Any]:
    """Return the figures of `mixed_pool`.

    Args:
        mixed: (queries, k), what each query found in the whole pool, best first, -1 for nothing.
        alone: (queries, k), what it found in its own language.
        asked_in: the language of each query.
        written_in: the language of each document.
        relevant: for each query, its relevant documents.
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


def parallel_pool(vectors: Mapping[str, Floats], *, k: int = _DEPTH) -> dict[str, Any]:
    """Put translations into one pool and let each text look for its neighbours, itself left out.

    Args:
        vectors: by language, (texts, dimension), unit length; row i is the same text in every language.
        k: neighbours of a text.

    Returns:
        `k`, and for each of the `languages`: `queries`, `own_share`, `by_chance` and `preference` as `mixed_pool`
        has them, and `translation_first`, the share of texts whose nearest neighbour is one of their translations,
        where it should be. `mean` has the same over the languages.

    Raises:
        InputError: for fewer than two languages, or languages with different numbers of texts.
    """
    texts = {len(rows) for rows in vectors.values()}
    if len(vectors) < 2 or len(texts) != 1 or texts == {0}:
        raise InputError(f"{len(vectors)} languages of {sorted(texts)} texts; two at least, with the same texts")
    each = texts.pop()
    pool = np.concatenate([np.asarray(rows, dtype=np.float32) for rows in vectors.values()])
    written = np.repeat(np.asarray(list(vectors)), each)
    number = np.tile(np.arange(each), len(vectors))
    languages = {}
    for place, language in enumerate(vectors):
        own = np.arange(place * each, (place + 1) * each)

        def others(part: slice, own: Rows = own) -> Allowed:
            return lambda first, end: np.asarray(own[part, None] != np.arange(first, end)[None])

        found = first_rows(pool[own], pool, k, others)
        share = _own_share(found, np.full(each, language), written)
        translated = number[found[:, 0]] == np.arange(each)
        figures = _preference(share, (each - 1) / (len(pool) - 1))
        languages[language] = figures | {"translation_first": float(translated.mean())}
    return {"k": k, "languages": languages, "mean": _means(languages)}


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
