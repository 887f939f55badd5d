"""TrainedModels: what models there are, and which of them are deployed."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from efive.deployments.deployment import Deployment, Phase
from efive.errors import EfiveError, ModelNotFoundError
from efive.server.elastic.errors import ElasticError, conflict, illegal, missing
from efive.server.elastic.models import catalog as models
from efive.server.elastic.models.definitions import Definitions
from efive.server.elastic.models.options import Adaptive, StartOptions, check, settings_of
from efive.server.elastic.models.throughput import Throughput

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

log = logging.getLogger("efive.server")
_ASSIGNED = "elastic-assignment"
_GONE = {Phase.STOPPED, Phase.FAILED}


class TrainedModels:
    """Trained models and their deployments. Used on the event loop."""

    def __init__(self, cluster: "Cluster", repository: str | None = None) -> None:
        """Know what the state remembers, and go on with what was on its way.

        Args:
            cluster: of which it is a part.
            repository: the address of a model repository; None is what the environment says.
        """
        service = cluster.service
        self._cluster = cluster
        self._state = service.state
        self._deployments = service.deployments
        self.definitions = Definitions(service.home, service.state, self._deployments, repository)
        self.catalog = self.definitions.catalog
        self.throughput = Throughput(self._deployments)
        self._assigned = service.state.all(_ASSIGNED, str)
        self._later: dict[str, asyncio.Task[None]] = {}
        """Deployments that start when their models, which are on their way, are here."""

    # -- models --------------------------------------------------------------------------------------------------

    def exists(self, model_id: str) -> bool:
        """Say whether there is a trained model of this id or alias."""
        return self.catalog.has(self.catalog.meant(model_id))

    def stored_as(self, model_id: str) -> str:
        """Return what the store calls a model."""
        model_id = self.catalog.meant(model_id)
        return self.catalog.stored_as(model_id) if self.catalog.has(model_id) else models.name_in_store(model_id)

    async def ensure(self, model_id: str) -> None:
        """Let a model be in the store; a packaged one that nobody has put is put.

        Raises:
            ElasticError: if it is nowhere to be had, or its definition cannot be used.
        """
        await self.definitions.ensure(model_id)

    async def delete(self, model_id: str, *, force: bool = False) -> None:
        """Forget a model with its files; deployments of it are stopped if this is forced.

        Raises:
            ElasticError: if it is used, or did not come through this API.
        """
        self.catalog.get(model_id)
        if self.catalog.own(model_id) is None:
            raise conflict(
                f"Cannot delete model [{model_id}]: the server's own command put it there. "
                f"`efive models remove {model_id}` removes it"
            )
        deployed = self.deployments_of(model_id)
        if deployed and not force:
            raise conflict(f"Cannot delete model [{model_id}] as it is currently deployed; use force to delete")
        names = {model_id, *self.catalog.aliases(model_id)}
        if not force and any(self._cluster.pipelines.using(name) for name in names):
            raise conflict(f"Cannot delete model [{model_id}] as it is still referenced by ingest processors")
        for deployment in deployed:
            await self._end(deployment.name)
        await self.definitions.remove(model_id)

    # -- deployments ---------------------------------------------------------------------------------------------

    def find(self, name: str) -> Deployment | None:
        """Return the deployment that a deployment id means, or an alias or a model id: one that is ready, if any."""
        with contextlib.suppress(ModelNotFoundError):
            return self._deployments.get(name)
        found = self.deployments_of(self.catalog.meant(name))
        return min(found, key=lambda each: each.phase is not Phase.READY, default=None)

    def model_of(self, deployment_id: str) -> str:
        """Return the id of the model of a deployment."""
        return self._assignment(deployment_id) or self._deployments.get(deployment_id).settings.model

    def _assignment(self, deployment_id: str) -> str | None:
        """Return the model that a deployment was started of here, unless another door has replaced it since."""
        assigned, model = self._assigned.get(deployment_id), self._deployments.get(deployment_id).settings.model
        return assigned if assigned is not None and self.stored_as(assigned) == model else None

    def deployments_of(self, model_id: str) -> list[Deployment]:
        """Return the deployments of a model, by name."""
        return sorted(self._of(model_id), key=lambda each: each.name)

    def _of(self, model_id: str) -> Iterator[Deployment]:
        return (each for each in self._deployments if self.model_of(each.name) == model_id)

    async def start(self, model_id: str, deployment_id: str, options: StartOptions) -> Deployment:
        """Start a deployment of a model, and wait for it as the options say.

        Raises:
            ElasticError: if it cannot be, has been already, or is not ready in time; it goes on then.
            EfiveError: why it cannot be started.
        """
        check(options)
        model_id = self.catalog.meant(model_id)
        self.catalog.get(model_id)
        self._check_free(model_id, deployment_id)
        try:
            async with asyncio.timeout(None if options.timeout > 1e6 else options.timeout):
                deployment = await self._begin(model_id, deployment_id, options)
                return deployment if options.wait_for == "starting" else await self._deployments.start(deployment_id)
        except TimeoutError:
            self._begin_later(model_id, deployment_id, options)
            raise ElasticError(
                408,
                "status_exception",
                f"Timed out after [{options.timeout:g}s] waiting for model deployment to start. Use the trained model "
                "stats API to track the state of the deployment and try again once it has started.",
            ) from None
        except EfiveError:
            if self._assigned.get(deployment_id) == model_id and self._phase(deployment_id) in _GONE:
                await self._end(deployment_id)
            raise

    async def _begin(self, model_id: str, deployment_id: str, options: StartOptions) -> Deployment:
        await self.definitions.bringer.complete(model_id)
        self._check_free(model_id, deployment_id)
        self._create(model_id, deployment_id, options)
        return self._deployments.start_soon(deployment_id)

    def _begin_later(self, model_id: str, deployment_id: str, options: StartOptions) -> None:
        """Go on where nobody waits any more: taking a large model over lasts longer than clients wait."""
        if self._phase(deployment_id) in {None, *_GONE} and deployment_id not in self._later:
            task = self._later[deployment_id] = asyncio.ensure_future(
                self._wait_and_begin(model_id, deployment_id, options)
            )
            task.add_done_callback(lambda _: self._later.pop(deployment_id, None))

    async def _wait_and_begin(self, model_id: str, deployment_id: str, options: StartOptions) -> None:
        try:
            await self.definitions.bringer.complete(model_id)
            self._later.pop(deployment_id, None)  # it has not been started already: this is the start
            await self._begin(model_id, deployment_id, options)
        except EfiveError as error:
            log.error("deployment not started: %s", error, extra={"model": deployment_id})

    def _check_free(self, model_id: str, deployment_id: str) -> None:
        if deployment_id != model_id and self.catalog.has(deployment_id):
            raise illegal(
                f"deployment id [{deployment_id}] is the same as an another model which is not the model being "
                "deployed. Please choose a different deployment id"
            )
        if self._phase(deployment_id) not in {None, *_GONE} or deployment_id in self._later:
            raise conflict(f"Cannot start deployment [{deployment_id}] because it has already been started")

    def _phase(self, deployment_id: str) -> Phase | None:
        with contextlib.suppress(ModelNotFoundError):
            return self._deployments.get(deployment_id).phase
        return None

    def _create(self, model_id: str, deployment_id: str, options: StartOptions) -> None:
        name, model = self.stored_as(model_id), self.catalog.get(model_id)
        exact = self.catalog.own(model_id) is not None and not model.config.get("platform_architecture")
        weights = self.catalog.store.resolve(name) / "model.safetensors"
        size = weights.stat().st_size if weights.is_file() else 1 << 30
        self._deployments.create(settings_of(deployment_id, name, options, "fp32" if exact else "auto", size))
        self._state.put(_ASSIGNED, deployment_id, model_id)
        self._assigned[deployment_id] = model_id

    async def update(
        self, deployment_id: str, *, allocations: int | None = None, adaptive: Adaptive | None = None
    ) -> Deployment:
        """Change the allocations of a deployment.

        Raises:
            ElasticError: if they cannot be.
        """
        if self._phase(deployment_id) is None:
            raise missing(f"deployment for model with id [{deployment_id}] not found")
        before = self._deployments.get(deployment_id).settings
        check(StartOptions(allocations=allocations, adaptive=adaptive, low_priority=before.low_priority))
        least, most = adaptive.range if adaptive else (None, None)
        wanted = msgspec.structs.replace(before, allocations=allocations or before.allocations, least=least, most=most)
        return await self._deployments.update(deployment_id, wanted)

    async def stop(self, deployment_id: str, *, force: bool = False) -> None:
        """Stop a deployment; a packaged or uploaded model's is gone then.

        Raises:
            ElasticError: if pipelines use it, and this is not forced.
        """
        if not force:
            used = self._cluster.pipelines.using(deployment_id)
            if used:
                raise conflict(
                    f"Cannot stop deployment [{deployment_id}] as it is referenced by ingest processors; "
                    "use force to stop the deployment"
                )
        await self._end(deployment_id)

    async def _end(self, deployment_id: str) -> None:
        if self._assignment(deployment_id) is None:  # the server's own: it may be started again
            await self._deployments.stop(deployment_id)
            return
        await self._deployments.delete(deployment_id)
        self._state.remove(_ASSIGNED, deployment_id)
        self._assigned.pop(deployment_id, None)

    def forget_start(self, deployment_id: str) -> None:
        """Give up a deployment whose model is not here yet."""
        if task := self._later.pop(deployment_id, None):
            task.cancel()

    async def close(self) -> None:
        """Let go of what is on its way."""
        for name in tuple(self._later):
            self.forget_start(name)
        await self.throughput.close()
        await self.definitions.bringer.close()
