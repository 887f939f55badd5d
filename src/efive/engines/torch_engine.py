"""The torch engine: every kind of the family, on CPU, CUDA and Apple's MPS; padding-free."""

import threading

import numpy as np

from efive.engines.base import EngineInfo, Floats, Precision, TokenBatch
from efive.errors import DependencyError, EngineError
from efive.models.checkpoint import Checkpoint

try:
    import torch

    from efive.models import network
except ImportError as error:
    raise DependencyError("the torch engine needs torch: pip install 'efive[torch]'") from error

_DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
# Tokens of one batch. A CPU core is busy with little; a GPU wants many.
_BUDGETS = {"cpu": 2048, "mps": 16_384, "cuda": 65_536}
_MOST_INNER = 1 << 28  # numbers of the widest intermediate tensor of a batch


class TorchEngine:
    """The encoder as a torch module in evaluation mode."""

    def __init__(self, checkpoint: Checkpoint, precision: Precision, device: str, threads: int) -> None:
        """Load the weights onto `device` (`cpu`, `mps`, `cuda`, `cuda:1`).

        Raises:
            EngineError: for int8, or a device that is not there.
        """
        if precision not in _DTYPES:
            raise EngineError(f"the torch engine has {', '.join(_DTYPES)}; int8 is the openvino engine's")
        self._device = torch.device(device)
        _check_device(self._device)
        if self._device.type == "cpu":
            torch.set_num_threads(threads)
        self._pooling = checkpoint.pooling
        self._lock = threading.Lock()  # one batch at a time: the budget is what the device's memory holds
        encoder = network.load(checkpoint.architecture, checkpoint.tensors, _DTYPES[precision], self._device)
        self._network: network.Network | None = encoder.eval()
        packed = network.packs(self._device.type, _DTYPES[precision], checkpoint.architecture.kind)
        self.info = EngineInfo(
            name="torch",
            precision=precision,
            device=str(self._device),
            dimension=checkpoint.architecture.hidden,
            # Wider models hold more per token.
            token_budget=min(_BUDGETS[self._device.type], _MOST_INNER // checkpoint.architecture.feed_forward),
            padded=not packed,
            parallel=1,
        )

    def warmup(self) -> None:
        """Run one short input."""
        self.embed(TokenBatch(np.zeros((1, 8), dtype=np.int32), np.array([8], dtype=np.int32)))

    def embed(self, batch: TokenBatch) -> Floats:
        """Return pooled vectors (n, hidden) in float32."""
        with self._lock, torch.inference_mode():
            if self._network is None:
                raise EngineError("the encoder is closed; load it again")
            lengths = torch.from_numpy(batch.lengths.astype(np.int64)).to(self._device)
            layout = network.Layout.of(lengths)
            ids = torch.from_numpy(batch.ids).to(self._device)[layout.real].long()
            pooled = network.pool(self._network(ids, layout), layout, self._pooling)
            result: Floats = pooled.cpu().numpy()
            return result

    def memory_bytes(self) -> int:
        """Return the bytes of the parameters."""
        return sum(p.numel() * p.element_size() for p in self._network.parameters()) if self._network else 0

    def close(self) -> None:
        """Release the parameters."""
        with self._lock:
            self._network = None


def _check_device(device: torch.device) -> None:
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        raise EngineError(
            f"torch sees no {device.type} device here; devices: {', '.join(k for k, v in available.items() if v)}"
        )
