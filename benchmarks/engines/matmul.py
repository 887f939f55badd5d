"""The machine's own limit: the best rate of matrix products over a few of the encoders' sizes, by PyTorch.

Timed by the processors' clock over the threads, not by the wall's: a product that another process interrupted
says nothing about the machine.
"""

import time
from collections.abc import Callable
from functools import partial

import torch

# Rows (tokens) x inputs x outputs.
_SIZES = ((512, 384, 1536), (512, 768, 3072), (1024, 1024, 1024))
_SECONDS_PER_SIZE = 0.08


def _best(product: Callable[[], object], operations: int, threads: int) -> float:
    """Return operations per second of the fastest of the repetitions that fit the time."""
    product()
    fastest, end = float("inf"), time.process_time() + _SECONDS_PER_SIZE * threads
    while (start := time.process_time()) < end:
        product()
        fastest = min(fastest, time.process_time() - start)
    return operations * threads / fastest


def limits(threads: int) -> dict[str, float]:
    """Return operations per second of fp32, bf16 and int8 products with `threads` threads."""
    torch.set_num_threads(threads)
    found = {"fp32": 0.0, "bf16": 0.0, "int8": 0.0}
    for rows, inputs, outputs in _SIZES:
        operations = 2 * rows * inputs * outputs
        a, b = torch.randn(rows, inputs), torch.randn(inputs, outputs)
        small_a, small_b = a.bfloat16(), b.bfloat16()
        int_a, int_b = (a * 30).to(torch.int8), (b * 30).to(torch.int8)
        found["fp32"] = max(found["fp32"], _best(lambda a=a, b=b: a @ b, operations, threads))
        found["bf16"] = max(found["bf16"], _best(lambda a=small_a, b=small_b: a @ b, operations, threads))
        found["int8"] = max(found["int8"], _best(lambda a=int_a, b=int_b: torch._int_mm(a, b), operations, threads))
    return found


def _float8_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return a @ b.T with a scale for each row of both, as the encoders' linear layers are computed."""
    ones = torch.ones(len(a), 1, device=a.device)
    return torch._scaled_mm(a, b.T, ones, ones.T, out_dtype=torch.bfloat16, use_fast_accum=True)


def cuda_limits() -> dict[str, float]:
    """Return operations per second of fp32 (TF32 off), half and fp8 products on the GPU, by its own clock."""
    side, repeats = 8192, 10
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if torch.cuda.get_device_capability() >= (8, 9):
        dtypes["fp8"] = torch.float8_e4m3fn
    found = {}
    for name, dtype in dtypes.items():
        a, b = (torch.randn(side, side, device="cuda").to(dtype) for _ in range(2))
        product = partial(_float8_product, a, b) if name == "fp8" else partial(torch.mm, a, b)
        for _ in range(3):
            product()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            product()
        end.record()
        torch.cuda.synchronize()
        found[name] = repeats * 2.0 * side**3 / (start.elapsed_time(end) / 1e3)
    return found
