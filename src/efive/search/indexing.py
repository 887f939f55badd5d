"""Files into a collection: what is new or changed is embedded, what is gone is removed."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from efive.errors import InputError
from efive.search.adding import Added, Report
from efive.search.collection import Collection
from efive.search.conditions import Compare, Condition, Or, StartsWith
from efive.search.documents import Document
from efive.search.readers.choice import read
from efive.search.readers.files import File, Options
from efive.search.readers.folders import find

_DEFAULT = Options()


@dataclass(slots=True)
class Indexed:
    """What became of some files and their documents."""

    documents: Added = field(default_factory=Added)
    files: int = 0
    """Files that were read."""
    skipped: int = 0
    """Files that could not be read; what was stored of them before stays."""
    removed: int = 0
    """Documents of files that are gone, or of records that are gone from their files."""


@dataclass
class Watcher:
    """Who wants to know what happens."""

    skipped: Callable[[str], None]
    """Told what is left out, a file or a document, and why."""
    file: Callable[[], object] = lambda: None
    """Called when a file has been read."""
    safe: Report = lambda _count: None
    """Called with the number of documents that have just become safe."""


def index(
    collection: Collection, paths: Iterable[str | Path], watcher: Watcher, options: Options = _DEFAULT
) -> Indexed:
    """Bring a collection up to date with files and folders.

    Documents are named by the absolute path of their file, records by that and their own id. A file that cannot be
    read is reported and skipped. An interrupted call loses nothing that was reported as safe; the next one goes on
    from there. After a complete one, documents are removed that came from these paths before and do not any more.

    Args:
        collection: where the documents go.
        paths: files and folders; `-` is standard input.
        watcher: who wants to know.
        options: how files are read, for all of them.

    Raises:
        InputError: if a path does not exist.
        CollectionError: if the collection cannot be written.
    """
    roots = [Path(path) for path in paths]
    for root in roots:
        if root.as_posix() != "-" and not root.exists():
            raise InputError(f"{root} does not exist")
    run = _Run(collection, watcher, options)
    run.done.documents = collection.add(run.documents(roots), progress=watcher.safe, refused=run.refuse)
    run.remove_gone([root.resolve() for root in roots if root.as_posix() != "-"])
    return run.done


@dataclass
class _Run:
    collection: Collection
    watcher: Watcher
    options: Options
    done: Indexed = field(default_factory=Indexed)
    seen: set[str] = field(default_factory=set)
    """Documents that are there."""
    unread: set[str] = field(default_factory=set)
    """Files that could not be read, or not all of them, and folders, with a slash: what is stored of them stays."""

    def documents(self, roots: list[Path]) -> Iterator[Document]:
        for file in self._files(roots):

            def skip(what: str, name: str = file.name) -> None:
                self.unread.add(name)
                self.watcher.skipped(what)

            try:
                for document in read(file, replace(self.options, skip=skip)):
                    if document.id in self.seen:
                        self.watcher.skipped(f"{document.id}: two records have this id, and the later one counts")
                    self.seen.add(document.id)
                    yield document
                self.done.files += 1
            except InputError as error:
                self.done.skipped += 1
                skip(str(error))
            self.watcher.file()

    def _files(self, roots: list[Path]) -> Iterator[File]:
        if any(root.as_posix() == "-" for root in roots):
            yield File(Path("-"), "stdin", sys.stdin.buffer)
        named = [root for root in roots if root.as_posix() != "-"]
        yield from find(named, name=lambda path: path.resolve().as_posix(), notice=self.closed)

    def closed(self, folder: Path, reason: str) -> None:
        self.unread.add(folder.resolve().as_posix().rstrip("/") + "/")
        self.watcher.skipped(f"{folder.as_posix()}: {reason}; nothing in it is read")

    def refuse(self, error: InputError) -> None:
        self.watcher.skipped(str(error))

    def remove_gone(self, roots: list[Path]) -> None:
        """Remove what the collection has of these roots and nobody has seen, unless its file could not be read."""
        if not roots:
            return
        stored = self.collection.ids(_below(roots))
        gone = [name for name in stored if name not in self.seen and self.unread.isdisjoint(_sources(name))]
        if gone:
            self.done.removed = self.collection.delete(gone)


def _sources(name: str) -> list[str]:
    """Return what a document can have come from: its file, which may itself have a `#` in its name, and folders."""
    return [name, *(name[: mark.end() if mark[0] == "/" else mark.start()] for mark in re.finditer("[#/]", name))]


def _below(roots: list[Path]) -> Condition:
    """Return the condition that a document came from one of `roots`."""
    tests: list[Condition] = []
    for root in roots:
        tests.append(Compare("path", "=", root.as_posix()))
        if root.is_dir():
            tests.append(StartsWith("path", root.as_posix().rstrip("/") + "/"))
    return tests[0] if len(tests) == 1 else Or(tuple(tests))
