"""Attention over inputs that lie one after the other in a row of tokens, and where each of them lies.

Shapes: T tokens in all, n inputs, L the longest input, H heads, D components of a head.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's customary name
from torch import Tensor

from efive.models.architecture import Architecture, Kind

_varlen: Callable[..., Tensor] | None
try:  # torch >= 2.10: attention over runs of different length without padding, CUDA only
    from torch.nn.attention.varlen import varlen_attn

    _varlen = cast("Callable[..., Tensor]", varlen_attn)
    _VARLEN_OPTIONS = set(inspect.signature(varlen_attn).parameters)
except ImportError:
    _varlen = None
    _VARLEN_OPTIONS = set()
_AMPERE = (8, 0)
_HALVES = (torch.bfloat16, torch.float16)
_WIDEST_HEAD = 256


@dataclass(frozen=True)
class Layout:
    """Where each input lies in the row of tokens. Nothing here makes the host wait for the device."""

    ends: Tensor
    """(n + 1,) int32: where each input begins, and at last where the last one ends. Tokens beyond are nobody's."""
    positions: Tensor
    """(T,) integers: index of each token within its input."""
    longest: int
    """Tokens of the longest input, or more."""
    unpadded: bool = False
    """Whether the device has attention over runs of tokens."""

    @classmethod
    def of(cls, lengths: Tensor) -> "Layout":
        """Describe inputs of these lengths, (n,) int64, laid one after the other. Waits for a device."""
        ends = F.pad(lengths.cumsum(0), (1, 0))
        tokens = torch.arange(int(ends[-1]), device=lengths.device)
        positions = tokens - ends[:-1].repeat_interleave(lengths, output_size=len(tokens))
        return cls(ends.to(torch.int32), positions, int(lengths.max()), has_varlen(lengths.device))

    @cached_property
    def lengths(self) -> Tensor:
        """(n,) tokens of each input."""
        return self.ends.diff()

    @cached_property
    def owners(self) -> Tensor:
        """(T,) int64: the input that each token belongs to; nobody's tokens count to the last."""
        tokens = torch.arange(len(self.positions), device=self.ends.device, dtype=torch.int32)
        return torch.searchsorted(self.ends[1:], tokens, right=True).clamp(max=len(self.ends) - 2)

    @cached_property
    def real(self) -> Tensor:
        """(n, L) bool: true on real tokens."""
        return torch.arange(self.longest, device=self.ends.device) < self.lengths[:, None]

    @cached_property
    def places(self) -> Tensor:
        """(T,) int64: where each token lies in the padded grid, counted row by row."""
        return self.owners * self.longest + self.positions

    def pad(self, rows: Tensor) -> Tensor:
        """(T, ...) to (n, L, ...), zeros on padding."""
        grid = rows.new_zeros((self.real.numel(), *rows.shape[1:]))
        return grid.index_copy(0, self.places, rows).view(*self.real.shape, *rows.shape[1:])

    def flat(self, padded: Tensor) -> Tensor:
        """(n, L, ...) to (T, ...): the real tokens."""
        return padded.flatten(0, 1).index_select(0, self.places)


def has_varlen(device: torch.device) -> bool:
    """Return whether torch has attention over runs for this device: NVIDIA GPUs from Ampere on."""
    return _varlen is not None and device.type == "cuda" and torch.cuda.get_device_capability(device) >= _AMPERE


def _varlen_serves(dtype: torch.dtype, head_dim: int, *, causal: bool) -> bool:
    known = dtype in _HALVES and head_dim % 8 == 0 and head_dim <= _WIDEST_HEAD
    return known and (not causal or "window_size" in _VARLEN_OPTIONS)


def packs(device: torch.device, dtype: torch.dtype, shape: Architecture) -> bool:
    """Return whether attention needs no padding here; the linear layers never do."""
    return has_varlen(device) and _varlen_serves(dtype, shape.head_dim, causal=shape.kind is Kind.MISTRAL)


def attend(query: Tensor, key: Tensor, value: Tensor, layout: Layout, window: int | None = None) -> Tensor:
    """Softmax attention within each input: query (T, H, D), returns the same.

    Key and value may have fewer heads, each for a group of the query's. `window` makes it causal over that many
    tokens back (Mistral); None attends both ways.
    """
    if layout.unpadded and _varlen_serves(query.dtype, query.shape[-1], causal=window is not None):
        return _attend_runs(query, key, value, layout, window)
    key, value = _ungrouped(query, key, value)
    mask = layout.real[:, None, None, :]
    if window is not None:
        back = torch.arange(layout.longest, device=query.device)
        distance = back[:, None] - back[None, :]
        mask = mask & ((distance >= 0) & (distance < window))
    q, k, v = (layout.pad(rows).transpose(1, 2) for rows in (query, key, value))
    if torch.is_grad_enabled() and not q.is_cuda:
        context = _written_out(q, k, v, mask)
    else:
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return layout.flat(context.transpose(1, 2))


def _attend_runs(query: Tensor, key: Tensor, value: Tensor, layout: Layout, window: int | None) -> Tensor:
    """Attention without padding, by torch's variable-length kernel."""
    options: dict[str, Any] = {}
    if window is not None:  # the kernel's window counts the tokens before the own one; -1 is no bound
        options["window_size"] = (-1, 0) if layout.longest <= window else (window - 1, 0)
    if key.shape[1] < query.shape[1]:
        if "enable_gqa" in _VARLEN_OPTIONS:
            options["enable_gqa"] = True
        else:
            key, value = _ungrouped(query, key, value)
    assert _varlen is not None
    return _varlen(query, key, value, layout.ends, layout.ends, layout.longest, layout.longest, **options)


def _ungrouped(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return key and value with a head for each of the query's."""
    group = query.shape[1] // key.shape[1]
    if group == 1:
        return key, value
    return key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)


def _written_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Attention for training on a CPU, where the backward of torch's fused one is slow (dev/LOG.md).

    (n, H, L, D) each, and `mask` (n, 1, 1 or L, L), true where a token may be seen.
    """
    n, heads, longest, width = q.shape
    # Half of the lowest number: with a score added it is still one, and a padded row without any key is no NaN.
    hidden = torch.zeros(mask.shape, dtype=q.dtype).masked_fill(~mask, torch.finfo(q.dtype).min / 2)
    hidden = hidden.expand(n, heads, -1, longest).flatten(0, 1)
    scores = torch.baddbmm(hidden, q.flatten(0, 1) * width**-0.5, k.flatten(0, 1).transpose(1, 2))
    # Autocast would copy the scores to float32 and the weights back; softmax adds up in float32 either way.
    with torch.autocast("cpu", enabled=False):
        weights = scores.softmax(-1)
    return torch.bmm(weights, v.flatten(0, 1)).view(n, heads, longest, width)
