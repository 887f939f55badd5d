"""The trainers that are compared, each imported only in the process that runs it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def runner(kind: str) -> Callable[..., dict[str, Any]]:
    """Return the function that trains with "efive" or "sentence-transformers"."""
    module = {"efive": "efive_trainer", "sentence-transformers": "sentence_transformers_trainer"}[kind]
    run: Callable[..., dict[str, Any]] = import_module(f"trainers.{module}").run
    return run
