"""The native engine's extension module, where it is built and this processor can run it."""

from typing import Any

from efive.engines.base import Precision

extension: Any = None
"""The module `efive.engines._native`, or None."""
_failure = ""
try:
    from efive.engines import _native as extension
except ImportError as error:  # a pure build; or one that is there and does not load, whose message says why
    _failure = f" ({error})"


def instruction_sets(precision: Precision) -> list[str]:
    """Return those that the engine can use here for `precision`, best first; none where it cannot run."""
    if extension is None or precision in {Precision.FP16, Precision.FP8}:
        return []
    return list(extension.instruction_sets(str(precision)))


def obstacle() -> str | None:
    """Return why the native engine cannot run here, or None."""
    if extension is None:
        return f"the native engine is not built here{_failure}: that needs an x86-64 processor, GCC or Clang"
    return None if instruction_sets(Precision.FP32) else "the native engine needs AVX2, which this processor lacks"
