"""The encoders in torch, padding-free: tokens of all inputs lie in one row, only attention sees boundaries.

Parameter names are transformers' own, so a state dict is a checkpoint. Shapes: T tokens in all, n inputs,
H heads, D components of a head.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's customary name
from torch import Tensor, nn

from efive.models import tensors as stored
from efive.models.architecture import Architecture, Kind
from efive.models.attention import Layout, attend


class BertEmbeddings(nn.Module):
    """Word, position and token-type rows, summed and normed."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.first_position = a.first_position
        self.word_embeddings = nn.Embedding(a.vocabulary, a.hidden)
        self.position_embeddings = nn.Embedding(a.positions, a.hidden)
        self.token_type_embeddings = nn.Embedding(a.token_types, a.hidden)
        self.LayerNorm = nn.LayerNorm(a.hidden, eps=a.norm_eps)

    def forward(self, ids: Tensor, layout: Layout) -> Tensor:
        """(T,) to (T, hidden)."""
        rows = self.word_embeddings(ids) + self.position_embeddings(layout.positions + self.first_position)
        return cast("Tensor", self.LayerNorm(rows + self.token_type_embeddings.weight[0]))


class _SelfAttention(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.split = (a.heads, a.head_dim)
        self.query = nn.Linear(a.hidden, a.hidden)
        self.key = nn.Linear(a.hidden, a.hidden)
        self.value = nn.Linear(a.hidden, a.hidden)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        heads = [project(x).unflatten(-1, self.split) for project in (self.query, self.key, self.value)]
        return attend(heads[0], heads[1], heads[2], layout).flatten(-2)


class _AddNorm(nn.Module):
    """dense, plus the residual, then the layer norm."""

    def __init__(self, inner: int, a: Architecture) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, a.hidden)
        self.LayerNorm = nn.LayerNorm(a.hidden, eps=a.norm_eps)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return cast("Tensor", self.LayerNorm(self.dense(x) + residual))


class BertLayer(nn.Module):
    """One post-norm layer, its parts named as in transformers."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": _SelfAttention(a), "output": _AddNorm(a.hidden, a)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(a.hidden, a.feed_forward)})
        self.output = _AddNorm(a.feed_forward, a)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """(T, hidden) to (T, hidden)."""
        x = self.attention["output"](self.attention["self"](x, layout), x)
        return cast("Tensor", self.output(F.gelu(self.intermediate["dense"](x)), x))


class BertEncoder(nn.Module):
    """BERT and XLM-R, which differ only in where positions begin."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(a)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(BertLayer(a) for _ in range(a.layers))})

    def forward(self, ids: Tensor, layout: Layout) -> Tensor:
        """Token ids (T,) to the last hidden states (T, hidden)."""
        x = self.embeddings(ids, layout)
        for layer in cast("nn.ModuleList", self.encoder["layer"]):
            x = layer(x, layout)
        return cast("Tensor", x)


class _RmsNorm(nn.Module):
    """Root-mean-square norm, computed in float32 whatever the weights are."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(a.hidden))
        self.eps = a.norm_eps

    def forward(self, x: Tensor) -> Tensor:
        exact = x.float()
        scaled = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * scaled.to(self.weight.dtype)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864) on (T, H, D); halves, not pairs, as Llama-type checkpoints store them."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cosine + turned * sine


class _MistralAttention(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        kv_heads = a.kv_heads or a.heads
        self.head_dim, self.window = a.head_dim, a.sliding_window
        self.q_proj = nn.Linear(a.hidden, a.hidden, bias=False)
        self.k_proj = nn.Linear(a.hidden, kv_heads * a.head_dim, bias=False)
        self.v_proj = nn.Linear(a.hidden, kv_heads * a.head_dim, bias=False)
        self.o_proj = nn.Linear(a.hidden, a.hidden, bias=False)

    def forward(self, x: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor]) -> Tensor:
        query, key, value = (p(x).unflatten(-1, (-1, self.head_dim)) for p in (self.q_proj, self.k_proj, self.v_proj))
        query, key = rotate(query, *rotary), rotate(key, *rotary)
        return cast("Tensor", self.o_proj(attend(query, key, value, layout, self.window).flatten(-2)))


class _MistralMlp(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(a.hidden, a.feed_forward, bias=False)
        self.up_proj = nn.Linear(a.hidden, a.feed_forward, bias=False)
        self.down_proj = nn.Linear(a.feed_forward, a.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x)))


class MistralLayer(nn.Module):
    """One pre-norm decoder layer."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.self_attn: nn.Module = _MistralAttention(a)
        self.mlp: nn.Module = _MistralMlp(a)
        self.input_layernorm = _RmsNorm(a)
        self.post_attention_layernorm = _RmsNorm(a)

    def forward(self, x: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """(T, hidden) to (T, hidden)."""
        x = x + self.self_attn(self.input_layernorm(x), layout, rotary)
        return cast("Tensor", x + self.mlp(self.post_attention_layernorm(x)))


class MistralEncoder(nn.Module):
    """Mistral without its language-model head."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.shape = a
        self.embed_tokens = nn.Embedding(a.vocabulary, a.hidden)
        self.layers = nn.ModuleList(MistralLayer(a) for _ in range(a.layers))
        self.norm = _RmsNorm(a)

    def forward(self, ids: Tensor, layout: Layout) -> Tensor:
        """Token ids (T,) to the last hidden states (T, hidden)."""
        # The sum that runs through all layers stays in float32: in bfloat16 every addition rounds it.
        x = self.embed_tokens(ids).float()
        exponents = torch.arange(0, self.shape.head_dim, 2, device=ids.device) / self.shape.head_dim
        angles = layout.positions[:, None] * self.shape.rope_theta ** -exponents.float()
        angles = torch.cat([angles, angles], dim=-1)[:, None, :]
        dtype = self.embed_tokens.weight.dtype
        rotary = (angles.cos().to(dtype), angles.sin().to(dtype))
        for layer in self.layers:
            x = layer(x, layout, rotary)
        return cast("Tensor", self.norm(x))


def pool(hidden: Tensor, layout: Layout, pooling: str) -> Tensor:
    """Pool last hidden states (T, hidden) to (n, hidden) in float32: the mean, or each input's last token."""
    if pooling == "last":
        return hidden[layout.ends[1:] - 1].float()
    if hidden.is_cuda and not torch.is_grad_enabled():  # its atomic additions would sum in another order each time
        return mean_in_order(hidden, layout)
    sums = torch.zeros(len(layout.lengths), hidden.shape[-1], device=hidden.device)
    return sums.index_add(0, layout.owners, hidden.float()) / layout.lengths[:, None]


def mean_in_order(hidden: Tensor, layout: Layout) -> Tensor:
    """Mean of each input's rows (T, hidden), (n, hidden) in float32: without gradient, the same each time on a GPU."""
    return torch.segment_reduce(hidden.float(), "mean", offsets=layout.ends, axis=0, unsafe=True)


Network = BertEncoder | MistralEncoder


def build(architecture: Architecture) -> Network:
    """Return an encoder of this shape with torch's default initialisation."""
    return MistralEncoder(architecture) if architecture.kind is Kind.MISTRAL else BertEncoder(architecture)


def load(
    architecture: Architecture,
    tensors: Mapping[str, stored.Tensor],
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Network:
    """Return an encoder with the weights of a checkpoint, converted to `dtype` one tensor at a time."""
    with torch.device("meta"):
        network = build(architecture)
    state = {
        name: torch.from_numpy(np.array(tensor.floats())).to(device=device, dtype=dtype)
        for name, tensor in tensors.items()
    }
    network.load_state_dict(state, assign=True)
    return network


def layers(network: Network) -> nn.ModuleList:
    """Return the layers, first to last."""
    return network.layers if isinstance(network, MistralEncoder) else cast("nn.ModuleList", network.encoder["layer"])


def token_table(network: Network) -> nn.Embedding:
    """Return the table of token embeddings."""
    return network.embed_tokens if isinstance(network, MistralEncoder) else network.embeddings.word_embeddings


def stored_tensors(weights: Mapping[str, Tensor]) -> dict[str, stored.Tensor]:
    """Return a state dict as the tensors of a checkpoint, in float32."""
    return {name: stored.Tensor("F32", value.detach().float().cpu().numpy()) for name, value in weights.items()}
