"""The shape of an encoder, read from and written to a transformers `config.json`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from efive.errors import ModelError

MAX_TOKENS = 512
"""E5's input limit, special tokens and prefix included."""


class Kind(StrEnum):
    """The three network kinds of the E5 family, by their `model_type` in transformers."""

    BERT = "bert"
    XLM_R = "xlm-roberta"
    MISTRAL = "mistral"


_TRANSFORMERS_CLASS = {Kind.BERT: "BertModel", Kind.XLM_R: "XLMRobertaModel", Kind.MISTRAL: "MistralModel"}


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of one encoder. Everything that decides tensor shapes and the forward pass, and nothing else."""

    kind: Kind
    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    """Rows of the position table; for Mistral the context that rotary positions were trained for."""
    norm_eps: float
    token_types: int = 0
    kv_heads: int = 0
    """Key and value heads (grouped-query attention); 0 means as many as `heads`."""
    pad_id: int = 0
    """The checkpoint's own `pad_token_id`; XLM-R counts its positions from here."""
    rope_theta: float = 10_000.0
    sliding_window: int = 4096
    """How many tokens back Mistral attends."""

    @property
    def head_dim(self) -> int:
        """Components of one attention head."""
        return self.hidden // self.heads

    @property
    def first_position(self) -> int:
        """Row of the position table for the first token: 0 for BERT, pad_id + 1 for XLM-R."""
        return self.pad_id + 1 if self.kind is Kind.XLM_R else 0

    @property
    def longest(self) -> int:
        """Most tokens that the network can read at all."""
        return self.positions - self.first_position

    def identity(self) -> str:
        """Return what decides the arithmetic beyond tensor names and shapes, as a canonical string."""
        parts: list[object] = [str(self.kind), self.heads, self.kv_heads or self.heads, self.norm_eps]
        parts += [self.rope_theta, self.sliding_window] if self.kind is Kind.MISTRAL else [self.first_position]
        return " ".join(map(str, parts))

    def arithmetic(self, tokens: int) -> float:
        """Return the floating-point operations per token for an input of `tokens` tokens, attention included."""
        kv = (self.kv_heads or self.heads) * self.head_dim
        matrices = 3 if self.kind is Kind.MISTRAL else 2
        linear = 2 * self.hidden * (2 * self.hidden + 2 * kv + matrices * self.feed_forward)
        return float(self.layers * (linear + 4 * tokens * self.hidden))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Architecture":
        """Read a transformers configuration.

        Raises:
            ModelError: for a kind that is not E5's, a missing key, or a variant that efive does not compute.
        """
        kind = _kind(config)
        _refuse_variants(kind, config)
        try:
            architecture = cls(
                kind=kind,
                layers=_whole(config, "num_hidden_layers"),
                hidden=_whole(config, "hidden_size"),
                heads=_whole(config, "num_attention_heads"),
                feed_forward=_whole(config, "intermediate_size"),
                vocabulary=_whole(config, "vocab_size"),
                positions=_whole(config, "max_position_embeddings"),
                norm_eps=_real(config, "rms_norm_eps" if kind is Kind.MISTRAL else "layer_norm_eps"),
                **_special(kind, config),
            )
        except KeyError as missing:
            raise ModelError(f"config.json lacks {missing}, which a {kind} encoder needs") from None
        _refuse_misfits(architecture, config)
        return architecture

    def to_config(self) -> dict[str, Any]:
        """Return the transformers configuration of this shape."""
        shared: dict[str, Any] = {
            "architectures": [_TRANSFORMERS_CLASS[self.kind]],
            "model_type": str(self.kind),
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            "intermediate_size": self.feed_forward,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.positions,
            "pad_token_id": self.pad_id,
        }
        if self.kind is Kind.MISTRAL:
            return shared | {
                "hidden_act": "silu",
                "num_key_value_heads": self.kv_heads or self.heads,
                "rms_norm_eps": self.norm_eps,
                "rope_theta": self.rope_theta,
                "sliding_window": self.sliding_window,
                "bos_token_id": 1,
                "eos_token_id": 2,
            }
        return shared | {
            "hidden_act": "gelu",
            "layer_norm_eps": self.norm_eps,
            "type_vocab_size": self.token_types,
            "position_embedding_type": "absolute",
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            **({"bos_token_id": 0, "eos_token_id": 2} if self.kind is Kind.XLM_R else {}),
        }

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor that the forward pass reads, by transformers' names."""
        return _mistral_tensors(self) if self.kind is Kind.MISTRAL else _bert_tensors(self)


def _kind(config: dict[str, Any]) -> Kind:
    stated = config.get("model_type")
    try:
        return Kind(str(stated))
    except ValueError:
        raise ModelError(f"config.json says model_type {stated!r}; the E5 family has {', '.join(Kind)}") from None


def _special(kind: Kind, config: dict[str, Any]) -> dict[str, Any]:
    """Fields that only one side of the family has."""
    if kind is Kind.MISTRAL:
        rope = config if config.get("rope_theta") is not None else config.get("rope_parameters") or {}
        window = "max_position_embeddings" if config.get("sliding_window", 0) is None else "sliding_window"
        return {
            "kv_heads": _whole(config, "num_key_value_heads"),
            "pad_id": _pad_id(config, 2),
            "rope_theta": _real(rope, "rope_theta"),
            "sliding_window": _whole({"sliding_window": 4096} | config, window),
        }
    pad_id = _pad_id(config, 1 if kind is Kind.XLM_R else 0)
    return {"token_types": _whole(config, "type_vocab_size"), "pad_id": pad_id}


def _pad_id(config: dict[str, Any], default: int) -> int:
    return default if config.get("pad_token_id") is None else _whole(config, "pad_token_id", least=0)


def _whole(config: dict[str, Any], key: str, least: int = 1) -> int:
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ModelError(f"config.json says {key} {value!r}; that must be a whole number, at least {least}")
    return value


def _real(config: dict[str, Any], key: str) -> float:
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise ModelError(f"config.json says {key} {value!r}; that must be a positive number")
    return float(value)


def _refuse_misfits(a: Architecture, config: dict[str, Any]) -> None:
    if a.hidden % a.heads:
        raise ModelError(f"config.json: hidden_size {a.hidden} does not divide by num_attention_heads {a.heads}")
    if a.kv_heads and a.heads % a.kv_heads:
        raise ModelError(f"config.json: {a.heads} heads do not divide by num_key_value_heads {a.kv_heads}")
    if (config.get("head_dim") or a.head_dim) != a.head_dim:
        raise ModelError(f"config.json says head_dim {config['head_dim']!r}; hidden_size asks for {a.head_dim}")
    if a.longest < 1:
        raise ModelError(
            f"config.json: max_position_embeddings {a.positions} holds no token from pad_token_id {a.pad_id} on"
        )


def _refuse_variants(kind: Kind, config: dict[str, Any]) -> None:
    expected = (
        {"hidden_act": "silu"}
        if kind is Kind.MISTRAL
        else {"hidden_act": "gelu", "position_embedding_type": "absolute"}
    )
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise ModelError(f"config.json says {key} {config[key]!r}; E5 encoders have {value!r}")
    for key in ("rope_scaling", "rope_parameters"):
        rope = config.get(key) or {}
        if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type", "default")) != "default":
            raise ModelError(f"config.json says {key} {rope!r}; E5 encoders have rotary positions as they are")


def _bert_tensors(a: Architecture) -> dict[str, tuple[int, ...]]:
    h, f = a.hidden, a.feed_forward
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (a.vocabulary, h),
        "embeddings.position_embeddings.weight": (a.positions, h),
        "embeddings.token_type_embeddings.weight": (a.token_types, h),
        "embeddings.LayerNorm.weight": (h,),
        "embeddings.LayerNorm.bias": (h,),
    }
    linear = {
        "attention.self.query": (h, h),
        "attention.self.key": (h, h),
        "attention.self.value": (h, h),
        "attention.output.dense": (h, h),
        "intermediate.dense": (f, h),
        "output.dense": (h, f),
    }
    for layer in range(a.layers):
        for name, shape in linear.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (h,)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (h,)
    return shapes


def _mistral_tensors(a: Architecture) -> dict[str, tuple[int, ...]]:
    h, f = a.hidden, a.feed_forward
    kv = (a.kv_heads or a.heads) * a.head_dim
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (a.vocabulary, h), "norm.weight": (h,)}
    per_layer = {
        "self_attn.q_proj": (h, h),
        "self_attn.k_proj": (kv, h),
        "self_attn.v_proj": (kv, h),
        "self_attn.o_proj": (h, h),
        "mlp.gate_proj": (f, h),
        "mlp.up_proj": (f, h),
        "mlp.down_proj": (h, f),
        "input_layernorm": (h,),
        "post_attention_layernorm": (h,),
    }
    for layer in range(a.layers):
        for name, shape in per_layer.items():
            shapes[f"layers.{layer}.{name}.weight"] = shape
    return shapes
