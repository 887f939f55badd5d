"""Searches that cannot be: each is named, and none is the server's fault."""

from collections import Counter
from random import Random

import httpx
import pytest
from elasticsearch import BadRequestError, NotFoundError


@pytest.mark.parametrize(
    ("body", "type_", "reason"),
    [
        ({"from": 9_990, "size": 11}, "illegal_argument_exception",
         "from + size must be less than or equal to: [10000]"),
        ({"size": -1}, "illegal_argument_exception", "[size] parameter cannot be negative"),
        ({"queri": {}}, "x_content_parse_exception", "[queri]"),
        ({"aggs": {"a": {"histogram": {"field": "moons"}}}}, "illegal_argument_exception",
         "the [histogram] aggregation is not supported"),
        ({"aggs": {"a": {"terms": {"field": "text"}}}}, "illegal_argument_exception",
         "Fielddata is disabled on [text]"),
        ({"collapse": {"field": "kind"}}, "illegal_argument_exception", "[collapse] in a search is not supported"),
        ({"sort": "nowhere"}, "query_shard_exception", "No mapping found for [nowhere] in order to sort on"),
        ({"sort": "text"}, "illegal_argument_exception", "Fielddata is disabled on [text]"),
        ({"sort": "moons", "search_after": [1, 2]}, "illegal_argument_exception", "search_after has 2 value(s)"),
        ({"sort": "moons", "search_after": ["many"]}, "illegal_argument_exception", "[search_after]"),
        ({"knn": {"field": "vector", "query_vector": [1, 2]}}, "illegal_argument_exception",
         "the query vector has a different dimension [2] than the index vectors [3]"),
        ({"knn": {"field": "vector", "query_vector_builder": {"text_embedding": {"model_text": "x"}}}},
         "illegal_argument_exception", "[model_id] must not be null"),
        ({"highlight": {"fields": {"text": {"type": "best"}}}}, "illegal_argument_exception",
         "unknown highlighter type"),
    ],
)  # fmt: skip
def test_mistakes_are_named(planets, body, type_, reason):
    with pytest.raises(BadRequestError) as caught:
        planets.search(index="planets", body=body)
    assert caught.value.body["error"]["type"] == type_
    assert reason in caught.value.body["error"]["reason"]


BODIES = [
    {"query": {"match": {"text": {"query": "red", "operator": "and", "minimum_should_match": "2<3"}}}, "size": 3},
    {"query": {"bool": {"must": [{"term": {"kind": "gas"}}], "should": [{"range": {"moons": {"gte": 1, "lt": "5"}}}],
                        "filter": {"exists": {"field": "orbit"}}, "minimum_should_match": 1}},
     "aggs": {"a": {"terms": {"field": "kind", "order": {"_key": "asc"}}, "aggs": {"b": {"max": {"field": "moons"}}}}}},
    {"query": {"multi_match": {"query": "red", "fields": ["text^2", "k*"], "type": "best_fields", "tie_breaker": 0.3}}},
    {"query": {"range": {"orbit.seen": {"gte": "now-1d/d", "lte": "2024-01||+1M", "time_zone": "+01:00"}}},
     "sort": [{"orbit.seen": {"order": "desc", "missing": "_last", "format": "yyyy"}}, "_score", "_doc"],
     "search_after": [1, 2, 3]},
    {"query": {"wildcard": {"kind": {"value": "*a?"}}}, "post_filter": {"prefix": {"kind": "g"}}, "min_score": 0.1},
    {"query": {"semantic": {"field": "meaning", "query": "red"}}, "_source": {"includes": ["a*"], "excludes": "b"},
     "fields": ["moons", {"field": "o*", "format": "x"}], "from": 1,
     "highlight": {"fields": {"text": {"type": "plain"}, "*": {}}, "pre_tags": ["<"], "number_of_fragments": 0}},
    {"knn": [{"field": "vector", "query_vector": [1, 2, 3], "k": 3, "num_candidates": 10, "similarity": 0.1,
              "filter": [{"term": {"kind": "gas"}}], "boost": 2}]},
    {"retriever": {"rrf": {"retrievers": [{"standard": {"query": {"match_all": {}}, "filter": {"term": {"moons": 3}}}},
                                          {"knn": {"field": "vector", "query_vector": [1, 2, 3], "k": 3}}],
                           "rank_constant": 5, "rank_window_size": 20}}},
    {"retriever": {"linear": {"retrievers": [{"retriever": {"standard": {"query": {"dis_max": {"queries": [
        {"match_phrase": {"text": "red planet"}}]}}}}, "weight": 2, "normalizer": "minmax"}]}}},
]  # fmt: skip


JUNK = [
    None, True, False, 0, -1, 1.5, 1e300, 10**30, "", "x", "now", "*", "[", "2024-99", [], {}, [1], [None], [[1]],
    {"a": 1}, {"a": {"b": []}}, {"query": None}, "\0", 2**63, -(2**63) - 1,
]  # fmt: skip


def spoiled(value, random):
    """A value of which some parts are others."""
    if random.random() < 0.1:
        return random.choice(JUNK)
    if isinstance(value, dict):
        names = ["field", "query", "boost", "x", "moons", "text", "vector", "meaning"]
        return {
            random.choice(names) if random.random() < 0.04 else name: spoiled(inner, random)
            for name, inner in value.items()
            if random.random() > 0.04
        }
    return [spoiled(inner, random) for inner in value] if isinstance(value, list) else value


def test_no_body_is_more_than_a_mistake(planets, server):
    answered = Counter()
    with httpx.Client(base_url=f"{server.url}/es") as client:
        for seed in range(400):
            random = Random(seed)
            body = spoiled(random.choice(BODIES), random)
            found = client.post("/planets/_search", json=body)
            answered[found.status_code] += 1
            assert found.status_code in {200, 400, 404}, (body, found.text)
            if found.status_code != 200:
                assert found.json()["error"]["reason"], body
    assert answered[200] > 20
    assert answered[400] > 100


def test_unknown_options_and_indices_are_named(planets):
    with pytest.raises(BadRequestError, match="illegal_argument_exception"):
        planets.perform_request("GET", "/planets/_search", params={"siz": "1"})
    with pytest.raises(NotFoundError, match="index_not_found_exception"):
        planets.search(index="nowhere")
    with pytest.raises(NotFoundError):
        planets.search(index="planets", query={"knn": {"field": "vector", "k": 1, "query_vector_builder": {
            "text_embedding": {"model_id": "nobody", "model_text": "x"}}}})  # fmt: skip
    assert planets.search(index="nowhere*")["hits"]["total"]["value"] == 0
    with pytest.raises(BadRequestError) as caught:
        planets.search(index="planets", q="kind:gas")
    assert "[q]" in caught.value.body["error"]["reason"]
    with pytest.raises(BadRequestError) as caught:
        planets.open_point_in_time(index="planets", keep_alive="1m")
    assert "point in time" in caught.value.body["error"]["reason"]


@pytest.mark.parametrize(
    "body",
    [
        '{"size": %s}', '{"query": {"term": {"n": %s}}}', '{"query": {"range": {"n": {"gt": %s}}}}',
        '{"query": {"match_all": {"boost": %s}}}', '{"query": {"match_all": {"boost": 1e300}}, "min_score": 1}',
        '{"knn": {"field": "v", "query_vector": [%s], "k": 1, "num_candidates": 1}}',
        '{"retriever": {"rrf": {"retrievers": [{"standard": {}}, {"standard": {}}], "rank_constant": 1e30}}}',
        '{"retriever": {"linear": {"retrievers": [{"retriever": {"standard": {}}, "weight": 1e300}]}}}',
    ],
)  # fmt: skip
def test_numbers_that_no_float_has_are_refused(client, server, body):
    client.index(index="large", id="1", document={"n": 1})
    found = httpx.post(f"{server.url}/es/large/_search", content=body.replace("%s", "9" * 400))
    assert found.status_code == 400


def test_a_similarity_may_be_of_any_size(client):
    mappings = {"properties": {"v": {"type": "dense_vector", "dims": 2, "similarity": "l2_norm"}}}
    client.indices.create(index="far", mappings=mappings)
    client.index(index="far", id="1", document={"v": [1, 2]}, refresh=True)
    near = {"field": "v", "query_vector": [1, 1], "k": 1, "num_candidates": 1, "similarity": 1e300}
    assert client.search(index="far", knn=near)["hits"]["total"]["value"] == 1


def test_a_scroll_id_is_a_text(http):
    for given in (5, {"a": 1}, [], None):
        answer = http.request("DELETE", "/_search/scroll", json={"scroll_id": given})
        assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "no scroll ids specified")


def test_durations_may_be_as_long_as_they_like(client, server):
    client.index(index="large", id="1", document={"n": 1})
    assert httpx.get(f"{server.url}/es/large/_search?scroll={'9' * 400}s").status_code == 400


def test_a_field_of_two_types_cannot_be_sorted_by(client):
    client.index(index="typed-a", document={"s": 1})
    client.indices.create(index="typed-b", mappings={"properties": {"s": {"type": "keyword"}}})
    client.index(index="typed-b", document={"s": "one"})
    with pytest.raises(BadRequestError, match="different types"):
        client.search(index="typed-a,typed-b", sort=["s"])


def test_names_of_indices_are_texts(client, server):
    for path, body in (
        ("_reindex", '{"source": {"index": [0]}, "dest": {"index": "x"}}'),
        ("_msearch", '{"index":[0]}\n{}\n'),
    ):
        answer = httpx.post(f"{server.url}/es/{path}", content=body, headers={"content-type": "application/json"})
        assert "must be the name of an index" in answer.text
