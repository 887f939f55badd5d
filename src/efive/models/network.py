"""The encoders in torch, padding-free: tokens of all inputs lie in one row, only attention sees boundaries.

Parameter names are transformers' own, so a state dict is a checkpoint. Shapes: T tokens in all, n inputs,
L the longest input, H heads, D components of a head.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's customary name
from torch import Tensor, nn

from efive.models import tensors as stored
from efive.models.architecture import Architecture, Kind

_varlen: Callable[..., Tensor] | None
try:  # torch >= 2.10: attention over runs of different length without padding, CUDA only
    from torch.nn.attention.varlen import varlen_attn

    _varlen = cast("Callable[..., Tensor]", varlen_attn)
except ImportError:
    _varlen = None


@dataclass(frozen=True)
class Layout:
    """Where each input lies in the row of tokens."""

    lengths: Tensor
    """(n,) int64"""
    longest: int
    real: Tensor
    """(n, L) bool: true on real tokens."""
    places: Tensor
    """(T,) int64: where each token lies in the padded grid, counted row by row."""

    @classmethod
    def of(cls, lengths: Tensor) -> "Layout":
        """Describe inputs of these lengths, (n,) int64, laid one after the other."""
        longest = int(lengths.max())
        real = torch.arange(longest, device=lengths.device) < lengths[:, None]
        return cls(lengths, longest, real, real.flatten().nonzero().squeeze(1))

    def positions(self) -> Tensor:
        """Index of each token within its input, (T,)."""
        return self.places % self.longest

    def pad(self, rows: Tensor) -> Tensor:
        """(T, ...) to (n, L, ...), zeros on padding."""
        grid = rows.new_zeros((self.real.numel(), *rows.shape[1:]))
        return grid.index_copy(0, self.places, rows).view(*self.real.shape, *rows.shape[1:])

    def flat(self, padded: Tensor) -> Tensor:
        """(n, L, ...) to (T, ...): the real tokens."""
        return padded.flatten(0, 1).index_select(0, self.places)


def packs(device: str, dtype: torch.dtype, kind: Kind) -> bool:
    """Return whether attention needs no padding here; the linear layers never do."""
    return _varlen is not None and device == "cuda" and dtype != torch.float32 and kind is not Kind.MISTRAL


def attend(query: Tensor, key: Tensor, value: Tensor, layout: Layout, window: int | None = None) -> Tensor:
    """Softmax attention within each input: (T, H, D) each, returns (T, H, D).

    `window` makes it causal over that many tokens back (Mistral); None attends both ways.
    """
    if _varlen is not None and query.is_cuda and query.dtype != torch.float32 and window is None:
        ends = F.pad(layout.lengths.cumsum(0), (1, 0)).to(torch.int32)
        return _varlen(query, key, value, ends, ends, layout.longest, layout.longest)
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
        rows = self.word_embeddings(ids) + self.position_embeddings(layout.positions() + self.first_position)
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


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864) on (T, H, D); halves, not pairs, as Llama-type checkpoints store them."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cosine + turned * sine


class _MistralAttention(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        kv_heads = a.kv_heads or a.heads
        self.head_dim, self.group, self.window = a.head_dim, a.heads // kv_heads, a.sliding_window
        self.q_proj = nn.Linear(a.hidden, a.hidden, bias=False)
        self.k_proj = nn.Linear(a.hidden, kv_heads * a.head_dim, bias=False)
        self.v_proj = nn.Linear(a.hidden, kv_heads * a.head_dim, bias=False)
        self.o_proj = nn.Linear(a.hidden, a.hidden, bias=False)

    def forward(self, x: Tensor, layout: Layout, rotary: tuple[Tensor, Tensor]) -> Tensor:
        query, key, value = (p(x).unflatten(-1, (-1, self.head_dim)) for p in (self.q_proj, self.k_proj, self.v_proj))
        query, key = _rotate(query, *rotary), _rotate(key, *rotary)
        key, value = (rows.repeat_interleave(self.group, dim=1) for rows in (key, value))
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
        self.self_attn = _MistralAttention(a)
        self.mlp = _MistralMlp(a)
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
        angles = layout.positions()[:, None] * self.shape.rope_theta ** -exponents.float()
        angles = torch.cat([angles, angles], dim=-1)[:, None, :]
        dtype = self.embed_tokens.weight.dtype
        rotary = (angles.cos().to(dtype), angles.sin().to(dtype))
        for layer in self.layers:
            x = layer(x, layout, rotary)
        return cast("Tensor", self.norm(x))


def pool(hidden: Tensor, layout: Layout, pooling: str) -> Tensor:
    """Pool last hidden states (T, hidden) to (n, hidden) in float32: the mean, or each input's last token."""
    if pooling == "last":
        return hidden[layout.lengths.cumsum(0) - 1].float()
    rows = torch.arange(len(layout.lengths), device=hidden.device).repeat_interleave(layout.lengths)
    sums = torch.zeros(len(layout.lengths), hidden.shape[-1], device=hidden.device)
    return sums.index_add(0, rows, hidden.float()) / layout.lengths[:, None]


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


def token_table(network: Network) -> nn.Embedding:
    """Return the table of token embeddings."""
    return network.embed_tokens if isinstance(network, MistralEncoder) else network.embeddings.word_embeddings


def stored_tensors(weights: Mapping[str, Tensor]) -> dict[str, stored.Tensor]:
    """Return a state dict as the tensors of a checkpoint, in float32."""
    return {name: stored.Tensor("F32", value.detach().float().cpu().numpy()) for name, value in weights.items()}
