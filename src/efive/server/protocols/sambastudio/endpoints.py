"""Endpoints: a model under a project's name, with a key of its own and a batch size that never changes."""

import hashlib
import re
import secrets
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from efive.deployments.deployment import Phase
from efive.deployments.settings import Settings
from efive.errors import DeploymentError, EfiveError, InputError, ModelNotFoundError, UnauthenticatedError
from efive.server.access import Caller, Scope, presented
from efive.server.http import NoRouteError, answer, parse, service_of
from efive.server.service import Service

_KIND = "samba.endpoint"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEY = re.compile(r"[!-~]{16,500}")
"""A key that somebody chose: what a header carries, and too long to be guessed from its hash."""

_BATCH_SIZES = (1, 32)

_STATUS = {
    Phase.STARTING: "SettingUp",
    Phase.READY: "Live",
    Phase.STOPPING: "Stopping",
    Phase.STOPPED: "Stopped",
    Phase.FAILED: "Failed",
}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an endpoint."""

    project: str
    name: str
    model: str
    """As it was asked for."""
    deployment: str
    batch_size: int
    digest: str
    """SHA-256 of its key."""
    created: float
    """Seconds since 1970."""
    brought: bool
    """Whether its deployment was made for an endpoint, and goes with this one."""

    @property
    def path(self) -> str:
        """Its name among all."""
        return f"{self.project}/{self.name}"

    def opens(self, key: str) -> bool:
        """Say whether this is its key."""
        return secrets.compare_digest(self.digest, _digest(key))


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST …/endpoints` takes."""

    name: str
    model: str = "E5 Large V2"
    """A deployment, a stored model or a folder."""
    batch_size: int = 1
    key: str | None = None
    """One that clients have already; without it a new one is made."""


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def all_endpoints(service: Service, project: str | None = None) -> list[Endpoint]:
    """Return the endpoints of a project, or of all."""
    found = service.state.all(_KIND, Endpoint).values()
    return [each for each in found if project in {None, each.project}]


def find(service: Service, project: str, name: str) -> Endpoint:
    """Return an endpoint.

    Raises:
        NoRouteError: if there is none.
    """
    endpoint = service.state.get(_KIND, f"{project}/{name}", Endpoint)
    if endpoint is None:
        raise NoRouteError(f"project {project!r} has no endpoint {name!r}", 404)
    return endpoint


def admit(request: Request, project: str, name: str) -> tuple[Endpoint, Caller]:
    """Return the endpoint that a request asks, and who asks: its own key, or one of the server's that may embed.

    Raises:
        AccessError: without either.
        NoRouteError: if there is no such endpoint.
    """
    service, given = service_of(request), request.headers.get("key") or presented(request.headers)
    endpoint = service.state.get(_KIND, f"{project}/{name}", Endpoint)
    if endpoint is not None and given is not None and endpoint.opens(given):
        return endpoint, holder(endpoint)
    if service.access.required:
        caller = service.access.admit(request.headers, Scope.EMBED)
        return find(service, project, name), caller
    endpoint = find(service, project, name)
    raise UnauthenticatedError(f"the endpoint {endpoint.path} needs its own key, in the header `key`")


def holder(endpoint: Endpoint) -> Caller:
    """Return who has an endpoint's key: somebody who may use it, and nothing else."""
    return Caller(f"samba:{endpoint.path}", frozenset({Scope.EMBED}))


def make(service: Service, project: str, wanted: Wanted) -> tuple[Endpoint, str]:
    """Make an endpoint and start its deployment, which is not waited for; return it and its key.

    Raises:
        InputError: if a name, the batch size or the key cannot be.
        DeploymentError: if there is one of that name.
        ModelNotFoundError: if the model is not on this machine.
    """
    if wanted.batch_size not in _BATCH_SIZES:
        raise InputError(f"batch_size is {wanted.batch_size}; an endpoint takes 1 text at once, or 32")
    key = secrets.token_urlsafe(32) if wanted.key is None else wanted.key
    if not _KEY.fullmatch(key):
        raise InputError("a key is 16 to 500 letters, digits and signs without spaces; leave it out and one is made")
    path = f"{check_name(project, 'a project')}/{check_name(wanted.name, 'an endpoint')}"
    if service.state.get(_KIND, path, Endpoint) is not None:
        raise DeploymentError(f"the endpoint {path} exists; delete it first, for nothing of it can be changed")
    deployment, brought = _deployment(service, wanted.model, path)
    endpoint = Endpoint(
        project=project,
        name=wanted.name,
        model=wanted.model,
        deployment=deployment,
        batch_size=wanted.batch_size,
        digest=_digest(key),
        created=time.time(),
        brought=brought,
    )
    service.deployments.start_soon(deployment)
    service.state.put(_KIND, path, endpoint)
    return endpoint, key


def check_name(name: str, what: str) -> str:
    """Return a name that can stand in an address and be a folder.

    Raises:
        InputError: otherwise.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be {what}'s name: letters, digits and ._- only, at most 100 of them")
    return name


def _deployment(service: Service, model: str, path: str) -> tuple[str, bool]:
    """Return the deployment of a model, and whether it is a new one, which is called like the endpoint."""
    plain = "-".join(model.lower().split()) if " " in model and "/" not in model else model  # E5 Large V2
    try:
        found, role = service.deployments.find(plain)
    except ModelNotFoundError:
        try:
            service.deployments.create(Settings(name=path, model=plain))
        except (OSError, ValueError) as error:  # no name that a folder could have
            raise error if isinstance(error, EfiveError) else InputError(f"{model[:100]!r} is no model") from None
        return path, True
    if role is not None:
        raise InputError(f"{model!r} names a role; endpoints take texts as they are, prefixes written by the client")
    return found.name, False


def described(service: Service, endpoint: Endpoint, address: str) -> dict[str, Any]:
    """Return what people see of an endpoint.

    Args:
        service: the server's.
        endpoint: which one.
        address: of this door, as the client wrote it.
    """
    try:
        deployment = service.deployments.get(endpoint.deployment)
        new = deployment.phase is Phase.STOPPED and not deployment.started
        status, reason = "Created" if new else _STATUS[deployment.phase], deployment.reason
    except ModelNotFoundError:
        status, reason = "Failed", f"its deployment {endpoint.deployment} is gone"
    return {
        "project": endpoint.project,
        "name": endpoint.name,
        "model": endpoint.model,
        "deployment": endpoint.deployment,
        "batch_size": endpoint.batch_size,
        "created": endpoint.created,
        "status": status,
        "reason": reason,
        "urls": {
            "nlp": f"{address}/api/predict/nlp/{endpoint.path}",
            "generic": f"{address}/api/predict/generic/{endpoint.path}",
            "generic_v2": f"{address}/api/v2/predict/generic/{endpoint.path}",
            "openai": f"{address}/v1/embeddings",
        },
    }


def address_of(request: Request) -> str:
    """Return the address of this door, as the client wrote it."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


async def create(request: Request) -> Response:
    """Make an endpoint; the answer is the only one that has its key."""
    wanted = await parse(request, Wanted)
    endpoint, key = make(service_of(request), request.path_params["project"], wanted)
    return answer(described(service_of(request), endpoint, address_of(request)) | {"key": key}, 201)


async def show_all(request: Request) -> Response:
    """List the endpoints of a project, or of all."""
    service, address = service_of(request), address_of(request)
    found = all_endpoints(service, request.path_params.get("project"))
    return answer({"endpoints": [described(service, each, address) for each in found]})


async def show(request: Request) -> Response:
    """Describe an endpoint."""
    service = service_of(request)
    endpoint = find(service, request.path_params["project"], request.path_params["endpoint"])
    return answer(described(service, endpoint, address_of(request)))


async def delete(request: Request) -> Response:
    """Forget an endpoint."""
    service = service_of(request)
    endpoint = find(service, request.path_params["project"], request.path_params["endpoint"])
    await remove(service, endpoint)
    return answer({"deleted": endpoint.path})


async def remove(service: Service, endpoint: Endpoint) -> None:
    """Forget an endpoint, and with the last one that uses it the deployment that was made for the first."""
    service.state.remove(_KIND, endpoint.path)
    if not endpoint.brought:
        return
    heirs = [each for each in all_endpoints(service) if each.deployment == endpoint.deployment]
    if heirs:
        service.state.put(_KIND, heirs[0].path, msgspec.structs.replace(heirs[0], brought=True))
    elif endpoint.deployment in {each.name for each in service.deployments}:
        await service.deployments.delete(endpoint.deployment)
