"""Definitions of trained models: put, uploaded, fetched, removed."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from efive.deployments.manager import Deployments
from efive.deployments.state import State
from efive.errors import EfiveError
from efive.models.store import BUNDLED, ModelStore, read_manifest
from efive.server.elastic.errors import exists, illegal
from efive.server.elastic.models import catalog as models
from efive.server.elastic.models import configs, packages
from efive.server.elastic.models.bringing import Bringer
from efive.server.elastic.models.catalog import Catalog, Model
from efive.server.elastic.models.uploads import Part, Vocabulary


class Definitions:
    """What models there are, and how they come. Used on the event loop."""

    def __init__(self, home: Path, state: State, deployments: Deployments, repository: str | None) -> None:
        """Know what the state remembers, and go on with what was on its way.

        Args:
            home: of the server.
            state: which remembers models.
            deployments: whose names no model may have.
            repository: the address of a model repository; None is what the environment says.
        """
        self.catalog = Catalog(ModelStore(home), state)
        self.bringer = Bringer(self.catalog, home / "elastic-models", repository or packages.configured())
        self._deployments = deployments
        self.bringer.resume()

    async def put(self, model_id: str, body: Mapping[str, Any], *, wait: bool = False) -> Model:
        """Make a model known: a packaged one, which is fetched, or one whose definition will be uploaded.

        Raises:
            ElasticError: saying what cannot be.
        """
        if model_id.startswith(".") and "inference_config" not in body:
            return await self.put_packaged(model_id, wait=wait)
        configs.check_id(model_id)
        if self.catalog.has(model_id):
            raise exists(f"Trained machine learning model [{model_id}] already exists")
        if model_id in self.catalog.aliases():
            raise illegal(f"model_id [{model_id}] is the alias of another model; delete the alias or choose another id")
        if any(each.name == model_id for each in self._deployments):
            raise illegal(f"Cannot create model [{model_id}]: there is a deployment with the same id")
        config = configs.uploaded(body)
        self.bringer.upload(model_id).remove()
        self.catalog.put(model_id, Model(config, models.now()))
        return self.catalog.get(model_id)

    async def put_packaged(self, model_id: str, *, wait: bool) -> Model:
        """Make a packaged model known, and fetch it if the store has not got it.

        Raises:
            ElasticError: if it is there already, or nowhere to be had.
        """
        configs.check_id(model_id.removeprefix("."))
        known = self.catalog.own(model_id)
        if known is not None and self.bringer.defined(model_id, known):
            raise exists(f"Trained machine learning model [{model_id}] already exists")
        name = models.name_in_store(model_id)
        if self.catalog.in_store(name) and name != BUNDLED:
            if self.catalog.own(name) is not None:
                raise illegal(
                    f"[{name}] was uploaded, perhaps with other prefixes, and has the place of [{model_id}] in the "
                    "store; delete it first"
                )
            model = Model(models.builtin(model_id, self.catalog.get(name)), models.now(), name, name)
            self.catalog.put(model_id, model)
            return model
        if known is None:
            package = await self.bringer.package(model_id)
            self.catalog.put(model_id, Model(_packaged(model_id, package), models.now(), package=package.package_id))
        task = self.bringer.begin(model_id)
        if wait:
            try:
                await asyncio.shield(task)
            except EfiveError:
                self.catalog.remove(model_id)
                raise
        return self.catalog.get(model_id)

    async def ensure(self, model_id: str) -> None:
        """Let a model be in the store; a packaged one that nobody has put is put.

        Raises:
            ElasticError: if it is nowhere to be had, or its definition cannot be used.
        """
        model_id = self.catalog.meant(model_id)
        if model_id.startswith(".") and self.catalog.own(model_id) is None:
            await self.put_packaged(model_id, wait=True)
        self.catalog.get(model_id)
        await self.bringer.complete(model_id)

    async def put_part(self, model_id: str, number: int, part: Part) -> None:
        """Take a part of a definition."""
        upload = self.bringer.upload(self._open(model_id))
        await asyncio.to_thread(upload.add, number, part, model_id)
        self._when_complete(model_id)

    async def put_vocabulary(self, model_id: str, vocabulary: Vocabulary) -> None:
        """Take a vocabulary."""
        upload = self.bringer.upload(self._open(model_id))
        await asyncio.to_thread(upload.put_vocabulary, vocabulary)
        self._when_complete(model_id)

    def _open(self, model_id: str) -> str:
        """Return the id of a model that takes uploads."""
        model = self.catalog.get(model_id)
        if self.catalog.own(model_id) is None or model.package or model.stored or self.bringer.busy(model_id):
            raise illegal(f"Trained machine learning model [{model_id}] is complete; it takes no other definition")
        return model_id

    def _when_complete(self, model_id: str) -> None:
        if self.bringer.arrived(model_id, self.catalog.get(model_id)):
            self.bringer.begin(model_id)

    async def remove(self, model_id: str) -> None:
        """Forget a model of this API, with its files."""
        stored = self.catalog.get(model_id).stored or models.name_in_store(model_id)
        await self.bringer.settled(model_id)
        self.catalog.remove(model_id)
        await asyncio.to_thread(self.bringer.upload(model_id).remove)
        await asyncio.to_thread(self._remove_files, stored)

    def _remove_files(self, name: str) -> None:
        """Remove from the store what came through this API and no model uses any more."""
        store = self.catalog.store
        used = any(model.stored == name for model in map(self.catalog.own, self.catalog.ids()) if model is not None)
        used = used or any(each.settings.model == name for each in self._deployments)
        if not used and name != BUNDLED and self.catalog.in_store(name):
            with contextlib.suppress(EfiveError):
                if read_manifest(store.models / name)["source"].startswith("elasticsearch:"):
                    store.remove(name)


def _packaged(model_id: str, package: packages.Package) -> dict[str, Any]:
    """Return the configuration of a packaged model, as its description has it."""
    metadata = package.metadata
    if metadata.get("model_type", "pytorch") != "pytorch":
        raise illegal(f"[model_type] [{metadata['model_type']}] of package [{package.package_id}] is not supported")
    config = configs.uploaded(
        {
            "model_type": "pytorch",
            "inference_config": metadata.get("inference_config"),
            "prefix_strings": metadata.get("prefix_strings"),
            "description": metadata.get("description") or "",
            "metadata": metadata.get("metadata") or {},
            "tags": metadata.get("tags") or [],
        }
    )
    if models.optimised(model_id):
        config["platform_architecture"] = "linux-x86_64"
    shown = ("packaged_model_id", "minimum_version", "size", "sha256", "vocabulary_file")
    described = {name: metadata[name] for name in shown if name in metadata}
    return config | {"model_package": {**described, "model_repository": package.repository}}
