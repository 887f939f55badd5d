"""The settings of a training run, as they stand in a TOML file or come from the command line."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from efive.errors import InputError

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]

Objective = Literal["contrastive", "distil", "imitate"]


class Source(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A training set and how it is used."""

    path: str
    """A file or a folder, in a form that `efive data check` knows."""
    split: str = "train"
    """Which of a SimLM folder's splits."""
    weight: Positive | None = None
    """Share of the batches, relative to the other sources'.  [default: the square root of its examples]"""
    objective: Objective | None = None
    """`contrastive`, `distil` (a teacher's scores) or `imitate` (a teacher's vectors).  [default: the run's]"""
    symmetric: bool = False
    """Both sides are queries, and each must find the other: similarity, translations, duplicates."""
    by_language: bool = False
    """Make each batch of one language (or pair of languages), so that the language is no shortcut."""
    languages: tuple[str, ...] = ()
    """Keep only examples in these languages."""
    limit: Count | None = None
    """Keep at most so many examples."""
    held_out: Annotated[int, Meta(ge=0)] = 0
    """So many examples, the first of the file, are measured on the way and never trained on."""
    batch: Count | None = None
    """Examples of one batch.  [default: the run's]"""
    spans: Share = 0.0
    """Share of queries that are replaced by a random span of their passage (inverse cloze task, arXiv 1906.00300)."""
    teacher_language: str = ""
    """`imitate`: the language that the teacher reads. Of a pair in two languages it reads that side, for both."""
    foreign_only: bool = False
    """`imitate`: of a pair in two languages, the student reads only the side that the teacher does not."""


class Learning(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The optimiser: AdamW for all but the table of token embeddings, which has a row-wise Adam of its own."""

    rate: Positive = 2e-5
    """Learning rate at its highest."""
    embedding_rate: Positive | None = None
    """Learning rate of the token embeddings.  [default: rate]"""
    warmup: Annotated[float, Meta(ge=0)] = 0.1
    """Share of the steps (below 1) or number of steps in which the rate rises from 0."""
    decay: Share = 1.0
    """Share of the steps after the warm-up in which the rate falls linearly to 0, at the end."""
    frozen: Annotated[int, Meta(ge=0)] = 0
    """First steps in which only the token embeddings learn."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.01
    """Of matrices; biases, norms and token embeddings do not decay."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Adam's decay rates of the moments."""
    clip: Positive = 1.0
    """Largest norm of the whole gradient."""


class Loss(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The losses; efive.training.losses has their formulas."""

    temperature: Positive = 0.01
    """Divides the cosines; E5's is 0.01."""
    both_ways: bool = False
    """Each passage must find its query too; always so for symmetric sources."""
    same_tower: bool = False
    """Other queries (and other passages, both ways) count as negatives too."""
    margin: Positive | None = None
    """Negatives whose cosine exceeds the positive's by more than this are left out as probable positives."""
    mask_hard_negatives: bool = False
    """Distillation: keep hard negatives out of the contrastive term."""
    contrastive_weight: Annotated[float, Meta(ge=0)] = 0.2
    """Distillation: weight of the contrastive term (E5's second stage: 0.2)."""
    teacher_temperature: Positive = 1.0
    """Divides the teacher's scores: 1 for a cross-encoder's logits, 0.01 … 0.05 for cosines."""
    imitation_temperature: Positive = 0.05
    """Imitation: divides the cosines of both sides."""
    cosine_weight: Annotated[float, Meta(ge=0)] = 4.0
    """Imitation: weight of 1 - cosine beside the divergence."""
    bank: Annotated[int, Meta(ge=0)] = 2048
    """Imitation: how many recent texts' teacher vectors the divergence ranges over besides the batch's own."""
    matryoshka: tuple[Count, ...] = ()
    """Dimensions that cut vectors are trained for, the full one among them (arXiv 2205.13147)."""


class Lora(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Low-rank adapters (arXiv 2106.09685) instead of training every weight; merged when the model is saved."""

    rank: Count = 16
    """Of the update's factors."""
    alpha: Count = 32
    """The update is scaled by alpha / rank."""
    modules: tuple[str, ...] = ()
    """Names of the linear layers.  [default: all of them]"""


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run."""

    model: str
    """Where training starts: a folder, a stored model's name, or `bundled`."""
    objective: Objective = "contrastive"
    """Of sources that name no other."""
    sources: tuple[Source, ...]
    """At least one."""
    development: tuple[str, ...] = ()
    """Sets that are measured on the way and never trained on: `PATH`, or `PATH:split` of a SimLM folder."""
    teacher: str | None = None
    """`imitate`: a bi-encoder whose vectors are learned."""
    teacher_role: Literal["raw", "e5"] = "raw"
    """`raw`: the teacher wants no prefix."""
    teacher_tokens: Annotated[int, Meta(ge=8)] | None = None
    """Tokens that the teacher reads.  [default: passage_tokens]"""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Of the order of the data and everything else that is random."""
    steps: Count | None = None
    """Updates of the weights.  [default: one epoch]"""
    epochs: Positive | None = None
    """Passes over the data, where `steps` does not say.  [default: 1]"""
    batch: Count = 256
    """Examples of one batch, over all processes."""
    batches: Count = 1
    """Batches of one step, each of its own source; their losses are averaged."""
    negatives: Annotated[int, Meta(ge=0)] = 0
    """Hard negatives of each query (train_n_passages - 1)."""
    query_tokens: Annotated[int, Meta(ge=8)] = 64
    """Longer queries are cut at their end; prefix and special tokens count."""
    passage_tokens: Annotated[int, Meta(ge=8)] = 192
    """Longer passages are cut at their end."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the network's products; weights, logits and losses are float32. `auto` takes bf16 where it is in hardware."""
    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`.  [default: cuda if there is one]"""
    workers: Count | None = None
    """CPU threads that each take chunks of a batch; with `shard`, 1.  [default: the processors that we may use]"""
    chunk_tokens: Count | None = None
    """Tokens that go through the network at once.  [default: 2048 on a CPU, 32768 on a GPU]"""
    keep_tokens: Annotated[int, Meta(ge=0)] = 32768
    """Batches of more tokens are encoded twice, first without a graph (gradient caching, arXiv 2101.06983)."""
    save_every: Count = 200
    """Steps between checkpoints; each is measured on what is held out."""
    keep: Count = 2
    """Checkpoints that are kept."""
    learning: Learning = Learning()
    """The optimiser."""
    loss: Loss = Loss()
    """The losses."""
    lora: Lora | None = None
    """Train adapters instead of the weights."""
    shard: bool = False
    """Spread weights, gradients and moments over torchrun's processes, for models too large for one device (FSDP)."""


def parse(values: dict[str, Any], where: str) -> Settings:
    """Return the settings that a dictionary (of TOML) describes.

    Raises:
        InputError: naming the setting that is unknown, missing or of the wrong kind.
    """
    try:
        return msgspec.convert(values, Settings, strict=True)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {error}. docs/guides/train.md lists the settings") from None


def read(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        InputError: naming the line that is broken.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
