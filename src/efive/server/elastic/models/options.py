"""How a deployment is asked to be, in Elasticsearch's words and in ours."""

import re
from dataclasses import dataclass

import msgspec

from efive.deployments.settings import MOST_ALLOCATIONS, Settings
from efive.server.elastic.errors import illegal, invalid_action

_BYTES = re.compile(r"(\d{1,9})(kb|mb|gb)|(\d{1,18})b", re.IGNORECASE)
_UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_MOST_WAITING = 1_000_000
_STATES = ("starting", "started", "fully_allocated")


class Adaptive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the number of allocations follows the load, and between which bounds."""

    enabled: bool = False
    min_number_of_allocations: int | None = None
    max_number_of_allocations: int | None = None

    def faults(self) -> list[str]:
        """Return what cannot be, in Elasticsearch's words."""
        least, most = self.min_number_of_allocations, self.max_number_of_allocations
        found = []
        if least is not None and least < 0:
            found.append("[min_number_of_allocations] must be a non-negative integer or null")
        if most is not None and most < 1:
            found.append("[max_number_of_allocations] must be a positive integer or null")
        if least is not None and most is not None and least > most:
            found.append("[min_number_of_allocations] must not be larger than [max_number_of_allocations]")
        return found

    @property
    def range(self) -> tuple[int | None, int | None]:
        """`least` and `most` of our settings."""
        if not self.enabled:
            return None, None
        return self.min_number_of_allocations or 0, min(self.max_number_of_allocations or 32, MOST_ALLOCATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """What `_start` asks for. An inference endpoint starts its deployment with the same."""

    allocations: int | None = None
    """None is 1."""
    threads: int = 1
    """Of each allocation."""
    low_priority: bool = False
    queue_capacity: int = 1024
    cache: int | None = None
    """Bytes; None is as much as the model's own files have."""
    wait_for: str = "started"
    timeout: float = 20.0
    """Seconds."""
    adaptive: Adaptive | None = None


def check(options: StartOptions) -> None:
    """Refuse what cannot be.

    Raises:
        ElasticError: naming every fault.
    """
    adaptive = options.adaptive is not None and options.adaptive.enabled
    allocations, threads, low = options.allocations, options.threads, options.low_priority
    rules = {
        f"invalid [wait_for] state [{options.wait_for}]; must be one of [{', '.join(_STATES)}]": (
            options.wait_for in _STATES
        ),
        "[number_of_allocations] cannot be set if adaptive allocations is enabled": not (adaptive and allocations),
        "[number_of_allocations] must be a positive integer": allocations is None or allocations > 0,
        "[threads_per_allocation] must be a positive integer": threads > 0,
        "[threads_per_allocation] must be a power of 2 less than or equal to 32": (
            threads <= 32 and not threads & (threads - 1)
        ),
        "[queue_capacity] must be a positive integer": options.queue_capacity > 0,
        f"[queue_capacity] must be less than {_MOST_WAITING}": options.queue_capacity <= _MOST_WAITING,
        "[timeout] must be positive": options.timeout > 0,
        "[number_of_allocations] must be 1 when [priority] is low": not options.low_priority
        or allocations in {None, 1},
        "[threads_per_allocation] must be 1 when [priority] is low": not low or threads == 1,
    }
    faults = [] if options.adaptive is None else options.adaptive.faults()
    faults += [fault for fault, kept in rules.items() if not kept]
    if faults:
        raise invalid_action(*faults)
    if allocations is not None and allocations > MOST_ALLOCATIONS:
        raise illegal(f"[number_of_allocations] is {allocations}; a deployment of efive has {MOST_ALLOCATIONS} at most")


def settings_of(deployment_id: str, model: str, options: StartOptions, precision: str, cache: int) -> Settings:
    """Return our settings for a deployment.

    Args:
        deployment_id: its name.
        model: what the store calls the model.
        options: as they were checked.
        precision: `fp32`, or `auto` for the best of this machine.
        cache: bytes of the cache where the options leave it open.
    """
    least, most = options.adaptive.range if options.adaptive else (None, None)
    return Settings(
        name=deployment_id,
        model=model,
        precision=precision,
        allocations=options.allocations or 1,
        threads=options.threads,
        least=least,
        most=most,
        low_priority=options.low_priority,
        requests=options.queue_capacity,
        cache=cache if options.cache is None else options.cache,
    )


def size(given: str) -> int:
    """Return a size such as `20mb` in bytes.

    Raises:
        ElasticError: for anything else.
    """
    if not (found := _BYTES.fullmatch(given)):
        raise illegal(
            f"failed to parse setting [cache_size] with value [{given}] as a size in bytes: "
            "unit is missing or unrecognized"
        )
    return int(found[3]) if found[3] else int(found[1]) * _UNITS[found[2].lower()]
