"""The server's collections: opened once, used in threads, each with the deployment that embeds for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from efive.deployments.deployment import Deployment
from efive.deployments.manager import Deployments
from efive.errors import CollectionNotFoundError, InputError
from efive.search.collection import Collection
from efive.search.folder import Folder, settings_of

_THREADS = 16
_LONGEST = 200
"""Bytes of a name: file systems take 255."""
Result = TypeVar("Result")


class Collections:
    """The collections below one folder. Used on the event loop; their own work happens in threads."""

    def __init__(self, folder: Path, deployments: Deployments) -> None:
        self._folder = folder
        self._deployments = deployments
        self._open: dict[str, Collection] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="efive-collections")

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

    def deployment_of(self, name: str) -> Deployment:
        """Return the deployment that a collection was embedded with.

        Raises:
            CollectionNotFoundError: if there is no such collection.
            ModelNotFoundError: if its model is not deployed.
        """
        folder = Folder(self.path(name))
        if not folder.exists:
            raise CollectionNotFoundError(f"there is no collection {name!r}")
        return self._deployments.find(settings_of(folder.generation()).model or "bundled")[0]

    async def open(self, name: str, model: str | None = None) -> Collection:
        """Return a collection; one that does not exist is made if a model is named.

        Args:
            name: of the collection.
            model: the deployment for a new one.

        Raises:
            CollectionNotFoundError: if there is none and no model is named.
            SpaceMismatchError: if its deployment embeds in another space than it was made in.
        """
        if name in self._open:
            return self._open[name]
        path, exists = self.path(name), Folder(self.path(name)).exists
        deployment = self.deployment_of(name) if exists or model is None else self._deployments.find(model)[0]

        def opened() -> Collection:
            return Collection.open(path, deployment.encoder, model=deployment.settings.model)

        collection = await self.run(opened)
        if name in self._open:  # two requests opened it at once
            await self.run(collection.close)
        return self._open.setdefault(name, collection)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do what takes its time in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def forget(self, name: str) -> None:
        """Let go of a collection, because it is about to be deleted or moved."""
        collection = self._open.pop(name, None)
        if collection is not None:
            await self.run(collection.close)

    async def delete(self, name: str) -> None:
        """Remove a collection with all that is in it.

        Raises:
            CollectionNotFoundError: if there is none.
            CollectionBusyError: if another process writes to it.
        """
        folder = Folder(self.path(name))
        if not folder.exists:
            raise CollectionNotFoundError(f"there is no collection {name!r}")
        await self.forget(name)
        await self.run(folder.remove)

    async def close(self) -> None:
        """Let go of all collections."""
        for name in tuple(self._open):
            await self.forget(name)
        self._threads.shutdown()
