"""Linear layers that read the same input, joined into one: fewer and larger products for a GPU."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's customary name
from torch import Tensor, nn

from efive.models.attention import Layout, attend
from efive.models.network import BertLayer, MistralLayer, Network, layers, rotate


def join(network: Network) -> None:
    """Join query, key and value, and Mistral's gate and up, of every layer in place; for inference only."""
    for layer in layers(network):
        if isinstance(layer, BertLayer):
            layer.attention["self"] = _BertAttention(layer)
        elif isinstance(layer, MistralLayer):
            layer.self_attn, layer.mlp = _MistralAttention(layer), _MistralMlp(layer)


def _joined(*parts: nn.Linear) -> nn.Linear:
    """Return one linear layer whose outputs are those of `parts`, one after the other."""
    weight = torch.cat([part.weight.detach() for part in parts])
    whole = nn.Linear(weight.shape[1], weight.shape[0], bias=parts[0].bias is not None, device="meta")
    whole.weight = nn.Parameter(weight, requires_grad=False)
    if parts[0].bias is not None:
        whole.bias = nn.Parameter(torch.cat([part.bias.detach() for part in parts]), requires_grad=False)
    return whole


class _BertAttention(nn.Module):
    def __init__(self, layer: BertLayer) -> None:
        super().__init__()
        own: Any = layer.attention["self"]
        self.split = (3, *own.split)
        self.qkv = _joined(own.query, own.key, own.value)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, self.split).unbind(1)
        return attend(query, key, value, layout).flatten(-2)


class _MistralAttention(nn.Module):
    def __init__(self, layer: MistralLayer) -> None:
        super().__init__()
        own: Any = layer.self_attn
        self.head_dim, self.window = own.head_dim, own.window
        self.heads = [p.out_features // own.head_dim for p in (own.q_proj, own.k_proj, own.v_proj)]
        self.qkv, self.o_proj = _joined(own.q_proj, own.k_proj, own.v_proj), own.o_proj

    def forward(self, x: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor]) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (-1, self.head_dim)).split(self.heads, dim=1)
        query, key = rotate(query, *rotary), rotate(key, *rotary)
        context: Tensor = self.o_proj(attend(query, key, value, layout, self.window).flatten(-2))
        return context


class _MistralMlp(nn.Module):
    def __init__(self, layer: MistralLayer) -> None:
        super().__init__()
        own: Any = layer.mlp
        self.gate_up, self.down_proj = _joined(own.gate_proj, own.up_proj), own.down_proj

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(F.silu(gate) * up)
        return out
