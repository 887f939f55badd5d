"""All that the Elasticsearch door speaks for."""

from collections.abc import Sequence

from efive.deployments.deployment import Deployment
from efive.inputs import Role
from efive.server.access import ANYBODY, Caller
from efive.server.elastic.errors import conflict, missing
from efive.server.elastic.indices.indices import Indices
from efive.server.elastic.inference.endpoints import Endpoints
from efive.server.elastic.models.trained import TrainedModels
from efive.server.elastic.pipelines.pipelines import Pipelines
from efive.server.elastic.reindexing.tasks import Tasks
from efive.server.service import EmbedRequest, EmbedResult, Service

DOOR = "elastic"
"""Which door asks, for the metrics."""


class Cluster:
    """Endpoints, trained models, indices, pipelines and tasks of one server. Used on the event loop."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.models = TrainedModels(self)
        self.endpoints = Endpoints(self)
        self.indices = Indices(self)
        self.pipelines = Pipelines(self)
        self.tasks = Tasks(service.state)

    async def deployment(self, name: str) -> Deployment:
        """Return the deployment that an inference id, a deployment id, an alias or a model id means.

        One of an inference endpoint is started if it has not been.

        Raises:
            ElasticError: if there is none.
            EfiveError: why it cannot be started.
        """
        if name in self.endpoints:
            return await self.endpoints.ready(name)
        if (found := self.models.find(name)) is not None:
            return found
        if self.models.exists(name):
            raise conflict(
                f"Model [{name}] must be deployed to use. Please deploy with the start trained model deployment API."
            )
        raise missing(f"[{name}] is not an inference service model or a deployed ml model")

    async def embed(
        self, deployment: Deployment, texts: Sequence[str], role: Role, caller: Caller = ANYBODY
    ) -> EmbedResult:
        """Embed texts as Elasticsearch does: the role's prefix is added, whatever the text begins with.

        Args:
            deployment: that has been started.
            texts: as they were given.
            role: whose prefix they get; `raw` adds none.
            caller: who asks.
        """
        prefix = deployment.encoder.prompts.of(role)
        inputs = [prefix + text for text in texts] if prefix else texts
        return await self.service.embed(
            EmbedRequest(model=deployment.name, inputs=inputs, role=Role.RAW, caller=caller, door=DOOR)
        )

    async def close(self) -> None:
        """End what is at work, and let go of all files."""
        await self.endpoints.close()
        await self.tasks.close()
        await self.models.close()
        await self.indices.close()
