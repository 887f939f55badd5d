"""This machine, and which of the published models suits it. The judgement is pure; `look` looks."""

import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from efive.console import units
from efive.deployments import memory
from efive.engines.base import Precision
from efive.engines.hardware import Hardware, detect
from efive.models.architecture import Kind
from efive.models.family import FAMILY, FamilyMember

TOKENS = 120
"""Of the passages that speeds are about."""
_LEAST = 20.0
"""Passages a second below which indexing is no pleasure: a million take more than half a day."""
_SHARE = 0.7
"""Of the memory that a model may take: texts, collections and the system need the rest."""
# Floating-point operations a second of one processor in our engines, by its best instruction set; measured to within
# a factor of two, which is less than lies between two sizes of models.
_SPEED = {"amx-bf16": 500e9, "avx512-bf16": 190e9, "avx512-vnni": 80e9, "avx512": 60e9, "avx2": 30e9}
_SLOWEST, _GPU = 8e9, 20e12


class Fit(StrEnum):
    """How a model suits a machine, best first."""

    RECOMMENDED = "recommended"
    FITS = "fits"
    SLOW = "slow here"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor that torch could use."""

    name: str
    memory: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides how a model runs."""

    hardware: Hardware
    memory: int
    """Bytes of the machine, or of the container's limit."""
    gpu: Gpu | None = None

    @property
    def speed(self) -> float:
        """Floating-point operations a second that may be expected, roughly."""
        if self.gpu is not None:
            return _GPU
        best = next((_SPEED[name] for name in _SPEED if name in self.hardware.instruction_sets), _SLOWEST)
        return best * self.hardware.cpus

    @property
    def precision(self) -> Precision:
        """The precision that will be chosen."""
        return Precision.BF16 if self.gpu is not None or self.hardware.native_bf16 else Precision.FP32

    @property
    def room(self) -> int:
        """Bytes that a model may take."""
        return int(_SHARE * (self.gpu.memory if self.gpu is not None else self.memory))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one model suits a machine."""

    fit: Fit
    reason: str
    """For people, with the numbers."""
    needs: int
    """Bytes of memory, roughly."""
    speed: float
    """Passages of 120 tokens a second, roughly."""


def judge(machine: Machine) -> dict[str, Verdict]:
    """Return a verdict on every published model, by its name.

    Recommended is, among the multilingual models, the largest that fits into the memory and embeds at least 20
    passages a second; where none is that fast, the fastest that fits. Models that need an instruction for each query
    are for those who know that they want them.
    """
    found = {name: _judge(member, machine) for name, member in FAMILY.items()}
    candidates = {n: v for n, v in found.items() if multilingual(n) and not FAMILY[n].instruct}
    fitting = {n: v for n, v in candidates.items() if v.fit is not Fit.TOO_LARGE}
    fast = [n for n, v in fitting.items() if v.fit is Fit.FITS]
    best = max(fast, key=lambda n: FAMILY[n].parameters, default=None)
    if best is None:
        best = max(fitting, key=lambda n: fitting[n].speed, default=None)
    if best is not None:
        v = found[best]
        why = "the largest multilingual model that is quick here" if fast else "the quickest multilingual model here"
        found[best] = Verdict(Fit.RECOMMENDED, f"{why}: {v.reason}", v.needs, v.speed)
    return found


def _judge(member: FamilyMember, machine: Machine) -> Verdict:
    shape = member.architecture
    needs = memory.estimate(shape, machine.precision)
    speed = machine.speed / (shape.arithmetic(TOKENS) * TOKENS)
    where = "the GPU" if machine.gpu is not None else "this machine"
    if needs > machine.room:
        fit = Fit.TOO_LARGE
        reason = f"needs about {units.size(needs)} of memory; {where} has {units.size(machine.room)} for a model"
    else:
        fit = Fit.FITS if speed >= _LEAST else Fit.SLOW
        reason = f"about {units.number(float(f'{speed:.1g}'))} passages a second, {units.size(needs)} of memory"
    if shape.kind is Kind.MISTRAL and machine.gpu is None and fit is not Fit.TOO_LARGE:
        reason += "; meant for a GPU"
    return Verdict(fit, reason, needs, speed)


def multilingual(name: str) -> bool:
    """Say whether a published model is for about a hundred languages rather than for English."""
    return name.startswith("multilingual")


def look() -> Machine:
    """Look at the machine. Takes a moment where there is a GPU."""
    return Machine(detect(), memory.total(), _gpu())


def _gpu() -> Gpu | None:
    program = shutil.which("nvidia-smi")
    if program is None or find_spec("torch") is None:
        return None
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
        name, mebibytes = said.stdout.splitlines()[0].rsplit(",", 1)
        return Gpu(name.strip(), int(mebibytes) << 20)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
