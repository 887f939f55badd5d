"""Settings of inference endpoints: what Elasticsearch's own service takes, checked as it checks them."""

import platform
from collections.abc import Mapping
from typing import Any

import msgspec

from efive.engines.hardware import available_cpus
from efive.server.elastic.errors import illegal
from efive.server.elastic.inference.checks import Checks, plain, refused
from efive.server.elastic.models.options import Adaptive, StartOptions, check

PORTABLE = ".multilingual-e5-small"
OPTIMISED = ".multilingual-e5-small_linux-x86_64"
_SCOPE = "service_settings"
_ADAPTIVE = "adaptive_allocations"


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an endpoint runs on. The order of the fields is that of Elasticsearch's answers."""

    num_allocations: int | None = None
    num_threads: int = 1
    model_id: str
    adaptive_allocations: Adaptive | None = None
    deployment_id: str | None = None
    """A deployment that somebody else started; the endpoint neither starts nor stops it."""

    @property
    def adaptive(self) -> bool:
        """Whether the number of allocations follows the load."""
        return self.adaptive_allocations is not None and self.adaptive_allocations.enabled is True

    def start_options(self, timeout: float) -> StartOptions:
        """Return how its deployment is started, within so many seconds.

        Where the load decides there are never more allocations than processors for them: they would only take turns.
        """
        adaptive = self.adaptive_allocations
        if adaptive is not None and self.adaptive:
            room = max(1, adaptive.min_number_of_allocations or 0, available_cpus() // self.num_threads)
            most = min(adaptive.max_number_of_allocations or room, room)
            adaptive = msgspec.structs.replace(adaptive, max_number_of_allocations=most)
        return StartOptions(
            allocations=self.num_allocations, threads=self.num_threads, timeout=timeout, adaptive=adaptive
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as Elasticsearch shows it."""
        found: dict[str, Any] = {"num_allocations": self.num_allocations, "num_threads": self.num_threads}
        found["model_id"] = self.model_id
        if self.adaptive_allocations is not None:
            adaptive = msgspec.structs.asdict(self.adaptive_allocations)
            found[_ADAPTIVE] = {name: value for name, value in adaptive.items() if value is not None}
        found["deployment_id"] = self.deployment_id
        return {name: value for name, value in found.items() if value is not None}


def optimised_here() -> bool:
    """Say whether the variant for linux-x86_64 can be used on this machine."""
    return platform.system() == "Linux" and platform.machine().lower() in {"x86_64", "amd64"}


def parse(given: Mapping[str, Any]) -> ServiceSettings:
    """Return the settings of an endpoint that starts a deployment of its own.

    Raises:
        ElasticError: naming every setting that cannot be.
    """
    if given.get("model_id") is None:
        raise illegal("Error parsing service settings, model_id must be provided")
    checks = Checks.of(_SCOPE, given)
    allocations = checks.positive("num_allocations")
    threads = checks.positive("num_threads", required=True)
    adaptive = _adaptive(checks)
    model = checks.text("model_id")
    if given.get("num_allocations") is None and given.get(_ADAPTIVE) is None:
        checks.faults.append(f"[{_SCOPE}] does not contain one of the required settings [num_allocations, {_ADAPTIVE}]")
    checks.end()
    no_more(checks.left)
    found = ServiceSettings(
        num_allocations=allocations, num_threads=threads or 1, model_id=model or "", adaptive_allocations=adaptive
    )
    _check(found)
    return found


def attached(given: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the deployment that an endpoint is attached to, and the model that it is said to be of.

    Raises:
        ElasticError: naming every setting that cannot be; those of the deployment may be there, they do not count.
    """
    checks = Checks.of(_SCOPE, given)
    deployment, model = checks.text("deployment_id"), checks.text("model_id")
    checks.positive("num_allocations")
    checks.positive("num_threads")
    _adaptive(checks)
    checks.end()
    no_more(checks.left)
    return deployment or "", model


def changed(before: ServiceSettings, given: Mapping[str, Any]) -> ServiceSettings:
    """Return settings with other allocations, which is all that can change.

    Raises:
        ElasticError: naming every setting that cannot be.
    """
    checks = Checks.of(_SCOPE, given)
    allocations = checks.positive("num_allocations")
    adaptive = _adaptive(checks)
    checks.end()
    if checks.left:
        raise refused(
            "Request contained fields which cannot be updated, remove these fields and try again "
            f"[{plain(checks.left)}]"
        )
    found = msgspec.structs.replace(before, num_allocations=allocations or before.num_allocations)
    if _ADAPTIVE in given:
        found = msgspec.structs.replace(found, adaptive_allocations=adaptive)
    if found.adaptive and allocations is None:
        found = msgspec.structs.replace(found, num_allocations=None)
    _check(found)
    return found


def no_more(left: Mapping[str, Any]) -> None:
    """Refuse what is left of a configuration when all that is known has been read.

    Raises:
        ElasticError: if something is.
    """
    if left:
        shown = ", ".join(f"{name}={plain(value)}" for name, value in left.items())
        raise refused(f"Configuration contains settings [{{{shown}}}] unknown to the [elasticsearch] service")


def _adaptive(checks: Checks) -> Adaptive | None:
    given = checks.take(_ADAPTIVE, dict)
    if given is None:
        return None
    inner = Checks(_ADAPTIVE, dict(given), checks.faults)
    found = Adaptive(
        inner.take("enabled", bool) or False,
        inner.take("min_number_of_allocations", int),
        inner.take("max_number_of_allocations", int),
    )
    checks.faults += [f"[{_ADAPTIVE}] does not allow the setting [{name}]" for name in inner.left]
    checks.faults += found.faults()
    return found


def _check(settings: ServiceSettings) -> None:
    """Refuse what the deployment's start would refuse."""
    check(settings.start_options(timeout=1.0))
    if settings.model_id == OPTIMISED and not optimised_here():
        raise illegal(
            "Error parsing request config, model id does not match any models available on this platform. "
            f"Was [{settings.model_id}]"
        )
