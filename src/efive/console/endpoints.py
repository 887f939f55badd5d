"""SambaStudio's endpoints, for the page that shows them. No pixels."""

from dataclasses import dataclass

from efive.console.deployments import Plan, plan
from efive.deployments.settings import Settings
from efive.errors import ModelNotFoundError
from efive.models.store import ModelStore
from efive.server.protocols.sambastudio import endpoints
from efive.server.protocols.sambastudio.endpoints import Endpoint, Wanted
from efive.server.service import Service


@dataclass(frozen=True, slots=True)
class Row:
    """What is seen of an endpoint."""

    path: str
    deployment: str
    batch_size: int
    status: str
    reason: str
    urls: dict[str, str]


def rows(service: Service, server: str) -> list[Row]:
    """Return what is seen of all endpoints.

    Args:
        service: the server's.
        server: its address.
    """
    shown = ((each, endpoints.described(service, each, f"{server}/samba")) for each in all_of(service))
    return [
        Row(each.path, each.deployment, each.batch_size, found["status"], found["reason"], found["urls"])
        for each, found in shown
    ]


def all_of(service: Service) -> list[Endpoint]:
    """Return the endpoints, by project and name."""
    return sorted(endpoints.all_endpoints(service), key=lambda each: each.path)


def make(service: Service, project: str, name: str, model: str, batch_size: int) -> tuple[Endpoint, str]:
    """Make an endpoint and start its deployment; return it and its key, which cannot be seen again.

    Raises:
        InputError, DeploymentError, ModelNotFoundError: as the door of SambaStudio has it.
    """
    return endpoints.make(service, project.strip(), Wanted(name.strip(), model, batch_size))


def deployed(service: Service, model: str) -> str | None:
    """Return the deployment that an endpoint of a model would use, or None if it would bring its own."""
    try:
        return service.deployments.find(model)[0].name
    except ModelNotFoundError:
        return None


def needed(store: ModelStore, model: str) -> Plan:
    """Return what a new deployment for an endpoint would need. Reads the model's files: for a thread."""
    return plan(store, Settings(name="endpoint", model=model))


remove = endpoints.remove
"""Forgets an endpoint, and the deployment that was made for it unless another endpoint uses it."""
