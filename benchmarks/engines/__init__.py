"""Adapters: each wraps one library behind `load` and `embed`. They run in workers, in their environments."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class Engine(Protocol):
    """What the worker needs of a library."""

    precision: str
    """The precision the library really computes in, as it reports it."""
    version: str
    bare_texts: bool
    """Whether the engine adds E5's prefixes itself."""

    def embed(self, texts: list[str], role: str) -> Vectors:
        """Return one unit vector per text; `role` is "query" or "passage"."""


# kind → module and function; modules are imported in the worker only, after its threads are set.
_LOADERS = {
    "efive": "engines.efive_engine:load",
    "sentence-transformers": "engines.sentence_transformers_engine:load",
    "fastembed": "engines.fastembed_engine:load",
    "infinity": "engines.infinity_engine:load",
    "ctranslate2": "engines.ctranslate2_engine:load",
}


def loader(kind: str) -> Callable[..., Engine]:
    """Return the function `load(folder, threads, **options)` of one kind of engine."""
    module, _, function = _LOADERS[kind].partition(":")
    loaded: Any = getattr(import_module(module), function)
    return loaded  # type: ignore[no-any-return]
