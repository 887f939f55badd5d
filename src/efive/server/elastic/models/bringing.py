"""Definitions on their way into the store: fetched or uploaded, taken over one at a time, taken up after a crash."""

import asyncio
import logging
import shutil
from pathlib import Path

import msgspec

from efive.errors import EfiveError
from efive.models import torchscript
from efive.models.store import read_manifest
from efive.server.elastic.errors import ElasticError, illegal, missing
from efive.server.elastic.models import adopting, bundled, packages
from efive.server.elastic.models.catalog import Catalog, Model, name_in_store
from efive.server.elastic.models.uploads import Upload

log = logging.getLogger("efive.server")


class Bringer:
    """Brings models into the store. Used on the event loop; the work happens in threads and processes."""

    def __init__(self, catalog: Catalog, folder: Path, repository: str | None) -> None:
        """Work below `folder`; packages come from `repository`, an address, if there is one."""
        self._catalog = catalog
        self._folder = folder
        self._repository = repository
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._one = asyncio.Lock()

    def upload(self, model_id: str) -> Upload:
        """Return the folder of a model that is on its way."""
        return Upload(self._folder / model_id)

    def defined(self, model_id: str, model: Model) -> bool:
        """Say whether definition and vocabulary are here."""
        if model.stored:
            return self._catalog.in_store(model.stored)
        return not model.package and self.arrived(model_id, model)

    def arrived(self, model_id: str, model: Model) -> bool:
        """Say whether all of an upload is here."""
        return self.upload(model_id).complete(vocabulary=not bundled.is_bundle(model.config))

    def busy(self, model_id: str) -> bool:
        """Say whether a model is being fetched or taken over."""
        return model_id in self._tasks

    async def package(self, model_id: str) -> packages.Package:
        """Return the package of a model; an optimised variant's weights are the portable one's, if that is there.

        Raises:
            ElasticError: if there is none.
        """
        name = name_in_store(model_id)
        tried = dict.fromkeys([name, model_id.removeprefix(".")])
        if self._repository is not None:
            for package_id in tried:
                found = await asyncio.to_thread(packages.find, self._repository, package_id)
                if found is not None:
                    return found
        where = f"in [{self._repository}]" if self._repository else "and no model repository is set"
        raise illegal(
            f"Failed to find package [{model_id.removeprefix('.')}] {where}. `efive models pull {name}` on the server "
            "brings the model without one; EFIVE_MODEL_REPOSITORY=file:///… in the server's environment sets one"
        )

    def begin(self, model_id: str) -> "asyncio.Task[None]":
        """Bring a model, once however many ask; goes on if nobody waits."""
        if model_id not in self._tasks:
            task = self._tasks[model_id] = asyncio.ensure_future(self._bring(model_id))
            task.add_done_callback(lambda task: self._ended(model_id, task))
        return self._tasks[model_id]

    def _ended(self, model_id: str, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(model_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            words = str(error) if isinstance(error, EfiveError) else type(error).__name__
            log.error("trained model not taken over: %s", words, extra={"model": model_id})

    async def complete(self, model_id: str) -> None:
        """Wait until a model is in the store.

        Raises:
            ElasticError: if its definition is not all here, or cannot be taken over.
        """
        model = self._catalog.own(model_id)
        if model is None or (model.stored and self._catalog.in_store(model.stored)):
            return
        if not model.package and not self.busy(model_id):
            self._check_arrived(model_id, model)
        await asyncio.shield(self.begin(model_id))

    def _check_arrived(self, model_id: str, model: Model) -> None:
        upload = self.upload(model_id)
        totals = upload.totals()
        if totals is None:
            raise missing(f"Could not find trained model definition [{model_id}]")
        if upload.arrived < totals["parts"]:
            raise illegal(
                f"Model definition truncated. Unable to deserialize trained model definition [{model_id}]: "
                f"[{upload.arrived}] of [{totals['parts']}] parts are here"
            )
        if not self.arrived(model_id, model):
            raise missing(f"Could not find vocabulary of trained model [{model_id}]")

    async def _bring(self, model_id: str) -> None:
        async with self._one:
            model, name = self._catalog.get(model_id), name_in_store(model_id)
            if not self._there(model_id, model, name):
                package = await self.package(model_id) if model.package else None
                await asyncio.to_thread(self._take_over, adopting.Wanted(model_id, name, model.config), package)
            self._catalog.put(model_id, msgspec.structs.replace(model, stored=name))
            await asyncio.to_thread(self.upload(model_id).remove)

    def _there(self, model_id: str, model: Model, name: str) -> bool:
        """Say whether the store has it: of a package whoever brought it, else what we put there before a crash."""
        if not self._catalog.in_store(name):
            return False
        manifest = read_manifest(self._catalog.store.models / name)
        if model.package or manifest["source"] == adopting.source_of(model_id):
            return True
        raise illegal(f"the store has a model [{name}] from {manifest['source']}; choose another id")

    def _take_over(self, wanted: adopting.Wanted, package: packages.Package | None) -> None:
        upload = self.upload(wanted.model_id)
        work = upload.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, mode=0o700)
        try:
            if package is not None:
                packages.fetch(package, work)
            else:
                upload.join(work / "definition.pt")
            if bundled.is_bundle(wanted.config):
                bundled.adopt(self._catalog.store, wanted, work / "definition.pt")
                return
            vocabulary = (upload if package is None else Upload(work)).vocabulary()
            if vocabulary is None:
                raise missing(f"Could not find vocabulary of trained model [{wanted.model_id}]")
            adopting.adopt(self._catalog.store, wanted, work, vocabulary)
        except OSError as error:
            raise ElasticError(500, "exception", f"[{wanted.model_id}] cannot be taken over: {error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    async def settled(self, model_id: str) -> None:
        """Wait until nothing is done for a model; what became of it does not matter."""
        if task := self._tasks.get(model_id):
            await asyncio.wait([task])

    def resume(self) -> None:
        """Go on with what the last run of the server left."""
        for model_id in self._catalog.ids():
            model = self._catalog.own(model_id)
            if model is not None and not model.stored and (model.package or self.arrived(model_id, model)):
                self.begin(model_id)

    async def close(self) -> None:
        """Let go; what a thread is at goes on until it is done with this model, but no TorchScript is read any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        torchscript.end()
        if tasks:
            await asyncio.wait(tasks)
