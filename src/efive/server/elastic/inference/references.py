"""What uses an inference endpoint, and keeps it from being deleted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efive.server.elastic.errors import ElasticError, conflict
from efive.server.elastic.indices.mapping import FieldType

if TYPE_CHECKING:
    from efive.server.elastic.cluster import Cluster

_OPTIONS = ("inference_id", "search_inference_id")


@dataclass(frozen=True, slots=True)
class References:
    """Names of what uses an endpoint."""

    pipelines: list[str]
    indices: list[str]

    def refuse(self, inference_id: str) -> None:
        """Refuse to delete an endpoint that is used.

        Raises:
            ElasticError: saying what uses it.
        """
        for names, how in ((self.pipelines, "referenced by pipelines"), (self.indices, "used in mappings of indexes")):
            if names:
                raise conflict(
                    f"Inference endpoint {inference_id} is {how} and cannot be deleted. Use `force` to delete it "
                    f"anyway, or use `dry_run` to list the {how.split()[-1]} that reference it."
                )


async def references(cluster: "Cluster", inference_id: str) -> References:
    """Return the pipelines and the indices that use an endpoint."""
    indices = []
    for name in cluster.indices.names():
        try:
            fields = (await cluster.indices.get(name)).mapping.fields.values()
        except ElasticError as error:
            if error.status != 404:
                raise
            continue  # deleted meanwhile
        semantic = [each.options for each in fields if each.type is FieldType.SEMANTIC_TEXT]
        if any(options.get(option) == inference_id for options in semantic for option in _OPTIONS):
            indices.append(name)
    return References(cluster.pipelines.using(inference_id), indices)
