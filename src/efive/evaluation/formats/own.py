"""A user's own questions and passages: three files in a folder, or one file of pairs."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats.choice import Choice
from efive.evaluation.formats.files import LINES, TABLES, Record, find, parted, records
from efive.evaluation.formats.known import known, language_of
from efive.evaluation.formats.retrieval import (
    Documents,
    Found,
    Judged,
    query_records,
    read_judged,
    read_queries,
    retrieval,
)
from efive.evaluation.tasks import Task

QUERY = ("query", "question", "anchor")
POSITIVES = ("positives", "positive", "pos", "passages", "passage", "positive_passages")
_NEGATIVES = ("negatives", "negative", "neg", "negative_passages")
_PROTOCOL = "nDCG@10 over all passages"


def sees_folder(folder: Path) -> bool:
    """Say whether `folder` has queries, passages and what is relevant."""
    return find(folder, "passages", LINES) is not None and find(folder, "relevance", (*LINES, *TABLES)) is not None


def open_folder(folder: Path, choice: Choice) -> list[Task]:
    """Return the task of `queries.jsonl`, `passages.jsonl` and `relevance.jsonl` or `.tsv`."""
    queries_file, passages = find(folder, "queries", LINES), find(folder, "passages", LINES)
    relevance = find(folder, "relevance", (*LINES, *TABLES))
    if queries_file is None or passages is None or relevance is None:
        raise InputError(f"{folder} needs queries.jsonl, passages.jsonl and relevance.jsonl or relevance.tsv")
    queries = read_queries(query_records(queries_file))
    judged = read_judged(relevance, queries, exact=True)
    name = folder.resolve().name
    files = queries_file, passages, relevance
    return [retrieval(_found(name, folder, files, (queries, judged), Documents((passages,)), choice), choice)]


def sees_record(record: Record) -> bool:
    """Say whether a file's first record is a pair."""
    return record.has(*QUERY) and record.has(*POSITIVES)


def open_file(file: Path, choice: Choice) -> list[Task]:
    """Return the task of finding, among all passages of a file of pairs, those of each query.

    A query that comes twice is one query with the passages of both; equal passages are one.
    """
    queries: dict[str, str] = {}
    names: dict[str, str] = {}
    judged: Judged = {}
    numbers = _Numbers()
    for row, record in enumerate(_pairs(file)):
        query = record.text(*QUERY)
        if not query.strip():
            raise InputError(f"{record.place}: the query is empty; take the line out")
        name = names.setdefault(query, str(row))
        queries[name] = query
        for passage in record.texts(*POSITIVES):
            judged.setdefault(name, {})[numbers.of(passage)[0]] = 1
        for passage in _negatives(record):
            numbers.of(passage)
    stem = parted(file)[0]
    found = _found(stem, file.parent, (file,), (queries, judged), PairPassages(file), choice)
    return [retrieval(found, choice)]


@dataclass(frozen=True, slots=True)
class PairPassages:
    """The passages of a file of pairs, each once; a `Corpus`."""

    file: Path

    def __call__(self) -> Iterator[tuple[str, str]]:
        """Read them from the beginning, in the order in which they first appear."""
        numbers = _Numbers()
        for record in _pairs(self.file):
            for passage in (*record.texts(*POSITIVES), *_negatives(record)):
                name, new = numbers.of(passage)
                if new:
                    yield name, passage


class _Numbers:
    """Numbers texts by their first appearance; keeps sixteen bytes of each, not the texts."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def of(self, text: str) -> tuple[str, bool]:
        """Return the text's id, and whether it is new."""
        count = len(self._seen)
        number = self._seen.setdefault(hashlib.blake2b(text.encode(), digest_size=16).digest(), count)
        return f"p{number}", number == count


def _pairs(file: Path) -> Iterator[Record]:
    return records(file, (QUERY[0], "passage"))


def _negatives(record: Record) -> list[str]:
    return record.texts(*_NEGATIVES) if record.has(*_NEGATIVES) else []


def _found(
    name: str,
    root: Path,
    files: tuple[Path, ...],
    asked: tuple[dict[str, str], Judged],
    corpus: Documents | PairPassages,
    choice: Choice,
) -> Found:
    return Found(
        name=name,
        language=choice.language or language_of(name),
        root=root,
        files=files,
        queries=asked[0],
        judged=asked[1],
        corpus=corpus,
        protocol=_PROTOCOL,
        known=known(name),
        exact=True,
    )
