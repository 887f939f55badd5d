"""The server as the settings page shows it: where it is, what it allows, what it is made of. No pixels."""

import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import efive
from efive.console import units
from efive.server.service import Service

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Door:
    """Where clients of one kind are pointed to."""

    name: str
    path: str
    clients: str


DOORS = (
    Door("OpenAI", "/openai/v1", "the openai packages, and whatever takes an OpenAI base URL"),
    Door("Elasticsearch", "/es", "elasticsearch, eland, Kibana's API; --es-port has it at the root"),
    Door("Pinecone", "/pinecone", "the pinecone packages, with this as their host"),
    Door("SambaStudio", "/samba", "SambaStudio's endpoints and jobs"),
    Door("Text Embeddings Inference", "/tei", "clients of Hugging Face's TEI"),
    Door("efive", "/", "our own routes"),
    Door("Documentation of the routes", "/docs", "people"),
    Door("Metrics", "/metrics", "Prometheus"),
    Door("Health", "/health/ready", "load balancers and Kubernetes"),
)
_PACKAGES = ("openvino", "torch", "tokenizers", "lancedb", "starlette", "uvicorn", "nicegui")


def limits(service: Service) -> Pairs:
    """Return what one request may have."""
    most = service.limits
    return [
        ("Texts of a request", units.number(most.inputs)),
        ("Body of a request", units.size(most.body)),
        ("Time until an answer", units.time(most.seconds)),
    ]


def place(service: Service) -> Pairs:
    """Return where the server keeps everything. Looks at the disk."""
    disk = shutil.disk_usage(service.home)
    return [
        ("Home", str(service.home.resolve())),
        ("Free on its disk", f"{units.size(disk.free)} of {units.size(disk.total)}"),
    ]


def versions() -> Pairs:
    """Return what the server is made of."""
    found = [("efive", efive.__version__), ("Python", platform.python_version()), ("System", platform.platform())]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return found
