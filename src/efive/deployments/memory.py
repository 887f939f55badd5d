"""How much memory an engine will take, and whether that is there."""

from pathlib import Path

import psutil

from efive.engines.base import Precision
from efive.errors import DeploymentError
from efive.models.architecture import Architecture, Kind

_CGROUP = Path("/sys/fs/cgroup")
_BYTES = {Precision.FP32: 4, Precision.BF16: 2, Precision.FP16: 2, Precision.INT8: 1, Precision.FP8: 1}
_PROCESS = 150 << 20
"""Bytes of a Python process with an engine and without weights, roughly."""
_ACTIVATIONS = 64
"""Numbers of the width of the network that an engine holds for each token of a batch, roughly."""
_BATCH = 4096
"""Tokens."""


def estimate(shape: Architecture, precision: Precision) -> int:
    """Return the bytes that an engine's process takes at most, roughly: weights, activations of a batch, itself.

    Word tables of CPU engines stay in a mapped file and are counted as if they were read completely.
    """
    tensors = shape.tensors()
    words = shape.vocabulary * shape.hidden
    matrices = sum(_size(dimensions) for dimensions in tensors.values()) - words
    word_bytes = 4 if shape.kind is not Kind.MISTRAL else _BYTES[precision]
    activations = 4 * _ACTIVATIONS * _BATCH * shape.hidden
    return matrices * _BYTES[precision] + words * word_bytes + activations + _PROCESS


def available(cgroup: Path = _CGROUP) -> int:
    """Return the bytes that are free on this machine and within this container's limit."""
    free = int(psutil.virtual_memory().available)
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    if limit is None or used is None:
        return free
    return min(free, max(0, limit - used + _reclaimable(cgroup / "memory.stat")))


def total(cgroup: Path = _CGROUP) -> int:
    """Return the bytes of memory of this machine, or of this container's limit."""
    installed = int(psutil.virtual_memory().total)
    limit = _number(cgroup / "memory.max")
    return installed if limit is None else min(installed, limit)


def _reclaimable(path: Path) -> int:
    """Read how much of a container's memory is files' pages that nobody uses: the kernel takes them back at need."""
    try:
        fields = dict(line.split() for line in path.read_text().splitlines())
        return int(fields.get("inactive_file", 0))
    except (OSError, ValueError):
        return 0


def require(shape: Architecture, precision: Precision, allocations: int, name: str, *, free: int | None = None) -> None:
    """Refuse a deployment that would not fit.

    Raises:
        DeploymentError: with both numbers and what would fit.
    """
    free = available() if free is None else free
    needed = estimate(shape, precision) * max(1, allocations)
    if needed > free:
        raise DeploymentError(
            f"{name}: {allocations} allocations in {precision} need about {_shown(needed)}, and {_shown(free)} are "
            "free. Stop another deployment, use fewer allocations, a smaller model, or precision int8"
        )


def _size(dimensions: tuple[int, ...]) -> int:
    size = 1
    for n in dimensions:
        size *= n
    return size


def _number(path: Path) -> int | None:
    """Read a file of a container's limits; None without one, or if it says that there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _shown(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
