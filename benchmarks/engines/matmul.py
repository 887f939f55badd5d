"""The machine's own limit: the best rate of matrix products over a few of the encoders' sizes, by PyTorch."""

import time
from collections.abc import Callable

import torch

# Rows (tokens) x inputs x outputs.
_SIZES = ((512, 384, 1536), (512, 768, 3072), (1024, 1024, 1024))
_SECONDS_PER_SIZE = 0.08


def _best(product: Callable[[], object], operations: int) -> float:
    """Return operations per second of the fastest of the repetitions that fit the time."""
    product()
    fastest, end = float("inf"), time.perf_counter() + _SECONDS_PER_SIZE
    while (start := time.perf_counter()) < end:
        product()
        fastest = min(fastest, time.perf_counter() - start)
    return operations / fastest


def limits(threads: int) -> dict[str, float]:
    """Return operations per second of fp32, bf16 and int8 products with `threads` threads."""
    torch.set_num_threads(threads)
    found = {"fp32": 0.0, "bf16": 0.0, "int8": 0.0}
    for rows, inputs, outputs in _SIZES:
        operations = 2 * rows * inputs * outputs
        a, b = torch.randn(rows, inputs), torch.randn(inputs, outputs)
        small_a, small_b = a.bfloat16(), b.bfloat16()
        int_a, int_b = (a * 30).to(torch.int8), (b * 30).to(torch.int8)
        found["fp32"] = max(found["fp32"], _best(lambda a=a, b=b: a @ b, operations))
        found["bf16"] = max(found["bf16"], _best(lambda a=small_a, b=small_b: a @ b, operations))
        found["int8"] = max(found["int8"], _best(lambda a=int_a, b=int_b: torch._int_mm(a, b), operations))
    return found
