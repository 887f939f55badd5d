"""All indexes of a server, and what their namespaces hold, opened once."""

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote
from weakref import WeakKeyDictionary

import msgspec
from starlette.requests import Request

from efive.errors import CollectionNotFoundError
from efive.search.folder import Folder
from efive.search.raw import RawVectors
from efive.server.protocols.pinecone.definitions import Index
from efive.server.protocols.pinecone.holdings import Holding, Records
from efive.server.protocols.pinecone.problems import ExistsError, ProtectedError
from efive.server.service import Service

_KIND = "pinecone-index"
DEFAULT = "__default__"
"""The namespace of those who name none: another word for the empty one."""
_LONG = 100
Result = TypeVar("Result")


class Indexes:
    """Indexes by name. Used on the event loop; holdings in the threads of `service.collections`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._all = service.state.all(_KIND, Index)
        self._open: dict[tuple[str, str], Holding] = {}
        self._changing: dict[str, asyncio.Lock] = {}
        self._writing = WeakKeyDictionary[Holding, asyncio.Lock]()

    def all(self) -> list[Index]:
        """Return all indexes in the order of their names."""
        return [self._all[name] for name in sorted(self._all)]

    def get(self, name: str) -> Index:
        """Return an index.

        Raises:
            CollectionNotFoundError: if there is none of that name.
        """
        if name not in self._all:
            raise CollectionNotFoundError(f"Resource {name} not found: there is no index of that name")
        return self._all[name]

    def create(self, index: Index) -> Index:
        """Make an index known; one with a model has collections that begin with its name.

        Raises:
            ExistsError: if there is one of that name, or a collection that is not its own.
        """
        if index.name in self._all:
            raise ExistsError(f"Resource already exists: there is an index {index.name} already")
        if index.embed is not None:
            self._free_collection(index.name)
        return self.keep(index)

    def keep(self, index: Index) -> Index:
        """Remember an index as it is now."""
        self._service.state.put(_KIND, index.name, index)
        self._all[index.name] = index
        return index

    async def delete(self, name: str) -> None:
        """Remove an index with all that it holds.

        Raises:
            CollectionNotFoundError: if there is none of that name.
            ProtectedError: if it is protected.
        """
        async with self._changes(name):
            index = self.get(name)
            if index.deletion_protection == "enabled":
                raise ProtectedError(
                    f"Deletion protection is enabled for {name}; configure the index to disable it first"
                )
            for namespace in index.namespaces:  # first: while the index is known, what is left can be deleted again
                await self._discard(index, namespace)
            await self._run(lambda: shutil.rmtree(self._vectors / index.id, ignore_errors=True))
            self._service.state.remove(_KIND, name)
            self._all.pop(name, None)

    async def holding(self, index: Index, namespace: str, *, make: bool = False) -> Holding | None:
        """Return what a namespace holds; None if it does not exist and is not to be made.

        Raises:
            ExistsError: if a collection that is not its own has the name for it.
            ModelNotFoundError, NotReadyError: if the index has a model that does not answer.
        """
        async with self._changes(index.name):
            index, namespace = self.get(index.name), plain(namespace)
            if namespace not in index.namespaces:
                if not make:
                    return None
                index = self._with(index, namespace)
            key, folder = (index.id, namespace), index.namespaces[namespace]
            found = self._open.get(key)
            if index.embed is not None:  # the server may have let go of the collection, and opened it again
                collection = await self._service.collections.open(folder, index.embed.model)
                if not isinstance(found, Records) or found.collection is not collection:
                    found = Records(collection, index.embed.field, index.metric)
            elif found is None:
                path = self._vectors / index.id / folder
                found = await self._run(lambda: RawVectors(path, index.dimension, index.metric))
            self._open[key] = found
            return found

    def _changes(self, name: str) -> asyncio.Lock:
        """Return what only one request at a time has: it opens what an index holds, or removes it."""
        return self._changing.setdefault(name, asyncio.Lock())

    async def read(self, index: Index, namespace: str, work: Callable[[Holding], Result]) -> Result | None:
        """Return what `work` finds in a namespace; None if the namespace does not exist.

        Raises:
            EfiveError: as `holding`, and what `work` raises.
        """
        held = await self.holding(index, namespace)
        if held is None:
            return None
        try:
            return await self._run(lambda: work(held))
        except Exception:
            if (index.id, plain(namespace)) not in self._open:  # deleted under the reader's eyes
                raise no_namespace(namespace) from None
            raise

    async def write(
        self, index: Index, namespace: str, work: Callable[[Holding], Result], *, make: bool = False
    ) -> Result | None:
        """Let `work` write to a namespace, one request at a time; the others wait without a thread of the readers'.

        Returns:
            What `work` returns; None if the namespace does not exist and is not to be made.

        Raises:
            EfiveError: as `holding`, and what `work` raises.
        """
        held = await self.holding(index, namespace, make=make)
        if held is None:
            return None
        key, embed = (index.id, plain(namespace)), index.embed

        def written(now: Holding) -> Result:
            found = self._open.get(key)  # whoever deletes it waits behind this, and may have made another one
            if found is None or (embed is None and found is not now):
                raise no_namespace(namespace)
            return work(now)

        if embed is None:
            async with self._writes(held):
                return await self._run(lambda: written(held))
        assert isinstance(held, Records)
        return await self._service.collections.write(
            held.collection.path.name,
            lambda collection: written(Records(collection, embed.field, index.metric)),
            embed.model,
        )

    def _writes(self, held: Holding) -> asyncio.Lock:
        """Return what only one request at a time has: it writes vectors, or lets go of them."""
        return self._writing.setdefault(held, asyncio.Lock())

    async def _let_go(self, held: Holding) -> None:
        async with self._writes(held):
            await self._run(held.close)

    def _with(self, index: Index, namespace: str) -> Index:
        folder = secrets.token_hex(8)
        if index.embed is not None:
            folder = collection_of(index.name, namespace)
            self._free_collection(folder)
        return self.keep(msgspec.structs.replace(index, namespaces={**index.namespaces, namespace: folder}))

    def _free_collection(self, name: str) -> None:
        if Folder(self._service.collections.path(name)).exists:
            raise ExistsError(f"there is a collection {name} already; choose another name, or delete it")

    @property
    def _vectors(self) -> Path:
        return self._service.home / "vectors"

    async def drop(self, index: Index, namespace: str) -> None:
        """Remove a namespace with all that it holds.

        Raises:
            CollectionNotFoundError: if there is none of that name.
        """
        namespace = plain(namespace)
        async with self._changes(index.name):
            index = self.get(index.name)
            if namespace not in index.namespaces:
                raise no_namespace(namespace)
            await self._discard(index, namespace)
            index = self.get(index.name)  # somebody may have configured it meanwhile
            kept = {name: folder for name, folder in index.namespaces.items() if name != namespace}
            self.keep(msgspec.structs.replace(index, namespaces=kept))

    async def _discard(self, index: Index, namespace: str) -> None:
        """Remove what a namespace holds; once this has begun it is empty, whatever happens."""
        folder = index.namespaces[namespace]
        if found := self._open.pop((index.id, namespace), None):
            await self._let_go(found)
        if index.embed is None:
            path = self._vectors / index.id / folder
            await self._run(lambda: shutil.rmtree(path, ignore_errors=True))
        elif Folder(self._service.collections.path(folder)).exists:
            await self._service.collections.delete(folder)

    async def close(self) -> None:
        """Return when nothing is under way any more."""
        for held in self._open.values():
            await self._run(held.close)

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await self._service.collections.run(work)


def indexes_of(request: Request) -> Indexes:
    """Return the server's indexes."""
    found: Indexes = request.app.state.indexes
    return found


def index_of(request: Request) -> Index:
    """Return the index that a request's path names."""
    return indexes_of(request).get(request.path_params["name"])


def plain(namespace: str) -> str:
    """Return the name that a namespace is kept under."""
    return "" if namespace == DEFAULT else namespace


def no_namespace(namespace: str) -> CollectionNotFoundError:
    """Return the error for a namespace that is not there."""
    return CollectionNotFoundError(f"Namespace not found: there is no {namespace or DEFAULT!r}")


def collection_of(index: str, namespace: str) -> str:
    """Return the name of the collection that has a namespace's records: the index's, or `INDEX@NAMESPACE`."""
    if not namespace:
        return index
    name = quote(namespace, safe=" ")
    if len(name) > _LONG:
        name = f"{name[:_LONG]}-{hashlib.sha256(namespace.encode()).hexdigest()[:16]}"
    return f"{index}@{name}"
