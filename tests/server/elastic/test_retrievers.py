"""Retrievers: rankings of their own, and rankings fused, against their formulas."""

import numpy as np
import pytest
from elasticsearch import BadRequestError, helpers
from hypothesis import given
from hypothesis import strategies as st

from efive.server.elastic.queries.ranking import normalized

COUNT = 30
WORDS = ["sun", "moon", "star", "sea", "tree"]
RANDOM = np.random.default_rng(1)
VECTORS = RANDOM.normal(size=(COUNT, 4))
TEXTS = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 6))) for _ in range(COUNT)]
NEAR = {"field": "v", "query_vector": [1.0, 0.5, -0.5, 0.2], "k": 12, "num_candidates": 50}


@pytest.fixture(scope="module", params=["one", "two"])
def filled(request, es):
    """The same documents in one index, or spread over two: rankings are of all together."""
    properties = {
        "v": {"type": "dense_vector", "dims": 4, "similarity": "cosine"},
        "text": {"type": "text"},
        "odd": {"type": "boolean"},
    }
    indices = ["one"] if request.param == "one" else ["two-a", "two-b"]
    for index in indices:
        es.indices.create(index=index, mappings={"properties": properties})
    documents = [
        {"_index": indices[n % len(indices)], "_id": str(n),
         "_source": {"v": VECTORS[n].tolist(), "text": TEXTS[n], "odd": n % 2 == 1}}
        for n in range(COUNT)
    ]  # fmt: skip
    helpers.bulk(es, documents, refresh=True)
    yield es, ",".join(indices)
    es.indices.delete(index=indices)


def found(filled, size=10, **body):
    es, index = filled
    answer = es.search(index=index, size=size, **body)
    return {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}


def words(text, **more):
    return {"standard": {"query": {"match": {"text": text}}, **more}}


def ranks(scores):
    return {id_: rank for rank, id_ in enumerate(scores, 1)}


def test_single_retrievers_are_their_queries(filled):
    text = found(filled, query={"match": {"text": "sun moon"}})
    assert found(filled, retriever=words("sun moon")) == text
    near = found(filled, knn=NEAR, size=12)
    assert found(filled, retriever={"knn": NEAR}, size=12) == near
    assert len(near) == 12
    odd = {"term": {"odd": True}}
    only = found(filled, retriever={"knn": NEAR | {"filter": odd}}, size=20)
    assert len(only) == 12
    assert all(int(id_) % 2 for id_ in only)
    least = sorted(text.values())[len(text) // 2]
    assert set(found(filled, retriever=words("sun moon", min_score=least))) == {i for i in text if text[i] >= least}
    assert set(found(filled, retriever=words("sun moon", filter=odd), size=30)) == {
        id_ for id_ in found(filled, query={"match": {"text": "sun moon"}}, size=30) if int(id_) % 2
    }


@pytest.mark.parametrize(("constant", "window", "weights"), [(60, 20, (1, 1)), (1, 10, (1, 1)), (20, 12, (2, 0.5))])
def test_rrf_adds_reciprocal_ranks(filled, constant, window, weights):
    parts = [
        list(found(filled, query={"match": {"text": "sun sea"}}, size=window)),
        list(found(filled, knn=NEAR, size=window)),
    ]
    expected = {}
    for part, weight in zip(parts, weights, strict=True):
        for id_, rank in ranks(part).items():
            expected[id_] = expected.get(id_, 0) + weight / (constant + rank)
    retrievers = [words("sun sea"), {"knn": NEAR}]
    if weights != (1, 1):
        retrievers = [{"retriever": each, "weight": weight} for each, weight in zip(retrievers, weights, strict=True)]
    rrf = {"retrievers": retrievers, "rank_constant": constant, "rank_window_size": window}
    scores = found(filled, retriever={"rrf": rrf})
    best = sorted(expected, key=lambda id_: -expected[id_])[:10]
    assert list(scores.values()) == pytest.approx([expected[id_] for id_ in best])
    assert scores == pytest.approx({id_: expected[id_] for id_ in scores})


def test_fused_rankings_count_all_that_their_parts_match(filled):
    es, index = filled
    rrf = {"retrievers": [words("sun sea"), {"knn": NEAR}], "rank_window_size": 10}
    aggs = {"odd": {"terms": {"field": "odd"}}}
    answer = es.search(index=index, retriever={"rrf": rrf}, size=3, aggs=aggs)
    some = set(found(filled, query={"match": {"text": "sun sea"}}, size=COUNT)) | set(found(filled, knn=NEAR, size=10))
    assert len(some) > 10
    assert answer["hits"]["total"] == {"value": len(some), "relation": "eq"}
    counts = {bucket["key"]: bucket["doc_count"] for bucket in answer["aggregations"]["odd"]["buckets"]}
    assert counts == {odd: sum(int(id_) % 2 == odd for id_ in some) for odd in (0, 1)}
    only = es.search(index=index, retriever={"rrf": rrf}, post_filter={"term": {"odd": True}}, aggs=aggs)
    assert only["hits"]["total"]["value"] == counts[1]
    assert only["aggregations"] == answer["aggregations"]
    least = es.search(index=index, retriever={"rrf": rrf | {"min_score": 1e-9}}, aggs=aggs)
    assert least["hits"]["total"]["value"] == len(least["hits"]["hits"]) == 10


def test_fused_rankings_show_their_window_unless_a_size_is_said(filled):
    es, index = filled
    for window in (4, 17):
        rrf = {"retrievers": [words("sun moon star sea tree"), {"knn": NEAR}], "rank_window_size": window}
        assert len(es.search(index=index, retriever={"rrf": rrf})["hits"]["hits"]) == window


def test_meaning_counts_down_to_the_end_of_the_window(es, made):
    """A semantic query finds as many as are wanted of it: here the window, not the page."""
    made("windows")
    mappings = {"properties": {"text": {"type": "semantic_text", "inference_id": "windows"}}}
    es.indices.create(index="windows", mappings=mappings)
    documents = [{"_index": "windows", "_id": str(n), "text": f"number {n} of many"} for n in range(20)]
    helpers.bulk(es, documents, refresh=True)
    asked = [{"standard": {"query": {"semantic": {"field": "text", "query": text}}}} for text in ("one", "two")]
    rrf = {"rrf": {"retrievers": asked, "rank_window_size": 20}}
    whole = found((es, "windows"), size=20, retriever=rrf)
    assert len(whole) == 20
    assert found((es, "windows"), size=3, retriever=rrf) == dict(list(whole.items())[:3])
    es.indices.delete(index="windows")


def test_filters_of_rrf_hold_for_all_its_retrievers(filled):
    rrf = {"retrievers": [words("sun moon star"), {"knn": NEAR}], "rank_window_size": 20}
    scores = found(filled, retriever={"rrf": rrf | {"filter": {"term": {"odd": False}}}}, size=20)
    assert len(scores) >= 12
    assert not any(int(id_) % 2 for id_ in scores)


@pytest.mark.parametrize("normalizer", ["none", "minmax", "l2_norm"])
def test_linear_adds_weighted_scores(filled, normalizer):
    parts = [found(filled, query={"match": {"text": "star"}}, size=20), found(filled, knn=NEAR, size=20)]
    expected = {}
    for part, weight in zip(parts, (0.3, 2), strict=True):
        for id_, score in zip(part, normalized(np.array(list(part.values())), normalizer), strict=True):
            expected[id_] = expected.get(id_, 0) + weight * score
    linear = {
        "retrievers": [
            {"retriever": words("star"), "weight": 0.3, "normalizer": normalizer},
            {"retriever": {"knn": NEAR}, "weight": 2, "normalizer": normalizer},
        ],
        "rank_window_size": 20,
    }
    scores = found(filled, retriever={"linear": linear}, size=20)
    best = sorted(expected.values(), reverse=True)[:20]
    assert list(scores.values()) == pytest.approx(best, rel=1e-4)
    assert scores == pytest.approx({id_: expected[id_] for id_ in scores}, rel=1e-4)


def test_retrievers_nest(filled):
    inner = {"rrf": {"retrievers": [words("sun"), words("moon")], "rank_window_size": 20}}
    linear = {"retrievers": [{"retriever": inner, "weight": 10}, {"retriever": {"knn": NEAR}}], "rank_window_size": 20}
    scores = found(filled, retriever={"linear": linear})
    near, rrf = found(filled, knn=NEAR, size=20), found(filled, retriever=inner, size=20)
    assert scores == pytest.approx({i: 10 * rrf.get(i, 0) + near.get(i, 0) for i in scores}, rel=1e-4)


SCORES = st.lists(st.floats(-100, 100), min_size=1, max_size=20).map(np.array)


@given(SCORES)
def test_normalizers_keep_the_order(scores):
    for how in ("none", "minmax", "l2_norm"):
        after = normalized(scores, how)
        order = np.argsort(scores, kind="stable")
        assert (np.diff(after[order]) >= -1e-9).all()
    assert (normalized(scores, "minmax") <= 1).all()
    assert (normalized(scores, "minmax") >= 0).all()
    assert np.linalg.norm(normalized(scores, "l2_norm")) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"retriever": {"text_similarity_reranker": {}}}, "[text_similarity_reranker] retriever is not supported"),
        ({"retriever": {"oops": {}}}, "unknown retriever [oops]"),
        ({"retriever": words("x"), "query": {"match_all": {}}}, "cannot specify [retriever] and [query]"),
        ({"retriever": {"rrf": {"retrievers": [words("x")]}}}, "at least two"),
        ({"retriever": {"rrf": {"retrievers": [words("x"), words("y")], "rank_constant": 0}}}, "[rank_constant]"),
        ({"retriever": {"rrf": {"retrievers": [words("x"), words("y")], "rank_window_size": 5}},
          "size": 10},
         "[rank_window_size: 5] must be greater than or equal to [size: 10]"),
        ({"retriever": {"rrf": {"retrievers": [words("x"), words("y")], "k": 5}}}, "[rrf] unknown field [k]"),
        ({"retriever": {"linear": {"retrievers": [{"retriever": words("x"), "normalizer": "z"}]}}}, "normalizer [z]"),
        ({"retriever": {"knn": {"field": "v", "query_vector": [1, 0, 0, 0]}}}, "[k]"),
    ],
)  # fmt: skip
def test_mistakes_are_named(filled, body, reason):
    es, index = filled
    with pytest.raises(BadRequestError) as caught:
        es.search(index=index, body=body)
    assert reason in caught.value.body["error"]["reason"]
