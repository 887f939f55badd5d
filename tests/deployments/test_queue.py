"""The queue as a pure thing: what goes in comes out, in the order that fairness asks for."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from efive.deployments.queue import FairQueue, Waiting, divide

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=30)
REQUESTS = st.lists(LENGTHS, min_size=1, max_size=12)


def waiting(name, lengths):
    return Waiting(name, [np.zeros(length, np.int32) for length in lengths])


def filled(requests):
    queue = FairQueue()
    for name, lengths in enumerate(requests):
        queue.add(waiting(name, lengths))
    return queue


def batches(queue, budget=512, padded=False):
    return list(iter(lambda: queue.take(budget, padded=padded), []))


def length(waiting, row):
    return len(waiting.rows[row])


@given(REQUESTS, st.integers(1, 2048), st.booleans())
def test_every_row_once_within_the_budget_and_counted(requests, budget, padded):
    queue = filled(requests)
    left = sum(map(sum, requests))
    seen = []
    while batch := queue.take(budget, padded=padded):
        costs = [length(*each) for each in batch]
        assert (max(costs) * len(costs) if padded else sum(costs)) <= budget or len(batch) == 1
        seen += [(each.owner, row) for each, row in batch]
        left -= sum(costs)
        assert queue.tokens == left
    assert sorted(seen) == [(name, row) for name, lengths in enumerate(requests) for row in range(len(lengths))]
    assert (queue.tokens, queue.requests) == (0, 0)


@given(REQUESTS, st.data())
def test_counts_hold_whatever_is_dropped_or_given_back_in_between(requests, data):
    queue = FairQueue()
    alive, computed, dropped = {}, set(), set()
    for name, lengths in enumerate(requests):
        alive[name] = waiting(name, lengths)
        queue.add(alive[name])
        match data.draw(st.sampled_from(["nothing", "take", "lose", "drop"])):
            case "take":
                computed |= {(each.owner, row) for each, row in queue.take(300, padded=True)}
            case "lose":
                queue.give_back(queue.take(300, padded=True))
            case "drop":
                dropped.add(victim := data.draw(st.sampled_from(sorted(alive))))
                queue.drop(alive[victim])
                queue.drop(alive[victim])
        rest = [
            (each.owner, len(each.rows[row]))
            for each in alive.values()
            for row in range(len(each.rows))
            if each.owner not in dropped and (each.owner, row) not in computed
        ]
        assert queue.tokens == sum(tokens for _, tokens in rest)
        assert queue.requests == len({owner for owner, _ in rest})
    rows = [(each.owner, row) for batch in batches(queue) for each, row in batch]
    assert len(rows) == len(set(rows))
    assert not computed & set(rows)
    assert {owner for owner, _ in rows}.isdisjoint(dropped)
    assert (queue.tokens, queue.requests) == (0, 0)


@given(st.lists(st.integers(1, 512), min_size=20, max_size=200), st.integers(1, 64), st.integers(0, 5))
def test_a_short_request_passes_a_bulk_one(bulk, short, begun):
    queue = FairQueue()
    queue.add(waiting("bulk", bulk))
    for _ in range(begun):
        queue.take(1, padded=False)
    queue.add(waiting("short", [short]))
    order = [each.owner for batch in batches(queue, 1) for each, _ in batch]
    assert sum(sorted(bulk)[begun : begun + order.index("short")]) <= short


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 8))
def test_nobody_is_starved_by_those_who_come_later(lengths, newcomer):
    queue = FairQueue()
    queue.add(waiting("first", lengths))
    served = rounds = 0
    while served < len(lengths):
        queue.add(waiting("later", [newcomer]))
        served += sum(each.owner == "first" for each, _ in queue.take(1, padded=False))
        rounds += 1
        waiting_now = len(lengths) + 1  # at most: one came at each round in which the first was served
        assert rounds <= len(lengths) + waiting_now * (sum(lengths) // newcomer + 1)


def test_those_who_went_away_leave_nothing_behind():
    queue = FairQueue()
    queue.add(waiting("busy", [1] * 2000))
    gone = [waiting("gone", [10_000]) for _ in range(1000)]
    for each in gone:
        queue.add(each)
        queue.drop(each)
        queue.take(1, padded=False)
    assert len(queue._heap) <= 3


@given(LENGTHS, st.integers(0, 200))
def test_dividing_saves_padding_and_loses_no_row(lengths, cost):
    batch = [(waiting("all", lengths), row) for row in range(len(lengths))]
    parts = divide(batch, cost)
    assert sorted(row for part in parts for _, row in part) == list(range(len(lengths)))
    padded = [max(length(*each) for each in part) * len(part) for part in parts]
    assert sum(padded) + cost * (len(parts) - 1) <= max(lengths) * len(lengths)
    assert [max(length(*each) for each in part) for part in parts] == sorted(
        {max(length(*e) for e in p) for p in parts}
    )


def test_a_long_row_is_computed_behind_the_short_ones():
    batch = [(waiting("all", [250, 9, 10, 11]), row) for row in range(4)]
    assert [[row for _, row in part] for part in divide(batch, 32)] == [[1, 2, 3], [0]]
    assert len(divide(batch, 1000)) == 1
