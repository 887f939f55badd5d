"""A retrieval task of what a form has found: checked against its corpus, and sampled where that is asked for."""

import random
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from efive.errors import InputError
from efive.evaluation.formats.choice import Choice, noted
from efive.evaluation.formats.files import Record, digest, document_text, judgements, records
from efive.evaluation.formats.known import Known
from efive.evaluation.tasks import About, Corpus, Retrieval

Judged = dict[str, dict[str, int]]
MEASURES = ("ndcg_at_10", "recall_at_100", "mrr_at_10")
_IDS = ("_id", "id", "docid", "doc_id", "passage_id")


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of some files, in order; a `Corpus`."""

    files: tuple[Path, ...]

    def __call__(self) -> Iterator[tuple[str, str]]:
        """Read them from the beginning; what has no id is called by its row, from 0."""
        for row, record in enumerate(self._records()):
            yield own_id(record, row, *_IDS), document_text(record)

    def refuse_twins(self) -> None:
        """Raise `InputError` at the first id that came before."""
        seen: set[str] = set()
        for row, record in enumerate(self._records()):
            name = own_id(record, row, *_IDS)
            if name in seen:
                raise InputError(f"{record.place}: a second document with the id {name!r}; ids must differ")
            seen.add(name)

    def _records(self) -> Iterator[Record]:
        return chain.from_iterable(map(records, self.files))


@dataclass(frozen=True, slots=True)
class Sample:
    """A corpus of which some documents are left out; a `Corpus` as well."""

    corpus: Corpus
    kept: frozenset[str]
    """Ids of documents that stay in any case."""
    drawn: frozenset[int]
    """Which of the others stay, counted from 0."""

    def __call__(self) -> Iterator[tuple[str, str]]:
        """Read what stays, from the beginning."""
        other = 0
        for name, text in self.corpus():
            if name in self.kept:
                yield name, text
                continue
            if other in self.drawn:
                yield name, text
            other += 1


@dataclass(frozen=True, slots=True)
class Found:
    """What a form has found."""

    name: str
    language: str
    root: Path
    """The folder that names of files are relative to."""
    files: tuple[Path, ...]
    queries: Mapping[str, str]
    judged: Judged
    corpus: Corpus
    protocol: str
    known: Known
    measures: tuple[str, ...] = MEASURES
    exact: bool = False
    """Whether a judgement of an unknown document is an error; published sets have some, a user's own are mistakes."""


def own_id(record: Record, row: int, *names: str) -> str:
    """Return a record's id, or its row where it has none."""
    return record.name(*names) if record.has(*names) else str(row)


def read_queries(pairs: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Return texts by id of (place, id, text).

    Raises:
        InputError: naming the place of an id that comes twice, or of an empty text.
    """
    queries: dict[str, str] = {}
    for place, name, text in pairs:
        if name in queries:
            raise InputError(f"{place}: a second query with the id {name!r}; ids must differ")
        if not text.strip():
            raise InputError(f"{place}: the query {name!r} is empty; take it out, and what is judged for it")
        queries[name] = text
    return queries


def query_records(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, id and text of the queries in a JSONL file."""
    for row, record in enumerate(records(file)):
        name = own_id(record, row, "_id", "id", "query_id", "qid")
        yield record.place, name, record.text("text", "query", "question", "contents")


def read_judged(file: Path, queries: Mapping[str, str], *, exact: bool = False) -> Judged:
    """Return what is judged for `queries`; with `exact`, judgements of other queries are errors.

    Raises:
        InputError: if none of the queries is judged.
    """
    judged: Judged = {}
    unknown = ""
    for place, query, document, grade in judgements(file):
        if query in queries:
            judged.setdefault(query, {})[document] = grade
        elif exact:
            raise InputError(f"{place}: there is no query {query!r}; add it to the queries, or take this line out")
        else:
            unknown = unknown or f"; the first judges {query!r}"
    if not judged:
        raise InputError(f"{file} judges none of the {len(queries):,} queries{unknown}. Are both of the same set?")
    return judged


def retrieval(found: Found, choice: Choice) -> Retrieval:
    """Make a task of what was found; reads the corpus once to count and check it.

    Raises:
        InputError: if ids of documents come twice, or if nothing that is judged is in the corpus.
    """
    answered = [query for query, grades in found.judged.items() if query in found.queries and _any_relevant(grades)]
    unanswered = len(found.judged) - len(answered)
    if not answered:
        raise InputError(f"{found.root}: no query of {found.name} has a relevant document; a relevance must be above 0")
    rows, drawn = choice.rows(len(answered), "queries")
    judged = {answered[row]: found.judged[answered[row]] for row in rows}
    total, present = _survey(found, {document for grades in judged.values() for document in grades})
    corpus, documents, sampled = _sampled(found.corpus, total, present, choice)
    missing = sum(1 for grades in judged.values() for document in grades if document not in present)
    about = About(
        name=found.name,
        language=found.language,
        measures=found.measures,
        digest=digest(found.root, found.files),
        protocol=found.protocol + (", less the document with the query's own id" if found.known.drop_same_id else ""),
        sources=found.known.sources,
        sampled=noted(
            f"{unanswered:,} queries without a relevant document left out" if unanswered else "",
            drawn,
            sampled,
            f"{missing:,} judged documents are not in the corpus and cannot be found" if missing else "",
        ),
    )
    queries = {query: found.queries[query] for query in judged}
    return Retrieval(about, queries, judged, corpus, documents, found.known.drop_same_id)


def _any_relevant(grades: Mapping[str, int]) -> bool:
    return any(grade > 0 for grade in grades.values())


def _survey(found: Found, judged: set[str]) -> tuple[int, set[str]]:
    """Return how many documents there are, and which of the judged ones."""
    # Eight bytes for each id: forty million of them must fit.
    hashes = array("q")
    present = set()
    for name, _ in found.corpus():
        hashes.append(hash(name))
        if name in judged:
            present.add(name)
    if not hashes:
        raise InputError(f"{found.root}: the corpus of {found.name} is empty")
    if len(np.unique(np.frombuffer(hashes, np.int64))) < len(hashes) and isinstance(found.corpus, Documents):
        found.corpus.refuse_twins()
    absent = judged - present
    if absent and (found.exact or not present):
        which = f"{len(absent):,} of the {len(judged):,} judged documents"
        raise InputError(
            f"{found.root}: {which} of {found.name} are not in its corpus of {len(hashes):,}, the first is "
            f"{min(absent)!r}. Are corpus and judgements of the same set?"
        )
    return len(hashes), present


def _sampled(corpus: Corpus, total: int, present: set[str], choice: Choice) -> tuple[Corpus, int, str]:
    """Return a corpus of the chosen size, its size, and a note; what is judged always stays."""
    if choice.documents is None or choice.documents >= total:
        return corpus, total, ""
    others = total - len(present)
    wanted = max(choice.documents - len(present), 0)
    drawn = frozenset(random.Random(choice.seed).sample(range(others), wanted))  # noqa: S311 - no secret
    note = (
        f"{len(present) + wanted:,} of {total:,} documents: all {len(present):,} that are judged, and others drawn "
        f"with seed {choice.seed}, so that scores are higher than on all"
    )
    return Sample(corpus, frozenset(present), drawn), len(present) + wanted, note
