"""Labelled texts: train and test files to classify, one file to cluster; JSONL, CSV or TSV with text and label."""

from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats.choice import Choice
from efive.evaluation.formats.files import LINES, TABLES, Record, digest, find, parted, records
from efive.evaluation.formats.known import known, language_of
from efive.evaluation.tasks import About, Classification, Clustering, Task

COLUMNS = ("text", "label")
_TEXT = ("text", "sentence", "sentences")
_LABEL = ("label", "labels", "label_text", "intent", "category")
_FILES = (*LINES, *TABLES)
_TESTS = ("test", "validation", "dev")

Rows = list[tuple[str, str]]


def sees_split(folder: Path) -> bool:
    """Say whether `folder` has labelled texts to train on and to test on."""
    train, test = find(folder, "train", _FILES), _test_file(folder, None)
    return train is not None and test is not None and sees_file(train)


def open_classification(folder: Path, choice: Choice) -> list[Task]:
    """Return the task of telling the labels of `test` apart after learning them from `train`."""
    train_file, test_file = find(folder, "train", _FILES), _test_file(folder, choice.split)
    if train_file is None or test_file is None:
        raise InputError(f"{folder} needs train.jsonl and {choice.split or 'test'}.jsonl with text and label")
    train, test = _read(train_file), _read(test_file)
    if unknown := {label for _, label in test} - {label for _, label in train}:
        raise InputError(f"{test_file} has the label {min(unknown)!r}, which {train_file.name} never shows")
    rows, note = choice.rows(len(test), "test texts")
    protocol = "a logistic regression on 8 texts of each label, mean of ten draws, as mteb; F1 is the mean over labels"
    about = _about(folder.resolve().name, folder, (train_file, test_file), choice, ("accuracy", "f1"), protocol, note)
    return [Classification(about, train, [test[row] for row in rows])]


def sees_test(folder: Path) -> bool:
    """Say whether `folder` has labelled texts to test on."""
    test = _test_file(folder, None)
    return test is not None and sees_file(test)


def sees_file(file: Path) -> bool:
    """Say whether a file's first record is a labelled text."""
    try:
        record = next(records(file, COLUMNS), None)
    except InputError:
        return False
    return record is not None and sees_record(record)


def sees_record(record: Record) -> bool:
    """Say whether a record is a labelled text."""
    return record.has(*_TEXT) and record.has(*_LABEL)


def open_clustering(file: Path, choice: Choice) -> list[Task]:
    """Return the task of grouping the texts of one file, or of a folder's test file, as their labels do."""
    if file.is_dir():
        inside = _test_file(file, choice.split)
        if inside is None:
            raise InputError(f"{file} has no test.jsonl with text and label; name the file")
        name, root, file = file.resolve().name, file, inside
    else:
        name, root = parted(file)[0], file.parent
    read = _read(file)
    rows, note = choice.rows(len(read), "texts")
    protocol = "mini-batch k-means, a cluster for each label, ten draws of at most 2,048 texts where mteb's have 16,384"
    about = _about(name, root, (file,), choice, ("v_measure",), protocol, note)
    return [Clustering(about, [read[row][0] for row in rows], [read[row][1] for row in rows])]


def _test_file(folder: Path, split: str | None) -> Path | None:
    return next((file for stem in ([split] if split else _TESTS) if (file := find(folder, stem, _FILES))), None)


def _read(file: Path) -> Rows:
    rows = [(record.text(*_TEXT), record.name(*_LABEL)) for record in records(file, COLUMNS)]
    if len({label for _, label in rows}) < 2:
        raise InputError(f"{file} has {len(rows)} texts of fewer than two labels; there is nothing to tell apart")
    return rows


def _about(
    name: str,
    root: Path,
    files: tuple[Path, ...],
    choice: Choice,
    measures: tuple[str, ...],
    protocol: str,
    note: str,
) -> About:
    language = choice.language or language_of(name)
    return About(name, language, measures, digest(root, files), protocol, known(name).sources, note)
