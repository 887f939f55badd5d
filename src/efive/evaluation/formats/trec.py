"""Mr. TyDi's and MIRACL's own files: topics as `id TAB query`, judgements in TREC form, passages as JSONL."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats.choice import Choice
from efive.evaluation.formats.files import LINES, find, lines, parted
from efive.evaluation.formats.known import MIRACL, MRTYDI, Known, language_of
from efive.evaluation.formats.retrieval import Documents, Found, read_judged, read_queries, retrieval
from efive.evaluation.tasks import Task

_MIRACL_TOPICS = re.compile(r"topics\.miracl-v(?P<version>[\d.]+)-(?P<language>[a-z]+)-(?P<split>[\w-]+)\.tsv")
_MRTYDI_TOPICS = re.compile(r"topics?\.(?P<split>train|dev|test)\.(?:tsv|txt)")
_BELOW = ("", "*/", "*/*/")
"""How deep below a folder its files are looked for: MIRACL's lie in `miracl-v1.0-sw/topics`."""


@dataclass(frozen=True, slots=True)
class _Set:
    """The files of one language and split."""

    name: str
    topics: Path
    judgements: Path
    passages: tuple[Path, ...]
    split: str


def sees_mrtydi(folder: Path) -> bool:
    """Say whether `folder` is one language of Mr. TyDi, as it was published or as it lies on the hub."""
    return bool(_mrtydi_topics(folder))


def open_mrtydi(folder: Path, choice: Choice) -> list[Task]:
    """Return the task of one language of Mr. TyDi; the test split is the published one."""
    topics = _mrtydi_topics(folder)
    split = choice.split or next((s for s in ("test", "dev") if s in topics), "")
    passages = _mrtydi_passages(folder)
    if split not in topics or passages is None:
        what = f"topic.{split or 'test'}.tsv" if passages else "collection/docs.jsonl.gz"
        raise InputError(f"{folder} has no {what}; Mr. TyDi's folders hold both, and qrels.test.txt")
    judged = find(topics[split].parent, f"qrels.{split}", (".txt", ".tsv"))
    if judged is None:
        raise InputError(f"{folder} has {topics[split].name} but no qrels.{split}.txt; fetch it from the same place")
    language = choice.language or language_of(folder.resolve().name)
    name = f"mrtydi_{language}" if language else folder.resolve().name
    found = _Set(name, topics[split], judged, (passages,), split)
    protocol = "MRR@100 over all passages, as trec_eval -c -M 100 -m recip_rank; E5's cards call it MRR@10"
    measures = ("mrr_at_100", "mrr_at_10", "recall_at_100", "ndcg_at_10")
    return [retrieval(_found(found, folder, language, (protocol, measures), MRTYDI), choice)]


def _mrtydi_topics(folder: Path) -> dict[str, Path]:
    files = [file for place in (folder, folder / "ir-format-data") for file in sorted(place.glob("topic*"))]
    return {match["split"]: file for file in files if (match := _MRTYDI_TOPICS.fullmatch(file.name))}


def _mrtydi_passages(folder: Path) -> Path | None:
    places = (folder / "collection", "docs"), (folder, "docs"), (folder, "corpus")
    return next((file for place, stem in places if (file := find(place, stem, LINES))), None)


def sees_miracl(folder: Path) -> bool:
    """Say whether topics of MIRACL lie in or below `folder`."""
    return any(True for _ in _miracl_topics(folder))


def open_miracl(folder: Path, choice: Choice) -> list[Task]:
    """Return the tasks of MIRACL's languages in a folder; the dev split is the published one."""
    by_language: dict[str, dict[str, Path]] = {}
    for language, split, file in _miracl_topics(folder):
        by_language.setdefault(language, {})[split] = file
    if not by_language:
        raise InputError(f"{folder} has no topics.miracl-v1.0-LANGUAGE-dev.tsv; clone MIRACL's topics and qrels there")
    tasks: list[Task] = []
    alone = len(by_language) == 1
    for language, splits in choice.of_languages(sorted(by_language.items()), folder):
        found = _miracl_set(folder, language, splits, choice.split or MIRACL.split, alone=alone)
        protocol = "nDCG@10 and recall@100 over all passages, as trec_eval -c -M 100 -m ndcg_cut.10"
        ways = protocol, ("ndcg_at_10", "recall_at_100")
        tasks.append(retrieval(_found(found, folder, language, ways, MIRACL), choice))
    return tasks


def _miracl_topics(folder: Path) -> Iterator[tuple[str, str, Path]]:
    for below in _BELOW:
        for file in sorted(folder.glob(f"{below}topics.miracl-v*.tsv")):
            if match := _MIRACL_TOPICS.fullmatch(file.name):
                yield match["language"], match["split"], file


def _miracl_set(folder: Path, language: str, splits: dict[str, Path], split: str, *, alone: bool) -> _Set:
    if split not in splits:
        raise InputError(f"{folder} has no topics of {language}'s {split} split; its splits: {', '.join(splits)}")
    topics = splits[split]
    name = topics.name.replace("topics.", "qrels.", 1)
    places = topics.parent, topics.parent.parent / "qrels"
    judged = next((file for place in places if (file := place / name).is_file()), None)
    if judged is None:
        raise InputError(f"{topics} has no {name} beside it or in ../qrels; without judgements nothing is measured")
    passages = _miracl_passages(folder, language, alone=alone)
    if not passages:
        raise InputError(
            f"{folder} has no passages of {language}; put miracl-corpus-v1.0-{language} with docs-0.jsonl.gz there"
        )
    return _Set(f"miracl_{language}", topics, judged, passages, split)


def _miracl_passages(folder: Path, language: str, *, alone: bool) -> tuple[Path, ...]:
    """Return the shards of a language in their order; nameless ones are taken if they can be of one language only."""
    patterns = [f"{below}miracl-corpus-v*-{language}/docs-*.jsonl*" for below in _BELOW]
    patterns += [f"{below}docs-*.jsonl*" for below in ("", "*/")] if alone else []
    for place in (folder, folder.parent):
        for pattern in patterns if place == folder else patterns[:2]:
            if files := [file for file in place.glob(pattern) if parted(file)[1] in LINES]:
                return tuple(sorted(files, key=lambda file: int(parted(file)[0].rpartition("-")[2])))
    return ()


def _found(found: _Set, folder: Path, language: str, ways: tuple[str, tuple[str, ...]], about: Known) -> Found:
    queries = read_queries(_topics(found.topics))
    files = (found.topics, found.judgements, *found.passages)
    inside = all(file.is_relative_to(folder) for file in files)
    published = about.split or "test"
    return Found(
        name=found.name if found.split == published else f"{found.name}:{found.split}",
        language=language,
        root=folder if inside else folder.parent,
        files=files,
        queries=queries,
        judged=read_judged(found.judgements, queries),
        corpus=Documents(found.passages),
        protocol=f"{ways[0]}, {found.split} split",
        known=about,
        measures=ways[1],
    )


def _topics(file: Path) -> Iterator[tuple[str, str, str]]:
    for place, line in lines(file):
        if not line.strip():
            continue
        cells: Sequence[str] = line.split("\t")
        if len(cells) != 2:
            raise InputError(f"{place}: {len(cells)} columns; a topic is its id, a tab and the query")
        yield place, cells[0], cells[1].strip()
