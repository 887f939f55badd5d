"""Training sets on disk, recognised by what lies there and read in a stream."""

import re
from pathlib import Path

from efive.errors import InputError
from efive.training.data.examples import OnProblem, TrainingSet
from efive.training.data.sets import Advance, CorpusSet, LineSet, ParquetSet

_LINES = (".jsonl", ".ndjson")
_PACKED = ("", ".gz", ".xz")
_TABLES = (".parquet", ".pq")
_SUFFIXES = tuple(sorted((line + packed for line in _LINES for packed in _PACKED), key=len, reverse=True)) + _TABLES
_CORPUS = "passages"
_SHARD = re.compile(r"-\d+-of-\d+$")
_SPLITS = {"train", "kd_train", "dev", "kd_dev", "valid", "validation", "eval", "test"}


def open_set(
    path: Path, *, split: str = "train", on_problem: OnProblem | None = None, advance: Advance | None = None
) -> TrainingSet:
    """Open one training set: a file, or a folder with `passages.jsonl` and `{split}.jsonl`.

    Nothing is read yet. `.gz` and `.xz` are read as they are.

    Args:
        path: A folder in SambaStudio's or SimLM's form; a `.jsonl` or `.parquet` file; a folder of one such file.
        split: Which file of a folder holds the examples: `train`, `kd_train`, `dev`.
        on_problem: Told of each record that cannot be used as it stands, and reading goes on. Without it, reading
            raises `InputError` at the first.
        advance: Told of the bytes that reading has consumed.

    Raises:
        InputError: if nothing there can be read, or if a folder holds several sets.
    """
    sets = open_sets(path, split=split, on_problem=on_problem, advance=advance)
    if len(sets) > 1:
        names = ", ".join(each.name for each in sets[:8]) + (", …" if len(sets) > 8 else "")
        raise InputError(f"{path} holds {len(sets)} training sets ({names}); name one file, or use open_sets")
    return sets[0]


def open_sets(
    path: Path, *, split: str = "train", on_problem: OnProblem | None = None, advance: Advance | None = None
) -> list[TrainingSet]:
    """Open every training set at `path`, as `open_set` does: each file of a folder of pairs is one.

    If a folder of pairs has files that are called after the split (`train.jsonl`, `train-00000-of-00002.parquet`),
    only such files are read, so that a `test.jsonl` beside them is not trained on. If it has only those of other
    splits, it is refused.

    Raises:
        InputError: if nothing there can be read.
    """
    if not re.fullmatch(r"[\w-]+", split):
        raise InputError(f"no split {split!r}; a split is a file's name without its suffix, such as train or kd_train")
    if path.is_dir():
        corpus = _named(path, _CORPUS)
        if corpus is not None:
            return [_open_corpus(path, corpus, split, on_problem, advance)]
        files = _pair_files(path, split)
    elif path.exists():
        files = [path]
    else:
        raise InputError(f"{path} does not exist; name a training file or a folder")
    return [_open_file(file, on_problem, advance) for file in files]


def _open_corpus(
    folder: Path, corpus: Path, split: str, on_problem: OnProblem | None, advance: Advance | None
) -> CorpusSet:
    records = _named(folder, split)
    if records is None:
        there = sorted({s for f in folder.iterdir() if (s := _stem(f)) and s != _CORPUS and _suffix(f) not in _TABLES})
        have = f"its splits are {', '.join(there)}" if there else "it has no other .jsonl file"
        raise InputError(f"{folder} has {corpus.name} but no {split}.jsonl; {have}. Name another split")
    name = folder.resolve().name + ("" if split == "train" else f"/{split}")
    return CorpusSet(name, (corpus, records), on_problem, advance)


def _open_file(file: Path, on_problem: OnProblem | None, advance: Advance | None) -> TrainingSet:
    stem = _stem(file)
    if stem is None:
        raise InputError(
            f"{file}: training files are {', '.join(_SUFFIXES)}. If each of its lines is a JSON object, rename it "
            "to .jsonl; else convert it"
        )
    kind = ParquetSet if file.name.lower().endswith(_TABLES) else LineSet
    return kind(stem, (file,), on_problem, advance)


def _suffix(file: Path) -> str | None:
    return next((suffix for suffix in _SUFFIXES if file.name.lower().endswith(suffix)), None)


def _stem(file: Path) -> str | None:
    """Return a training file's name without its suffixes; None for other files."""
    suffix = _suffix(file)
    return file.name[: -len(suffix)] if suffix and file.is_file() and not file.name.startswith(".") else None


def _named(folder: Path, stem: str) -> Path | None:
    """Return the `.jsonl` file of that name, packed or not."""
    found = [file for packed in _PACKED if (file := folder / f"{stem}.jsonl{packed}").is_file()]
    if len(found) > 1:
        raise InputError(f"{folder} has both {found[0].name} and {found[1].name}; keep one of them")
    return found[0] if found else None


def _pair_files(folder: Path, split: str) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if _stem(file) is not None)
    if not files:
        raise InputError(
            f"{folder} holds no training data; efive reads passages.jsonl with {split}.jsonl, or files with "
            f"{', '.join(_SUFFIXES)}"
        )
    splits = {file: _SHARD.sub("", _stem(file) or "") for file in files}
    named = [file for file in files if splits[file] == split]
    others = sorted(_SPLITS.intersection(splits.values()))
    if others and not named:
        raise InputError(f"{folder} has no {split} file, but {', '.join(others)}; name another split, or one file")
    return named or files
