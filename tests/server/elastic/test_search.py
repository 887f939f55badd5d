"""Searches by Elasticsearch's own client: pages, orders, parts of documents, scrolls, several indices."""

import httpx
import numpy as np
import pytest
from elastic_planets import PLANETS, PROPERTIES, planet
from elasticsearch import BadRequestError, NotFoundError, helpers


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


def test_scores_are_written_with_the_digits_that_they_have(planets):
    """As Elasticsearch writes its floats of 32 bits: 0.2, not 0.20000000298023224."""
    near = {"field": "vector", "query_vector": [1, 0.954, 2.74], "k": 8, "num_candidates": 10}
    found = planets.search(index="planets", knn=near)["hits"]
    for score in [found["max_score"], *(hit["_score"] for hit in found["hits"])]:
        assert score == float(str(np.float32(score)))


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
    assert both["hits"]["hits"][0]["sort"][0] == both["hits"]["hits"][0]["_score"]
    assert both["hits"]["max_score"] is None  # as where any field is sorted by, unless scores are tracked
    paged, after = [], {}
    while found := planets.search(index="planets", query={"match": {"text": "planet"}}, size=1,
                                  sort=["_score", {"moons": "asc"}], **after)["hits"]["hits"]:  # fmt: skip
        paged, after = [*paged, found[0]["_id"]], {"search_after": found[0]["sort"]}
    assert paged == names(planets.search(index="planets", query={"match": {"text": "planet"}}, size=10,
                                         sort=["_score", {"moons": "asc"}]))  # fmt: skip
    least = both["hits"]["hits"][0]["_score"] * 0.99
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
    assert planets.search(**every)["hits"] == {"total": {"value": 8, "relation": "eq"}, "max_score": None, "hits": []}
    assert planets.search(**every, track_total_hits=3)["hits"]["total"] == {"value": 3, "relation": "gte"}
    assert "total" not in planets.search(**every, track_total_hits=False)["hits"]
    assert "total" not in planets.search(**every, track_total_hits=-1)["hits"]
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


def test_large_numbers_keep_their_digits(client):
    large = 2**53 + 1
    client.index(index="digits", id="a", document={"n": large}, refresh=True)
    for given in (large, str(large)):
        (hit,) = client.search(index="digits", query={"term": {"n": given}}, fields=["n"], sort="n")["hits"]["hits"]
        assert hit["fields"]["n"] == hit["sort"] == [large]
        assert not client.search(index="digits", query={"range": {"n": {"gt": given}}})["hits"]["hits"]


def test_malformed_values_that_an_index_ignores_are_not_shown_as_fields(client):
    ignoring = {"ignore_malformed": True}
    properties = {"n": {"type": "long"} | ignoring, "d": {"type": "date"} | ignoring}
    client.indices.create(index="ignoring", mappings={"properties": properties})
    client.index(index="ignoring", id="a", document={"n": ["many", 1], "d": ["soon", "2024-01-01"]}, refresh=True)
    (hit,) = client.search(index="ignoring", fields=["n", "d"])["hits"]["hits"]
    assert hit["fields"] == {"n": [1], "d": ["2024-01-01T00:00:00.000Z"]}


def test_numbers_mean_dates_as_the_field_writes_them(client):
    properties = {"seconds": {"type": "date", "format": "epoch_second"}, "day": {"type": "date"}}
    client.indices.create(index="numbered", mappings={"properties": properties})
    client.index(index="numbered", id="a", document={"seconds": 1_700_000_000, "day": 1_700_000_000_000}, refresh=True)

    def count(field, **bounds):
        return client.count(index="numbered", query={"range": {field: bounds}})["count"]

    assert count("seconds", gte=1_700_000_000, lte=1_700_000_000) == 1
    assert count("seconds", gt=1_700_000_000) == 0
    assert count("day", gte=1_700_000_000_000, lte=1_700_000_000_000) == 1
    assert count("day", lt=2024) == 1


def test_scrolls_go_through_everything(planets):
    found = list(helpers.scan(planets, index="planets", size=3, query={"query": {"match_all": {}}}))
    assert [hit["_id"] for hit in found] == list(PLANETS)
    assert found[0]["_source"]["kind"] == "rock"
    options = {"scroll": "1m", "size": 5, "track_total_hits": 2}
    first = planets.search(index="planets", query={"match": {"text": "planet"}}, **options)
    every = planets.count(index="planets", query={"match": {"text": "planet"}})["count"]
    assert first["hits"]["total"] == {"value": every, "relation": "eq"}
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
    heads = [{"index": "nowhere", "ignore_unavailable": shown} for shown in ("true", "false")]
    heads.append({"indices": ["dwarfs"], "ccs_minimize_roundtrips": True, "allow_partial_search_results": False})
    searches = [line for head in heads for line in (head, {})]
    assert [each["status"] for each in planets.msearch(searches=searches)["responses"]] == [200, 404, 200]


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
