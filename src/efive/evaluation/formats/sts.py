"""Tables of sentence pairs that people scored: `score TAB sentence TAB sentence`, CSV or JSONL."""

from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats.choice import Choice
from efive.evaluation.formats.files import LINES, TABLES, Record, digest, parted, records
from efive.evaluation.formats.known import known, language_of
from efive.evaluation.tasks import About, Similarity, Task

COLUMNS = ("score", "sentence1", "sentence2")
_SCORE = ("score", "similarity_score", "label", "similarity")
_PROTOCOL = "Spearman's correlation of cosines with people's scores, as mteb (cosine_spearman)"


def sees_folder(folder: Path) -> bool:
    """Say whether every table of `folder` is one of scored pairs."""
    files = _files(folder)
    return bool(files) and all(sees_file(file) for file in files)


def sees_file(file: Path) -> bool:
    """Say whether a file's first record is a scored pair."""
    try:
        record = next(records(file, COLUMNS), None)
        return record is not None and sees_record(record) and record.number(*_SCORE) is not None
    except InputError:
        return False


def sees_record(record: Record) -> bool:
    """Say whether a record is a scored pair."""
    return record.has(*_SCORE) and record.has("sentence1") and record.has("sentence2")


def open_folder(folder: Path, choice: Choice) -> list[Task]:
    """Return a task for each table of a folder."""
    files = [(language_of(parted(file)[0]), file) for file in _files(folder)]
    if not files:
        raise InputError(f"{folder} has no tables; write score TAB sentence TAB sentence to a .tsv file")
    return [_task(file, language, choice) for language, file in choice.of_languages(files, folder)]


def open_file(file: Path, choice: Choice) -> list[Task]:
    """Return the task of one table."""
    return [_task(file, choice.language or language_of(parted(file)[0]), choice)]


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.is_file() and parted(file)[1] in (*TABLES, *LINES)]


def _task(file: Path, language: str, choice: Choice) -> Similarity:
    pairs, judged = [], []
    for record in records(file, COLUMNS):
        pairs.append((record.text("sentence1"), record.text("sentence2")))
        judged.append(record.number(*_SCORE))
    if len(set(judged)) < 2:
        raise InputError(f"{file} has {len(judged)} pairs of one score; a correlation needs two scores that differ")
    name = parted(file)[0]
    rows, note = choice.rows(len(pairs), "pairs")
    about = About(
        name=name,
        language=language,
        measures=("spearman", "pearson"),
        digest=digest(file.parent, (file,)),
        protocol=_PROTOCOL,
        sources=known(name).sources,
        sampled=note,
    )
    return Similarity(about, [pairs[row] for row in rows], [judged[row] for row in rows])
