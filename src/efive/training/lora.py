"""Low-rank adapters by the peft library, for models too large to train whole."""

from typing import Any

from torch import Tensor, nn

from efive.errors import DependencyError
from efive.models.network import Network
from efive.training.settings import Lora


def attach(network: Network, settings: Lora) -> None:
    """Put adapters beside linear layers, in place; from now on only they learn.

    Raises:
        DependencyError: if peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 - optional
    except ImportError:
        raise DependencyError("adapters need peft: pip install 'efive[train,lora]'") from None
    linear = {name.rsplit(".", 1)[-1] for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules=list(settings.modules or linear)
    )
    inject_adapter_in_model(config, network)


def adapters(network: Network) -> dict[str, Tensor]:
    """Return the adapters' weights by name: all that learned."""
    return {name: parameter.detach() for name, parameter in network.named_parameters() if parameter.requires_grad}


def merged(network: Network) -> dict[str, Tensor]:
    """Return the weights of a network without adapters that computes the same."""
    weights: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        layer: Any = module
        if hasattr(module, "get_delta_weight"):
            base: nn.Linear = layer.get_base_layer()
            weights[f"{name}.weight"] = base.weight.detach() + layer.get_delta_weight("default").detach()
            if base.bias is not None:
                weights[f"{name}.bias"] = base.bias.detach()
    inside = tuple(name.removesuffix("weight") for name in weights if name.endswith(".weight"))
    rest = {name: value.detach() for name, value in network.state_dict().items() if not name.startswith(inside)}
    return rest | weights
