"""The weights of an encoder, read out of the graph of its TorchScript. Needs torch; nothing of it is run here."""

from dataclasses import dataclass, field
from typing import Any

import torch

from efive.errors import ModelError
from efive.models.architecture import Architecture, Kind

_KNOWN = """
    _convolution abs add add_ addmm alias all any arange baddbmm bitwise_and bitwise_not bitwise_or bmm
    broadcast_tensors cat clamp clamp_
    clamp_min clamp_min_ constant_pad_nd contiguous cumsum detach dim div div_ dropout dropout_ einsum embedding eq
    erf expand expand_as fill_ finfo flatten float floor_divide full full_like ge gelu gt index index_select layer_norm
    le len linalg_vector_norm linear logical_not lt masked_fill masked_fill_ matmul max mean min mm mul mul_ ne neg
    new_ones new_zeros norm normalize ones ones_like permute pow relu repeat reshape rsqrt rsub
    scaled_dot_product_attention select size slice softmax split sqrt squeeze stack sub sub_ sum t tanh tensor to
    transpose type_as unbind unflatten unsqueeze view view_as where zeros zeros_like Int Float Bool ScalarImplicit
    __and__ __getitem__ __is__ __isnot__ __not__ format gather logical_and logical_or lift_fresh
"""
"""Operators that an encoder's forward pass may have. None of them touches files or memory that is not a tensor's."""
_FLOW = """
    Constant ListConstruct ListUnpack TupleConstruct TupleUnpack DictConstruct NumToTensor GetAttr dtype device
    unchecked_cast RaiseException If
"""
_ALLOWED = {*(f"aten::{name}" for name in _KNOWN.split()), *(f"prim::{name}" for name in _FLOW.split())}
_PER_LAYER = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


@dataclass(slots=True)
class Read:
    """An encoder as its graph has it."""

    architecture: Architecture
    tensors: dict[str, torch.Tensor]
    """By transformers' names."""


@dataclass(slots=True)
class _Found:
    """The operators that have weights, in the order in which they run."""

    embeddings: list[Any] = field(default_factory=list)
    linears: list[Any] = field(default_factory=list)
    norms: list[Any] = field(default_factory=list)


def read(graph: Any) -> Read:  # noqa: ANN401 - torch has no public type of it
    """Read a frozen graph: weights are constants in it.

    Raises:
        ModelError: if it is not an encoder of BERT's kind, naming what is in the way.
    """
    check_operators(graph)
    found = _Found()
    places = {"aten::embedding": found.embeddings, "aten::linear": found.linears, "aten::layer_norm": found.norms}
    for node in graph.nodes():
        if node.kind() in places:
            places[node.kind()].append(node)
    layers, rest = divmod(len(found.linears), len(_PER_LAYER))
    if len(found.embeddings) != 3 or not layers or rest or len(found.norms) != 1 + 2 * layers:
        raise ModelError(
            f"its graph has {len(found.embeddings)} embedding tables, {len(found.linears)} linear layers and "
            f"{len(found.norms)} layer norms; a BERT encoder has 3, 6 for each layer, and 2 for each layer and 1"
        )
    tensors = _embeddings(found, _ids(graph))
    for index, node in enumerate(found.linears):
        layer, place = divmod(index, len(_PER_LAYER))
        _put(tensors, f"encoder.layer.{layer}.{_PER_LAYER[place]}", node, 1)
    for index, node in enumerate(found.norms[1:]):
        layer, place = divmod(index, 2)
        _put(tensors, f"encoder.layer.{layer}.{_NORMS[place]}", node, 2)
    return Read(_architecture(found, layers, tensors), tensors)


def check_operators(graph: Any) -> None:  # noqa: ANN401
    """Refuse a graph that does anything but arithmetic on tensors; to be asked before anything of it is run."""
    for node in graph.nodes():
        if node.kind() not in _ALLOWED:
            quantized = node.kind().startswith("quantized::")
            why = ": it was quantized; use the model that was not" if quantized else ""
            raise ModelError(f"its graph has the operator {node.kind()}, which no E5 encoder needs{why}")
        for block in node.blocks():
            check_operators(block)


def _ids(graph: Any) -> str:  # noqa: ANN401
    """Return the name of the first input; before it comes the module itself."""
    inputs = [value.debugName() for value in graph.inputs()]
    if len(inputs) < 3:
        raise ModelError(f"its graph has {len(inputs) - 1} inputs; an encoder's are ids and mask")
    return str(inputs[1])


def _embeddings(found: _Found, input_ids: str) -> dict[str, torch.Tensor]:
    """Tell the three tables apart: words are looked up by the input itself; there are more positions than types."""
    words = [node for node in found.embeddings if _inputs(node)[1].debugName() == input_ids]
    others = [node for node in found.embeddings if _inputs(node)[1].debugName() != input_ids]
    others.sort(key=lambda node: -len(_weight(node, 0)))
    if len(words) != 1:
        raise ModelError("its graph looks its input up in no embedding table, or in several")
    tensors = {
        "embeddings.word_embeddings.weight": _weight(words[0], 0),
        "embeddings.position_embeddings.weight": _weight(others[0], 0),
        "embeddings.token_type_embeddings.weight": _weight(others[1], 0),
    }
    _put(tensors, "embeddings.LayerNorm", found.norms[0], 2)
    return tensors


def _architecture(found: _Found, layers: int, tensors: dict[str, torch.Tensor]) -> Architecture:
    vocabulary, hidden = tensors["embeddings.word_embeddings.weight"].shape
    positions = tensors["embeddings.position_embeddings.weight"]
    place = next(node for node in found.embeddings if _weight(node, 0).data_ptr() == positions.data_ptr())
    pad = _counted_from(_inputs(place)[1])
    shape = Architecture(
        kind=Kind.BERT if pad is None else Kind.XLM_R,
        layers=layers,
        hidden=int(hidden),
        heads=int(hidden) // _head(found.linears[0]),
        feed_forward=len(tensors["encoder.layer.0.intermediate.dense.weight"]),
        vocabulary=int(vocabulary),
        positions=len(positions),
        norm_eps=float(_constant(_inputs(found.norms[0])[4])),
        token_types=len(tensors["embeddings.token_type_embeddings.weight"]),
        pad_id=pad or 0,
    )
    wanted = shape.tensors()
    if wrong := [name for name, tensor in tensors.items() if tuple(tensor.shape) != wanted.get(name)]:
        raise ModelError(f"its graph has {wrong[0]} of shape {tuple(tensors[wrong[0]].shape)}, not {wanted[wrong[0]]}")
    return shape


def _counted_from(value: Any) -> int | None:  # noqa: ANN401
    """Return the padding's id if positions are counted in the input from there, as XLM-R does; None for BERT."""
    seen: set[str] = set()
    left, counts, pad = [value], False, None
    while left:
        value = left.pop()
        if value.debugName() in seen:
            continue
        seen.add(value.debugName())
        node = value.node()
        counts = counts or node.kind() == "aten::cumsum"
        if node.kind() == "aten::ne":
            pad = int(_constant(_inputs(node)[1]))
        if node.kind() != "prim::Param":
            left += _inputs(node)
    return pad if counts else None


def _head(query: Any) -> int:  # noqa: ANN401
    """Return the components of one attention head: what the first query is divided into."""
    for use in query.output().uses():
        sizes = _inputs(use.user)[1].node() if use.user.kind() in {"aten::view", "aten::reshape"} else None
        if sizes is not None and sizes.kind() == "prim::ListConstruct":
            return int(_constant(_inputs(sizes)[-1]))
        if sizes is not None and sizes.kind() == "prim::Constant":
            return int(sizes.output().toIValue()[-1])
    raise ModelError("its graph does not divide queries into attention heads")


def _put(tensors: dict[str, torch.Tensor], name: str, node: Any, first: int) -> None:  # noqa: ANN401
    tensors[f"{name}.weight"], tensors[f"{name}.bias"] = _weight(node, first), _weight(node, first + 1)


def _weight(node: Any, place: int) -> torch.Tensor:  # noqa: ANN401
    value = _constant(_inputs(node)[place])
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise ModelError(f"its graph computes the weights of {node.kind()}, or has none there")
    return value.detach()


def _constant(value: Any) -> Any:  # noqa: ANN401
    if value.node().kind() != "prim::Constant":
        raise ModelError(f"its graph computes {value.debugName()}, which is a constant in every encoder of E5")
    return value.toIValue()


def _inputs(node: Any) -> list[Any]:  # noqa: ANN401
    return list(node.inputs())
