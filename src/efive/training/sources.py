"""The sources of a run: read, checked, tokenised, and turned into batches."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from efive.encoder import Encoder
from efive.errors import InputError
from efive.training.batches import Inputs, Recipe, contrastive_inputs, imitation_inputs
from efive.training.data.examples import Example, Problem, TrainingSet
from efive.training.data.formats import open_sets
from efive.training.sampling import Draw, Stratum
from efive.training.settings import Settings, Source
from efive.training.teacher import Reading, TeacherVectors, teacher_vectors
from efive.training.tokens import Coder, Selection, TokenizedSet, tokenized


@dataclass(frozen=True)
class Feed:
    """One training set of a run."""

    source: Source
    objective: str
    files: TrainingSet
    data: TokenizedSet
    recipe: Recipe
    selection: Selection
    weight: float
    """Share of the batches, relative to other sets."""
    teacher: TeacherVectors | None = None

    @property
    def name(self) -> str:
        """Of the set, for people."""
        return self.data.name

    def inputs(self, draw: Draw) -> Inputs:
        """Return a drawn batch as model inputs."""
        if self.teacher is not None:
            return imitation_inputs(draw, self.data, self.teacher, self.recipe)
        return contrastive_inputs(draw, self.data, self.recipe, scored=self.objective == "distil")

    def described(self) -> dict[str, Any]:
        """Return what was read, as JSON values."""
        return {
            "name": self.name,
            "files": [str(file) for file in self.files.files],
            "sha256": self.data.data_digest,
            "examples": len(self.data),
            "objective": self.objective,
            "weight": self.weight,
            "languages": self.data.languages,
        }


class SkipBad:
    """Counts records that cannot be used and refuses when there are more than allowed."""

    def __init__(self, allowed: int, say: Callable[[str], None]) -> None:
        self._allowed = allowed
        self._say = say
        self._places: set[str] = set()

    def __call__(self, problem: Problem) -> None:
        """Take note of a record that is left out."""
        if problem.place in self._places:  # a set is read more than once
            return
        if problem.mended:
            return
        self._places.add(problem.place)
        if len(self._places) > self._allowed:
            raise InputError(
                f"{problem.place}: {problem.message}. `efive data check` lists all such records; "
                f"--skip-bad N leaves out up to N of them (now {self._allowed})"
            )
        self._say(f"leaves out {problem.place}: {problem.message}")


def open_feeds(
    settings: Settings,
    coder: Coder,
    cache: Path,
    skip_bad: int = 0,
    say: Callable[[str], None] = lambda _line: None,
) -> list[Feed]:
    """Open all sources; what is not in `cache` yet is tokenised and, for imitation, read by the teacher."""
    problems = SkipBad(skip_bad, say)
    feeds: list[Feed] = []
    with ExitStack() as stack:
        teacher: Encoder | None = None
        for number, source in enumerate(settings.sources):
            if (source.objective or settings.objective) == "imitate" and teacher is None:
                teacher = stack.enter_context(_load_teacher(settings))
            sets = open_sets(Path(source.path), split=source.split, on_problem=problems)
            for files in sets:
                say(f"reads {files.name}")
                feed = _open(files, source, settings, coder, cache, settings.seed + number)
                if feed.objective == "imitate" and teacher is not None:
                    prefixed = settings.teacher_role == "e5"
                    reading = Reading(source.teacher_language, prefixed, source.symmetric, source.foreign_only)
                    taught = teacher_vectors(files, feed.selection, reading, teacher, cache)
                    feed = replace(feed, teacher=taught)
                if source.weight:  # the sets of a folder share its weight
                    feed = replace(feed, weight=source.weight / len(sets))
                feeds.append(feed)
    return feeds


def _open(files: TrainingSet, source: Source, settings: Settings, coder: Coder, cache: Path, seed: int) -> Feed:
    objective = source.objective or settings.objective
    containing = source.teacher_language if objective == "imitate" else ""
    selection = Selection(source.languages, containing, source.limit, source.held_out)
    data = tokenized(files, coder, cache, selection)
    if objective == "distil" and not data.scored:
        raise InputError(f"{files.name} has no scores for distillation; `efive mine --teacher` writes them")
    recipe = Recipe(
        frame=coder.frame,
        query_tokens=settings.query_tokens,
        passage_tokens=settings.passage_tokens,
        negatives=settings.negatives,
        symmetric=source.symmetric,
        spans=source.spans,
        seed=seed,
    )
    return Feed(source, objective, files, data, recipe, selection, math.sqrt(len(data)))


def _load_teacher(settings: Settings) -> Encoder:
    if settings.teacher is None:
        raise InputError("objective imitate needs a teacher; name a model or a folder as `teacher`")
    return Encoder.load(settings.teacher, max_tokens=settings.teacher_tokens or settings.passage_tokens)


def strata(feeds: list[Feed], settings: Settings) -> list[Stratum]:
    """Return what batches are drawn from: sources, or their languages.

    Languages of a source share its weight by the square root of their examples.
    """
    found: list[Stratum] = []
    for number, feed in enumerate(feeds):
        batch = feed.source.batch or settings.batch
        if not feed.source.by_language:
            found.append(Stratum(number, feed.weight, len(feed.data), batch))
            continue
        members = [np.flatnonzero(feed.data.language == code) for code in range(len(feed.data.languages))]
        total = sum(math.sqrt(len(rows)) for rows in members)
        found += [
            Stratum(number, feed.weight * math.sqrt(len(rows)) / total, len(rows), batch, rows) for rows in members
        ]
    return found


@dataclass(frozen=True)
class HeldOut:
    """Examples to measure on."""

    name: str
    examples: list[Example]
    passages: list[str]
    symmetric: bool


_MEASURED = 1000
"""Queries of a development set that are used: enough for a curve, few enough for a CPU."""


def held_out(feeds: list[Feed], settings: Settings, skip_bad: int) -> Iterator[HeldOut]:
    """Yield what the run is measured on: the development sets and what sources hold out."""
    problems = SkipBad(skip_bad, lambda _line: None)
    for feed in feeds:
        if feed.source.held_out:
            first = Selection(feed.selection.languages, feed.selection.containing, feed.source.held_out)
            examples = list(first.apply(feed.files.examples()))
            yield HeldOut(feed.name, examples, _referred(feed.files, examples), feed.source.symmetric)
    for named in settings.development:
        path, _, split = named.partition(":")
        for files in open_sets(Path(path), split=split or "dev", on_problem=problems):
            examples = list(islice(files.examples(), _MEASURED))
            yield HeldOut(files.name, examples, _referred(files, examples), symmetric=False)


def _referred(files: TrainingSet, examples: list[Example]) -> list[str]:
    """Return the corpus up to the last passage that the examples name; none for sets of texts."""
    rows = [r for e in examples for r in (*e.positives, *e.negatives) if isinstance(r, int)]
    return list(islice(files.passages(), max(rows) + 1)) if rows else []
