"""Hard negatives: passages that rank high for a query and do not answer it.

Candidates are the passages at certain ranks of an encoder's own search (ANCE, arXiv 2007.00808; SimLM, arXiv
2207.02578).
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from efive.errors import InputError
from efive.nearest import QUERIES, Floats, Halves, Rows, nearest
from efive.training.data.examples import Example, TrainingSet
from efive.training.mining.choice import Mining, choose
from efive.training.mining.corpus import Answers, Corpus, Survey, passage_language
from efive.training.mining.scorers import Score, Teacher, corpus_vectors, cosines
from efive.training.mining.stages import Place, Watch, claim, digest, unwatched, write_note
from efive.training.mining.statistics import Statistics
from efive.training.tokens import files_digest

if TYPE_CHECKING:
    from efive.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Searched:
    """What the encoder found for one query."""

    positives: Rows
    """The example's own."""
    window: Rows
    """Candidates, nearest first."""
    rank: int | None
    """Of the first positive among all passages; None beyond `to_rank`."""


def mine(
    sets: Sequence[TrainingSet],
    encoder: "Encoder",
    place: Place,
    options: Mining,
    *,
    teacher: Teacher | None = None,
    watch: Watch = unwatched,
) -> Statistics:
    """Write a training set in SimLM's form to the folder `place.output`: passages, and each query with negatives.

    The passages are the distinct ones of all sets. A run that was interrupted goes on when it is called again. Memory
    is about 60 bytes for each passage that the sets name, and blocks; vectors lie on disk.

    Args:
        sets: what to read; negatives that they have are passages like others.
        encoder: what searches.
        place: its output is a folder that is not there yet, or is of the same run.
        options: what to take.
        teacher: whose scores decide what is too close to the positive and are written; None is the encoder itself.
        watch: told how far each stage is.

    Raises:
        InputError: if the output is of another run or complete, or if a set cannot be read or is empty.
    """
    if teacher is not None and not teacher.cosine and options.max_ratio is not None:
        raise InputError("a cross-encoder's scores are logits, of which no share can be taken; use a margin instead")
    content = digest({"sets": [files_digest(data.files) for data in sets]})
    note = _begin(place, _run(content, sets, encoder, options, teacher))
    output = place.output
    with watch("reading", None, 0) as done:
        survey = Survey(list(sets)).read(done)
    if not survey.examples:
        raise InputError(f"{', '.join(data.name for data in sets)}: no examples; nothing can be mined")
    corpus = survey.corpus(output / "passages.jsonl")
    with watch("writing passages", len(corpus), 0) as done:
        corpus.write(survey.passages(), done)
    kept = place.work or output / "work"
    vectors = corpus_vectors(corpus, content, kept, encoder, "passage", watch)
    score = teacher.prepare(corpus, content, kept, watch) if teacher else None
    miner = _Miner(encoder, corpus, survey, vectors, score, options)
    miner.write(output / "train.jsonl.part", watch)
    statistics = Statistics.of(output / "train.jsonl.part", options.negatives, options.to_rank, len(corpus))
    (output / "train.jsonl.part").replace(output / "train.jsonl")
    write_note(note, {"run": json.loads(note.read_text(encoding="utf-8"))["run"], "statistics": asdict(statistics)})
    if place.work is None:
        shutil.rmtree(kept)
    return statistics


def _run(
    content: str, sets: Sequence[TrainingSet], encoder: "Encoder", options: Mining, teacher: Teacher | None
) -> dict[str, Any]:
    """Describe a run by what its result depends on."""
    described: dict[str, Any] = {"sets": [data.name for data in sets], "content": content}
    described |= {"space": encoder.space.fingerprint, "task": encoder.prompts.query, "max tokens": encoder.max_tokens}
    return described | {"teacher": teacher.name if teacher else None} | asdict(options)


def _begin(place: Place, run: dict[str, Any]) -> Path:
    output = place.output
    note = output / "mining.json"
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; name a folder")
    if output.exists() and not note.exists() and any(output.iterdir()):
        raise InputError(f"{output} exists and holds other things; name a new folder")
    output.mkdir(parents=True, exist_ok=True)
    if place.restart:
        for name in ("passages.jsonl", "train.jsonl", "train.jsonl.part"):
            (output / name).unlink(missing_ok=True)
    claim(note, run, restart=place.restart)
    if (output / "train.jsonl").exists():
        raise InputError(f"{output} is complete; name another --output, or use --restart to mine again")
    return note


class _Miner:
    """Blocks of examples through search, scoring and choice, into a file of lines."""

    def __init__(
        self,
        encoder: "Encoder",
        corpus: Corpus,
        survey: Survey,
        vectors: Halves,
        score: Score | None,
        options: Mining,
    ) -> None:
        self._encoder, self._corpus, self._survey = encoder, corpus, survey
        self._vectors, self._score, self._options = vectors, score, options
        self._answers: Answers = survey.answers_by_query()
        self._languages = survey.languages_of(corpus) if options.languages == "same" else None

    def write(self, part: Path, watch: Watch) -> None:
        """Append to `part` what is not in it yet."""
        number = whole_lines(part)
        examples = islice(self._survey.numbered(), number, None)
        with part.open("a", encoding="utf-8") as file, watch("mining", self._survey.examples, number) as done:
            while block := list(islice(examples, QUERIES)):
                for line in self._lines(block, number):
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                file.flush()
                number += len(block)
                done(len(block))

    def _lines(self, block: list[tuple[int, Example]], first: int) -> Iterator[dict[str, Any]]:
        queries = [example.query for _, example in block]
        vectors = self._encoder.embed_queries(queries).vectors
        found = self._search(block, vectors)
        rows = [np.concatenate([each.positives, each.window]) for each in found]
        scores = self._score(queries, rows) if self._score else cosines(self._vectors, vectors, rows)
        for number, ((_, example), each, values) in enumerate(zip(block, found, scores, strict=True), first):
            positive, rest = values[: len(each.positives)], values[len(each.positives) :]
            chosen, dropped = choose(rest, float(positive.min()), self._options, number)
            line: dict[str, Any] = {"query_id": str(number), "query": example.query}
            line["positives"] = _scored(each.positives, positive)
            line["negatives"] = _scored(each.window[chosen], rest[chosen])
            line |= {"language": example.language} if example.language else {}
            yield line | {"rank": each.rank, "dropped": dropped}

    def _search(self, block: list[tuple[int, Example]], vectors: Floats) -> list[Searched]:
        own = [self._own(number, example) for number, example in block]
        answers = [self._corpus.rows_of(self._answers.of(example.query)) for _, example in block]
        most = max(len(np.union1d(*pair)) for pair in zip(own, answers, strict=True))
        wanted = [self._survey.languages.get(passage_language(example), 0) for _, example in block]
        allowed = None if self._languages is None else _Speaking(self._languages, np.array(wanted, dtype=np.int16))
        found = nearest(vectors, self._vectors, self._options.to_rank + most, allowed=allowed)
        return [self._window(rows, *pair) for rows, *pair in zip(found.rows, own, answers, strict=True)]

    def _own(self, number: int, example: Example) -> Rows:
        """Return the rows of an example's positives, each once."""
        rows = self._corpus.rows_of([self._survey.key(number, each) for each in example.positives])
        return np.array(list(dict.fromkeys(rows.tolist())), dtype=np.int64)

    def _window(self, rows: Rows, own: Rows, answers: Rows) -> Searched:
        rows = rows[rows >= 0]
        hits = np.flatnonzero(np.isin(rows[: self._options.to_rank], own))
        others = rows[~np.isin(rows, np.concatenate([own, answers]))]
        window = others[self._options.from_rank - 1 : self._options.to_rank]
        return Searched(own, window, int(hits[0]) + 1 if len(hits) else None)


class _Speaking:
    """Which rows are in the language that each query wants, or in one that is not known."""

    def __init__(self, spoken: npt.NDArray[np.int16], wanted: npt.NDArray[np.int16]) -> None:
        self._spoken, self._wanted = spoken, wanted[:, None]

    def __call__(self, first: int, end: int) -> npt.NDArray[np.bool_]:
        spoken = self._spoken[None, first:end]
        return np.asarray((spoken == self._wanted) | (spoken == 0) | (self._wanted == 0))


def whole_lines(part: Path) -> int:
    """Cut a torn last line off a file, and return how many lines it has; 0 if it is not there."""
    if not part.exists():
        return 0
    lines = size = 0
    with part.open("r+b") as file:
        for line in file:
            if line.endswith(b"\n"):
                lines, size = lines + 1, size + len(line)
        file.truncate(size)
    return lines


def _scored(rows: Rows, scores: Floats) -> dict[str, Any]:
    return {"doc_id": [str(row) for row in rows.tolist()], "score": [round(score, 6) for score in scores.tolist()]}
