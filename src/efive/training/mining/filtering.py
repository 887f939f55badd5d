"""The consistency filter: keep a pair if a model finds its passage again among many others.

E5 (arXiv 2212.03533, section 2) keeps a pair if its passage is among the 2 best for its query when ranked against
1,000,000 random passages.
"""

import gzip
import json
import lzma
import re
import shutil
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from efive.errors import InputError
from efive.nearest import QUERIES, GrowingArray, Halves, Rows, better_than, open_rows
from efive.training.data.examples import Example, TrainingSet
from efive.training.mining.corpus import Corpus, key_of
from efive.training.mining.scorers import corpus_vectors
from efive.training.mining.stages import Place, Watch, claim, digest, unwatched
from efive.training.tokens import files_digest

if TYPE_CHECKING:
    from efive.encoder import Encoder

_LINE = re.compile(r"line (\d+)$")
_OPEN = {".gz": gzip.open, ".xz": lzma.open}
# Two texts that a model reads as the same differ by the order of additions: the pair's own wins.
_TIE = np.float32(1e-5)


@dataclass(frozen=True, slots=True)
class Filtering:
    """What a pair must prove."""

    candidates: int = 1_000_000
    """Distinct passages of the set, drawn at random, among which a pair's passage is sought."""
    keep_rank: int = 2
    """Worst rank that is kept."""
    seed: int = 0
    """Of the drawing."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.candidates < 1 or self.keep_rank < 1:
            raise InputError(f"candidates is {self.candidates}, keep_rank {self.keep_rank}; both must be at least 1")


@dataclass(frozen=True, slots=True)
class Kept:
    """How many pairs were kept, in all and by group."""

    pairs: int
    kept: int
    candidates: int
    by_source: dict[str, tuple[int, int]]
    """Kept and all, by the record's `source`, or the set's name where records have none."""
    by_language: dict[str, tuple[int, int]]
    """Kept and all, by the record's language; `""` where it says none."""


def filter_pairs(
    data: TrainingSet,
    encoder: "Encoder",
    place: Place,
    options: Filtering,
    *,
    watch: Watch = unwatched,
) -> Kept:
    """Write to `place.output` (JSON lines) the pairs whose passage ranks high for its query, each with its `rank`.

    A record of a JSONL file is written with all its fields, one of a Parquet file with query, passages, scores and
    language. Of a record with several positives the worst rank counts; negatives have no part. A run that was
    interrupted goes on when it is called again. Memory is about 8 bytes for each pair, and 24 for each candidate.

    Args:
        data: a set that holds its texts inline.
        encoder: what ranks.
        place: its output is a .jsonl file that is not there yet; what it keeps serves other values of `keep_rank`.
        options: what a pair must prove.
        watch: told how far each stage is.

    Raises:
        InputError: if the output is there, or if the set has a corpus of its own or cannot be read.
    """
    output = place.output
    if output.exists() and (not place.restart or any(output.samefile(file) for file in data.files)):
        raise InputError(f"{output} exists; name another --output, or use --restart to replace it")
    if next(data.passages(), None) is not None:
        raise InputError(f"{data.name} names passages by row; filter takes files that hold the texts of their pairs")
    content = files_digest(data.files)
    kept = place.work or output.with_name(output.name + ".work")
    kept.mkdir(parents=True, exist_ok=True)
    sample = {"content": content, "candidates": options.candidates, "seed": options.seed}
    described = sample | {"space": encoder.space.fingerprint, "task": encoder.prompts.query}
    described["max tokens"] = encoder.max_tokens
    if place.work is None:
        claim(kept / "filter.json", described, restart=place.restart)
    corpus, pairs = _candidates(data, kept / f"candidates-{digest(sample)}.jsonl", options, watch)
    vectors = corpus_vectors(corpus, digest(sample), kept, encoder, "passage", watch)
    ranks = GrowingArray(kept / f"ranks-{digest(described)}.npy", None, np.int64)
    with ranks, watch("ranking pairs", pairs, ranks.rows) as done:
        examples = islice(data.examples(), ranks.rows, None)
        while block := list(islice(examples, QUERIES)):
            ranks.append(_rank(block, encoder, corpus, vectors, options.seed))
            done(len(block))
    result = _write(data, open_rows(ranks.path), output, options.keep_rank, len(corpus))
    if place.work is None:
        shutil.rmtree(kept)
    return result


def _candidates(data: TrainingSet, path: Path, options: Filtering, watch: Watch) -> tuple[Corpus, int]:
    """Draw the candidates, the smallest hashes of distinct passages, which depend on the seed; count the pairs."""
    keys, pairs = array("Q"), 0
    with watch("reading", None, 0) as done:
        for example in data.examples():
            keys.extend(key_of(text, options.seed) for text in _positives(example))
            pairs += 1
            done(1)
    if not keys:
        raise InputError(f"{data.name}: no pairs; nothing can be filtered")
    corpus = Corpus(path, np.frombuffer(keys, dtype=np.uint64), options.candidates)
    with watch("drawing candidates", len(corpus), 0) as done:
        corpus.write((text for example in data.examples() for text in _positives(example)), done)
    return corpus, pairs


def _positives(example: Example) -> Iterator[str]:
    return (each for each in example.positives if isinstance(each, str))


def _rank(block: list[Example], encoder: "Encoder", corpus: Corpus, vectors: Halves, seed: int) -> Rows:
    texts = [list(_positives(example)) for example in block]
    owner = np.repeat(np.arange(len(block)), [len(each) for each in texts])
    passages = [text for each in texts for text in each]
    queries = encoder.embed_queries([example.query for example in block]).vectors[owner]
    own = encoder.embed_passages(passages).vectors.astype(np.float16)  # as the candidates are stored
    rows = corpus.rows_of([key_of(text, seed) for text in passages])
    own[rows >= 0] = vectors[rows[rows >= 0]]  # a passage that is a candidate is not its own rival
    scores = np.einsum("ij,ij->i", queries, own.astype(np.float32))
    better = better_than(queries, vectors, np.asarray(scores + _TIE, dtype=np.float32))
    ranks = np.ones(len(block), dtype=np.int64)
    np.maximum.at(ranks, owner, better + 1)
    return ranks


def _write(data: TrainingSet, ranks: Rows, output: Path, keep_rank: int, candidates: int) -> Kept:
    draft = output.with_name(output.name + ".part")
    every: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    kept: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    with draft.open("w", encoding="utf-8") as file:
        for record, example, rank in zip(_records(data), data.examples(), ranks.tolist(), strict=True):
            groups = (str(record.get("source", data.name)), example.language)
            for counter, group in zip(every, groups, strict=True):
                counter[group] += 1
            if rank <= keep_rank:
                file.write(json.dumps(record | {"rank": rank}, ensure_ascii=False) + "\n")
                for counter, group in zip(kept, groups, strict=True):
                    counter[group] += 1
    draft.replace(output)
    by = [{group: (mine[group], all_[group]) for group in all_} for mine, all_ in zip(kept, every, strict=True)]
    return Kept(len(ranks), kept[0].total(), candidates, by[0], by[1])


def _records(data: TrainingSet) -> Iterator[dict[str, Any]]:
    """Yield what to write for each example: the line that it was read from, where it is a line."""
    lines: Iterator[tuple[int, bytes]] = iter(())
    opened: IO[bytes] | None = None
    try:
        for example in data.examples():
            place = _LINE.search(example.place)
            if place is None:
                yield _record(example)
                continue
            if opened is None:
                opened = _OPEN.get(data.files[0].suffix.lower(), open)(data.files[0], "rb")  # type: ignore[operator]
                lines = enumerate(opened, 1)
            raw = next(line for number, line in lines if number == int(place[1]))
            yield json.loads(raw.decode("utf-8-sig"))
    finally:
        if opened is not None:
            opened.close()


def _record(example: Example) -> dict[str, Any]:
    record: dict[str, Any] = {"query": example.query, "positive": list(example.positives)}
    if example.negatives:
        record["negatives"] = list(example.negatives)
    for name in ("positive_scores", "negative_scores"):
        if scores := getattr(example, name):
            record[name] = list(scores)
    return record | ({"lang": example.language} if example.language else {})
