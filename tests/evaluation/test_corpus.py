"""A corpus as vectors of windows."""

from contextlib import contextmanager

import numpy as np
import pytest

from efive import Encoder
from efive.errors import InputError
from efive.evaluation.cache import EmbeddingCache
from efive.evaluation.corpus import Shape, embed_documents
from efive.inputs import Role

LONG = " ".join(f"Sentence {n} is about cats." for n in range(12))


@pytest.fixture
def cache(tmp_path, encoder):
    return EmbeddingCache(tmp_path, encoder)


def embedded(cache, documents, **options):
    return embed_documents(iter(documents), cache, Shape(24, 6), Role.PASSAGE, **options)


def test_windows_belong_to_their_documents_and_empty_ones_have_none(cache, encoder):
    found = embedded(cache, [("a", "short"), ("empty", " \n"), ("long", LONG), ("z", "last")])
    assert found.ids == ["a", "empty", "long", "z"]
    _, spans = encoder.windows(LONG, size=24, overlap=6)
    assert len(spans) > 2
    assert found.owners.tolist() == [0, *[2] * len(spans), 3]
    assert found.windows_of(1).tolist() == []
    assert found.windows_of(2).tolist() == list(range(1, 1 + len(spans)))
    texts = ["short", *(LONG[start:end] for start, end in spans), "last"]
    assert np.abs(found.vectors.floats() - encoder.embed_passages(texts).vectors).max() < 1e-3


@pytest.mark.parametrize("role", Role)
def test_windows_have_room_for_the_prefix_that_they_get(tmp_path, bert, role):
    with Encoder.load(bert, precision="fp32", max_tokens=40) as model:
        words = [f"{number}" for number in range(10)] * 30
        shape, given = Shape(24, 0), []

        class Noting(EmbeddingCache):
            def embed(self, texts, role, done=lambda _texts: None):
                given.extend(texts)
                return super().embed(given, role, done)

        embed_documents([("a", " ".join(words))], Noting(tmp_path, model), shape, role)
        tokens = [usage.tokens_seen for usage in model.embed(given[:-1], role).usage]
    assert set(tokens) == {24}


def test_progress_counts_documents(cache):
    told = []

    @contextmanager
    def watch(what, total, done):
        told.append((what, total, done))
        yield told.append

    documents = [(str(n), LONG if n % 2 else "short") for n in range(10)]
    embedded(cache, documents, total=10, watch=watch, what="passages")
    assert told[0] == ("passages", 10, 0)
    assert sum(told[1:]) == 10


def test_the_same_id_twice_is_refused(cache):
    with pytest.raises(InputError, match="the id 'b' is of two documents"):
        embedded(cache, [("a", "x"), ("b", "y"), ("b", "z")])


def test_a_document_that_cannot_be_divided_is_named(cache):
    with pytest.raises(InputError, match="document 'a': overlap=30 must be at least 0"):
        embed_documents([("a", LONG)], cache, Shape(24, 30), Role.PASSAGE)


@pytest.mark.parametrize("role", Role)
def test_a_window_beyond_the_model_is_refused_in_every_role(cache, encoder, role):
    with pytest.raises(InputError, match="are more than the 512 that the model reads"):
        embed_documents([("a", LONG)], cache, Shape(encoder.max_tokens + 1, 0), role)


def test_the_default_shape_is_the_models_window_and_a_quarter(encoder):
    assert Shape.of(encoder) == Shape(encoder.window, encoder.window // 4)
    assert Shape.of(encoder, 96) == Shape(96, 24)
    assert Shape.of(encoder, 96, 0) == Shape(96, 0)
