"""The layers compiled by torch for any number of tokens; plainly where that fails."""

import warnings
from typing import Any, cast

import torch
from torch import Tensor

from efive.errors import EfiveWarning
from efive.models.attention import Layout
from efive.models.network import Network, layers


class Compiled:
    """A network whose layers are compiled when it is first called, until compiling fails once."""

    def __init__(self, network: Network, backend: str = "inductor") -> None:
        """Prepare the layers; all of them share one compilation."""
        self._network = network
        self._plain = list(layers(network))
        for index, layer in enumerate(self._plain):
            compiled: Any = torch.compile(layer, dynamic=True, backend=backend)
            layers(network)[index] = compiled

    def __call__(self, ids: Tensor, layout: Layout) -> Tensor:
        """Token ids (T,) to the last hidden states (T, hidden)."""
        if not layout.unpadded:
            _ = layout.real, layout.places  # the compiler cannot make them itself: they are cached under a lock
        if self._plain:
            try:
                return cast("Tensor", self._network(ids, layout))
            except Exception as error:  # compilers fail in many ways; what is a fault of ours comes again
                self._undo(error)
        return cast("Tensor", self._network(ids, layout))

    def _undo(self, error: Exception) -> None:
        for index, layer in enumerate(self._plain):
            layers(self._network)[index] = layer
        self._plain = []
        reason = " ".join(str(error).split())[:200]
        warnings.warn(f"torch could not compile the layers, they run as they are: {reason}", EfiveWarning, stacklevel=3)
