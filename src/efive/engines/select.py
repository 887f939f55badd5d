"""Which engine, which precision, and why."""

import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from efive.engines.base import Engine, Precision
from efive.engines.hardware import Hardware
from efive.errors import DependencyError, EngineError, InputError
from efive.models.architecture import Architecture, Kind
from efive.models.checkpoint import Checkpoint

_COMPILED = "torch-compiled"
ENGINES = ("auto", "openvino", "torch", _COMPILED, "native")
_CPU_ENGINES = ("openvino", "native")


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine and how to start it."""

    engine: str
    precision: Precision
    device: str
    reason: str
    """One sentence for people."""

    def exact(self) -> "Choice":
        """Return the same in fp32, on one device and not compiled."""
        device = "cuda:0" if self.device == "cuda" else self.device.partition(",")[0]
        engine = "torch" if self.engine == _COMPILED else self.engine
        return replace(self, engine=engine, precision=Precision.FP32, device=device)


def parse_precision(value: str) -> Precision | None:
    """Return the precision named by `value`, or None for `auto`.

    Raises:
        InputError: if there is no such precision.
    """
    if value == "auto":
        return None
    try:
        return Precision(value)
    except ValueError:
        raise InputError(f"no precision {value!r}; the precisions are auto, {', '.join(Precision)}") from None


def choose(shape: Architecture, hardware: Hardware, engine: str, precision: str, device: str | None) -> Choice:
    """Pick engine, precision and device for an encoder of `shape`, keeping what the caller fixed.

    Raises:
        InputError: for an unknown engine or precision.
        EngineError: for an engine that has not the kind or the device; for the native one where it cannot run.
        DependencyError: if only torch can run the model and it is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"no engine {engine!r}; the engines are {', '.join(ENGINES)}")
    fixed = parse_precision(precision)
    if engine == "auto":
        engine, device, why = _engine(shape, hardware, fixed, device)
    else:
        why = "asked for"
    if engine == "native":
        _refuse_native(shape.kind)
    if engine in _CPU_ENGINES and device not in {None, "cpu"}:
        raise EngineError(f"the {engine} engine runs on cpu, not {device}; use engine='torch'")
    device = device or ((accelerator() if engine in {"torch", _COMPILED} else None) or "cpu")
    chosen, because = (fixed, "asked for") if fixed else _precision(device, hardware)
    return Choice(engine, chosen, device, f"{engine} on {device}: {why}; {chosen}: {because}")


def _refuse_native(kind: Kind) -> None:
    """Raise what keeps the native engine from running here, before anything is loaded."""
    from efive.engines.native_import import obstacle

    if kind is Kind.MISTRAL:
        raise EngineError("the native engine has no Mistral kind; use engine='torch' (pip install 'efive[torch]')")
    if missing := obstacle():
        raise EngineError(f"{missing}; use engine='auto'")


def _engine(
    shape: Architecture, hardware: Hardware, fixed: Precision | None, device: str | None
) -> tuple[str, str | None, str]:
    """Return the engine for `auto`, its device as far as it decides that, and why."""
    if fixed in {Precision.FP16, Precision.FP8}:
        return "torch", device, f"only torch has {fixed}"
    int8 = fixed is Precision.INT8 and shape.kind is not Kind.MISTRAL
    if device not in {None, "cpu"}:
        return "torch", device, f"device {device} was asked for"
    if shape.kind is Kind.MISTRAL:
        if find_spec("torch") is None:
            raise DependencyError("e5-mistral runs on the torch engine: pip install 'efive[torch]'")
        return "torch", device, "Mistral models run on torch"
    if not device and not int8 and (found := accelerator()):
        return "torch", found, f"torch sees a {found} device"
    where = "int8 runs on the CPU" if int8 else "no accelerator that torch can use"
    if slower := _native_drawback(shape, hardware, fixed or _precision("cpu", hardware)[0]):
        return "openvino", "cpu", f"{where}; {slower}"
    return "native", "cpu", f"{where}; our own kernels are the fastest here"


def _native_drawback(shape: Architecture, hardware: Hardware, precision: Precision) -> str | None:
    """Return why OpenVINO runs an encoder of `shape` here rather than the native engine, or None. See dev/LOG.md."""
    from efive.engines.native_import import instruction_sets, refusal

    if why := refusal(shape, precision):
        return why
    if "avx512" in hardware.instruction_sets and "avx512-vnni" not in hardware.instruction_sets:
        return "OpenVINO uses AVX-512, and our own kernels need its VNNI"
    # fp32 has no tiles on any engine.
    if f"amx-{precision}" in hardware.instruction_sets and "amx" not in instruction_sets(precision):
        return "OpenVINO has kernels for AMX"
    return None


def accelerator() -> str | None:
    """Return `cuda` or `mps` if torch is installed and sees one. Imports torch only where hardware hints at it."""
    hinted = Path("/dev/nvidiactl").exists() or sys.platform in {"darwin", "win32"}
    if not hinted or find_spec("torch") is None:
        return None
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _precision(device: str, hardware: Hardware) -> tuple[Precision, str]:
    if device.startswith("cuda"):
        import torch

        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision.BF16, "the GPU multiplies bfloat16 natively"
        return Precision.FP16, "the GPU has no bfloat16"
    if device == "cpu" and hardware.native_bf16:
        return Precision.BF16, "the processor multiplies bfloat16 natively"
    return Precision.FP32, "no native bfloat16 here"


def start(
    checkpoint: Checkpoint,
    choice: Choice,
    hardware: Hardware,
    threads: int,
    *,
    threads_per_batch: int = 1,
    cache: Path | None = None,
) -> Engine:
    """Start the chosen engine on a checkpoint.

    Args:
        checkpoint: the model.
        choice: from `choose`.
        hardware: from `detect`.
        threads: processors to use.
        threads_per_batch: how many of them compute one batch together, in the native engine; the others decide.
        cache: where the native engine keeps packed weights; None keeps none.
    """
    if choice.engine == "openvino":
        from efive.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(checkpoint, choice.precision, hardware, threads)
    if choice.engine == "native":
        from efive.engines.native_engine import NativeEngine

        return NativeEngine(checkpoint, choice.precision, threads, threads_per_batch=threads_per_batch, cache=cache)
    from efive.engines.torch_engine import TorchEngine

    return TorchEngine(checkpoint, choice.precision, choice.device, threads, compiled=choice.engine == _COMPILED)
