"""An inference endpoint: its name, what it runs on, and how Elasticsearch shows it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from efive.server.elastic.errors import invalid_action
from efive.server.elastic.inference import chunking, services
from efive.server.elastic.inference.checks import plain, refused
from efive.server.elastic.inference.chunking import Chunking
from efive.server.elastic.inference.services import OPTIMISED, PORTABLE, ServiceSettings
from efive.server.elastic.models.options import Adaptive

TEXT_EMBEDDING = "text_embedding"
SERVICE = "elasticsearch"
DEFAULT_ID = ".multilingual-e5-small-elasticsearch"
"""The endpoint of semantic_text fields that name none."""
BUNDLED_ID = ".efive-bundled"
"""Ours: the bundled model, which is there without a network."""
RESERVED = frozenset({DEFAULT_ID, BUNDLED_ID, ".elser-2-elasticsearch", ".rerank-v1-elasticsearch"})
_TASKS = (TEXT_EMBEDDING, "sparse_embedding", "rerank", "completion", "chat_completion", "embedding")
_ID = re.compile(r"[a-z0-9](?:[a-z0-9_\-.]{0,198}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. Its task is `text_embedding`, its service `elasticsearch`."""

    inference_id: str
    service_settings: ServiceSettings
    chunking_settings: Chunking = chunking.DEFAULT
    borrowed: bool = False
    """Whether its deployment was there before it, and stays when it is deleted."""
    dimensions: int | None = None
    """Components of its vectors, once that is known."""
    task_type: str = TEXT_EMBEDDING

    @property
    def deployment(self) -> str:
        """The name of its deployment."""
        return self.service_settings.deployment_id or self.inference_id

    @property
    def preconfigured(self) -> bool:
        """Whether it is there without anybody's asking, and starts when it is first used."""
        return self.inference_id in RESERVED

    def to_dict(self, allocations: int | None = None) -> dict[str, Any]:
        """Return it as Elasticsearch shows it.

        Args:
            allocations: of its deployment now, if it has started.
        """
        settings = self.service_settings.to_dict()
        if allocations is not None:
            settings = {"num_allocations": allocations} | settings | {"num_allocations": allocations}
        if self.dimensions is not None and self.service_settings.model_id not in {PORTABLE, OPTIMISED}:
            settings |= {"dimensions": self.dimensions, "similarity": "cosine", "element_type": "float"}
        return {
            "inference_id": self.inference_id,
            "task_type": self.task_type,
            "service": SERVICE,
            "service_settings": settings,
            "chunking_settings": self.chunking_settings.to_dict(),
        }


def preconfigured() -> dict[str, Endpoint]:
    """Return the endpoints that are always there, by id."""
    models = {DEFAULT_ID: OPTIMISED if services.optimised_here() else PORTABLE, BUNDLED_ID: "bundled"}
    most = {DEFAULT_ID: 32, BUNDLED_ID: 1}
    return {
        id_: Endpoint(
            id_,
            ServiceSettings(
                num_threads=1,
                model_id=model,
                adaptive_allocations=Adaptive(
                    enabled=True, min_number_of_allocations=0, max_number_of_allocations=most[id_]
                ),
            ),
        )
        for id_, model in models.items()
    }


def check_id(id_: str) -> None:
    """Refuse an id that no endpoint can be given.

    Raises:
        ElasticError: if it is reserved, or has letters that ids cannot have.
    """
    if id_ in RESERVED:
        raise refused(f"[{id_}] is a reserved inference Id. Cannot create a new inference endpoint with a reserved Id")
    if not _ID.fullmatch(id_):
        raise invalid_action(
            f"Invalid inference_id; '{plain(id_)}' can contain lowercase alphanumeric (a-z and 0-9), hyphens or "
            "underscores; must start and end with alphanumeric"
        )


def task(given: object) -> str:
    """Return the name of a task.

    Raises:
        ElasticError: if there is none of that name.
    """
    if not isinstance(given, str) or given.lower() not in {*_TASKS, "any"}:
        raise refused(f"Unknown task_type [{plain(given)}]")
    return given.lower()


def resolve_task(in_path: str | None, body: Mapping[str, Any]) -> str:
    """Return the task that a configuration is for, from the address or the body.

    Raises:
        ElasticError: if neither says it, they contradict each other, or it is one that efive has no models for.
    """
    in_body = body.get("task_type")
    if in_path is None and in_body is None:
        raise refused("model is missing required setting [task_type]")
    path, named = (None if each is None else task(each) for each in (in_path, in_body))
    if named == "any":
        raise refused("task_type [any] is not valid type for inference")
    if named is not None and path not in {None, "any", named}:
        raise refused(
            f"Cannot resolve conflicting task_type parameter in the request URL [{path}] and the request body [{named}]"
        )
    found = named or path
    if found != TEXT_EMBEDDING:
        raise refused(f"The [{SERVICE}] service does not support task type [{found}]")
    return TEXT_EMBEDDING


def match_task(asked: str | None, endpoint: Endpoint, words: str) -> None:
    """Refuse an address that names another task than the endpoint's.

    Args:
        asked: as the address has it; None is any.
        endpoint: that the address names.
        words: with places for both, `{asked}` and `{found}`.

    Raises:
        ElasticError: with those words.
    """
    if asked is not None and (wanted := task(asked)) not in {"any", endpoint.task_type}:
        raise refused(words.format(asked=wanted, found=endpoint.task_type))
