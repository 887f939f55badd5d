"""A model on one device: batches go there, through the network and back, several under way at once."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from efive.engines.base import Floats, Precision, TokenBatch
from efive.engines.torch_compiled import Compiled
from efive.engines.torch_float8 import to_float8
from efive.engines.torch_fuse import join
from efive.engines.torch_graphs import Graphs, filled_up
from efive.engines.torch_transfer import Lane, Shape, read
from efive.errors import EngineError
from efive.models import network
from efive.models.attention import packs
from efive.models.checkpoint import Checkpoint

DTYPES = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
    Precision.FP8: torch.bfloat16,  # all but the linear layers
}
# On a GPU one batch computes, one is queued behind it, and one is packed or unpacked. A CPU has no time for that.
_LANES = {"cuda": 3}


@dataclass(frozen=True, slots=True)
class Setup:
    """How a replica computes."""

    precision: Precision
    compiled: bool = False
    joined: bool = False
    """Whether linear layers that read the same input are joined."""


class Replica:
    """The weights on one device and the lanes to it."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, setup: Setup) -> None:
        """Load the weights."""
        shape, dtype = checkpoint.architecture, DTYPES[setup.precision]
        encoder = network.load(shape, checkpoint.tensors, dtype, device).eval()
        if setup.joined:
            join(encoder)
        if setup.precision is Precision.FP8:
            to_float8(encoder)
        self._network: network.Network | None = encoder
        self._apply = Compiled(encoder) if setup.compiled else encoder
        self._pooling, self._longest = checkpoint.pooling, shape.longest
        self.packed = packs(device, dtype, shape)
        """Whether no attention pads."""
        self.parallel = _LANES.get(device.type, 1)
        """How many `embed` calls may run at once."""
        self._lanes: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for _ in range(self.parallel):
            self._lanes.put(Lane(device, shape.hidden))
        self._launching = threading.Lock()  # one at a time: the budget is what the device's memory holds
        cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if cuda else None  # type: ignore[no-untyped-call]
        self._graphs = Graphs(self._forward, self._stream) if self._stream and self.packed else None
        if cuda:
            torch.cuda.synchronize(device)  # the weights came in another stream

    def embed(self, batch: TokenBatch) -> Floats:
        """Return pooled vectors (n, hidden) in float32."""
        lane = self._lanes.get()
        try:
            if self._network is None:
                raise EngineError("the encoder is closed; load it again")
            shape = Shape.of(batch)
            graphed = filled_up(shape, self._longest) if self._graphs else None
            numbers = lane.send(batch, graphed or shape)
            with self._in_turn(lane):
                pooled = (
                    self._graphs.run(numbers, graphed) if self._graphs and graphed else self._forward(numbers, shape)
                )
            return lane.fetch(pooled[: shape.texts])
        finally:
            self._lanes.put(lane)

    @contextmanager
    def _in_turn(self, lane: Lane) -> Iterator[None]:
        """Launch what computes a batch, after its arrival, in this replica's stream."""
        stream = torch.cuda.stream(self._stream) if self._stream else nullcontext()
        with self._launching, torch.inference_mode(), stream:
            lane.arrive()
            yield
            lane.computed()

    def _forward(self, numbers: Tensor, shape: Shape) -> Tensor:
        ids, layout = read(numbers, shape)
        return network.pool(self._apply(ids, layout), layout, self._pooling)

    def memory_bytes(self) -> int:
        """Return the bytes of the weights."""
        if self._network is None:
            return 0
        return sum(t.numel() * t.element_size() for t in (*self._network.parameters(), *self._network.buffers()))

    def close(self) -> None:
        """Wait for what is under way and release the weights."""
        lanes = [self._lanes.get() for _ in range(self.parallel)]
        self._network = self._graphs = None
        del self._apply
        for lane in lanes:
            self._lanes.put(lane)
