"""The cache of vectors: no text twice, whatever happens; nothing of another space."""

import hashlib
import warnings
from contextlib import contextmanager
from itertools import product

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from efive import Encoder
from efive.errors import InputError, TruncationWarning
from efive.evaluation.cache import EmbeddingCache, _Index
from efive.inputs import Role
from efive.nearest import GrowingArray

TEXTS = [f"text number {n}" for n in range(60)]


class Counting:
    """The encoder, and every text that it was given."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.given = []

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def stream(self, texts, role):
        def noted():
            for text in texts:
                self.given.append(text)
                yield text

        return self._encoder.stream(noted(), role)


@pytest.fixture
def counting(encoder):
    return Counting(encoder)


def test_a_second_time_nothing_is_embedded(tmp_path, counting):
    first = EmbeddingCache(tmp_path, counting).embed(TEXTS, Role.PASSAGE)
    assert counting.given == TEXTS
    cache = EmbeddingCache(tmp_path, counting)
    again = cache.embed(reversed(TEXTS), Role.PASSAGE)
    assert counting.given == TEXTS
    assert (again[:] == first[:][::-1]).all()
    assert cache.cost.described() == {"texts": 0, "seconds": 0}
    assert np.abs(first.floats() - counting.embed_passages(TEXTS).vectors).max() < 1e-3


def test_a_text_that_repeats_is_embedded_once_and_its_row_repeats(tmp_path, counting):
    cache = EmbeddingCache(tmp_path, counting)
    found = cache.embed(["a", "b", "a", "a"], Role.QUERY)
    assert counting.given == ["a", "b"]
    assert found.rows.tolist() == [0, 1, 0, 0]
    assert found.shape == (4, counting.dimension)
    assert cache.cost.texts == 2


def test_what_is_new_among_what_is_known_is_embedded_alone(tmp_path, counting):
    EmbeddingCache(tmp_path, counting).embed(TEXTS[:50], Role.QUERY)
    found = EmbeddingCache(tmp_path, counting).embed(["new", *TEXTS], Role.QUERY)
    assert counting.given[50:] == ["new", *TEXTS[50:]]
    assert np.abs(found.floats() - counting.embed_queries(["new", *TEXTS]).vectors).max() < 1e-3


def test_an_interrupted_run_goes_on(tmp_path, counting):
    texts = [f"{n}" for n in range(3000)]  # several blocks of the encoder

    def stop(done):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EmbeddingCache(tmp_path, counting).embed(texts, Role.QUERY, stop)
    counting.given.clear()
    told = []
    found = EmbeddingCache(tmp_path, counting).embed(texts, Role.QUERY, told.append)
    assert counting.given == texts[128:]
    assert sum(told) == len(texts)
    rows = [0, 127, 128, 2999]
    expected = counting.embed_queries([texts[row] for row in rows]).vectors
    assert np.abs(found.floats(np.array(rows)) - expected).max() < 1e-3


def test_vectors_that_a_torn_run_left_without_a_key_are_passed_over(tmp_path, counting):
    EmbeddingCache(tmp_path, counting).embed(["a"], Role.QUERY)
    (path,) = tmp_path.rglob("vectors.npy")
    with GrowingArray(path, counting.dimension, "<f2") as file:
        file.append(np.ones((2, counting.dimension)))
    found = EmbeddingCache(tmp_path, counting).embed(["a", "b"], Role.QUERY)
    assert found.rows.tolist() == [0, 3]
    assert np.abs(found.floats() - counting.embed_queries(["a", "b"]).vectors).max() < 1e-3


def test_roles_limits_and_spaces_do_not_mix(tmp_path, bert, tiny_models, encoder):
    text = ["a long text about cats and dogs and all the other animals that live here " * 2]
    with Encoder.load(bert, max_tokens=16) as short, Encoder.load(tiny_models["bert-multilingual"]) as other:
        for model, role in product((encoder, short, other), Role):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TruncationWarning)
                found = EmbeddingCache(tmp_path, model).embed(text, role).floats()
                assert np.abs(found - model.embed(text, role).vectors).max() < 1e-3
    assert len(list(tmp_path.rglob("vectors.npy"))) == 9


@pytest.mark.parametrize("name", ["vectors.npy", "keys.npy"])
def test_a_damaged_file_is_named_with_the_way_out(tmp_path, encoder, name):
    EmbeddingCache(tmp_path, encoder).embed(["a"], Role.QUERY)
    (path,) = tmp_path.rglob(name)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"query-512-\w+ is damaged; delete that folder"):
        EmbeddingCache(tmp_path, encoder).embed(["a"], Role.QUERY)


def test_a_run_waits_for_another_that_embeds_the_same_and_says_so(tmp_path, counting):
    EmbeddingCache(tmp_path, counting).embed(["a"], Role.QUERY)
    (path,) = tmp_path.rglob("lock")
    other, told = FileLock(path), []

    @contextmanager
    def watch(what, _total, _done):
        told.append(what)
        other.release()
        yield lambda _steps: None

    other.acquire()
    assert EmbeddingCache(tmp_path, counting, watch).embed(["a", "b"], Role.QUERY).rows.tolist() == [0, 1]
    assert told == ["waiting for another run that embeds the same"]


def test_no_texts_give_no_rows(tmp_path, encoder):
    assert EmbeddingCache(tmp_path, encoder).embed([], Role.QUERY).shape == (0, encoder.dimension)


@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=12), st.integers(0, 5))
def test_rows_are_those_of_a_dictionary_however_often_it_is_sorted(blocks, recent):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("efive.evaluation.cache._RECENT", recent)
        index, known = _Index(np.empty(0, dtype="S16")), {}
        for block in blocks:
            keys = [hashlib.md5(bytes([number])).digest() for number in block]
            fresh = [place for place, key in enumerate(keys) if key not in known and key not in keys[:place]]
            for place in fresh:
                known[keys[place]] = len(known)
            assert index.take(keys) == ([known[key] for key in keys], fresh)
