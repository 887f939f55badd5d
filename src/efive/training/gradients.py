"""The gradient of a batch of any size: chunks through the network, one loss over all vectors, chunks back.

A loss over in-batch negatives needs the vectors of the whole batch, but the network need not hold the whole
batch: (1) encode chunk by chunk, (2) take the loss's gradient with respect to the vectors, (3) send it back
through each chunk. A batch within `keep_tokens` keeps its graphs from (1); a larger one encodes without a graph and
again in (3) (gradient caching, arXiv 2101.06983). The network has no dropout, so both give the same gradient.

Processes share the chunks of one batch, so the result is that of one process with the whole batch. Where they share
the weights too (efive.training.sharding), torch adds up the gradients, and all processes go through the network
equally often, for each time they exchange weights.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - torch's customary name
from torch import Tensor

from efive.models.attention import Layout
from efive.models.network import Network, pool, token_table
from efive.text.batching import plan
from efive.text.tokenizer import TokenIds
from efive.training.processes import Processes

if TYPE_CHECKING:
    from efive.training.sharding import Shards

LossOfRows = Callable[[Tensor, slice], Tensor]
"""(vectors (N, d), rows) to the loss summed over these rows."""
_ROWS = 1024  # of the logits at a time: bounds their memory at large batches


@dataclass(frozen=True, slots=True)
class Passing:
    """How texts go through the network."""

    pooling: str
    device: str
    bf16: bool
    chunk_tokens: int
    keep_tokens: int
    workers: int = 1
    """Threads that each take chunks, on a CPU."""


class Gradients:
    """Accumulates the gradients of batches until `collect`."""

    def __init__(
        self,
        network: Network,
        passing: Passing,
        processes: Processes = Processes(),  # noqa: B008
        shards: "Shards | None" = None,
    ) -> None:
        self.network = network
        self.passing = passing
        self.processes = processes
        self.shards = shards
        self.table = token_table(network)
        self.table.sparse = shards is None  # processes exchange only dense gradients of weights that they share
        learning: dict[Tensor, Tensor] = {
            p: shards.own(p) if shards else p for p in network.parameters() if p.requires_grad
        }
        self.token_rows = learning.pop(self.table.weight, None)
        """The table's weight (of a sharded one, the rows that are here) if it learns."""
        self.parameters = list(learning.values())
        """All else that learns."""
        self._pool = ThreadPoolExecutor(passing.workers, initializer=torch.set_num_threads, initargs=(1,))
        self.clear()

    def clear(self) -> None:
        """Forget what was accumulated."""
        self._dense: list[Tensor] | None = None
        self._rows: list[tuple[Tensor, Tensor]] = []
        self._ids: list[TokenIds] = []
        if self.shards:
            self.shards.clear()

    def close(self) -> None:
        """End the worker threads."""
        self._pool.shutdown()

    def add(self, texts: Sequence[TokenIds], loss: LossOfRows, count: int, weight: float = 1.0) -> float:
        """Accumulate `weight` times the gradient of a batch's mean loss and return that mean.

        Args:
            texts: the batch's inputs, special tokens included.
            loss: of vectors (N, d), in the order of `texts`, and a slice of rows: the sum over these rows.
            count: rows of the loss (queries), by which the sum is divided.
            weight: of this batch among the step's.
        """
        lengths = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
        chunks = plan(lengths, self.passing.chunk_tokens)
        everyones = [chunks[rank :: self.processes.size] for rank in range(self.processes.size)]
        keep = max(sum(int(lengths[chunk].sum()) for chunk in each) for each in everyones) <= self.passing.keep_tokens
        mine = everyones[self.processes.rank]
        if self.shards and len(mine) < len(everyones[0]):
            mine = [*mine, np.empty(0, dtype=np.int64)]
        shares = [mine[worker :: self.passing.workers] for worker in range(self.passing.workers)]

        def forward(share: list[npt.NDArray[np.int64]]) -> list[Tensor]:
            with torch.set_grad_enabled(keep):
                return [self.encode([texts[i] for i in chunk]) for chunk in share]

        encoded = self._each(forward, shares)
        width = next((v.shape[1] for vs in encoded for v in vs), 0)
        vectors = torch.zeros(len(texts), self.processes.most(width, self.passing.device), device=self.passing.device)
        for share, outputs in zip(shares, encoded, strict=True):
            for chunk, output in zip(share, outputs, strict=True):
                vectors[torch.from_numpy(chunk)] = output.detach()
        self.processes.sum_(vectors)
        value, gradient = self._of_vectors(vectors, loss, count)

        def backward(share: list[npt.NDArray[np.int64]], outputs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            dense: list[Tensor] = []
            rows: list[Tensor] = []
            for position, chunk in enumerate(share):
                output = outputs[position] if keep else self.encode([texts[i] for i in chunk])
                outputs[position] = output.detach()  # frees the graph behind it
                found = list(self._backward(output, weight * gradient[torch.from_numpy(chunk)]))
                if self.token_rows is not None and found:
                    rows.append(found.pop())
                dense = [a.add_(b) for a, b in zip(dense, found, strict=True)] if dense else found
            return dense, rows

        for dense, rows in self._each(backward, shares, encoded):
            self._take(dense, rows)
        self._ids.extend(texts)
        return value

    def _each(self, work: Callable[..., object], *arguments: Sequence[object]) -> list:  # type: ignore[type-arg]
        if self.passing.workers == 1:
            return [work(*those) for those in zip(*arguments, strict=True)]
        return list(self._pool.map(work, *arguments))

    def encode(self, texts: Sequence[TokenIds]) -> Tensor:
        """Return unit vectors (len(texts), d) in float32, with a graph where gradients are enabled.

        Without texts one token goes through the network all the same, so that sharing processes keep in step.
        """
        device = self.passing.device
        rows = texts or [np.zeros(1, dtype=np.int32)]
        lengths = torch.tensor([len(row) for row in rows], device=device)
        ids = torch.from_numpy(np.concatenate(rows)).long().to(device)
        layout = Layout.of(lengths)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=self.passing.bf16):
            hidden = self.network(ids, layout)
        return F.normalize(pool(hidden, layout, self.passing.pooling), dim=-1)[: len(texts)]

    def _of_vectors(self, vectors: Tensor, loss: LossOfRows, count: int) -> tuple[float, Tensor]:
        """Return the mean loss and its gradient (N, d); processes share the rows of the loss."""
        vectors.requires_grad_()
        total = torch.zeros((), dtype=torch.float64, device=vectors.device)
        gradient = torch.zeros_like(vectors)
        blocks = [slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS)]
        if self.processes.size > 1:
            step = -(-count // self.processes.size)
            edges = [min(count, step * r) for r in (self.processes.rank, self.processes.rank + 1)]
            blocks = [slice(s, min(s + _ROWS, edges[1])) for s in range(edges[0], edges[1], _ROWS)]
        for rows in blocks:
            part = loss(vectors, rows) / count
            gradient += torch.autograd.grad(part, vectors)[0]
            total += part.detach()
        self.processes.sum_(gradient)
        self.processes.sum_(total)
        return float(total), gradient

    def _backward(self, output: Tensor, gradient: Tensor) -> Sequence[Tensor]:
        """Return the gradients of `parameters` and then of the table; of a sharded network, its weights keep them."""
        if self.shards:
            output.backward(gradient)  # type: ignore[no-untyped-call]
            return []
        wanted: list[Tensor] = [*self.parameters]
        if self.token_rows is not None:
            wanted.append(self.token_rows)
        found: Sequence[Tensor] = torch.autograd.grad(output, wanted, gradient)
        return found

    def _take(self, dense: list[Tensor], rows: list[Tensor]) -> None:
        if dense:
            self._dense = dense if self._dense is None else [a.add_(b) for a, b in zip(self._dense, dense, strict=True)]
        self._rows += [(row._indices()[0], row._values()) for row in rows]

    def collect(self) -> float:
        """Put what was accumulated into the parameters' `.grad`, summed over processes, and return its norm."""
        if self.shards:
            dense = [self.shards.gradient(p) for p in self.parameters]
        else:
            dense = self._dense or [torch.zeros_like(p) for p in self.parameters]
        for parameter, gradient in zip(self.parameters, dense, strict=True):
            parameter.grad = gradient
        if self.processes.size > 1 and not self.shards:
            flat = self.processes.sum_(torch.cat([gradient.flatten() for gradient in dense]))
            for gradient, part in zip(dense, torch.split(flat, [g.numel() for g in dense]), strict=True):
                gradient.copy_(part.view_as(gradient))
        squares = [gradient.float().square().sum() for gradient in dense]
        if self.token_rows is not None:
            squares.append(self._collect_rows(self.token_rows).square().sum())
        self.clear()
        square = torch.stack(squares).sum()
        return float((self.processes.sum_(square) if self.shards else square).sqrt())

    def _collect_rows(self, weight: Tensor) -> Tensor:
        """Give the table a sparse gradient: only rows of tokens that occur.

        Processes with the whole table have the same rows; those that share it, each the ones that it holds.
        """
        # All processes know all texts of the batch, so they agree on the rows without asking each other.
        occurring = torch.from_numpy(np.unique(np.concatenate(self._ids)).astype(np.int64)).to(weight.device)
        if self.shards:
            held = self.shards.rows(weight)
            occurring = occurring[(occurring >= held.start) & (occurring < held.stop)] - held.start
            values = self.shards.gradient(weight)[occurring]
        else:
            values = torch.zeros(len(occurring), weight.shape[1], device=weight.device)
            for indices, rows in self._rows:
                values.index_add_(0, torch.searchsorted(occurring, indices), rows.float())
            self.processes.sum_(values)
        weight.grad = torch.sparse_coo_tensor(
            occurring[None], values.to(weight.dtype), tuple(weight.shape), is_coalesced=True, check_invariants=False
        )
        return values
