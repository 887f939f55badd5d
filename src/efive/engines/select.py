"""Which engine, which precision, and why."""

import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from efive.engines.base import Engine, Precision
from efive.engines.hardware import Hardware
from efive.errors import DependencyError, EngineError, InputError
from efive.models.architecture import Kind
from efive.models.checkpoint import Checkpoint

_COMPILED = "torch-compiled"
ENGINES = ("auto", "openvino", "torch", _COMPILED, "native")


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


def choose(kind: Kind, hardware: Hardware, engine: str, precision: str, device: str | None) -> Choice:
    """Pick engine, precision and device for an encoder of `kind`, keeping what the caller fixed.

    Raises:
        InputError: for an unknown engine or precision.
        EngineError: for the native engine where it cannot run.
        DependencyError: if only torch can run the model and it is not installed.
    """
    if engine not in ENGINES:
        raise InputError(f"no engine {engine!r}; the engines are {', '.join(ENGINES)}")
    if engine == "native":
        _refuse_native(kind, device)
        device = "cpu"
    fixed = parse_precision(precision)
    if engine == "auto" and fixed in {Precision.FP16, Precision.FP8}:
        engine, why = "torch", f"only torch has {fixed}"
    elif engine == "auto" and fixed is Precision.INT8 and kind is not Kind.MISTRAL and device in {None, "cpu"}:
        engine, why = "openvino", "only OpenVINO has int8"
    elif engine == "auto":
        engine, device, why = _engine(kind, device)
    else:
        why = "asked for"
    device = device or ((accelerator() if engine in {"torch", _COMPILED} else None) or "cpu")
    if engine == "openvino" and device != "cpu":
        raise EngineError(f"the openvino engine runs on cpu, not {device}; use engine='torch'")
    chosen, because = (fixed, "asked for") if fixed else _precision(device, hardware)
    return Choice(engine, chosen, device, f"{engine} on {device}: {why}; {chosen}: {because}")


def _refuse_native(kind: Kind, device: str | None) -> None:
    """Raise what keeps the native engine from running here, before anything is loaded."""
    from efive.engines.native_import import obstacle

    if kind is Kind.MISTRAL:
        raise EngineError("the native engine has no Mistral kind; use engine='torch' (pip install 'efive[torch]')")
    if device not in {None, "cpu"}:
        raise EngineError(f"the native engine runs on cpu, not {device}; use engine='torch'")
    if missing := obstacle():
        raise EngineError(f"{missing}; use engine='auto'")


def _engine(kind: Kind, device: str | None) -> tuple[str, str | None, str]:
    if device not in {None, "cpu"}:
        return "torch", device, f"device {device} was asked for"
    if kind is Kind.MISTRAL:
        if find_spec("torch") is None:
            raise DependencyError("e5-mistral runs on the torch engine: pip install 'efive[torch]'")
        return "torch", device, "Mistral models run on torch"
    found = None if device else accelerator()
    if found:
        return "torch", found, f"torch sees a {found} device"
    return "openvino", "cpu", "no accelerator that torch can use; OpenVINO is the fastest general CPU engine"


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


def start(checkpoint: Checkpoint, choice: Choice, hardware: Hardware, threads: int) -> Engine:
    """Start the chosen engine on a checkpoint."""
    if choice.engine == "openvino":
        from efive.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(checkpoint, choice.precision, hardware, threads)
    if choice.engine == "native":
        from efive.engines.native_engine import NativeEngine

        return NativeEngine(checkpoint, choice.precision, threads)
    from efive.engines.torch_engine import TorchEngine

    return TorchEngine(checkpoint, choice.precision, choice.device, threads, compiled=choice.engine == _COMPILED)
