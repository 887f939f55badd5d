"""Vectors of one index: the nearest within filters, against brute force."""

import numpy as np
import pytest
from elastic_reading import opened, scores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from efive.search.collection import Collection
from efive.search.documents import Document
from efive.search.raw import Metric, RawVector, RawVectors
from efive.server.elastic.queries import nearest
from efive.server.elastic.queries.nearest import Given

COUNT, SIZE = 60, 8

RANDOM = np.random.default_rng(0)


VECTORS = RANDOM.normal(size=(COUNT, SIZE)).astype(np.float32)


NUMBERED = {f"d{n}": {"n": n, "v": VECTORS[n].tolist()} for n in range(COUNT)}


MEASURES = {
    "cosine": (Metric.COSINE, lambda q: (1 + (VECTORS @ q) / np.linalg.norm(VECTORS, axis=1) / np.linalg.norm(q)) / 2),
    "l2_norm": (Metric.EUCLIDEAN, lambda q: 1 / (1 + np.square(VECTORS - q).sum(axis=1))),
    "max_inner_product": (Metric.DOTPRODUCT,
                          lambda q: np.where(VECTORS @ q < 0, 1 / (1 - np.minimum(VECTORS @ q, 0)), VECTORS @ q + 1)),
}  # fmt: skip


@pytest.fixture(scope="module", params=MEASURES)
def measured(request, tmp_path_factory):
    """An index with vectors of one measure, and the scores that it should give."""
    folder = tmp_path_factory.mktemp("vectors")
    metric, expected = MEASURES[request.param]
    stored = RawVectors(folder / "v", SIZE, metric)
    stored.put([RawVector(f"d{n}", VECTORS[n]) for n in range(COUNT)])
    field = {"type": "dense_vector", "dims": SIZE, "similarity": request.param}
    with opened(folder, {"n": {"type": "long"}, "v": field}, NUMBERED, vectors={"v": stored}) as reading:
        yield reading, expected
    stored.close()


@pytest.mark.parametrize("few", [0, 1000])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000), k=st.integers(1, 70), allowed=st.none() | st.sets(st.integers(0, COUNT - 1), max_size=70)
)
def test_neighbours_within_a_filter_are_those_of_brute_force(measured, monkeypatch, few, seed, k, allowed):
    reading, expected = measured
    monkeypatch.setattr(nearest, "_FEW", few)
    monkeypatch.setattr(nearest, "_DEPTH", 2)
    monkeypatch.setattr(nearest, "_DEPTH_EACH", 1)
    monkeypatch.setattr(nearest, "_DEEPEST", 20)
    query = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    given_ = {"field": "v", "query_vector": query.tolist(), "k": k}
    if allowed is not None:
        given_["filter"] = {"terms": {"n": sorted(allowed)}}
    found = scores(reading, {"knn": given_})
    numbers = np.array(sorted(range(COUNT) if allowed is None else allowed), int)
    best = sorted(numbers, key=lambda n: -expected(query)[n])[:k]
    assert set(found) == {f"d{n}" for n in best}
    assert found == pytest.approx({f"d{n}": expected(query)[n] for n in best}, rel=1e-4)


def test_neighbours_beside_filters_are_not_lost(measured):
    reading, expected = measured
    query = VECTORS[0].tolist()
    last = [int(n) for n in np.argsort(expected(VECTORS[0]))[:5]]
    near = {"knn": {"field": "v", "query_vector": query, "k": 3}}
    found = scores(reading, {"bool": {"must": near, "filter": {"terms": {"n": last}}}})
    assert set(found) == {f"d{n}" for n in last[2:]}
    found = scores(reading, {"bool": {"must": near, "must_not": {"range": {"n": {"gte": 2}}}}})
    assert set(found) == {"d0", "d1"}


def test_similarity_leaves_out_what_is_less_alike(measured):
    reading, expected = measured
    measure = reading.mapping.fields["v"].options["similarity"]
    least = {"cosine": 0.3, "l2_norm": 3.5, "max_inner_product": 1.0}[measure]
    bound = {"cosine": (1 + 0.3) / 2, "l2_norm": 1 / (1 + 3.5**2), "max_inner_product": 2.0}[measure]
    given_ = {"field": "v", "query_vector": VECTORS[0].tolist(), "k": COUNT, "similarity": least}
    found = scores(reading, {"knn": given_})
    assert set(found) == {f"d{n}" for n in np.flatnonzero(expected(VECTORS[0]) >= bound)}
    assert 0 < len(found) < COUNT


def test_passages_count_by_the_best_of_each_document(tmp_path, encoder, monkeypatch):
    topics = ["rain falls", "a dog barks", "the bank is closed", "music plays", "bread bakes", "an engine starts"]
    texts = {f"t{n}": " ".join(f"{topics[(n + m) % 6]} {n} {m}." for m in range(n % 7 + 1)) for n in range(30)}
    with Collection.open(tmp_path / "texts", encoder, window=16, overlap=0) as collection:
        collection.add([Document(id_, text) for id_, text in texts.items()])
        entries = {entry.document.id: entry for entry in collection.entries()}
        assert max(len(entry.passages) for entry in entries.values()) > 2
        query = encoder.embed_queries(["the dog"]).vectors[0]
        best = {id_: float((entry.vectors @ query).max()) for id_, entry in entries.items()}
        documents = {id_: {"n": int(id_[1:]), "text": text} for id_, text in texts.items()}
        field = {"type": "semantic_text", "inference_id": "e5"}
        properties = {"n": {"type": "long"}, "text": field}
        with opened(tmp_path, properties, documents, semantic={"text": collection}) as reading:
            for few in (0, 1000):
                monkeypatch.setattr(nearest, "_FEW", few)
                for most in (3, 29):
                    near = {"semantic": {"field": "text", "query": "the dog"}}
                    asked = {"bool": {"must": near, "filter": {"range": {"n": {"lte": most}}}}}
                    found = scores(reading, asked, embedded={("e5", "the dog"): query}, size=12)
                    allowed = sorted((id_ for id_ in best if int(id_[1:]) <= most), key=lambda id_: -best[id_])[:12]
                    assert found == pytest.approx({id_: (1 + best[id_]) / 2 for id_ in allowed}, abs=2e-3)


def test_similarities_of_both_ways_are_alike(measured):
    reading, _ = measured
    measure = reading.mapping.fields["v"].options["similarity"]
    found = Given(reading.vectors["v"], VECTORS[3], measure)
    assert dict(found.first(COUNT)[0]) == pytest.approx(dict(found.compared(list(NUMBERED))), abs=1e-4)
