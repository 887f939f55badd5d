"""What a deployment is asked to be: plain data, kept as JSON in the server's state."""

import re

import msgspec

from efive.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._/-]{0,199}")
_DOTS = {".", ".."}
"""Parts of a path that lead elsewhere: names are in addresses."""
MOST_ALLOCATIONS = 64
MOST_THREADS = 1024
LONGEST_MODEL = 1000


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One deployment. Its name is what clients call the model."""

    name: str
    model: str
    """A stored model's name, a folder, or `bundled`."""
    engine: str = "auto"
    precision: str = "auto"
    device: str | None = None
    task: str | None = None
    """Instruct models: what queries ask for."""
    max_tokens: int | None = None
    """Input limit in tokens; None is the model's own."""
    allocations: int = 1
    """Engines, each a process of its own; where it is adaptive, how many to begin with."""
    threads: int | None = None
    """Processors of each allocation; None shares those of the machine among them."""
    least: int | None = None
    """Adaptive: never fewer allocations than these, 0 for none while nobody asks. None is not adaptive."""
    most: int | None = None
    """Adaptive: never more allocations than these."""
    idle: float = 900.0
    """Seconds without a request after which an adaptive deployment of `least` 0 stops its engines."""
    low_priority: bool = False
    """Whether its engines yield to those of other deployments."""
    requests: int = 4096
    """Requests that may wait; more are refused."""
    wait: float = 20.0
    """Seconds that the last of them may expect to wait; beyond it requests are refused."""
    cache: int = 32 << 20
    """Bytes of vectors kept for texts that come again; 0 keeps none."""

    @property
    def adaptive(self) -> bool:
        """Whether the number of allocations follows the load."""
        return self.least is not None or self.most is not None

    @property
    def range(self) -> tuple[int, int]:
        """The least and the most allocations."""
        if not self.adaptive:
            return self.allocations, self.allocations
        return self.least or 0, self.most if self.most is not None else max(self.allocations, self.least or 1)


def check(settings: Settings) -> Settings:
    """Return settings that can be.

    Raises:
        InputError: naming the field.
    """
    parts = set(settings.name.split("/"))
    if not _NAME.fullmatch(settings.name) or settings.name.endswith((":query", ":passage", ":raw")) or parts & _DOTS:
        raise InputError(
            f"{settings.name!r} cannot be a deployment's name: letters, digits and ._-/ only, at most 200 of them"
        )
    least, most = settings.range
    if not 0 <= least <= most <= MOST_ALLOCATIONS or most < 1:
        raise InputError(f"allocations from {least} to {most}; there can be 0 to {MOST_ALLOCATIONS}, the least first")
    if not settings.adaptive and settings.allocations < 1:
        raise InputError(f"allocations is {settings.allocations}; only an adaptive deployment can have none")
    numbers = {"threads": settings.threads, "requests": settings.requests, "wait": settings.wait, "idle": settings.idle}
    for name, value in numbers.items():
        if value is not None and value <= 0:
            raise InputError(f"{name} is {value}; it must be more than 0")
    if settings.threads is not None and settings.threads > MOST_THREADS:
        raise InputError(f"threads is {settings.threads}; an engine can have {MOST_THREADS} at most")
    if len(settings.model) > LONGEST_MODEL:
        raise InputError(f"the model's name or folder has {len(settings.model)} characters; {LONGEST_MODEL} at most")
    if settings.cache < 0:
        raise InputError(f"cache is {settings.cache} bytes; 0 keeps none")
    return settings
