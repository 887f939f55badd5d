"""The native engine's extension module, where it is built and this processor can run it."""

from efive.engines.base import Precision

try:
    from efive.engines import _native as extension
except ImportError as error:
    # A pure build has no such module; one that is there and does not load says why in its message.
    extension = None  # type: ignore[assignment]
    _REASON = f"the native engine is not built here ({error}); building efive from source needs an x86-64 compiler"
else:
    _REASON = "this processor has no AVX2, which the native engine needs"


def instruction_sets(precision: Precision) -> list[str]:
    """Return the instruction sets that the engine can use here for `precision`, best first; empty where it cannot run."""
    if extension is None or precision is Precision.FP16:
        return []
    return extension.instruction_sets(str(precision))


def obstacle() -> str | None:
    """Return why the native engine cannot run here, or None."""
    return None if instruction_sets(Precision.FP32) else _REASON
