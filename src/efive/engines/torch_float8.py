"""Linear layers in float8 (e4m3): weights with a scale per output, activations with a scale per token.

A code is a number over its row's scale, rounded to a sign, four bits of exponent and three of mantissa. Products of
codes are added up in float32 and both scales are multiplied back in.
"""

import torch
from torch import Tensor, nn

from efive.models.network import Network, layers

_LARGEST = torch.finfo(torch.float8_e4m3fn).max
_SMALLEST_ROW = 1e-12  # a row of zeros needs a scale too


def quantise(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the codes (T, K) of `rows` (T, K) in float8 and their scales (T, 1) in float32."""
    scales = rows.abs().amax(-1, keepdim=True).float().clamp(min=_SMALLEST_ROW) / _LARGEST
    return (rows / scales).to(torch.float8_e4m3fn), scales


class Float8Linear(nn.Module):
    """A linear layer whose product is in float8; for bfloat16 inputs, with widths that divide by 16."""

    codes: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        """Quantise the weights (N, K) of `linear`."""
        super().__init__()
        codes, scales = quantise(linear.weight.detach())
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales.T.contiguous())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(T, K) to (T, N)."""
        codes, scales = quantise(x)
        return torch._scaled_mm(
            codes, self.codes.T, scales, self.scales, bias=self.bias, out_dtype=x.dtype, use_fast_accum=True
        )


def to_float8(network: Network) -> None:
    """Put float8 in the place of every linear layer of `network`'s layers."""
    for layer in layers(network):
        for parent in list(layer.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, Float8Linear(child))
