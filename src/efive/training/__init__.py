"""Training: data, losses, the trainer, the miner, vocabularies, recipes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from efive.training.data.check import check
    from efive.training.data.formats import open_set, open_sets
    from efive.training.mining.filtering import filter_pairs
    from efive.training.mining.miner import mine
    from efive.training.recipe import cook
    from efive.training.settings import parse
    from efive.training.trainer import train
    from efive.training.vocabulary.tokenizer import train_tokenizer
    from efive.training.vocabulary.transplant import transplant
    from efive.training.vocabulary.trimming import trim_vocabulary

__all__ = [
    "check", "cook", "filter_pairs", "mine", "open_set", "open_sets", "parse", "train", "train_tokenizer", "transplant",
    "trim_vocabulary",
]  # fmt: skip

_ROOMS = {
    "check": "data.check",
    "cook": "recipe",
    "filter_pairs": "mining.filtering",
    "mine": "mining.miner",
    "open_set": "data.formats",
    "open_sets": "data.formats",
    "parse": "settings",
    "train": "trainer",
    "train_tokenizer": "vocabulary.tokenizer",
    "transplant": "vocabulary.transplant",
    "trim_vocabulary": "vocabulary.trimming",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute may be anything
    # Looked up when first used: reading data needs no torch.
    if name not in _ROOMS:
        raise AttributeError(f"module 'efive.training' has no attribute {name!r}")
    return getattr(import_module(f"efive.training.{_ROOMS[name]}"), name)
