"""What this machine can do: processors that we may use, instruction sets, accelerators."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


@dataclass(frozen=True, slots=True)
class Hardware:
    """A summary of the machine for choosing an engine."""

    processor: str
    cpus: int
    """Processors that this process may use: affinity and container quota respected."""
    instruction_sets: tuple[str, ...]
    """Those that decide precision, best first: amx-bf16, amx-int8, avx512-bf16, avx512-vnni, avx512, avx2."""

    @property
    def native_bf16(self) -> bool:
        """Whether the processor multiplies bfloat16 in hardware."""
        return any(name in self.instruction_sets for name in ("amx-bf16", "avx512-bf16"))

    @property
    def variant(self) -> str:
        """Which of the two published builds of a model suits this machine, as Elasticsearch names them."""
        optimised = platform.system() == "Linux" and platform.machine() == "x86_64" and "avx2" in self.instruction_sets
        return "optimised (linux-x86_64)" if optimised else "portable (platform-agnostic)"


def available_cpus() -> int:
    """Return how many processors this process may use, at least 1.

    The smallest of the machine's count, the process's affinity and the container's quota, rounded up.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(affinity, affinity if quota is None else int(-(-quota // 1))))


def _cgroup_quota(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1) -> float | None:
    """Processors that the container's quota grants, or None without a quota."""
    try:
        if v2.is_file():
            quota, period = v2.read_text().split()
        else:
            quota = (v1 / "cpu.cfs_quota_us").read_text().strip()
            period = (v1 / "cpu.cfs_period_us").read_text().strip()
        return None if quota in {"max", "-1"} else int(quota) / int(period)
    except (OSError, ValueError):
        return None


_FLAGS = {
    "amx_bf16": "amx-bf16",
    "amx_int8": "amx-int8",
    "avx512_bf16": "avx512-bf16",
    "avx512_vnni": "avx512-vnni",
    "avx512f": "avx512",
    "avx2": "avx2",
}


def detect(cpuinfo: Path = Path("/proc/cpuinfo")) -> Hardware:
    """Look at the machine. Cheap: reads one file."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
            if not line:
                break
    except OSError:
        pass
    return Hardware(name, available_cpus(), tuple(ours for theirs, ours in _FLAGS.items() if theirs in flags))
