"""Searches by Elasticsearch's own client: pages, orders, parts of documents, scrolls, several indices."""

from collections import Counter
from random import Random

import httpx
import numpy as np
import pytest
from elasticsearch import BadRequestError, NotFoundError, helpers

PLANETS = {
    "mercury": ("Mercury is the smallest planet and the nearest to the sun.", "rock", 0, 0.39),
    "venus": ("Venus has a thick atmosphere and is the hottest planet.", "rock", 0, 0.72),
    "earth": ("Earth is the only planet known to have life.", "rock", 1, 1.0),
    "mars": ("Mars is called the red planet; its soil has iron oxide.", "rock", 2, 1.52),
    "jupiter": ("Jupiter is the largest planet, a giant of gas with a red spot.", "gas", 97, 5.2),
    "saturn": ("Saturn is famous for its rings of ice.", "gas", 274, 9.54),
    "uranus": ("Uranus rolls around the sun on its side.", "ice", 28, 19.2),
    "neptune": ("Neptune has the strongest winds.", "ice", 16, 30.1),
}
PROPERTIES = {
    "text": {"type": "text"},
    "meaning": {"type": "semantic_text", "inference_id": "e5"},
    "kind": {"type": "keyword"},
    "moons": {"type": "integer"},
    "orbit": {"properties": {"radius": {"type": "float"}, "seen": {"type": "date"}}},
    "vector": {"type": "dense_vector", "dims": 3, "similarity": "cosine"},
}


def planet(name):
    text, kind, moons, radius = PLANETS[name]
    vector = [1.0, radius / 10, moons / 100]
    orbit = {"radius": radius, "seen": "2024-01-01"} if kind == "rock" else {"radius": radius}
    return {"text": text, "meaning": text, "kind": kind, "moons": moons, "orbit": orbit, "vector": vector}


@pytest.fixture(scope="module")
def planets(es):
    es.indices.create(index="planets", mappings={"properties": PROPERTIES})
    documents = [{"_index": "planets", "_id": name, "_source": planet(name)} for name in PLANETS]
    helpers.bulk(es, documents, refresh=True)
    es.indices.create(index="dwarfs", mappings={"properties": {name: PROPERTIES[name] for name in ("text", "moons")}})
    es.index(index="dwarfs", id="pluto", document={"text": "Pluto is a dwarf planet.", "moons": 5}, refresh=True)
    return es


def names(found):
    return [hit["_id"] for hit in found["hits"]["hits"]]


def test_answers_have_elasticsearchs_shape(planets):
    found = planets.search(index="planets", query={"match": {"text": "rings"}})
    assert {name: found[name] for name in ("timed_out", "_shards")} == {
        "timed_out": False,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
    }
    (hit,) = found["hits"]["hits"]
    assert found["hits"]["total"] == {"value": 1, "relation": "eq"}
    assert found["hits"]["max_score"] == hit["_score"] > 0
    assert set(hit) == {"_index", "_id", "_score", "_source"}
    assert hit["_source"] == {key: value for key, value in planet("saturn").items() if key != "vector"}


def test_meaning_is_found_by_every_query_that_asks_for_it(planets):
    question = "Which celestial body has rings made of ice?"
    queries = [
        {"semantic": {"field": "meaning", "query": question}},
        {"match": {"meaning": question}},
        {"match": {"meaning": {"query": question}}},
        {"knn": {"field": "meaning", "k": 10, "num_candidates": 50,
                 "query_vector_builder": {"text_embedding": {"model_text": question}}}},
    ]  # fmt: skip
    answers = [planets.search(index="planets", query=query) for query in queries]
    scores = [{hit["_id"]: hit["_score"] for hit in found["hits"]["hits"]} for found in answers]
    assert names(answers[0])[0] == "saturn"
    for each in scores:
        assert each == pytest.approx(scores[0])
    vector = planets.inference.text_embedding(inference_id="e5", input=question, input_type="search")
    query = np.array(vector["text_embedding"][0]["embedding"])
    body = {"field": "meaning", "query_vector": query.tolist(), "k": 3, "num_candidates": 8}
    found = planets.search(index="planets", knn=body)
    assert names(found) == names(answers[0])[:3]
    passage = planets.inference.text_embedding(inference_id="e5", input=PLANETS["saturn"][0], input_type="ingest")
    cosine = float(query @ np.array(passage["text_embedding"][0]["embedding"]))
    assert scores[0]["saturn"] == pytest.approx((1 + cosine) / 2, abs=2e-3)
    builder = {"text_embedding": {"model_id": "e5", "model_text": question}}
    found = planets.search(index="planets", knn={"field": "meaning", "query_vector_builder": builder, "k": 3})
    assert names(found) == names(answers[0])[:3]


def test_knn_sections_add_to_the_query(planets):
    near = {"field": "vector", "query_vector": [1, 0.954, 2.74], "k": 2, "num_candidates": 10}
    alone = planets.search(index="planets", knn=near)
    assert names(alone) == ["saturn", "jupiter"]
    assert alone["hits"]["hits"][0]["_score"] == pytest.approx(1.0, abs=1e-4)
    filtered = planets.search(index="planets", knn=near | {"filter": {"term": {"kind": "rock"}}})
    assert names(filtered) == ["mars", "earth"]
    words = planets.search(index="planets", query={"match": {"text": "rings"}})
    both = planets.search(index="planets", query={"match": {"text": "rings"}}, knn=[near, near | {"boost": 2}])
    assert names(both) == ["saturn", "jupiter"]
    expected = words["hits"]["max_score"] + 3 * alone["hits"]["hits"][0]["_score"]
    assert both["hits"]["hits"][0]["_score"] == pytest.approx(expected)


def test_filters_take_nothing_away_from_meaning(planets):
    query = {"bool": {"must": {"match": {"meaning": "rings of ice"}}, "filter": {"term": {"kind": "rock"}}}}
    assert set(names(planets.search(index="planets", query=query, size=4))) == {"mercury", "venus", "earth", "mars"}


def test_pages_and_orders(planets):
    by_moons = ["saturn", "jupiter", "uranus", "neptune", "mars", "earth", "mercury", "venus"]
    sort = [{"moons": {"order": "desc"}}, {"orbit.radius": "asc"}]
    found = planets.search(index="planets", sort=sort, from_=2, size=3)
    assert names(found) == by_moons[2:5]
    assert found["hits"]["hits"][0]["sort"] == [28, pytest.approx(19.2)]
    assert found["hits"]["max_score"] is None
    assert found["hits"]["hits"][0]["_score"] is None
    after, seen = None, []
    while True:
        page = planets.search(index="planets", sort=sort, size=3, **({"search_after": after} if after else {}))
        if not page["hits"]["hits"]:
            break
        after, seen = page["hits"]["hits"][-1]["sort"], seen + names(page)
    assert seen == by_moons
    missing = planets.search(index="planets", sort=[{"orbit.seen": {"order": "asc", "missing": "_first"}}, "_doc"])
    assert names(missing)[:4] == ["jupiter", "saturn", "uranus", "neptune"]
    dated = planets.search(index="planets", sort={"orbit.seen": {"order": "desc", "format": "yyyy/MM/dd"}}, size=1)
    assert dated["hits"]["hits"][0]["sort"] == ["2024/01/01"]
    both = planets.search(index="planets", query={"match": {"text": "red"}}, sort=["_score", {"moons": "asc"}])
    assert both["hits"]["hits"][0]["sort"][0] == both["hits"]["hits"][0]["_score"] == both["hits"]["max_score"]
    least = both["hits"]["max_score"] * 0.99
    assert names(planets.search(index="planets", query={"match": {"text": "red"}}, min_score=least)) == names(both)[:1]
    shown = planets.search(index="planets", post_filter={"term": {"kind": "ice"}}, query={"match": {"text": "sun"}})
    assert names(shown) == ["uranus"]


def test_what_hits_show(planets):
    def one(**options):
        query = {"ids": {"values": ["mars"]}}
        (hit,) = planets.search(index="planets", query=query, **options)["hits"]["hits"]
        return hit

    assert "_source" not in one(source=False)
    assert one(source=["orbit.*"])["_source"] == {"orbit": {"radius": 1.52, "seen": "2024-01-01"}}
    assert set(one(source={"excludes": ["text", "orbit"]})["_source"]) == {"meaning", "kind", "moons"}
    assert one(source_includes="kind,moons", source_excludes="moons")["_source"] == {"kind": "rock"}
    assert one(source_includes=["vector"])["_source"] == {"vector": planet("mars")["vector"]}
    whole = one(source={"exclude_vectors": False})["_source"]
    assert whole["vector"] == planet("mars")["vector"]
    inference = whole["_inference_fields"]["meaning"]["inference"]
    assert inference["inference_id"] == "e5"
    assert inference["model_settings"]["dimensions"] == len(inference["chunks"]["meaning"][0]["embeddings"])
    assert inference["chunks"]["meaning"][0]["end_offset"] == len(PLANETS["mars"][0])
    assert "_inference_fields" in one(fields=["_inference_fields"])["_source"]
    fields = one(source=False, fields=["kind", "orbit.*", "nothing", {"field": "meaning", "format": "chunks"}])
    assert fields["fields"] == {
        "kind": ["rock"],
        "orbit.radius": [1.52],
        "orbit.seen": ["2024-01-01T00:00:00.000Z"],
        "meaning": [PLANETS["mars"][0]],
    }
    assert one(docvalue_fields=[{"field": "orbit.seen", "format": "yyyy"}])["fields"] == {"orbit.seen": ["2024"]}
    numbered = one(version=True, seq_no_primary_term=True, stored_fields="_none_")
    assert (numbered["_version"], numbered["_primary_term"], "_source" in numbered) == (1, 1, False)
    assert numbered["_seq_no"] == list(PLANETS).index("mars")
    assert one(source=False).keys() == {"_index", "_id", "_score"}


def test_names_of_queries(planets):
    query = {"bool": {"should": [{"term": {"kind": {"value": "gas", "_name": "gas"}}},
                                 {"match": {"text": {"query": "red", "_name": "red"}}}]}}  # fmt: skip
    found = {hit["_id"]: hit["matched_queries"] for hit in planets.search(index="planets", query=query)["hits"]["hits"]}
    assert found == {"jupiter": ["gas", "red"], "saturn": ["gas"], "mars": ["red"]}


def test_several_indices(planets):
    found = planets.search(index="planets,dwarfs", query={"match": {"text": "planet"}}, size=20)
    assert found["_shards"]["total"] == 2
    assert {(hit["_index"], hit["_id"]) for hit in found["hits"]["hits"]} == {
        ("dwarfs", "pluto"), *(("planets", name) for name in ("mercury", "venus", "earth", "mars", "jupiter"))
    }  # fmt: skip
    scores = [hit["_score"] for hit in found["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
    sort, known = [{"moons": {"order": "desc", "unmapped_type": "long"}}], {"exists": {"field": "moons"}}
    assert names(planets.search(query=known, sort=sort, from_=3, size=2)) == ["neptune", "pluto"]
    # The nearest of all indices count, not those of each.
    planets.indices.create(index="others", mappings={"properties": {"vector": PROPERTIES["vector"]}})
    planets.index(index="others", id="far", document={"vector": [-1.0, 0.0, 0.0]}, refresh=True)
    near = {"field": "vector", "query_vector": [1, 0.954, 2.74], "k": 2}
    found = planets.search(index="planets,others", knn=near)
    planets.indices.delete(index="others")
    assert names(found) == ["saturn", "jupiter"]


def test_totals(planets):
    every = {"index": "planets", "size": 0}
    assert planets.search(**every)["hits"] == {"total": {"value": 8, "relation": "eq"}, "max_score": 1.0, "hits": []}
    assert planets.search(**every, track_total_hits=3)["hits"]["total"] == {"value": 3, "relation": "gte"}
    assert "total" not in planets.search(**every, track_total_hits=False)["hits"]
    assert planets.search(**every, rest_total_hits_as_int=True)["hits"]["total"] == 8


def test_counts(planets, server):
    assert planets.count(index="planets")["count"] == 8
    assert planets.count(index="planets,dwarfs", query={"match": {"text": "planet"}})["count"] == 6
    assert planets.count(index="planets", query={"term": {"kind": "gas"}})["_shards"]["total"] == 1
    with pytest.raises(BadRequestError, match="parsing_exception"):
        planets.count(index="planets", query={"oops": {}})


def test_texts_are_embedded_once_by_each_endpoint(planets, server):
    """Two fields of one endpoint and one of another, in two indices: two requests to the models."""
    settings = {"model_id": "bundled", "num_allocations": 1, "num_threads": 1}
    config = {"service": "elasticsearch", "service_settings": settings}
    planets.inference.put(task_type="text_embedding", inference_id="second", inference_config=config)
    fields = {name: {"type": "semantic_text", "inference_id": "e5"} for name in ("a", "b")}
    planets.indices.create(index="twice", mappings={"properties": fields})
    other = {"c": {"type": "semantic_text", "inference_id": "e5", "search_inference_id": "second"}}
    planets.indices.create(index="other", mappings={"properties": fields | other})
    documents = [{"_index": index, "_id": "1", "a": "rain", "b": "snow", "c": "hail"} for index in ("twice", "other")]
    helpers.bulk(planets, documents[1:], refresh=True)
    helpers.bulk(planets, [{k: v for k, v in documents[0].items() if k != "c"}], refresh=True)

    def requests():
        lines = httpx.get(f"{server.url}/metrics").text.splitlines()
        return {
            name: sum(float(line.rpartition(" ")[2]) for line in lines
                      if line.startswith("efive_requests_total{") and f'"{name}"' in line)
            for name in ("e5", "second")
        }  # fmt: skip

    before = requests()
    parts = [{"match": {field: "weather"}} for field in "abc"]
    found = planets.search(index="twice,other", query={"bool": {"should": [*parts, parts[0]]}})
    after = requests()
    planets.indices.delete(index="twice,other")
    assert {hit["_index"] for hit in found["hits"]["hits"]} == {"twice", "other"}
    assert {name: after[name] - before[name] for name in after} == {"e5": 1, "second": 1}


def test_aggregations(planets):
    inner = {"largest": {"max": {"field": "moons"}}, "radius": {"stats": {"field": "orbit.radius"}}}
    aggs = {
        "kinds": {"terms": {"field": "kind", "size": 2}, "aggs": inner},
        "by_name": {"terms": {"field": "kind", "order": {"_key": "asc"}}},
        "first": {"min": {"field": "orbit.seen"}},
        "moons": {"avg": {"field": "moons"}},
        "known": {"cardinality": {"field": "moons"}},
        "seen": {"value_count": {"field": "orbit.seen"}},
        "nothing": {"sum": {"field": "nowhere"}},
    }
    found = planets.search(index="planets", size=0, aggs=aggs, post_filter={"ids": {"values": []}})["aggregations"]
    rock, second = found["kinds"]["buckets"]
    assert (rock["key"], rock["doc_count"], rock["largest"]) == ("rock", 4, {"value": 2})
    assert rock["radius"]["count"] == 4
    assert rock["radius"]["sum"] == pytest.approx(0.39 + 0.72 + 1 + 1.52)
    assert second["doc_count"] == found["kinds"]["sum_other_doc_count"] == 2
    assert [bucket["key"] for bucket in found["by_name"]["buckets"]] == ["gas", "ice", "rock"]
    assert found["first"]["value_as_string"] == "2024-01-01T00:00:00.000Z"
    assert found["moons"] == {"value": 418 / 8}
    assert (found["known"], found["seen"], found["nothing"]) == ({"value": 7}, {"value": 4}, {"value": 0.0})
    near = {"field": "vector", "query_vector": [1, 0.954, 2.74], "k": 2}
    found = planets.search(index="planets", size=0, knn=near, aggs={"kinds": {"terms": {"field": "kind"}}})
    assert found["aggregations"]["kinds"]["buckets"] == [{"key": "gas", "doc_count": 2}]


def test_scrolls_go_through_everything(planets):
    found = list(helpers.scan(planets, index="planets", size=3, query={"query": {"match_all": {}}}))
    assert [hit["_id"] for hit in found] == list(PLANETS)
    assert found[0]["_source"]["kind"] == "rock"
    first = planets.search(index="planets", scroll="1m", size=5, query={"match": {"text": "planet"}})
    planets.index(index="planets", id="new", document={"text": "a new planet"}, refresh=True)
    later = planets.scroll(scroll_id=first["_scroll_id"], scroll="1m")
    planets.delete(index="planets", id="new", refresh=True)
    assert len(names(first)) == 5
    assert names(later) == []
    assert planets.clear_scroll(scroll_id=first["_scroll_id"])["num_freed"] == 1
    with pytest.raises(NotFoundError, match="search_context_missing_exception"):
        planets.scroll(scroll_id=first["_scroll_id"])


def test_several_searches_at_once(planets):
    searches = [
        {"index": "planets"}, {"query": {"term": {"kind": "gas"}}, "sort": "moons"},
        {}, {"query": {"oops": {}}},
        {"index": "nowhere"}, {},
    ]  # fmt: skip
    first, second, third = planets.msearch(index="dwarfs", searches=searches)["responses"]
    assert names(first) == ["jupiter", "saturn"]
    assert first["status"] == 200
    assert second["error"]["reason"] == "unknown query [oops]"
    assert third["status"] == 404
    assert third["error"]["type"] == "index_not_found_exception"


def test_validate(planets):
    assert planets.indices.validate_query(index="planets", query={"match_all": {}})["valid"]
    found = planets.indices.validate_query(index="planets", query={"oops": {}}, explain=True)
    assert not found["valid"]
    assert "oops" in found["error"]


def test_curl_may_get(planets, server):
    url = f"{server.url}/es/planets/_search"
    found = httpx.request("GET", url, params={"size": 1, "sort": "moons:desc", "_source": "kind", "pretty": ""})
    assert found.json()["hits"]["hits"][0]["_source"] == {"kind": "gas"}
    body = {"query": {"ids": {"values": ["mars"]}}}
    assert httpx.request("GET", url, json=body).json()["hits"]["total"]["value"] == 1


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


class Embedding:
    """An embedding service of the vector store's, on the server's own endpoint."""

    def __init__(self, es):
        self._es = es

    def embed_documents(self, texts):
        found = self._es.inference.text_embedding(inference_id="e5", input=texts, input_type="ingest")
        return [each["embedding"] for each in found["text_embedding"]]

    def embed_query(self, text):
        found = self._es.inference.text_embedding(inference_id="e5", input=text, input_type="search")
        return found["text_embedding"][0]["embedding"]


@pytest.mark.parametrize("kind", ["vectors", "hybrid", "deployed"])
def test_the_clients_vector_store(planets, kind):
    """What LangChain's own store is built on."""
    from elasticsearch.helpers.vectorstore import DenseVectorStrategy, VectorStore

    strategy = DenseVectorStrategy(hybrid=kind == "hybrid", model_id="e5" if kind == "deployed" else None)
    service = None if kind == "deployed" else Embedding(planets)
    size = len(Embedding(planets).embed_query("x"))
    store = VectorStore(
        planets, index=f"store-{kind}", retrieval_strategy=strategy, embedding_service=service, num_dimensions=size
    )
    texts = [text for text, *_ in PLANETS.values()]
    metadatas = [{"kind": kind} for _, kind, *_ in PLANETS.values()]
    vectors = Embedding(planets).embed_documents(texts)
    ids = store.add_texts(texts, metadatas=metadatas, vectors=vectors, ids=list(PLANETS))
    assert ids == list(PLANETS)
    found = store.search(query="planet with rings of ice", k=3, num_candidates=8)
    assert found[0]["_id"] == "saturn"
    assert found[0]["_source"] == {"metadata": {"kind": "gas"}, "text_field": PLANETS["saturn"][0]}
    only = store.search(query="rings of ice", k=3, filter=[{"term": {"metadata.kind.keyword": "rock"}}])
    assert len(only) == 3
    assert all(hit["_source"]["metadata"]["kind"] == "rock" for hit in only)
    # What its max_marginal_relevance_search asks for: the vectors too.
    (first, *_) = store.search(query="rings of ice", k=3, fields=["vector_field"])
    assert first["_source"]["vector_field"] == pytest.approx(vectors[list(PLANETS).index("saturn")], abs=1e-6)


def test_the_clients_vector_store_of_words(planets):
    from elasticsearch.helpers.vectorstore import BM25Strategy, VectorStore

    store = VectorStore(planets, index="store-words", retrieval_strategy=BM25Strategy())
    store.add_texts([text for text, *_ in PLANETS.values()], ids=list(PLANETS))
    assert store.search(query="rings of ice", k=1)[0]["_id"] == "saturn"
    with pytest.raises(BadRequestError, match=r"other than BM25 with k1 1\.2 and b 0\.75"):
        VectorStore(planets, index="store-others", retrieval_strategy=BM25Strategy(k1=2.0)).add_texts(["a"])


@pytest.mark.parametrize(
    "body",
    [
        '{"size": %s}', '{"query": {"term": {"n": %s}}}', '{"query": {"range": {"n": {"gt": %s}}}}',
        '{"query": {"match_all": {"boost": %s}}}', '{"query": {"match_all": {"boost": 1e300}}, "min_score": 1}',
        '{"knn": {"field": "v", "query_vector": [%s], "k": 1, "num_candidates": 1}}',
        '{"retriever": {"rrf": {"retrievers": [{"standard": {}}, {"standard": {}}], "rank_constant": 1e30}}}',
    ],
)  # fmt: skip
def test_numbers_that_no_float_has_are_refused(client, server, body):
    client.index(index="large", id="1", document={"n": 1})
    found = httpx.post(f"{server.url}/es/large/_search", content=body.replace("%s", "9" * 400))
    assert found.status_code == 400


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
