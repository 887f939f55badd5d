"""The quality gate that stands before int8 and fp8: they must agree with fp32 on a probe in thirty languages."""

import numpy as np

from efive.engines.base import Engine, Precision, TokenBatch
from efive.errors import PrecisionRefusedError
from efive.inputs import Prompts, Role, add_prefix
from efive.probe import PROBE
from efive.text.batching import pad
from efive.text.tokenizer import TextTokenizer
from efive.vectors import Floats, normalize

LOWEST_COSINE = 0.99
"""The published bound: no probe text's 8-bit vector may have a smaller cosine with its fp32 one."""


def lowest_cosine(exact: Engine, reduced: Engine, tokenizer: TextTokenizer, prompts: Prompts, limit: int) -> float:
    """Return the smallest cosine between two engines' vectors of the same probe text."""
    texts = [add_prefix(q, Role.QUERY, prompts) for q, _ in PROBE]
    texts += [add_prefix(p, Role.PASSAGE, prompts) for _, p in PROBE]
    rows = [tokenizer.cut(ids, limit) for ids in tokenizer.encode(texts)]

    def vectors(engine: Engine) -> Floats:
        return np.concatenate([normalize(engine.embed(TokenBatch(*pad([row], 0)))) for row in rows])

    return float((vectors(exact) * vectors(reduced)).sum(axis=1).min())


def judge(cosine: float, precision: Precision, model: str) -> None:
    """Let an 8-bit build pass or refuse it.

    Raises:
        PrecisionRefusedError: with the measured and the demanded cosine.
    """
    if not cosine >= LOWEST_COSINE:  # a NaN is refused too
        raise PrecisionRefusedError(
            f"{precision} is refused for {model}: on the probe texts a vector has cosine {cosine:.4f} with its "
            f"fp32 one, and {LOWEST_COSINE} is demanded. Use precision='bf16' or 'fp32'"
        )
