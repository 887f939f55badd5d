"""BERT and XLM-R encoders as an OpenVINO graph, built straight from checkpoint tensors.

No export step and no torch. The embedding tables stay outside the graph: their rows are read from the
memory-mapped file per batch, so a table of 250,000 rows costs neither load time nor memory.

Input `embedded` (n, length, hidden) is the sum of word, position and token-type rows before its layer
norm; input `lengths` (n,) counts the real tokens of each row; the output (n, hidden) is their mean.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from efive.engines.openvino_import import ops, ov
from efive.models.architecture import Architecture
from efive.models.tensors import Tensor

Node = Any
# Added to the scores of padding; far below any score, far from the end of bfloat16's range.
_MASKED = -1e9


def build(architecture: Architecture, tensors: Mapping[str, Tensor], *, int8: bool) -> ov.Model:
    """Return the encoder with mean pooling as an OpenVINO model.

    With `int8` the matrices of linear layers become int8 with one scale per output row; the CPU plugin
    then quantises activations per token while it runs, which needs no calibration data.
    """
    graph = _Graph(architecture, tensors, int8=int8)
    embedded = ops.parameter([-1, -1, architecture.hidden], np.float32, name="embedded")
    lengths = ops.parameter([-1], np.int32, name="lengths")
    real = _real_tokens(embedded, lengths)
    # (n, 1, 1, length): broadcast over heads and query positions.
    bias = ops.unsqueeze((ops.constant(np.float32(1)) - real) * ops.constant(np.float32(_MASKED)), _ints(1, 2))
    hidden = graph.layer_norm(embedded, "embeddings.LayerNorm")
    for layer in range(architecture.layers):
        hidden = graph.layer(hidden, bias, f"encoder.layer.{layer}")
    summed = ops.reduce_sum(hidden * ops.unsqueeze(real, _ints(2)), _ints(1))
    mean = summed / ops.unsqueeze(ops.convert(lengths, "f32"), _ints(1))
    return ov.Model([mean], [embedded, lengths], "e5")


def _ints(*values: int) -> Node:
    return ops.constant(np.array(values, dtype=np.int64))


def _real_tokens(embedded: Node, lengths: Node) -> Node:
    """1.0 where a position holds a real token, 0.0 on padding: (n, length)."""
    longest = ops.gather(ops.shape_of(embedded, "i32"), ops.constant(np.int32(1)), ops.constant(np.int32(0)))
    positions = ops.range(ops.constant(np.int32(0)), longest, ops.constant(np.int32(1)), "i32")
    real = ops.less(ops.unsqueeze(positions, _ints(0)), ops.unsqueeze(lengths, _ints(1)))
    return ops.convert(real, "f32")


class _Graph:
    """Pieces of the graph; holds what every piece needs."""

    def __init__(self, architecture: Architecture, tensors: Mapping[str, Tensor], *, int8: bool) -> None:
        self.shape = architecture
        self.tensors = tensors
        self.int8 = int8

    def values(self, name: str) -> npt.NDArray[np.float32]:
        return self.tensors[name].floats()

    def linear(self, x: Node, names: list[str]) -> Node:
        """Apply the linear layers `names` side by side: (..., in) to (..., sum of outs)."""
        return self.affine(x, *self.stacked(names))

    def stacked(self, names: list[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Weight (sum of outs, in) and bias of the linear layers `names`, as copies."""
        return (
            np.concatenate([self.values(f"{name}.weight") for name in names]),
            np.concatenate([self.values(f"{name}.bias") for name in names]),
        )

    def affine(self, x: Node, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> Node:
        product = ops.matmul(x, self.matrix(weight), transpose_a=False, transpose_b=True)
        return product + ops.constant(bias.reshape(1, 1, -1))

    def matrix(self, weight: npt.NDArray[np.float32]) -> Node:
        if not self.int8:
            return ops.constant(weight)
        scales = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-12) / 127
        codes = np.rint(weight / scales).astype(np.int8)
        return ops.convert(ops.constant(codes), "f32") * ops.constant(scales.astype(np.float32))

    def layer_norm(self, x: Node, name: str) -> Node:
        centred = ops.mvn(x, _ints(-1), True, self.shape.norm_eps, "inside_sqrt")  # noqa: FBT003 - positional in the API
        return centred * ops.constant(self.values(f"{name}.weight")) + ops.constant(self.values(f"{name}.bias"))

    def queries_keys_values(self, x: Node, name: str) -> list[Node]:
        """(n, length, hidden) to three of (n, heads, length, head_dim), the queries scaled for the softmax."""
        hidden, heads, size = self.shape.hidden, self.shape.heads, self.shape.head_dim
        weight, bias = self.stacked([f"{name}.{part}" for part in ("query", "key", "value")])
        weight[:hidden] *= size**-0.5
        bias[:hidden] *= size**-0.5
        # One transposition for all three, and the outermost axis is cut without copying.
        parts = ops.reshape(self.affine(x, weight, bias), _ints(0, 0, 3, heads, size), special_zero=True)
        cut = ops.split(ops.transpose(parts, _ints(2, 0, 3, 1, 4)), ops.constant(np.int64(0)), 3)
        return [ops.squeeze(cut.output(i), _ints(0)) for i in range(3)]

    def attention(self, x: Node, bias: Node, name: str) -> Node:
        query, key, value = self.queries_keys_values(x, f"{name}.self")
        # Not the fused node: its kernel has a fixed cost per head and text, a fifth of the time of short texts.
        scores = ops.matmul(query, key, transpose_a=False, transpose_b=True) + bias
        context = ops.matmul(ops.softmax(scores, -1), value, transpose_a=False, transpose_b=False)
        joined = ops.reshape(
            ops.transpose(context, _ints(0, 2, 1, 3)), _ints(0, 0, self.shape.hidden), special_zero=True
        )
        return self.linear(joined, [f"{name}.output.dense"])

    def layer(self, x: Node, bias: Node, name: str) -> Node:
        """Apply one post-norm transformer layer."""
        x = self.layer_norm(x + self.attention(x, bias, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
        inner = ops.gelu(self.linear(x, [f"{name}.intermediate.dense"]), "erf")
        return self.layer_norm(x + self.linear(inner, [f"{name}.output.dense"]), f"{name}.output.LayerNorm")
