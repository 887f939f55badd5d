"""Models that do not fit one device: every process holds some rows of every weight (torch's FSDP2, arXiv 2304.11277).

The weights of a layer come together while the layer computes; their gradients are added up and dealt out again.
What a process holds of a weight is `Shards.own`, a plain tensor on the memory of torch's DTensor: the norm, the
clipping and the optimizers work on it as they do on whole weights, and no process ever holds a whole model.
"""

from collections.abc import Iterable, Mapping
from typing import cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from efive.models import network as networks
from efive.models import tensors as stored
from efive.models.checkpoint import Checkpoint
from efive.models.network import MistralEncoder, Network
from efive.training import lora
from efive.training.processes import Processes
from efive.training.settings import Lora


def load(checkpoint: Checkpoint, adapters: Lora | None, device: str, *, bf16: bool) -> Network:
    """Return the checkpoint's network, sharded over all processes; each reads only its own rows.

    Its values are those that it would have in one process, adapters among them if the seed of torch is the same.

    Args:
        checkpoint: the weights where training starts.
        adapters: low-rank adapters to attach, which then learn alone.
        device: of this process.
        bf16: whether autocast multiplies in bfloat16. Then Mistral's layers also travel in it; what a process holds
            stays float32. BERT's travel in float32, for torch's LayerNorm wants weights of its input's type.
    """
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    with torch.device("meta"):
        network = networks.build(checkpoint.architecture)
    network.to_empty(device="cpu")  # address space: it takes no memory before somebody writes there
    if adapters:
        lora.attach(network, adapters)
    mesh = init_device_mesh(torch.device(device).type, (dist.get_world_size(),))
    # Activations keep the types that autocast gives them in a model that is not sharded.
    full = MixedPrecisionPolicy(cast_forward_inputs=False)
    half = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for layer in _layers(network):
        _shard(layer, mesh, half if bf16 and isinstance(network, MistralEncoder) else full)
    _shard(network, mesh, full)
    _fill(network, checkpoint.tensors)
    return network


def _layers(network: Network) -> Iterable[nn.Module]:
    return network.layers if isinstance(network, MistralEncoder) else cast("nn.ModuleList", network.encoder["layer"])


def _shard(module: nn.Module, mesh: DeviceMesh, policy: MixedPrecisionPolicy) -> None:
    sharded = fully_shard(module, mesh=mesh, mp_policy=policy)
    # The loss is that of the whole batch already, so the processes' gradients are summed and not averaged.
    sharded.set_gradient_divide_factor(1.0)
    sharded.set_force_sum_reduction_for_comms(True)  # gloo has no other way


def _fill(network: Network, tensors: Mapping[str, stored.Tensor]) -> None:
    for name, parameter in network.named_parameters():
        found = tensors.get(name.replace(".base_layer.", "."))  # what peft calls a layer that has adapters
        if found is not None:
            sharded = cast("DTensor", parameter.detach())
            sharded.to_local().copy_(torch.from_numpy(np.array(found.rows(_rows(sharded)))))


def _rows(sharded: DTensor) -> slice:
    """Which rows of the whole this process has; torch deals them out as `torch.chunk` does."""
    mesh = sharded.device_mesh
    count = sharded.shape[0]
    each = -(-count // mesh.size())
    start = min(count, each * mesh.get_local_rank())
    return slice(start, min(count, start + each))


class Shards:
    """The learning weights of a sharded network, as this process holds them.

    To put slices together all processes must ask for the same ones in the same order, and have room for one tensor
    on their devices. Only the first process gets the result.
    """

    def __init__(self, network: Network, processes: Processes) -> None:
        self._network = network
        self._first = processes.first
        self._own = {p: cast("DTensor", p).to_local().detach() for p in network.parameters() if p.requires_grad}
        self._sharded = {own: cast("DTensor", parameter) for parameter, own in self._own.items()}

    def own(self, parameter: Tensor) -> Tensor:
        """Return this process's rows of a parameter; what is written to them is written to the network."""
        return self._own[cast("nn.Parameter", parameter)]

    def rows(self, own: Tensor) -> slice:
        """Return which rows of the whole `own` has."""
        return _rows(self._sharded[own])

    def gradient(self, own: Tensor) -> Tensor:
        """Return the gradient of `own`, summed over processes and backward passes."""
        gradient = self._sharded[own].grad
        return torch.zeros_like(own) if gradient is None else cast("DTensor", gradient).to_local()

    def clear(self) -> None:
        """Forget all gradients."""
        for parameter in self._own:
            parameter.grad = None

    def fill(self, tensors: Mapping[str, stored.Tensor]) -> None:
        """Copy this process's rows of `tensors`, by name, into the network; its other weights stay."""
        _fill(self._network, tensors)

    def whole(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return sharded weights as whole ones in main memory, by name; nothing but in the first process."""
        found = {name: self._whole(cast("DTensor", weight)) for name, weight in weights.items()}
        return found if self._first else {}

    def _whole(self, sharded: DTensor) -> Tensor:
        full: Tensor = sharded.full_tensor().detach()
        return full.cpu() if self._first else torch.empty(0)

    def join(self, own: Tensor, value: Tensor) -> Tensor:
        """Return the whole of a tensor whose rows are dealt out like `own`'s; empty but in the first process."""
        like = self._sharded[own]
        return self._whole(
            DTensor.from_local(
                value, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
            )
        )

    def cut(self, own: Tensor, value: Tensor) -> Tensor:
        """Return the rows that belong to `own` of a whole tensor."""
        return value[self.rows(own)].clone()
