"""The update: AdamW for the layers, a row-wise Adam for the token table, one schedule."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from efive.training.settings import Learning

OfParameter = Callable[[Tensor, Tensor], Tensor]
"""(a parameter, a tensor that belongs to it) to what takes the tensor's place."""


def rate(step: int, steps: int, learning: Learning) -> float:
    """Return the learning rate of a 0-based step, as a share of its highest.

    It rises linearly in the warm-up, stays, and falls linearly to 0 in the last `decay` of what follows.
    """
    warmup = learning.warmup if learning.warmup >= 1 else learning.warmup * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    falling = learning.decay * (steps - warmup)
    return min(1.0, (steps - step) / max(1.0, falling))


class Optimizer:
    """Updates parameters from their `.grad`.

    Only the rows of tokens that occurred are touched in the table: their moments rest meanwhile, and a vocabulary
    of 250,000 pieces costs nothing while it is not met.
    """

    def __init__(self, parameters: list[Tensor], table: Tensor | None, learning: Learning) -> None:
        self.learning = learning
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]  # biases and norms do not decay
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        self._layers = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=learning.rate,
            betas=learning.betas,
            weight_decay=learning.weight_decay,
            fused=True,
        )
        self._table = (
            None
            if table is None
            else torch.optim.SparseAdam([table], lr=learning.embedding_rate or learning.rate, betas=learning.betas)
        )

    def update(self, step: int, steps: int, norm: float) -> float:
        """Update with the gradients in place, whose norm is `norm`; return the layers' learning rate."""
        share = rate(step, steps, self.learning)
        scale = min(1.0, self.learning.clip / (norm + 1e-6))
        rates: list[tuple[torch.optim.Optimizer, float]] = [
            (self._layers, 0.0 if step < self.learning.frozen else self.learning.rate)
        ]
        if self._table is not None:
            rates.append((self._table, self.learning.embedding_rate or self.learning.rate))
        for optimizer, highest in rates:
            for group in optimizer.param_groups:
                group["lr"] = highest * share
                for parameter in group["params"]:
                    _scale(parameter.grad, scale)
            if highest:
                optimizer.step()
        return rates[0][1] * share

    def state(self, join: OfParameter = lambda _parameter, value: value) -> dict[str, Any]:
        """Return everything that continues the same updates later; `join` makes slices of sharded weights whole."""
        return {
            "layers": _changed(self._layers, self._layers.state_dict(), join),
            "table": self._table and _changed(self._table, self._table.state_dict(), join),
        }

    def restore(self, state: dict[str, Any], cut: OfParameter = lambda _parameter, value: value) -> None:
        """Take up what `state` returned; `cut` undoes its `join`."""
        self._layers.load_state_dict(_changed(self._layers, state["layers"], cut))
        if self._table is not None:
            self._table.load_state_dict(_changed(self._table, state["table"], cut))


def _changed(optimizer: torch.optim.Optimizer, state: dict[str, Any], change: OfParameter) -> dict[str, Any]:
    """Return a state dict with `change` made to its moments, in the same order in every process."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        index: {
            name: change(parameters[index], value) if isinstance(value, Tensor) and value.ndim else value
            for name, value in sorted(values.items())
        }
        for index, values in sorted(state["state"].items())
    }
    return state | {"state": moments}


def _scale(gradient: Tensor | None, scale: float) -> None:
    if gradient is not None and scale < 1:
        (gradient._values() if gradient.is_sparse else gradient).mul_(scale)
