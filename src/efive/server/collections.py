"""The server's collections: opened once, used in threads, each with the deployment that embeds for it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from efive.deployments.deployment import Deployment, Phase
from efive.deployments.manager import Deployments
from efive.errors import CollectionNotFoundError, InputError, NotReadyError
from efive.search.collection import Collection
from efive.search.folder import Folder, Settings, settings_of
from efive.search.lance.table import connect
from efive.space import Space

_THREADS = 16
_WRITERS = 4
"""Threads for writing, beside the others: adding documents may take minutes, and searches do not wait for it."""
_LONGEST = 200
"""Bytes of a name: file systems take 255."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Held:
    """An open collection, and what embeds for it."""

    collection: Collection
    deployment: Deployment
    space: Space

    def serves(self, deployment: Deployment) -> bool:
        """Say whether it can go on with what is deployed now: the same model, perhaps stopped and started."""
        return self.deployment is deployment and self.space == deployment.encoder.space


class Collections:
    """The collections below one folder. Used on the event loop; their own work happens in threads."""

    def __init__(self, folder: Path, deployments: Deployments) -> None:
        self._folder = folder
        self._deployments = deployments
        self._open: dict[str, _Held] = {}
        self._known: dict[str, tuple[tuple[int, int], Settings]] = {}
        self._changing: dict[str, asyncio.Lock] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="efive-collections")
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="efive-writers")

    def names(self) -> list[str]:
        """Return the names of all collections."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir() and Folder(path).exists)

    def path(self, name: str) -> Path:
        """Return the folder of a collection, there or not.

        Raises:
            InputError: for a name that would leave the folder of collections.
        """
        if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
            raise InputError(f"{name!r} cannot be a collection's name: no slashes, no leading dot")
        if len(name.encode()) > _LONGEST:
            raise InputError(f"a collection's name can have {_LONGEST} bytes; this one has {len(name.encode())}")
        return self._folder / name

    def exists(self, name: str) -> bool:
        """Say whether there is a collection."""
        return Folder(self.path(name)).exists

    def deployment_of(self, name: str, model: str | None = None) -> Deployment:
        """Return the deployment that embeds for a collection: one of its space, else the one of its model's name.

        Args:
            name: of the collection.
            model: the deployment for one that does not exist.

        Raises:
            CollectionNotFoundError: if there is no such collection, and no model is named.
            ModelNotFoundError: if its model is not deployed.
        """
        if model is not None and not self.exists(name):
            return self._deployments.find(model)[0]
        settings = self._settings(name)
        same = [each for each in self._deployments if _space(each) == settings.space]
        for each in same:
            if each.phase is Phase.READY:
                return each
        return same[0] if same else self._deployments.find(settings.model or "bundled")[0]

    def _settings(self, name: str) -> Settings:
        changed, known = Folder(self.path(name)).changed(), self._known.get(name)
        if known is not None and known[0] == changed:
            return known[1]
        settings = settings_of(self._there(name).generation())
        self._known[name] = changed, settings
        return settings

    def _there(self, name: str) -> Folder:
        folder = Folder(self.path(name))
        if not folder.exists:
            raise CollectionNotFoundError(f"there is no collection {name!r}")
        return folder

    async def open(self, name: str, model: str | None = None) -> Collection:
        """Return a collection; one that does not exist is made if a model is named.

        Args:
            name: of the collection.
            model: the deployment for a new one.

        Raises:
            CollectionNotFoundError: if there is none and no model is named.
            SpaceMismatchError: if its deployment embeds in another space than it was made in.
        """
        held, deployment = self._open.get(name), self.deployment_of(name, model)
        if held is not None and held.serves(deployment):
            return held.collection
        async with self._changes(name):
            return await self._opened(name, model)

    def _changes(self, name: str) -> asyncio.Lock:
        """Return what only one request at a time has: it opens a collection, writes to it or removes it."""
        return self._changing.setdefault(name, asyncio.Lock())

    async def _opened(self, name: str, model: str | None) -> Collection:
        held, deployment = self._open.get(name), self.deployment_of(name, model)
        if held is not None:
            if held.serves(deployment):
                return held.collection
            await self._forget(name)
        path, encoder = self.path(name), deployment.encoder
        collection = await self.run(lambda: Collection.open(path, encoder, model=deployment.settings.model))
        self._open[name] = _Held(collection, deployment, encoder.space)
        return collection

    async def write(self, name: str, work: Callable[[Collection], Result], model: str | None = None) -> Result:
        """Let `work` write to a collection, in a thread; of each collection one at a time, the others wait without.

        Args:
            name: of the collection.
            work: gets the collection.
            model: the deployment for a new one.

        Raises:
            EfiveError: as `open`, and what `work` raises.
        """
        self.deployment_of(name, model)  # first: names that nothing has leave nothing behind
        async with self._changes(name):
            collection = await self._opened(name, model)
            return await _to_its_end(self._writers, work, collection)

    async def remove(self, name: str, ids: Sequence[str]) -> None:
        """Remove documents from a collection, whose model need not be deployed; one that does not exist has none.

        Raises:
            CollectionBusyError: if another process writes to it.
        """
        async with self._changes(name):
            if not self.exists(name):
                return
            held = self._open.get(name)
            work = held.collection.delete if held is not None else partial(_remove, self.path(name))
            await _to_its_end(self._writers, work, ids)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do what takes its time in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def warm(self) -> None:
        """Load the store's library, so that the first request does not wait for it."""
        await self.run(lambda: connect(None))

    async def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        held = self._open.pop(name, None)
        if held is not None:
            await _to_its_end(self._threads, held.collection.close)

    async def delete(self, name: str) -> None:
        """Remove a collection with all that is in it.

        Raises:
            CollectionNotFoundError: if there is none.
            CollectionBusyError: if another process writes to it.
        """
        self._there(name)
        async with self._changes(name):
            folder = self._there(name)
            await self._forget(name)
            await _to_its_end(self._threads, folder.remove)

    async def close(self) -> None:
        """Let go of all collections."""
        for name in tuple(self._open):
            await self._forget(name)
        for threads in (self._threads, self._writers):  # not on the event loop: what they embed comes from there
            await asyncio.to_thread(threads.shutdown)


async def _to_its_end(threads: ThreadPoolExecutor, work: Callable[..., Result], *arguments: object) -> Result:
    """Change a collection in a thread; a caller who is cancelled keeps its turn until the thread is done with it."""
    doing = threads.submit(work, *arguments)
    try:
        return await asyncio.wrap_future(doing)
    except asyncio.CancelledError:  # which has cancelled what no thread had begun
        await asyncio.gather(asyncio.wrap_future(doing), return_exceptions=True)
        raise


def _remove(path: Path, ids: Sequence[str]) -> int:
    with Collection.open(path, create=False) as collection:
        return collection.delete(ids)


def _space(deployment: Deployment) -> Space | None:
    try:
        return deployment.encoder.space
    except NotReadyError:  # it has never been started
        return None
