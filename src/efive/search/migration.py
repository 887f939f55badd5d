"""Another model for a collection: everything is embedded anew beside the old, then takes its place in one step."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from efive.encoder import Encoder
from efive.errors import StoreError
from efive.search.adding import Added, Adding, Report
from efive.search.documents import Document
from efive.search.folder import Folder, Settings, settings_of
from efive.search.lance.table import LanceStore, heal
from efive.search.store import Snapshot
from efive.search.wanted import Wanted, codec_of

_GROUP = 256


def migrate(path: str | Path, encoder: Encoder, wanted: Wanted, *, progress: Report = lambda _count: None) -> Added:
    """Embed a collection in the encoder's space, and with other windows or vectors if so wanted.

    Those who search go on with the old passages until the new ones are complete; nobody else can write meanwhile.
    Interrupted, the same call goes on where it stopped.

    Args:
        path: the collection's folder.
        encoder: the new one.
        wanted: windows and vectors; what is None stays as the encoder likes it.
        progress: called with the number of documents just done, those of an interrupted call too.

    Raises:
        CollectionNotFoundError: if there is no collection.
        CollectionBusyError: if another process writes to it.
        StoreError: if the disk is full; the collection is as it was before.
    """
    folder = Folder(Path(path).expanduser())
    folder.generation()  # fails if there is none, before a folder is made for the lock
    folder.acquire()
    try:
        return _migrate(folder, encoder, wanted.settings(encoder), progress)
    finally:
        folder.release()


def _migrate(folder: Folder, encoder: Encoder, settings: Settings, progress: Report) -> Added:
    current = folder.generation()  # as the writer: another migration may have ended a moment ago
    heal(current)
    stated = settings_of(current)
    old = LanceStore(current, codec_of(stated)).snapshot()
    if replace(stated, model=settings.model) == settings:
        return Added(unchanged=old.counts().documents)  # killed right after the switch, or given twice
    generation = _begun(folder, settings) or folder.begin(settings)
    new = LanceStore(generation, codec_of(settings), create=True)
    _remove_gone(old, new)
    added = Adding(new, encoder, settings.shape, progress, None).run(_documents(old))
    new.maintain()
    folder.switch(generation)
    return added


def _begun(folder: Folder, settings: Settings) -> Path | None:
    """Return what an interrupted call has left, unless a power cut has destroyed it."""
    generation = folder.unfinished(settings)
    if generation is None:
        return None
    try:
        heal(generation)
    except StoreError:
        return None
    return generation


def _remove_gone(old: Snapshot, new: LanceStore) -> None:
    """Remove what was deleted from the collection after an interrupted call."""
    stay = set(old.ids())
    gone = (name for name in new.snapshot().ids() if name not in stay)
    while group := list(islice(gone, _GROUP)):
        new.remove(group)


def _documents(snapshot: Snapshot) -> Iterator[Document]:
    names = iter(sorted(snapshot.ids()))
    while group := list(islice(names, _GROUP)):
        yield from snapshot.documents(group)
