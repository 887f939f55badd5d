"""The processes of a run: one, or as many as torchrun started."""

import socket
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among the others; everything they exchange goes through here."""

    rank: int = 0
    size: int = 1
    neighbours: int = 1
    """Processes on this machine, this one among them."""

    @classmethod
    def join(cls, device: str) -> "Processes":
        """Meet the other processes if torchrun started this one, else be alone."""
        if not dist.is_torchelastic_launched():
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        hosts: list[str | None] = [None] * dist.get_world_size()
        dist.all_gather_object(hosts, socket.gethostname())
        return cls(dist.get_rank(), dist.get_world_size(), hosts.count(socket.gethostname()))

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def sum_(self, tensor: Tensor) -> Tensor:
        """Add the others' tensors to this one, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def most(self, number: int, device: str) -> int:
        """Return the largest of the processes' numbers."""
        if self.size == 1:
            return number
        tensor = torch.tensor(number, device=device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        """Say goodbye, so that the process ends quietly."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()
