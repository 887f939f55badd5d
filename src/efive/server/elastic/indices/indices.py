"""The indices of a server."""

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from efive.errors import CollectionBusyError, EfiveError
from efive.search.folder import Folder, settings_of
from efive.server.elastic.errors import ElasticError, no_index
from efive.server.elastic.indices import adoption, mapping_json
from efive.server.elastic.indices import names as index_names
from efive.server.elastic.indices import settings as index_settings
from efive.server.elastic.indices.description import Description, is_described, settings_in
from efive.server.elastic.indices.index import Index
from efive.server.elastic.indices.mapping import Field, FieldType, Mapping
from efive.server.elastic.indices.mapping_merging import merged
from efive.server.elastic.inference.endpoint import BUNDLED_ID, DEFAULT_ID

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

_FILE, _DELETED = "index.sqlite", "deleted"
_ENDPOINTS = {"bundled": BUNDLED_ID, "multilingual-e5-small": DEFAULT_ID}
"""What embeds for collections of these models where no deployment does."""


class Indices:
    """Indices by name, opened when they are first used. Used on the event loop."""

    def __init__(self, cluster: "Cluster") -> None:
        """Take the cluster that they belong to; nothing is opened yet."""
        self._cluster = cluster
        self._folder = cluster.service.home / "elastic" / "indices"
        self._open: dict[str, Index] = {}
        self._changing = WeakValueDictionary[str, asyncio.Lock]()

    def names(self) -> list[str]:
        """Return the names of all indices, those of collections that were made without Elasticsearch's API too."""
        folders = list(self._folder.iterdir()) if self._folder.is_dir() else []
        deleted = {folder.name for folder in folders if (folder / _DELETED).exists()}
        own = {folder.name for folder in folders if (folder / _FILE).exists()}
        return sorted({*own, *filter(_may_be_index, self._cluster.service.collections.names())} - deleted)

    async def get(self, name: str) -> Index:
        """Return an index.

        Raises:
            ElasticError: 404 if there is none.
        """
        found = self._open.get(name)
        if found is not None:
            await found.refresh()
            return found
        return await self._opened(name)

    async def _opened(self, name: str, new: Description | None = None) -> Index:
        """Return an index, made if `new` says what it is to be like and there is none."""
        if not _may_be_index(name):
            raise no_index(name)
        async with self._changes(name):
            if (found := self._open.get(name)) is not None:
                return found
            folder = self._folder / name
            if (folder / _DELETED).exists():
                await self._remove(name)
            fresh = None
            if not await asyncio.to_thread(is_described, folder / _FILE):
                fresh = self._adopted(name) or new
                if fresh is None:
                    raise no_index(name)
            index = await asyncio.to_thread(Index, self._cluster, name, folder, fresh)
            await index.settle()
            self._open[name] = index
            return index

    def _changes(self, name: str) -> asyncio.Lock:
        return self._changing.setdefault(name, asyncio.Lock())

    def _adopted(self, name: str) -> Description | None:
        """Return what a collection is like as an index, or None if there is no such collection."""
        collections = self._cluster.service.collections
        folder = Folder(collections.path(name))
        if not folder.exists:
            return None
        settings = settings_of(folder.generation())
        model = settings.model or "bundled"
        inference_id = _ENDPOINTS.get(model, model)
        with contextlib.suppress(EfiveError):
            deployment = collections.deployment_of(name)
            if deployment.encoder.space == settings.space:
                inference_id = deployment.name
        field = Field(adoption.TEXT, FieldType.SEMANTIC_TEXT, {"inference_id": inference_id})
        return Description(Mapping({field.path: field}), {}, {field.path: name}, adopted=True)

    def pipelines_of(self, name: str) -> tuple[str | None, str | None]:
        """Return the default and the final pipeline of an index; one that is not there has none."""
        index, settings = self._open.get(name), dict[str, Any]()
        if index is not None:
            settings = index.description.settings
        elif _may_be_index(name) and (path := self._folder / name / _FILE).exists():
            settings = settings_in(path)
        return settings.get(index_settings.DEFAULT_PIPELINE), settings.get(index_settings.FINAL_PIPELINE)

    async def meant(
        self, expression: str, *, ignore_unavailable: bool = False, allow_no_indices: bool = True
    ) -> list[str]:
        """Return the names of the indices that an expression means: commas, wildcards, `_all`.

        Raises:
            ElasticError: 404 for one that is not there, unless that is to be ignored.
        """
        if expression in self._open:
            return [expression]
        names = await asyncio.to_thread(self.names)
        return index_names.meant(
            expression, names, ignore_unavailable=ignore_unavailable, allow_no_indices=allow_no_indices
        )

    async def resolve(
        self, expression: str, *, ignore_unavailable: bool = False, allow_no_indices: bool = True
    ) -> list[Index]:
        """Return the indices that an expression means.

        Raises:
            ElasticError: as `meant`.
            StoreError: if one is damaged.
        """
        names = await self.meant(expression, ignore_unavailable=ignore_unavailable, allow_no_indices=allow_no_indices)
        return [each for name in names if (each := await self._resolved(name, expression)) is not None]

    async def _resolved(self, name: str, expression: str) -> Index | None:
        """Return an index that was there when an expression was looked at; None if only a wildcard meant it."""
        try:
            return await self.get(name)
        except ElasticError as error:
            if error.status != 404 or name in expression.split(","):
                raise
            return None

    async def create(
        self, name: str, mappings: dict[str, Any] | None = None, settings: dict[str, Any] | None = None
    ) -> Index:
        """Make an index.

        Raises:
            ElasticError: if there is one, or its name, its mapping or its settings cannot be.
        """
        index_names.check(name)
        description = Description(settings=index_settings.parse(settings or {}))
        mapping = merged(Mapping(), mapping_json.parse(mappings or {}), dynamic_given=True)
        index_settings.check_similarities(mapping, description.settings)
        description = description.with_mapping(name, mapping)
        self._check_paths(description)
        found = await self._opened(name, description)
        if found.uuid != description.uuid:
            raise ElasticError(400, "resource_already_exists_exception", f"index [{name}/{found.uuid}] already exists")
        return found

    def _check_paths(self, description: Description) -> None:
        for collection in description.collections.values():
            self._cluster.service.collections.path(collection)

    async def ensure(self, name: str) -> Index:
        """Return an index, made if there is none: writing documents does so.

        Raises:
            ElasticError: if its name cannot be.
        """
        try:
            return await self.get(name)
        except ElasticError as error:
            if error.type != "index_not_found_exception":
                raise
        index_names.check(name)
        return await self._opened(name, Description())

    async def delete(self, name: str) -> None:
        """Remove an index with all that is in it; one that is damaged too.

        Raises:
            ElasticError: 404 if there is none.
            CollectionBusyError: if another process writes to its collection.
        """
        async with self._changes(name):
            if name not in await asyncio.to_thread(self.names):
                raise no_index(name)
            if (index := self._open.pop(name, None)) is not None:
                await index.close(for_good=True)
            await self._remove(name)

    async def _remove(self, name: str) -> None:
        """Remove the files of an index; a crash in between is made up for by `finish_deletions`."""
        folder, collections = self._folder / name, self._cluster.service.collections
        begun = (folder / _DELETED).exists()
        if folder.is_dir():
            await asyncio.to_thread((folder / _DELETED).touch)
        for each in await asyncio.to_thread(collections.names):
            if each == name or each.startswith(f"{name}#"):
                try:
                    await collections.delete(each)
                except CollectionBusyError:
                    if not begun:  # what was refused must not happen when the name is used again
                        (folder / _DELETED).unlink(missing_ok=True)
                    raise
                begun = True
        if folder.is_dir():
            await asyncio.to_thread(_remove_folder, folder)

    async def finish_deletions(self) -> None:
        """Remove what the server was removing when it ended, before others use the names again."""
        for mark in await asyncio.to_thread(lambda: list(self._folder.glob(f"*/{_DELETED}"))):
            with contextlib.suppress(EfiveError, OSError):  # tried again, and told, when the name is used
                await self._remove(mark.parent.name)

    async def close(self) -> None:
        """Let go of all indices."""
        for index in list(self._open.values()):
            await index.close()
        self._open.clear()


def _remove_folder(folder: Path) -> None:
    """Remove a folder, its mark last."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _DELETED:
            path.unlink()
    (folder / _DELETED).unlink()
    folder.rmdir()


def _may_be_index(name: str) -> bool:
    """Say whether requests can name such an index; the collections of other fields are none."""
    long = len(name.encode(errors="surrogatepass")) > index_names.LONGEST_COLLECTION
    return bool(name) and not long and not name.startswith((".", "_", "-", "+")) and not set(name) & set("#*,/\\\0")
