"""Candidates of each query to put in order, as mteb keeps them: `{"query": …, "positive": […], "negative": […]}`."""

from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats.choice import Choice, noted
from efive.evaluation.formats.files import Record, digest, parted, records
from efive.evaluation.formats.known import known, language_of
from efive.evaluation.tasks import About, Reranking, Task

_PROTOCOL = "MAP over the candidates of each query, as mteb"
_BOTH = ("positive", "negative")


def sees_record(record: Record) -> bool:
    """Say whether a record is a query with lists of candidates."""
    return record.has("query") and all(isinstance(record.values.get(field), list) for field in _BOTH)


def open_file(file: Path, choice: Choice) -> list[Task]:
    """Return the task of a file; queries with nothing to put in order are left out, as mteb does."""
    read = list(records(file))
    kept = [record for record in read if all(_candidates(record))]
    if not kept:
        raise InputError(f"{file} has no query with both positive and negative candidates")
    rows, note = choice.rows(len(kept), "queries")
    queries: dict[str, str] = {}
    candidates: dict[str, dict[str, str]] = {}
    judged: dict[str, dict[str, int]] = {}
    for row in rows:
        query, (positive, negative) = str(row), _candidates(kept[row])
        queries[query] = kept[row].text("query")
        candidates[query] = {f"{query}.{n}": text for n, text in enumerate([*positive, *negative])}
        judged[query] = {f"{query}.{n}": 1 for n in range(len(positive))}
    name = parted(file)[0]
    bare = f"{len(read) - len(kept):,} queries without positive or negative candidates left out"
    about = About(
        name=name,
        language=choice.language or language_of(name),
        measures=("map", "mrr_at_10", "ndcg_at_10"),
        digest=digest(file.parent, (file,)),
        protocol=_PROTOCOL,
        sources=known(name).sources,
        sampled=noted(bare if len(kept) < len(read) else "", note),
    )
    return [Reranking(about, queries, candidates, judged)]


def _candidates(record: Record) -> tuple[list[str], list[str]]:
    """Return positive and negative candidates; an equal text among both is a positive one."""
    positive, negative = (list(dict.fromkeys(record.texts(field))) for field in _BOTH)
    return positive, [text for text in negative if text not in positive]
