"""Nearest neighbours: equal to brute force in blocks of any size, and arrays that survive a torn run."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efive.errors import InputError
from efive.nearest import GrowingArray, better_than, nearest, open_rows, stored_vectors


def brute_force(queries, corpus, k, allowed=None):
    scores = queries @ np.asarray(corpus, dtype=np.float32).T
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(scores, order, axis=1)
    return np.where(np.isfinite(found), order, -1), found


def grid(shape, seed):
    """Small whole numbers: sums of their products are exact in any order, and ties are many."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


sizes = {
    "queries": st.integers(1, 9),
    "passages": st.integers(0, 60),
    "k": st.integers(1, 70),
    "block": st.integers(1, 64),
    "seed": st.integers(0, 1000),
}


@given(**sizes)
@settings(deadline=None)
def test_it_equals_brute_force_ties_by_row_for_any_block(queries, passages, k, block, seed):
    asked, corpus = grid((queries, 4), seed), grid((passages, 4), seed + 1)
    found = nearest(asked, corpus.astype(np.float16), k, block=block)
    rows, scores = brute_force(asked, corpus, k)
    there = rows.shape[1]
    assert (found.rows[:, :there] == rows).all()
    assert (found.scores[:, :there] == scores).all()
    assert (found.rows[:, there:] == -1).all()
    assert np.isneginf(found.scores[:, there:]).all()


@given(**sizes)
@settings(deadline=None)
def test_rows_that_are_not_allowed_are_not_found(queries, passages, k, block, seed):
    asked, corpus = grid((queries, 4), seed), grid((passages, 4), seed + 1)
    allowed = np.random.default_rng(seed).random((queries, passages)) < 0.5
    found = nearest(asked, corpus, k, block=block, allowed=lambda first, end: allowed[:, first:end])
    rows, _ = brute_force(asked, corpus, k, allowed)
    assert (found.rows[:, : rows.shape[1]] == rows).all()


@given(queries=sizes["queries"], passages=sizes["passages"], block=sizes["block"], seed=sizes["seed"])
@settings(deadline=None)
def test_better_than_counts_what_is_strictly_better(queries, passages, block, seed):
    asked, corpus, own = grid((queries, 4), seed), grid((passages, 4), seed + 1), grid(queries, seed + 2)
    assert (better_than(asked, corpus, own, block=block) == (asked @ corpus.T > own[:, None]).sum(axis=1)).all()


def test_dimensions_must_agree():
    with pytest.raises(InputError, match="queries of 3, a corpus of 4"):
        nearest(np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32), 1)


def test_memory_is_bounded_by_the_block_not_by_the_corpus(tmp_path):
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.npy"
        np.save(path, np.random.default_rng(0).standard_normal((rows, 64)).astype(np.float16))
        asked, corpus = grid((16, 64), 0), open_rows(path)
        return min(traced(asked, corpus) for _ in range(3))  # other tests' servers in this process take some too

    def traced(asked, corpus) -> int:
        tracemalloc.start()
        nearest(asked, corpus, 10, block=500)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(40_000) < 1.2 * peak(2_000) < 2_000_000


def test_what_was_appended_is_there_and_the_file_is_plain_npy(tmp_path):
    path = tmp_path / "a.npy"
    with GrowingArray(path, 3, "<f2") as file:
        for n in range(12):  # the number of rows gains a digit
            file.append(np.full((1, 3), n))
    assert (np.load(path) == np.arange(12)[:, None]).all()
    assert (open_rows(path) == np.load(path)).all()


def test_a_torn_block_is_forgotten_and_the_rest_goes_on(tmp_path):
    path = tmp_path / "a.npy"
    with GrowingArray(path, 2, "<f4") as file:
        file.append(np.ones((3, 2)))
    with path.open("ab") as torn:
        torn.write(b"half a row")
    whole = path.stat().st_size - len(b"half a row")
    with GrowingArray(path, 2, "<f4") as file:
        assert file.rows == 3
        assert path.stat().st_size == whole
        file.append(np.full((1, 2), 7))
    assert np.load(path).tolist() == [[1, 1], [1, 1], [1, 1], [7, 7]]


@pytest.mark.parametrize("content", [b"not an array", b""])
def test_a_file_of_something_else_is_refused_and_an_empty_one_begun(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    if content:
        with pytest.raises(InputError, match="damaged or not of this run"):
            GrowingArray(path, 2, "<f4")
    else:
        GrowingArray(path, 2, "<f4").close()
        assert open_rows(path).shape == (0, 2)


@pytest.mark.parametrize(("width", "dtype"), [(3, "<f4"), (2, "<f2"), (None, "<f4")])
def test_an_array_of_another_shape_or_type_is_refused(tmp_path, width, dtype):
    path = tmp_path / "a.npy"
    with GrowingArray(path, 2, "<f4") as file:
        file.append(np.ones((1, 2)))
    with pytest.raises(InputError, match=r"a\.npy is damaged"):
        GrowingArray(path, width, dtype)


def test_stored_vectors_go_on_after_an_interruption(tmp_path, nano):
    texts = [f"text number {n}" for n in range(100)]
    told = []

    def stop(rows):
        told.append(rows)
        if rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # when the first block of the encoder is written
        stored_vectors(tmp_path / "v.npy", texts[:40], nano, "passage", stop)
    vectors = stored_vectors(tmp_path / "v.npy", texts, nano, "passage", told.append)
    assert told == [0, 40, 40, 60]
    assert vectors.shape == (100, nano.dimension)
    assert np.abs(vectors - nano.embed_passages(texts).vectors).max() < 1e-3
