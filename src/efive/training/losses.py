"""Training losses, as pure functions of a batch's unit vectors.

Every loss is a *sum over some queries* of the batch, not a mean: the caller walks over blocks of queries, in one
process or in many, and divides once by their number. Logits have the dtype of the vectors, float32: at
temperature 0.01 a bfloat16 cosine would be off by half a logit.

Shapes: n queries, m passages, d components, g members of a group (a positive and its hard negatives), b queries
of the block.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812 - torch's customary name
from torch import Tensor

NO_PASSAGE = -1
"""In `Batch.members`: this query has fewer hard negatives than others."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The vectors of a batch, and which belong together."""

    queries: Tensor
    """(n, d) float32, unit length."""
    passages: Tensor
    """(m, d) float32, unit length."""
    members: Tensor
    """(n, g) int64: rows of `passages`, the positive first, then its hard negatives; `NO_PASSAGE` where none is."""
    query_keys: Tensor
    """(n,) int64: equal numbers are equal texts."""
    passage_keys: Tensor
    """(m,) int64: likewise."""
    scores: Tensor | None = None
    """(n, g) float32: a teacher's scores of the members, for distillation."""

    def truncated(self, dimension: int) -> "Batch":
        """Return the batch with vectors cut to their first components, unit length again."""
        queries, passages = (F.normalize(v[:, :dimension], dim=-1) for v in (self.queries, self.passages))
        return replace(self, queries=queries, passages=passages)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Settings of the contrastive loss."""

    temperature: float = 0.01
    """Divides the cosines (0.01: arXiv 2212.03533, section 3)."""
    symmetric: bool = False
    """Ask for the query of each passage as well; the loss is the mean of both directions."""
    same_tower: bool = False
    """Count the other queries (and for the symmetric half the other passages) as negatives too."""
    margin: float | None = None
    """Leave out negatives whose cosine exceeds the positive's by more than this: they are probably positives."""
    hard_negatives: bool = True
    """Count a query's own hard negatives; False leaves them to the distillation term alone."""


def contrastive(batch: Batch, rows: slice, contrast: Contrast) -> Tensor:
    """Return the InfoNCE loss (arXiv 1807.03748) summed over the queries in `rows`, with in-batch negatives.

    Passages with the text of the query's positive, and positives of queries with the same text, never count as
    negatives.
    """
    positives = batch.members[:, 0]
    own = positives[rows]
    queries, keys = batch.queries[rows], batch.query_keys[rows]
    cosines = queries @ batch.passages.T
    same_query = keys[:, None] == batch.query_keys[None, :]
    answers = torch.zeros_like(cosines, dtype=torch.bool)
    index = positives.expand(len(own), -1)
    answers = answers.scatter_reduce(1, index, same_query, "amax") | (
        batch.passage_keys[own][:, None] == batch.passage_keys[None, :]
    )
    if not contrast.hard_negatives:
        answers = answers | _own_negatives(batch, rows, answers)
    others = [(queries @ batch.queries.T, same_query)] if contrast.same_tower else []
    loss = _cross_entropy(cosines, own, answers, others, contrast)
    if not contrast.symmetric:
        return loss
    anchors = batch.passages[own]
    asked = torch.arange(len(batch.queries), device=own.device)[rows]
    same_answer = batch.passage_keys[own][:, None] == batch.passage_keys[None, :]
    same_asked = same_query | (batch.passage_keys[own][:, None] == batch.passage_keys[positives][None, :])
    others = [(anchors @ batch.passages.T, same_answer)] if contrast.same_tower else []
    return (loss + _cross_entropy(anchors @ batch.queries.T, asked, same_asked, others, contrast)) / 2


def _own_negatives(batch: Batch, rows: slice, like: Tensor) -> Tensor:
    """(b, m) bool: true where a passage is a hard negative of the query."""
    members = batch.members[rows, 1:]
    present = members != NO_PASSAGE
    found = torch.zeros_like(like)
    return found.scatter_reduce(1, members.clamp(min=0), present, "amax")


def _cross_entropy(
    cosines: Tensor, target: Tensor, answers: Tensor, others: list[tuple[Tensor, Tensor]], contrast: Contrast
) -> Tensor:
    """Return the summed cross-entropy of `target` (b,) among the columns of `cosines` (b, c) and of `others`.

    `answers` (b, c) marks columns that are no negatives, the target among them.
    """
    at_target = cosines.gather(1, target[:, None])
    columns = [(cosines, answers.scatter(1, target[:, None], value=False)), *others]
    logits = []
    for values, out in columns:
        if contrast.margin is not None:
            doubtful = values.detach() > at_target.detach() + contrast.margin
            out = out | doubtful  # noqa: PLW2901 - the same mask, widened
        logits.append((values / contrast.temperature).masked_fill(out, -torch.inf))
    return F.cross_entropy(torch.cat(logits, dim=1), target, reduction="sum")


def distillation(batch: Batch, rows: slice, temperature: float, teacher_temperature: float = 1.0) -> Tensor:
    """Return KL(teacher || student) over each query's own group, summed over the queries in `rows`.

    Students' logits are cosine / temperature; the teacher's are its scores / teacher_temperature (1 for the logits
    of a cross-encoder). Formula: SimLM, arXiv 2207.02578, section 3.3.
    """
    if batch.scores is None:
        raise ValueError("distillation needs the teacher's scores")
    members = batch.members[rows]
    present = members != NO_PASSAGE
    group = batch.passages[members.clamp(min=0)]
    logits = torch.einsum("bd,bgd->bg", batch.queries[rows], group) / temperature
    student = logits.masked_fill(~present, -torch.inf).log_softmax(-1)
    teacher = (batch.scores[rows].float() / teacher_temperature).masked_fill(~present, -torch.inf).log_softmax(-1)
    terms = teacher.exp() * (teacher - student)
    return terms.masked_fill(~present, 0).sum()


def imitation(vectors: Tensor, targets: Tensor, bank: Tensor, rows: slice, temperature: float, weight: float) -> Tensor:
    """Return how far students' vectors are from a teacher's, summed over the texts in `rows`.

    KL between the distributions that teacher and student give over `bank` (teacher's vectors of many texts), plus
    `weight` times 1 - cosine. The student may see a translation of what the teacher saw.

    Args:
        vectors: (n, d) float32, the student's, unit length.
        targets: (n, d) float32, the teacher's vectors of the same texts, unit length.
        bank: (k, d) float32, the teacher's vectors of other texts.
        rows: the texts to sum over.
        temperature: divides both sides' cosines.
        weight: of the cosine term.
    """
    student = ((vectors[rows] @ bank.T) / temperature).log_softmax(-1)
    teacher = ((targets[rows] @ bank.T) / temperature).log_softmax(-1)
    divergence = F.kl_div(student, teacher, reduction="sum", log_target=True)
    return divergence + weight * (1 - (vectors[rows] * targets[rows]).sum(-1)).sum()


def matryoshka(loss: Callable[[Batch], Tensor], batch: Batch, dimensions: Sequence[int]) -> Tensor:
    """Return the mean of `loss` over vectors cut to each of `dimensions` (arXiv 2205.13147)."""
    return torch.stack([loss(batch.truncated(dimension)) for dimension in dimensions]).mean()
