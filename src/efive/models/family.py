"""The published E5 models, as one table (arXiv 2212.03533, 2402.05672, 2401.00368 and their model cards)."""

import math
from dataclasses import dataclass

from efive.errors import ModelNotFoundError
from efive.inputs import E5_PROMPTS, Prompts
from efive.models.architecture import Architecture, Kind
from efive.models.tasks import DEFAULT_TASK, task_sentence


@dataclass(frozen=True, slots=True)
class FamilyMember:
    """One published checkpoint."""

    name: str
    architecture: Architecture
    licence: str
    instruct: bool = False
    pooling: str = "mean"
    evaluated_revision: str = ""
    """First digits of the commit that mteb evaluates, where known."""

    @property
    def repository(self) -> str:
        """The model's id on the Hugging Face hub."""
        return f"intfloat/{self.name}"

    @property
    def prompts(self) -> Prompts:
        """The prefixes, with the default task for instruct models."""
        return Prompts.instruct(task_sentence(DEFAULT_TASK)) if self.instruct else E5_PROMPTS

    @property
    def parameters(self) -> int:
        """Parameters of the checkpoint, BERT's unused pooler included, as published counts have it."""
        a = self.architecture
        pooler = 0 if a.kind is Kind.MISTRAL else a.hidden * a.hidden + a.hidden
        return sum(math.prod(shape) for shape in a.tensors().values()) + pooler


def _bert(layers: int, hidden: int, heads: int, vocabulary: int = 30_522) -> Architecture:
    return Architecture(Kind.BERT, layers, hidden, heads, 4 * hidden, vocabulary, 512, 1e-12, token_types=2)


def _xlm_r(layers: int, hidden: int, heads: int) -> Architecture:
    return Architecture(Kind.XLM_R, layers, hidden, heads, 4 * hidden, 250_002, 514, 1e-5, token_types=1, pad_id=1)


_SMALL, _BASE, _LARGE = _bert(12, 384, 12), _bert(12, 768, 12), _bert(24, 1024, 16)
_XLM_R_LARGE = _xlm_r(24, 1024, 16)
_MISTRAL_7B = Architecture(
    Kind.MISTRAL, 32, 4096, 32, 14_336, 32_000, 32_768, 1e-5, kv_heads=8, pad_id=2, sliding_window=4096
)

FAMILY: dict[str, FamilyMember] = {
    member.name: member
    for member in (
        FamilyMember("e5-small", _SMALL, "Apache-2.0", evaluated_revision="e272f304"),
        FamilyMember("e5-base", _BASE, "Apache-2.0", evaluated_revision="b533fe46"),
        FamilyMember("e5-large", _LARGE, "Apache-2.0", evaluated_revision="4dc6d853"),
        FamilyMember("e5-small-v2", _SMALL, "MIT", evaluated_revision="dca8b1a9"),
        FamilyMember("e5-base-v2", _BASE, "MIT", evaluated_revision="1c644c92"),
        FamilyMember("e5-large-v2", _LARGE, "MIT", evaluated_revision="b322e090"),
        FamilyMember("e5-small-unsupervised", _SMALL, "MIT"),
        FamilyMember("e5-base-unsupervised", _BASE, "MIT"),
        FamilyMember("e5-large-unsupervised", _LARGE, "MIT"),
        # Stored as BERT with XLM-R's vocabulary: positions start at 0.
        FamilyMember("multilingual-e5-small", _bert(12, 384, 12, 250_037), "MIT", evaluated_revision="fd1525a9"),
        FamilyMember("multilingual-e5-base", _xlm_r(12, 768, 12), "MIT", evaluated_revision="d13f1b27"),
        FamilyMember("multilingual-e5-large", _XLM_R_LARGE, "MIT", evaluated_revision="ab10c1a7"),
        FamilyMember(
            "multilingual-e5-large-instruct",
            _XLM_R_LARGE,
            "MIT",
            instruct=True,
            evaluated_revision="baa7be48",
        ),
        FamilyMember(
            "e5-mistral-7b-instruct",
            _MISTRAL_7B,
            "MIT",
            instruct=True,
            pooling="last",
            evaluated_revision="07163b72",
        ),
    )
}


def member(name: str) -> FamilyMember:
    """Return the family member called `name`, with or without `intfloat/`.

    Raises:
        ModelNotFoundError: if there is none.
    """
    try:
        return FAMILY[name.removeprefix("intfloat/")]
    except KeyError:
        raise ModelNotFoundError(f"no E5 model is called {name!r}; the family has {', '.join(FAMILY)}") from None


def member_of_path(*hints: str) -> FamilyMember | None:
    """Return the member whose name is the last part of one of `hints` (a folder, a hub id), if any."""
    for hint in hints:
        last = hint.rstrip("/").rsplit("/", 1)[-1]
        if last in FAMILY:
            return FAMILY[last]
    return None
