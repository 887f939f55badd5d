"""Training pairs of realistic lengths, the same on every machine, and what they cost."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from texts import PREFIXES, TextMaker, token_counts
from tokenizers import Tokenizer

Lengths = npt.NDArray[np.int64]
QUERY_TOKENS = (6, 20)
_MEDIAN, _SIGMA = 85.0, 0.75
_SHORTEST, _LONGEST = 8, 512


def pair_lengths(count: int, seed: int = 0) -> tuple[Lengths, Lengths]:
    """Return the tokens of each query and each passage, prefix and special tokens included.

    Queries are uniform on 6-20; passages log-normal (median 85, sigma 0.75: mean 111), cut at 512.
    """
    rng = np.random.default_rng((seed, 77))
    queries = rng.integers(QUERY_TOKENS[0], QUERY_TOKENS[1] + 1, count)
    passages = np.round(rng.lognormal(np.log(_MEDIAN), _SIGMA, count)).astype(np.int64)
    return queries, passages.clip(_SHORTEST, _LONGEST)


def write_pairs(file: Path, tokenizer: Tokenizer, count: int, seed: int = 0) -> Path:
    """Write `count` pairs of random words with exactly `pair_lengths` tokens, unless the file is there.

    The records are in a form that both trainers read: {"anchor": …, "positive": …}.
    """
    if file.is_file():
        return file
    maker = TextMaker(tokenizer, seed)
    columns = []
    for prefix, wanted in zip((PREFIXES["a"], PREFIXES["b"]), pair_lengths(count, seed), strict=True):
        overhead = len(tokenizer.encode(prefix.strip()).ids)
        texts = [maker.text(int(n) - overhead) for n in wanted]
        if not np.array_equal(token_counts(tokenizer, [prefix + text for text in texts]), wanted):
            raise RuntimeError("the tokenizer joins words: the pairs miss their lengths")
        columns.append(texts)
    records = (json.dumps({"anchor": a, "positive": b}, ensure_ascii=False) for a, b in zip(*columns, strict=True))
    partial = file.with_suffix(".partial")
    partial.write_text("".join(record + "\n" for record in records), encoding="utf-8")
    partial.rename(file)
    return file


def batch_lengths(order: Sequence[int], batch: int, limit: int, seed: int, total: int) -> list[tuple[Lengths, Lengths]]:
    """Return the lengths of each batch's queries and passages, cut at `limit`, in the order of training.

    Args:
        order: rows of the pairs, batch after batch.
        batch: pairs of a batch.
        limit: tokens that a text may have.
        seed: of the pairs.
        total: how many pairs were drawn with that seed.
    """
    queries, passages = (column.clip(max=limit) for column in pair_lengths(total, seed))
    rows = np.asarray(order).reshape(-1, batch)
    return [(queries[each], passages[each]) for each in rows]


def padded_tokens(batches: Sequence[tuple[Lengths, Lengths]], mini_batch: int | None = None) -> int:
    """Return the tokens computed where every (mini-)batch of a column is padded to its longest text."""
    total = 0
    for columns in batches:
        for column in columns:
            size = mini_batch or len(column)
            total += sum(int(part.max()) * len(part) for part in np.split(column, range(size, len(column), size)))
    return total
