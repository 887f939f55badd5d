"""Batches to a device and vectors back: flat on the host, through page-locked memory, on a stream beside the work."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from efive.engines.base import Floats, TokenBatch
from efive.models.attention import Layout, has_varlen

Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the kernels of a batch."""

    tokens: int
    texts: int
    longest: int

    @classmethod
    def of(cls, batch: TokenBatch) -> "Shape":
        """Return the shape of a batch without padding."""
        return cls(int(batch.lengths.sum()), len(batch.lengths), int(batch.lengths.max(initial=0)))

    @property
    def numbers(self) -> int:
        """How many int32 describe such a batch: an id and a position for each token, and the texts' ends."""
        return 2 * self.tokens + self.texts + 1


def write(batch: TokenBatch, shape: Shape, out: Numbers) -> None:
    """Write ids, positions and ends one after the other into `out`, (shape.numbers,).

    Where `shape` is larger than the batch, texts without tokens follow, and zeros that belong to none.
    """
    tokens, texts = int(batch.lengths.sum()), len(batch.lengths)
    columns = np.arange(batch.ids.shape[1], dtype=np.int32)
    real = columns < batch.lengths[:, None]
    ids, positions, ends = np.split(out, (shape.tokens, 2 * shape.tokens))
    ids[:tokens], ids[tokens:] = batch.ids[real], 0
    positions[:tokens], positions[tokens:] = np.broadcast_to(columns, real.shape)[real], 0
    ends[0] = 0
    np.cumsum(batch.lengths, out=ends[1 : texts + 1])
    ends[texts + 1 :] = tokens


def read(numbers: Tensor, shape: Shape) -> tuple[Tensor, Layout]:
    """Return ids (T,) and the layout of what `write` wrote, wherever it lies now."""
    ids, positions, ends = torch.split(numbers, [shape.tokens, shape.tokens, shape.texts + 1])
    return ids, Layout(ends, positions, shape.longest, has_varlen(numbers.device))


class Lane:
    """The buffers of one batch under way. On CUDA they are page-locked, and copies do not wait for computations."""

    def __init__(self, device: torch.device, dimension: int) -> None:
        """Make empty buffers; they grow."""
        self._device = device
        self._cuda = device.type == "cuda"
        self._sent = self._host(0, torch.int32)
        self._arrived = torch.empty(0, dtype=torch.int32, device=device)
        self._vectors = self._host(0, torch.float32).view(0, dimension)
        self._dimension = dimension
        if self._cuda:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._sending = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._computed = torch.cuda.Event()  # type: ignore[no-untyped-call]
            # A thread that waits sleeps.
            self._returning = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]

    def _host(self, size: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(size, dtype=dtype, pin_memory=self._cuda)

    def send(self, batch: TokenBatch, shape: Shape) -> Tensor:
        """Start the way of a batch to the device and return the numbers there; `arrive` waits for them."""
        size = shape.numbers
        if len(self._sent) < size:
            self._sent = self._host(_roomy(size), torch.int32)
        write(batch, shape, self._sent[:size].numpy())
        if not self._cuda:
            return self._sent[:size].to(self._device)
        with torch.cuda.stream(self._stream):
            if len(self._arrived) < size:
                self._arrived = torch.empty(_roomy(size), dtype=torch.int32, device=self._device)
            self._arrived[:size].copy_(self._sent[:size], non_blocking=True)
            self._sending.record()
        return self._arrived[:size]

    def arrive(self) -> None:
        """Let the current stream wait until the batch has arrived; the host does not."""
        if self._cuda:
            torch.cuda.current_stream(self._device).wait_event(self._sending)

    def computed(self) -> None:
        """Mark that the current stream has computed the batch's vectors once it comes here."""
        if self._cuda:
            self._computed.record(torch.cuda.current_stream(self._device))

    def fetch(self, pooled: Tensor) -> Floats:
        """Wait for the vectors (n, dimension) float32 and return them."""
        if not self._cuda:
            return np.asarray(pooled.cpu().numpy(), dtype=np.float32)
        count = len(pooled)
        if len(self._vectors) < count:
            self._vectors = self._host(_roomy(count) * self._dimension, torch.float32).view(-1, self._dimension)
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._computed)
            self._vectors[:count].copy_(pooled, non_blocking=True)
            self._returning.record()
        self._returning.synchronize()
        return self._vectors[:count].numpy().copy()


def _roomy(size: int) -> int:
    """Return the next power of two: page-locking is slow, so buffers grow seldom."""
    return 1 << (size - 1).bit_length()
