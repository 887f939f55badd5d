"""The native engine's extension module, and what it can run here."""

from typing import Any

from efive.engines.base import Precision
from efive.models.architecture import Architecture, Kind

extension: Any = None
"""The module `efive.engines._native`, or None."""
_failure = ""
_HEAD_SIZES = (16, 32, 64)
_WIDTH_STEP = 16
try:
    import efive.engines._native as extension  # not `from`, which would not tell a build without it from a broken one
except ModuleNotFoundError:
    pass
except ImportError as error:
    _failure = f" ({error})"


def instruction_sets(precision: Precision, *, emulated: bool = False) -> list[str]:
    """Return those that the engine can use here for `precision`, best first; none where it cannot run.

    Args:
        precision: the number format of matrix products.
        emulated: also those that only imitate their instructions; they are slow, and for tests.
    """
    if extension is None or precision in {Precision.FP16, Precision.FP8}:
        return []
    return list(extension.instruction_sets(str(precision), emulated))


def obstacle() -> str | None:
    """Return why the native engine cannot run here, or None."""
    if extension is None:
        return f"the native engine is not built here{_failure}: that needs an x86-64 processor, GCC or Clang"
    return None if instruction_sets(Precision.FP32) else "the native engine needs AVX2, which this processor lacks"


def refusal(shape: Architecture, precision: Precision) -> str | None:
    """Return why the native engine cannot run an encoder of `shape` here, or None."""
    if shape.kind is Kind.MISTRAL:
        return "the native engine has no Mistral kind"
    if missing := obstacle():
        return missing
    if shape.head_dim not in _HEAD_SIZES or shape.hidden % _WIDTH_STEP or shape.feed_forward % _WIDTH_STEP:
        return (
            f"the native engine has heads of 16, 32 and 64 components and widths that divide by {_WIDTH_STEP}, and "
            f"this model has {shape.head_dim}, {shape.hidden} and {shape.feed_forward}"
        )
    return None if instruction_sets(precision) else f"the native engine has no {precision} on this processor"
