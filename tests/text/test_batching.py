from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from efive.text.batching import pad, plan


@given(st.lists(st.integers(1, 512), max_size=200), st.integers(1, 4096), st.booleans())
def test_every_input_once_and_within_budget(lengths, budget, padded):
    batches = plan(lengths, budget, padded=padded)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        own = [lengths[i] for i in batch]
        cost = max(own) * len(own) if padded else sum(own)
        assert cost <= budget or len(batch) == 1


@given(st.lists(st.integers(1, 512), min_size=2, max_size=200))
def test_batches_are_full_and_alike(lengths):
    batches = plan(lengths, 1024)
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    for batch, following in pairwise(batches):  # the next input would not have fitted
        assert max(lengths[i] for i in batch) * (len(batch) + 1) > 1024
        assert min(lengths[i] for i in batch) >= max(lengths[i] for i in following)


def test_pad_fills_the_right():
    ids, lengths = pad([np.array([5, 6, 7], np.int32), np.array([8], np.int32)], 1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert lengths.tolist() == [3, 1]
    assert ids.dtype == lengths.dtype == np.int32
