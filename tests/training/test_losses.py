"""Losses against plain loops over the formulas."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from efive.training.losses import NO_PASSAGE, Batch, Contrast, contrastive, distillation, imitation, matryoshka

N, G, D = 7, 3, 16
ALL = slice(0, N)


def make(seed=0, *, ragged=True, keys=None):
    g = torch.Generator().manual_seed(seed)
    members = torch.arange(N * G).view(N, G)
    if ragged:
        members[2, 2] = members[5, 1] = members[5, 2] = NO_PASSAGE
    query_keys, passage_keys = torch.arange(N), torch.arange(100, 100 + N * G)
    if keys:
        keys(query_keys, passage_keys)
    return Batch(
        queries=F.normalize(torch.randn(N, D, generator=g, dtype=torch.float64), dim=-1),
        passages=F.normalize(torch.randn(N * G, D, generator=g, dtype=torch.float64), dim=-1),
        members=members,
        query_keys=query_keys,
        passage_keys=passage_keys,
        scores=torch.randn(N, G, generator=g, dtype=torch.float64) * 5,
    )


def plain_infonce(batch, i, temperature, excluded=(), others=()):
    """-log of the share that the positive has, in one query's softmax, by math.exp."""
    cosine = [float(batch.queries[i] @ p) for p in batch.passages]
    target = int(batch.members[i, 0])
    terms = [math.exp(c / temperature) for j, c in enumerate(cosine) if j == target or j not in excluded]
    terms += [math.exp(float(batch.queries[i] @ o) / temperature) for o in others]
    return -math.log(math.exp(cosine[target] / temperature) / sum(terms))


@pytest.mark.parametrize("temperature", [0.01, 0.05, 1.0])
def test_contrastive_is_infonce_over_all_passages_of_the_batch(temperature):
    batch = make()
    expected = sum(plain_infonce(batch, i, temperature) for i in range(N))
    assert float(contrastive(batch, ALL, Contrast(temperature))) == pytest.approx(expected, rel=1e-9)


def test_the_loss_of_all_rows_is_the_sum_of_its_blocks():
    batch = make()
    contrast = Contrast(0.05, symmetric=True, same_tower=True)
    whole = contrastive(batch, ALL, contrast)
    parts = sum(contrastive(batch, rows, contrast) for rows in (slice(0, 3), slice(3, 4), slice(4, N)))
    assert float(whole) == pytest.approx(float(parts), rel=1e-9)


def test_equal_passages_and_equal_queries_are_no_negatives():
    def keys(query_keys, passage_keys):
        query_keys[4] = query_keys[1]  # the same question twice: each other's positives are answers too
        passage_keys[7] = passage_keys[0]  # a negative of query 2 is the text of query 0's positive

    batch = make(keys=keys)
    expected = 0.0
    for i in range(N):
        excluded = {0: {7}, 1: {12}, 4: {3}}.get(i, set())
        expected += plain_infonce(batch, i, 0.05, excluded)
    assert float(contrastive(batch, ALL, Contrast(0.05))) == pytest.approx(expected, rel=1e-9)
    assert expected < sum(plain_infonce(batch, i, 0.05) for i in range(N))


def test_margin_leaves_out_what_scores_far_above_the_positive():
    batch = make()
    cosines = batch.queries @ batch.passages.T
    expected = 0.0
    for i in range(N):
        bound = float(cosines[i, batch.members[i, 0]]) + 0.1
        expected += plain_infonce(batch, i, 0.05, {j for j in range(N * G) if float(cosines[i, j]) > bound})
    assert float(contrastive(batch, ALL, Contrast(0.05, margin=0.1))) == pytest.approx(expected, rel=1e-9)


def test_same_tower_counts_the_other_queries():
    batch = make()
    expected = sum(
        plain_infonce(batch, i, 0.05, others=[batch.queries[j] for j in range(N) if j != i]) for i in range(N)
    )
    assert float(contrastive(batch, ALL, Contrast(0.05, same_tower=True))) == pytest.approx(expected, rel=1e-9)


def test_symmetric_is_the_mean_of_both_directions():
    batch = make()
    forward = sum(plain_infonce(batch, i, 0.05) for i in range(N))
    backward = 0.0
    for i in range(N):
        cosines = [float(batch.passages[batch.members[i, 0]] @ q) / 0.05 for q in batch.queries]
        backward += -math.log(math.exp(cosines[i]) / sum(map(math.exp, cosines)))
    both = contrastive(batch, ALL, Contrast(0.05, symmetric=True))
    assert float(both) == pytest.approx((forward + backward) / 2, rel=1e-9)


def test_hard_negatives_can_be_left_to_the_distillation():
    batch = make()
    expected = 0.0
    for i in range(N):
        own = {int(m) for m in batch.members[i, 1:] if m != NO_PASSAGE}
        expected += plain_infonce(batch, i, 0.05, own)
    assert float(contrastive(batch, ALL, Contrast(0.05, hard_negatives=False))) == pytest.approx(expected, rel=1e-9)


def test_distillation_is_the_divergence_over_each_group():
    batch = make()
    expected = 0.0
    for i in range(N):
        columns = [g for g in range(G) if batch.members[i, g] != NO_PASSAGE]
        student = [float(batch.queries[i] @ batch.passages[batch.members[i, g]]) / 0.02 for g in columns]
        teacher = [float(batch.scores[i, g]) / 2 for g in columns]
        p, q = ([math.exp(v) / sum(map(math.exp, values)) for v in values] for values in (teacher, student))
        expected += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
    assert float(distillation(batch, ALL, 0.02, 2.0)) == pytest.approx(expected, rel=1e-5)


def test_distillation_of_the_teachers_own_scores_is_zero():
    batch = make(ragged=False)
    own = torch.einsum("bd,bgd->bg", batch.queries, batch.passages.view(N, G, D)) / 0.02
    taught = Batch(batch.queries, batch.passages, batch.members, batch.query_keys, batch.passage_keys, own)
    assert float(distillation(taught, ALL, 0.02)) == pytest.approx(0, abs=1e-6)


def test_gradients_stay_finite_where_a_group_is_short():
    batch = make()
    queries = batch.queries.clone().requires_grad_()
    taught = Batch(queries, batch.passages, batch.members, batch.query_keys, batch.passage_keys, batch.scores)
    (gradient,) = torch.autograd.grad(distillation(taught, ALL, 0.01), queries)
    assert torch.isfinite(gradient).all()


def test_imitation_falls_to_zero_at_the_teacher():
    g = torch.Generator().manual_seed(1)
    targets = F.normalize(torch.randn(N, D, generator=g), dim=-1)
    bank = F.normalize(torch.randn(20, D, generator=g), dim=-1)
    assert float(imitation(targets, targets, bank, ALL, 0.05, 4.0)) == pytest.approx(0, abs=1e-4)
    other = F.normalize(torch.randn(N, D, generator=g), dim=-1)
    logs = [np.log(np.exp(v @ bank.numpy().T / 0.05) / np.exp(v @ bank.numpy().T / 0.05).sum(-1, keepdims=True))
            for v in (targets.double().numpy(), other.double().numpy())]  # fmt: skip
    expected = (np.exp(logs[0]) * (logs[0] - logs[1])).sum() + 4 * (1 - (targets * other).sum(-1)).sum().item()
    assert float(imitation(other, targets, bank, ALL, 0.05, 4.0)) == pytest.approx(expected, rel=1e-5)


def test_matryoshka_is_the_mean_over_cut_vectors():
    batch = make()

    def loss(b):
        return contrastive(b, ALL, Contrast(0.05))

    cut = Batch(
        F.normalize(batch.queries[:, :4], dim=-1), F.normalize(batch.passages[:, :4], dim=-1),
        batch.members, batch.query_keys, batch.passage_keys,
    )  # fmt: skip
    assert float(matryoshka(loss, batch, (4, D))) == pytest.approx((float(loss(cut)) + float(loss(batch))) / 2)
