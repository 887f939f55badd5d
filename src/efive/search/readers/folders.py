"""Folders: which files below them are read."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from efive.search.readers.files import File
from efive.search.readers.kinds import in_folders

# Later files overrule earlier ones.
_RULE_FILES = (".gitignore", ".efiveignore")
_FOREIGN = {"node_modules", "__pycache__", "site-packages"}
# A folder with one of these is a virtual environment or a cache.
_MARKS = {"pyvenv.cfg", "CACHEDIR.TAG"}

Notice = Callable[[Path, str], object]


@dataclass(frozen=True, slots=True)
class _Rules:
    """The ignore files of one folder."""

    base: str
    """The folder, with a slash at its end."""
    spec: GitIgnoreSpec

    def ignore(self, path: str) -> bool | None:
        """Return whether these rules ignore a path (folders end with a slash), or None if none of them is about it."""
        below = path.removeprefix(self.base)
        matching = (pattern for pattern in reversed(list(self.spec.patterns)) if _is_about(pattern, below))
        return next((pattern.include for pattern in matching), None)


def _is_about(pattern: GitIgnoreSpecPattern, path: str) -> bool:
    """Return whether a pattern matches a path itself, as git asks folder by folder, and not only a folder above it."""
    result = pattern.match_file(path) if pattern.include is not None else None
    if not result:
        return False
    # The only group of these expressions is the slash behind a folder that matches.
    folder_matches = result.match.lastindex is not None
    return folder_matches == (path.endswith("/") and result.match.end() == len(path))


def find(
    paths: Iterable[Path | str], name: Callable[[Path], str] = Path.as_posix, notice: Notice | None = None
) -> Iterator[File]:
    """Yield the files at `paths` and below the folders among them, each once, in a fixed order.

    A file that is named itself always comes, even if it does not exist: reading it tells why. Of a folder come
    the files whose names stand for a kind that is read, without what is hidden, what `.gitignore` and
    `.efiveignore` files exclude (in the folder, below it, and above it as far as the repository goes),
    packages of others, virtual environments and caches. Links to folders are not followed.

    Args:
        paths: files and folders.
        name: gives a file the name that its documents get.
        notice: told of each folder that cannot be read, and why.
    """
    seen: set[tuple[int, int]] = set()
    for path in map(Path, paths):
        for found in _walk(path, notice) if _is_folder(path) else [path]:
            if _is_new(found, seen):
                yield File(found, name(found))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # in a folder that may not be entered
        return False


def _is_new(path: Path, seen: set[tuple[int, int]]) -> bool:
    """Return whether a file comes for the first time, under whatever name; one that cannot be asked is new."""
    try:
        stat = path.stat()
    except OSError:
        return True
    known = (stat.st_dev, stat.st_ino)
    if known in seen:
        return False
    seen.add(known)
    return True


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    """As the user named it, or below that."""
    absolute: str
    """With a slash at its end."""
    rules: tuple[_Rules, ...]
    """From the outermost folder to the one above."""
    is_root: bool = False


def _walk(root: Path, notice: Notice | None) -> Iterator[Path]:
    absolute = root.resolve().as_posix().rstrip("/") + "/"
    pending = [_entries(_Folder(root, absolute, _above(absolute), is_root=True), notice)]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
        elif isinstance(entry, Path):
            yield entry
        else:
            pending.append(_entries(entry, notice))


def _entries(folder: _Folder, notice: Notice | None) -> Iterator[Path | _Folder]:
    """Yield the files of a folder that are read, and the folders in it, by name."""
    try:
        with os.scandir(folder.path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if notice:
            notice(folder.path, error.strerror or str(error))
        return
    if not folder.is_root and any(entry.name in _MARKS for entry in found):
        return
    rules = (*folder.rules, *_rules(folder.path, folder.absolute))
    for entry in found:
        path, absolute = folder.path / entry.name, folder.absolute + entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _FOREIGN and not _ignored(f"{absolute}/", rules):
                yield _Folder(path, f"{absolute}/", rules)
        elif in_folders(path) and not _ignored(absolute, rules) and _is_file(entry):
            yield path


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _ignored(path: str, rules: tuple[_Rules, ...]) -> bool:
    """Return what the innermost folder says that has a rule about `path`."""
    return next((said for said in (own.ignore(path) for own in reversed(rules)) if said is not None), False)


def _rules(folder: Path, absolute: str) -> list[_Rules]:
    """Return the rules that stand in a folder, none or one."""
    lines = [line for name in _RULE_FILES for line in _lines(folder / name)]
    return [_Rules(absolute, GitIgnoreSpec.from_lines(lines))] if lines else []


def _lines(path: Path) -> list[str]:
    """Return the patterns of an ignore file; as git does, without those that are none."""
    try:
        lines = path.read_text("utf-8-sig", "surrogateescape").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.strip() and _is_pattern(line)]


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _above(root: str) -> tuple[_Rules, ...]:
    """Return the rules of the folders above `root` in its repository; a folder named in spite of them has none."""
    own, *parents = [Path(root), *Path(root).parents]
    inside = next((number for number, parent in enumerate(parents, 1) if (parent / ".git").exists()), 0)
    if not inside or (own / ".git").exists():
        return ()
    above = reversed(parents[:inside])
    rules = tuple(rule for parent in above for rule in _rules(parent, parent.as_posix().rstrip("/") + "/"))
    return () if _ignored(root, rules) else rules
