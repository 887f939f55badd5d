"""Sentences and their translations: line i of one file says the same as line i of another.

Tatoeba's are in pairs of files with English, those of FLORES and NTREX in one file for each language.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from efive.errors import InputError
from efive.evaluation.formats.choice import Choice, base, same_language
from efive.evaluation.formats.files import Record, checked_text, digest, lines, parted, records
from efive.evaluation.formats.known import FLORES, NTREX, TATOEBA, Known, joined_languages, known, language_of
from efive.evaluation.tasks import About, Bitext, Task

MEASURES = ("f1", "accuracy", "f1_back", "accuracy_back", "accuracy_both")
EVERY_PAIR = "all"
"""The language that chooses every pair of a folder instead of those with English."""

_TATOEBA = re.compile(r"tatoeba\.(?P<left>[a-z]+)-(?P<right>[a-z]+)\.(?P=left)")
_FLORES = re.compile(r"(?P<language>[a-z]{2,3}(?:_[A-Z][a-z]{3})?)\.(?P<split>txt|dev|devtest)")
_NTREX = re.compile(r"newstest2019-(?:ref|src)\.(?P<language>[A-Za-z-]+)\.txt")
_ENGLISH = frozenset(("eng", "en"))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two files, aligned."""

    name: str
    languages: tuple[str, str]
    files: tuple[Path, Path]
    known: Known


def sees_tatoeba(folder: Path) -> bool:
    """Say whether `folder` holds files such as `tatoeba.fra-eng.fra`."""
    return bool(_matches(folder, _TATOEBA))


def open_tatoeba(folder: Path, choice: Choice) -> list[Task]:
    """Return a task for each language, into English."""
    pairs = []
    for left, match in _matches(folder, _TATOEBA):
        right = left.with_name(f"{left.stem}.{match['right']}")
        pairs.append(_Pair(left.stem, (match["left"], match["right"]), (left, right), TATOEBA))
    if not pairs:
        raise InputError(f"{folder} has no files such as tatoeba.fra-eng.fra and tatoeba.fra-eng.eng")
    every = choice.language in {None, EVERY_PAIR}
    chosen = [pair for pair in pairs if every or _has(pair.languages, choice.language)]
    return _tasks(folder, chosen, choice, [pair.languages[0] for pair in pairs])


def sees_flores(folder: Path) -> bool:
    """Say whether `folder` holds a file for each of several languages, such as `fra_Latn.txt`."""
    for place in _flores_places(folder, None):
        codes = [match["language"] for _, match in _matches(place, _FLORES)]
        # Notes may have names of three letters too.
        if len(codes) > 1 and any("_" in code or base(code) in _ENGLISH for code in codes):
            return True
    return False


def open_flores(folder: Path, choice: Choice) -> list[Task]:
    """Return a task for each language, into English; of the original folders devtest, which mteb measures."""
    found: dict[str, dict[str, Path]] = {}
    for place in _flores_places(folder, choice.split):
        for file, match in _matches(place, _FLORES):
            found.setdefault(match["split"], {})[match["language"]] = file
    split = choice.split or next((name for name in ("devtest", "dev", "txt") if name in found), "")
    if split not in found:
        there = f"; its splits: {', '.join(found)}" if found else ""
        raise InputError(f"{folder} has no files such as fra_Latn.{split or 'txt'}{there}")
    return _in_languages(folder, found[split], "flores", FLORES, choice)


def _flores_places(folder: Path, split: str | None) -> list[Path]:
    names = [split] if split else ["devtest", "dev"]
    return [folder, *(folder / name for name in names)]


def sees_ntrex(folder: Path) -> bool:
    """Say whether `folder` holds files such as `newstest2019-ref.fra.txt`."""
    return any(_matches(place, _NTREX) for place in (folder, folder / "NTREX-128"))


def open_ntrex(folder: Path, choice: Choice) -> list[Task]:
    """Return a task for each language, into the English source; English of other regions is left out."""
    found: dict[str, Path] = {}
    for place in (folder, folder / "NTREX-128"):
        for file, match in _matches(place, _NTREX):
            code = match["language"].replace("-", "_")
            if base(code) not in _ENGLISH or "-src." in file.name:
                found[code] = file
    if not found:
        raise InputError(f"{folder} has no files such as newstest2019-ref.fra.txt and newstest2019-src.eng.txt")
    return _in_languages(folder, found, "ntrex", NTREX, choice)


def sees_record(record: Record) -> bool:
    """Say whether a file's first record is a sentence and its translation."""
    return record.has("sentence1") and record.has("sentence2") and not record.has("score")


def open_file(file: Path, choice: Choice) -> list[Task]:
    """Return the task of one file of `sentence1` and `sentence2`, as mteb keeps its bitexts."""
    left, right = [], []
    for record in records(file, ("sentence1", "sentence2")):
        left.append(record.text("sentence1"))
        right.append(record.text("sentence2"))
    name = parted(file)[0]
    language = choice.language or language_of(name)
    about = _about(name, (language, ""), digest(file.parent, (file,)), known(name), language)
    return [_bitext(about, left, right, choice, file)]


def _matches(folder: Path, pattern: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [(file, match) for file in files if (match := pattern.fullmatch(file.name)) and file.is_file()]


def _in_languages(folder: Path, files: dict[str, Path], name: str, about: Known, choice: Choice) -> list[Task]:
    """Return the tasks of aligned files: each language with English, the chosen pair, or every pair."""
    wanted = choice.language
    every = list(combinations(sorted(files), 2))
    english = next((code for code in files if base(code) in _ENGLISH), None)
    if wanted == EVERY_PAIR:
        chosen = every
    elif wanted and "-" in wanted:
        sides = wanted.split("-")
        chosen = [pair for pair in (*every, *(pair[::-1] for pair in every)) if all(map(same_language, pair, sides))]
    elif english is None:
        raise InputError(
            f"{folder} has no English; choose a pair as the language, such as {'-'.join(sorted(files)[:2])}, or "
            f"{EVERY_PAIR!r} for every pair"
        )
    else:
        others = [code for code in sorted(files) if code != english]
        chosen = [(code, english) for code in others if wanted is None or same_language(code, wanted)]
    pairs = [_Pair(f"{name}.{a}-{b}", (a, b), (files[a], files[b]), about) for a, b in chosen]
    return _tasks(folder, pairs, choice, list(files))


def _has(languages: tuple[str, str], wanted: str | None) -> bool:
    return wanted is not None and (wanted in languages or wanted == "-".join(languages))


def _tasks(folder: Path, pairs: Sequence[_Pair], choice: Choice, there: Sequence[str]) -> list[Task]:
    if not pairs:
        codes = ", ".join(sorted(there))
        raise InputError(f"{folder} has nothing in language {choice.language!r}; its languages: {codes}")
    read = _reader()
    tasks: list[Task] = []
    for pair in pairs:
        left, right = (read(file) for file in pair.files)
        if len(left) != len(right):
            a, b = pair.files
            raise InputError(
                f"{a} has {len(left):,} lines and {b} has {len(right):,}; line i of one must translate line i of the "
                "other. Fetch both again"
            )
        language = joined_languages(*pair.languages)
        about = _about(pair.name, pair.languages, digest(folder, pair.files), pair.known, language)
        tasks.append(_bitext(about, left, right, choice, folder))
    return tasks


def _reader() -> Callable[[Path], list[str]]:
    """Return a reader that keeps what it read: one language is a side of many pairs."""
    kept: dict[Path, list[str]] = {}

    def read(file: Path) -> list[str]:
        if file not in kept:
            if not file.is_file():
                raise InputError(f"{file} is missing; the other side of the pair is there")
            kept[file] = [checked_text(text, "line", place) for place, text in lines(file)]
        return kept[file]

    return read


def _about(name: str, languages: tuple[str, str], hashed: str, about: Known, language: str) -> About:
    left, right = languages if all(languages) else ("first", "second")
    way = f"{left} sentences look for their nearest {right} one by cosine, weighted F1 as mteb and accuracy as XTREME"
    return About(name, language, MEASURES, hashed, f"{way}; _back is the other way, _both the mean", about.sources)


def _bitext(about: About, left: Sequence[str], right: Sequence[str], choice: Choice, place: Path) -> Bitext:
    if not left:
        raise InputError(f"{place}: {about.name} has no sentences")
    rows, note = choice.rows(len(left), "pairs")
    if note:
        note += ", so that there are fewer to confuse"
        left, right = [left[row] for row in rows], [right[row] for row in rows]
    return Bitext(replace(about, sampled=note), left, right)
