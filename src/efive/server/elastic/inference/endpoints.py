"""The inference endpoints of a server: kept, started, changed, deleted."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from efive.deployments.deployment import Deployment, Phase
from efive.errors import EfiveError
from efive.server.elastic.errors import ElasticError, conflict, exists, missing
from efive.server.elastic.inference import chunking, configuration, services
from efive.server.elastic.inference.checks import refused
from efive.server.elastic.inference.endpoint import Endpoint, check_id, preconfigured
from efive.server.elastic.inference.references import References, references
from efive.server.elastic.inference.services import ServiceSettings

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

log = logging.getLogger("efive.server")
_KIND = "elastic-endpoint"
PATIENCE = 9.0
"""Seconds that a PUT waits where nobody says how long: Elasticsearch's clients give up after 10."""
_A_DAY = 24 * 3600.0


class Stored(msgspec.Struct, frozen=True):
    """What is kept of an endpoint."""

    service_settings: ServiceSettings
    chunking_settings: dict[str, Any]
    borrowed: bool = False
    dimensions: int | None = None


class Endpoints:
    """Inference endpoints by id. Used on the event loop."""

    def __init__(self, cluster: "Cluster") -> None:
        """Know those that the state remembers, and the preconfigured ones, none of them started."""
        self._cluster = cluster
        self._state = cluster.service.state
        self._all = preconfigured()
        self._starting: dict[str, asyncio.Task[Deployment]] = {}
        self._leaving: set[str] = set()
        """Those that are being deleted: a request that started one again would leave its deployment behind."""
        for id_, stored in self._state.all(_KIND, Stored).items():
            self._all[id_] = Endpoint(
                id_,
                stored.service_settings,
                chunking.parse(stored.chunking_settings),
                stored.borrowed,
                stored.dimensions,
            )

    # -- which there are -----------------------------------------------------------------------------------------

    def __contains__(self, inference_id: str) -> bool:
        return inference_id in self._all

    def get(self, inference_id: str) -> Endpoint:
        """Return an endpoint.

        Raises:
            ElasticError: if there is none of that id.
        """
        if inference_id not in self._all:
            raise _not_found(inference_id)
        return self._all[inference_id]

    def all(self) -> list[Endpoint]:
        """Return all endpoints, by id."""
        return [self._all[id_] for id_ in sorted(self._all)]

    def describe(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return an endpoint as Elasticsearch shows it, with the allocations that it has now."""
        deployment = self._cluster.models.find(endpoint.deployment)
        if deployment is None or deployment.phase is not Phase.READY:
            return endpoint.to_dict()
        return self._known(endpoint, deployment).to_dict(deployment.target)

    # -- new, changed, gone --------------------------------------------------------------------------------------

    async def put(self, inference_id: str, body: Mapping[str, Any], wait: float | None = PATIENCE) -> Endpoint:
        """Make an endpoint and start its deployment, which goes on behind `wait` seconds.

        Args:
            inference_id: its name, and its deployment's.
            body: the configuration as Elasticsearch has it, for the task `text_embedding`.
            wait: seconds for the start, None for as long as it takes; what goes wrong within them is this call's error,
                and there is no endpoint then.

        Raises:
            ElasticError: saying what cannot be.
        """
        check_id(inference_id)
        if inference_id in self._all:
            raise exists(f"Inference endpoint [{inference_id}] already exists")
        if self._cluster.models.exists(inference_id):
            raise refused(
                f"Inference endpoint IDs must be unique. Requested inference endpoint ID [{inference_id}] matches "
                "existing trained model ID(s) but must not."
            )
        endpoint = configuration.read(inference_id, body, self._cluster.models)
        self._keep(endpoint)
        if not endpoint.borrowed:
            task = self._start(endpoint)
            done, _ = await asyncio.wait([task], timeout=wait)
            if done and task.cancelled():
                raise _deleted(inference_id)
            if done and task.exception() is not None:
                self._forget(inference_id)
                task.result()
        return self._all.get(inference_id, endpoint)

    async def update(self, inference_id: str, body: Mapping[str, Any]) -> Endpoint:
        """Change the allocations of an endpoint.

        Raises:
            ElasticError: if anything else is to change, or its deployment is not its own.
        """
        endpoint, left = self.get(inference_id), dict(body)
        if not left:
            raise refused("Request body is empty")
        left.pop("task_type", None)
        given, task = (configuration.part(left, name) for name in ("service_settings", "task_settings"))
        if left:
            raise refused(
                "Request contained fields which cannot be updated, remove these fields and try again "
                f"[{', '.join(left)}]"
            )
        services.no_more(task)
        settings = services.changed(endpoint.service_settings, given)
        if settings == endpoint.service_settings:
            return endpoint
        if endpoint.borrowed:
            raise conflict(
                f"Inference endpoint [{inference_id}] uses the deployment [{endpoint.deployment}], which it has not "
                "created; update that with the trained models API"
            )
        if self._cluster.models.find(endpoint.deployment) is not None:
            options = settings.start_options(_A_DAY)
            await self._cluster.models.update(
                endpoint.deployment, allocations=options.allocations, adaptive=options.adaptive
            )
        self._keep(replace(endpoint, service_settings=settings))
        return self._all[inference_id]

    async def delete(self, inference_id: str, *, force: bool = False) -> References:
        """Forget an endpoint and stop its deployment, unless it was there before; return what used it.

        Raises:
            ElasticError: if it is preconfigured, or used, and this is not forced.
        """
        endpoint = self.get(inference_id)
        used = await self.references(inference_id)
        if endpoint.preconfigured and not force:
            raise refused(
                f"[{inference_id}] is a reserved inference endpoint. Use the force=true query parameter to delete the "
                "inference endpoint."
            )
        if not force:
            used.refuse(inference_id)
        if endpoint.preconfigured:  # that is there again at once, not started
            await self._stop(endpoint)
            return used
        self._leaving.add(inference_id)
        try:
            await self._stop(endpoint)
            self._forget(inference_id)
        finally:
            self._leaving.discard(inference_id)
        return used

    async def _stop(self, endpoint: Endpoint) -> None:
        if task := self._starting.get(endpoint.inference_id):
            task.cancel()
            await asyncio.wait([task])
        if not endpoint.borrowed and self._cluster.models.find(endpoint.deployment) is not None:
            await self._cluster.models.stop(endpoint.deployment, force=True)

    async def references(self, inference_id: str) -> References:
        """Return the pipelines and the indices that use an endpoint."""
        self.get(inference_id)
        return await references(self._cluster, inference_id)

    # -- at work -------------------------------------------------------------------------------------------------

    async def ready(self, inference_id: str) -> Deployment:
        """Return the deployment of an endpoint, started and waited for if it has not been.

        Raises:
            ElasticError: if there is no such endpoint, or it is attached to a deployment that has gone.
            EfiveError: why it cannot be started.
        """
        endpoint = self.get(inference_id)
        if inference_id in self._leaving:
            raise _not_found(inference_id)
        found = self._cluster.models.find(endpoint.deployment)
        if found is not None and found.phase is Phase.READY:
            return found
        if not endpoint.borrowed:
            task = self._start(endpoint)
            await asyncio.wait([task])  # which goes on if this caller does not
            if task.cancelled():
                raise _deleted(inference_id)
            return task.result()
        if found is None:
            raise missing(f"Cannot find deployment [{endpoint.deployment}]")
        service = self._cluster.service
        if found.phase is Phase.STARTING or found.name in service.waiting:
            return await service.deployments.start(found.name)
        return found  # which says itself why it does not answer

    def _start(self, endpoint: Endpoint) -> "asyncio.Task[Deployment]":
        """Start the deployment of an endpoint, once however many ask."""
        id_ = endpoint.inference_id
        if id_ not in self._starting:
            task = self._starting[id_] = asyncio.ensure_future(self._bring(endpoint))
            task.add_done_callback(lambda task: self._ended(id_, task))
        return self._starting[id_]

    async def _bring(self, endpoint: Endpoint) -> Deployment:
        models = self._cluster.models
        await models.ensure(endpoint.service_settings.model_id)
        settings = self._all.get(endpoint.inference_id, endpoint).service_settings  # changed meanwhile, perhaps
        deployment = models.find(endpoint.deployment)
        if deployment is not None and deployment.phase is Phase.STARTING:  # with the server
            await self._cluster.service.deployments.start(deployment.name)
        else:
            deployment = await models.start(settings.model_id, endpoint.deployment, settings.start_options(_A_DAY))
        self._known(self._all.get(endpoint.inference_id, endpoint), deployment)
        return deployment

    def _ended(self, id_: str, task: "asyncio.Task[Deployment]") -> None:
        self._starting.pop(id_, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            words = str(error) if isinstance(error, EfiveError) else type(error).__name__
            log.error("inference endpoint not started: %s", words, extra={"endpoint": id_})

    def _known(self, endpoint: Endpoint, deployment: Deployment) -> Endpoint:
        """Return an endpoint with what only its model knows, and keep that."""
        dimensions = deployment.encoder.dimension
        if endpoint.dimensions == dimensions or endpoint.inference_id not in self._all:
            return endpoint
        self._keep(replace(endpoint, dimensions=dimensions))
        return self._all[endpoint.inference_id]

    # -- kept ----------------------------------------------------------------------------------------------------

    def _keep(self, endpoint: Endpoint) -> None:
        if not endpoint.preconfigured:
            cut = endpoint.chunking_settings.to_dict()
            stored = Stored(endpoint.service_settings, cut, endpoint.borrowed, endpoint.dimensions)
            self._state.put(_KIND, endpoint.inference_id, stored)
        self._all[endpoint.inference_id] = endpoint

    def _forget(self, inference_id: str) -> None:
        self._state.remove(_KIND, inference_id)
        self._all.pop(inference_id, None)

    async def close(self) -> None:
        """Break off what is being started; the deployments end with the server."""
        tasks = list(self._starting.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _not_found(inference_id: str) -> ElasticError:
    return missing(f"Inference endpoint not found [{inference_id}]")


def _deleted(inference_id: str) -> ElasticError:
    return conflict(f"Inference endpoint [{inference_id}] was deleted before its deployment was ready")
