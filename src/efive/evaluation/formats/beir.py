"""Folders in BEIR form: `corpus.jsonl`, `queries.jsonl`, `qrels/SPLIT.tsv`; questions of one on passages of another."""

import os
from dataclasses import replace
from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats.choice import Choice
from efive.evaluation.formats.files import LINES, TABLES, find, parted
from efive.evaluation.formats.known import joined_languages, known, language_of
from efive.evaluation.formats.retrieval import Documents, Found, query_records, read_judged, read_queries, retrieval
from efive.evaluation.tasks import Task

_PROTOCOL = "nDCG@10 over all documents, title and text joined by a space, as BEIR and mteb measure"


def sees(folder: Path) -> bool:
    """Say whether `folder` is in BEIR form."""
    return find(folder, "corpus", LINES) is not None and find(folder, "queries", LINES) is not None


def open_folder(folder: Path, choice: Choice) -> list[Task]:
    """Return the task of a folder: of its test split, else dev, else the first."""
    return [retrieval(_found(folder, folder, choice), choice)]


def open_crossed(questions: Path, passages: Path, choice: Choice) -> Task:
    """Return the task of finding passages of one folder for the questions of another whose ids it shares."""
    # They may lie anywhere, one named from here and the other from the root.
    return retrieval(_found(questions.absolute(), passages.absolute(), choice), choice)


def _found(questions: Path, passages: Path, choice: Choice) -> Found:
    corpus, queries_file = _needed(passages, "corpus"), _needed(questions, "queries")
    name = questions.resolve().name
    about = known(name)
    qrels, split = _qrels(questions, choice.split or about.split)
    queries = read_queries(query_records(queries_file))
    found = Found(
        name=name if split == (about.split or "test") else f"{name}:{split}",
        language=choice.language or language_of(name),
        root=questions,
        files=(corpus, queries_file, qrels),
        queries=queries,
        judged=read_judged(qrels, queries),
        corpus=Documents((corpus,)),
        protocol=_PROTOCOL + ("" if split == "test" else f", {split} split"),
        known=about,
    )
    if questions == passages:
        return found
    other = passages.resolve().name
    sources = tuple(dict.fromkeys((*about.sources, *known(other).sources)))
    return replace(
        found,
        name=f"{found.name}@{other}",
        language=choice.language or joined_languages(found.language, language_of(other)),
        root=Path(os.path.commonpath((questions, passages))),
        protocol=f"{found.protocol}: questions of {name} on documents of {other}",
        known=replace(about, sources=sources),
    )


def _needed(folder: Path, stem: str) -> Path:
    file = find(folder, stem, LINES)
    if file is None:
        raise InputError(f"{folder} has no {stem}.jsonl; a folder in BEIR form has corpus.jsonl, queries.jsonl, qrels/")
    return file


def _qrels(folder: Path, wanted: str) -> tuple[Path, str]:
    files = {parted(file)[0]: file for file in sorted((folder / "qrels").glob("*"))}
    files = {split: file for split, file in files.items() if parted(file)[1] in (*TABLES, *LINES)}
    if not files:
        raise InputError(f"{folder} has no judgements: qrels/test.tsv with the columns query-id, corpus-id, score")
    if not wanted:
        wanted = next((split for split in ("test", "dev") if split in files), next(iter(files)))
    if wanted not in files:
        raise InputError(f"{folder} has no qrels/{wanted}.tsv; its splits: {', '.join(files)}")
    return files[wanted], wanted
