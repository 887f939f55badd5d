"""The torch engine: every kind of the family, on CPU, Apple's MPS and all CUDA devices of a machine; padding-free."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np

from efive.engines.base import EngineInfo, Floats, Precision, TokenBatch
from efive.errors import DependencyError, EngineError
from efive.models.checkpoint import Checkpoint

try:
    import torch

    from efive.engines.torch_replica import DTYPES, Replica, Setup
except ImportError as error:
    raise DependencyError("the torch engine needs torch: pip install 'efive[torch]'") from error

# Tokens of one batch. A CPU core is busy with little; a GPU wants many.
_BUDGETS = {"cpu": 2048, "mps": 16_384, "cuda": 65_536}
_MOST_INNER = 1 << 28  # numbers of the widest intermediate tensor of a batch
_FLOAT8_CAPABILITY = (8, 9)  # Ada, Hopper
T = TypeVar("T")


class LeastBusy(Generic[T]):
    """Several of the same; each piece of work goes to the one that has least to do."""

    def __init__(self, workers: Sequence[T]) -> None:
        self._workers = workers
        self._busy = [0] * len(workers)
        self._lock = threading.Lock()

    @contextmanager
    def take(self, cost: int) -> Iterator[T]:
        """Lend a worker for work of this cost."""
        with self._lock:
            index = min(range(len(self._busy)), key=self._busy.__getitem__)
            self._busy[index] += cost
        try:
            yield self._workers[index]
        finally:
            with self._lock:
                self._busy[index] -= cost


class TorchEngine:
    """The encoder as a torch module, once on each device."""

    def __init__(
        self, checkpoint: Checkpoint, precision: Precision, device: str, threads: int, *, compiled: bool = False
    ) -> None:
        """Load the weights.

        Args:
            checkpoint: of any kind.
            precision: fp8 is for CUDA devices from Ada on, with bf16 beside the linear layers.
            device: `cpu`, `mps`, `cuda:1`; several with commas between them; `cuda` is all that torch sees.
            threads: processors to use on a CPU.
            compiled: whether torch compiles the layers, which takes a minute and a compiler, and then saves time.

        Raises:
            EngineError: for a precision or a device that is not there.
        """
        devices = _devices(device)
        _check_precision(precision, devices, checkpoint)
        first = devices[0].type
        if first == "cpu":
            torch.set_num_threads(threads)
        setup = Setup(precision, compiled=compiled, joined=first == "cuda")
        self._replicas = [Replica(checkpoint, each, setup) for each in devices]
        self._dispatch = LeastBusy(self._replicas)
        self.info = EngineInfo(
            name="torch",
            precision=precision,
            device=",".join(map(str, devices)),
            dimension=checkpoint.architecture.hidden,
            # Wider models hold more per token.
            token_budget=min(_BUDGETS[first], _MOST_INNER // checkpoint.architecture.feed_forward),
            padded=not all(replica.packed for replica in self._replicas),
            parallel=sum(replica.parallel for replica in self._replicas),
        )

    def warmup(self) -> None:
        """Run a short input on every device, twice: a graph is captured when its shape comes again."""
        short = TokenBatch(np.zeros((1, 8), dtype=np.int32), np.array([8], dtype=np.int32))
        for replica in self._replicas * 2:
            replica.embed(short)

    def embed(self, batch: TokenBatch) -> Floats:
        """Return pooled vectors (n, hidden) in float32."""
        with self._dispatch.take(int(batch.lengths.sum())) as replica:
            return replica.embed(batch)

    def memory_bytes(self) -> int:
        """Return the bytes of the weights, on all devices together."""
        return sum(replica.memory_bytes() for replica in self._replicas)

    def close(self) -> None:
        """Wait for what is running and release the weights."""
        for replica in self._replicas:
            replica.close()


def _devices(names: str) -> list[torch.device]:
    """Return the devices that `names` stands for, all of one type."""
    devices = [torch.device(name) for name in names.split(",")]
    for device in devices:
        _check_device(device)
    if len({device.type for device in devices}) > 1:
        raise EngineError(f"{names} are devices of different types; name devices of one")
    if devices == [torch.device("cuda")]:
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return devices


def _check_device(device: torch.device) -> None:
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise EngineError(
            f"torch sees no {device.type} device here; devices: {', '.join(k for k, v in available.items() if v)}"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(f"torch sees {torch.cuda.device_count()} cuda device(s), counted from 0, and no {device}")


def _check_precision(precision: Precision, devices: Sequence[torch.device], checkpoint: Checkpoint) -> None:
    if precision not in DTYPES:
        raise EngineError(f"the torch engine has {', '.join(DTYPES)}; int8 is the openvino engine's")
    if precision is not Precision.FP8:
        return
    for device in devices:
        if device.type != "cuda" or torch.cuda.get_device_capability(device) < _FLOAT8_CAPABILITY:
            raise EngineError(
                f"fp8 needs an NVIDIA GPU of compute capability 8.9 or more (Ada, Hopper), which {device} is not; "
                "use precision='bf16'"
            )
    widths = (checkpoint.architecture.hidden, checkpoint.architecture.feed_forward)
    if any(width % 16 for width in widths):
        raise EngineError(f"fp8 needs widths that divide by 16, not {widths[0]} and {widths[1]}; use precision='bf16'")
