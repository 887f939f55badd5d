"""CUDA graphs of small batches, whose hundreds of launches would take longer than their work.

A graph replays the same kernels on the same memory, so batches are filled up to a few shapes. Each shape is computed
plainly when it first comes, which also readies the libraries, and captured when it comes again.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from efive.engines.torch_transfer import Shape
from efive.errors import EfiveWarning

_TOKENS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
_TEXTS = (2, 8, 64, 512, 4097)
_MOST_GRAPHS = 40
Forward = Callable[[Tensor, Shape], Tensor]
"""Numbers and their shape to pooled vectors (texts, dimension)."""


def filled_up(shape: Shape, longest: int) -> Shape | None:
    """Return the shape to which a small batch is filled up, or None for a large one.

    There is always one text more than the batch has. `longest` is the most that the model reads: the attention
    kernel's grid is as large as its longest text may be, and blocks without work end at once.
    """
    if shape.tokens > _TOKENS[-1]:
        return None
    tokens = next(size for size in _TOKENS if size >= shape.tokens)
    texts = next(size for size in _TEXTS if size > shape.texts)
    return Shape(tokens, texts, min(tokens, longest))


@dataclass(frozen=True, slots=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    numbers: Tensor
    pooled: Tensor


class Graphs:
    """The captured shapes of one device. All calls come in the stream that it was made for, one at a time."""

    def __init__(self, forward: Forward, stream: torch.cuda.Stream) -> None:
        """Capture nothing yet."""
        self._forward, self._stream = forward, stream
        self._captured: OrderedDict[Shape, _Captured] = OrderedDict()
        self._seen: set[Shape] = set()
        self._pool = torch.cuda.graph_pool_handle()
        self._broken = False

    def run(self, numbers: Tensor, shape: Shape) -> Tensor:
        """Return the pooled vectors (texts, dimension) of a filled-up batch."""
        if self._broken or shape not in self._seen:
            self._seen.add(shape)
            return self._forward(numbers, shape)
        if shape not in self._captured:
            try:
                self._captured[shape] = self._capture(numbers, shape)
            except RuntimeError as error:  # slower is better than not at all
                self._broken = True
                warnings.warn(f"no CUDA graphs, small batches take longer: {error}", EfiveWarning, stacklevel=2)
                return self._forward(numbers, shape)
            if len(self._captured) > _MOST_GRAPHS:
                self._stream.synchronize()  # the one that goes may still run
                self._captured.popitem(last=False)
        self._captured.move_to_end(shape)
        found = self._captured[shape]
        found.numbers.copy_(numbers)
        found.graph.replay()
        return found.pooled.clone()  # graphs share memory: the next replay overwrites it

    def _capture(self, numbers: Tensor, shape: Shape) -> _Captured:
        own = numbers.clone()
        graph = torch.cuda.CUDAGraph()
        # thread_local: another thread may copy its batch meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            pooled = self._forward(own, shape)
        return _Captured(graph, own, pooled)
