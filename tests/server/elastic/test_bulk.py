"""Many writes in one request: each item's own outcome, semantic fields embedded together."""

import httpx
import numpy as np
import pytest
from elasticsearch import BadRequestError, NotFoundError, helpers

from efive.search.collection import Collection

JSON_LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
def embedded(server):
    """Return how many tokens the endpoint `e5` has read so far: those that were known do not count."""
    service = server.service

    def count():
        return sum(each.scheduler.tally.tokens for each in service.deployments if each.name == "e5")

    return count


def passages(server, collection):
    """Return how many passages a collection has."""
    return httpx.get(f"{server.url}/collections/{collection}").json()["passages"]


def semantic(client, index, **more):
    """Make an index with a semantic_text field `body`."""
    body = {"type": "semantic_text", "inference_id": "e5"}
    client.indices.create(index=index, mappings={"properties": {"body": body, **more}})


def test_all_four_actions_and_their_items(client):
    client.index(index="actions", id="old", document={"n": 1})
    items = client.bulk(
        operations=[
            {"index": {"_index": "actions", "_id": "1"}}, {"n": 1},
            {"create": {"_index": "actions", "_id": "old"}}, {"n": 2},
            {"update": {"_index": "actions", "_id": "old"}}, {"doc": {"m": 3}},
            {"delete": {"_index": "actions", "_id": "1"}},
            {"delete": {"_index": "actions", "_id": "missing"}},
            {"index": {"_index": "actions", "_id": "1"}}, {"n": "no number"},
            {"update": {"_index": "actions", "_id": "missing"}}, {"doc": {}},
            {"index": {"_index": "Upper"}}, {},
        ]
    )  # fmt: skip
    shown = [(kind, item["status"], item.get("result")) for each in items["items"] for kind, item in each.items()]
    assert shown == [
        ("index", 201, "created"),
        ("create", 409, None),
        ("update", 200, "updated"),
        ("delete", 200, "deleted"),
        ("delete", 404, "not_found"),
        ("index", 400, None),
        ("update", 404, None),
        ("index", 400, None),
    ]
    assert items["errors"] is True
    types = [item["error"]["type"] for each in items["items"] for item in each.values() if "error" in item]
    assert types == [
        "version_conflict_engine_exception",
        "document_parsing_exception",
        "document_missing_exception",
        "invalid_index_name_exception",
    ]
    assert "failed to parse field [n] of type [long]" in items["items"][5]["index"]["error"]["reason"]
    assert client.get(index="actions", id="old")["_source"] == {"n": 1, "m": 3}


def test_updates_show_as_much_of_the_document_as_is_asked_for(client):
    client.index(index="shown", id="a", document={"n": 1, "m": 2})
    lines = [
        {"update": {"_id": "a"}}, {"doc": {"n": 2}, "_source": ["n"]},
        {"update": {"_id": "a", "_source": False}}, {"doc": {"n": 3}},
        {"update": {"_id": "a"}}, {"doc": {"n": 4}, "_source": 5},
        {"update": {"_id": "a"}}, {"doc": {"m": 5}},
        {"index": {"_id": "b"}}, {"n": 1},
    ]  # fmt: skip
    items = [item for each in client.bulk(index="shown", operations=lines, source=True)["items"]
             for item in each.values()]  # fmt: skip
    assert [item.get("get", {}).get("_source") for item in items] == [{"n": 2}, None, None, {"n": 3, "m": 5}, None]
    assert [item["status"] for item in items] == [200, 200, 400, 200, 201]
    with pytest.raises(BadRequestError, match="illegal_argument_exception"):
        client.update(index="shown", id="a", body={"doc": {"n": 9}, "_source": 5})
    assert client.get(index="shown", id="a")["_source"] == {"n": 3, "m": 5}


def test_helpers_and_a_default_index(client):
    documents = [{"_id": str(number), "n": number} for number in range(50)]
    assert helpers.bulk(client, documents, index="helped", refresh="wait_for") == (50, [])
    assert client.count(index="helped")["count"] == 50


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"index":{}}\n{"n":1}', "must be terminated by a newline"),
        (b'{"index":{}}\n', "Malformed action/metadata line [1]"),
        (b'{"index":{}}\n{"n":1}\n{"put":{}}\n{}\n', "Malformed action/metadata line [3], expected field"),
        (b'{"index":{}}\n{"n":\n', "line [2] of the request"),
        (b'{"index":{"_idx":"a"}}\n{}\n', "line [1] contains an unknown parameter [_idx]"),
        (b'{"index":{}}\n[1]\n', "Malformed content on line [2], must start with an object"),
        (b"\n", "request body is required"),
    ],
)
def test_a_malformed_line_is_named_and_nothing_is_written(server, client, body, reason):
    client.options(ignore_status=400).indices.create(index="malformed")
    answer = httpx.post(f"{server.url}/es/malformed/_bulk", content=body, headers=JSON_LINES)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["reason"]
    assert client.count(index="malformed")["count"] == 0


def test_lines_may_end_as_windows_ends_them(server, client):
    answer = httpx.put(
        f"{server.url}/es/crlf/_bulk", content=b'{"index":{"_id":"1"}}\r\n{"n":1}\r\n', headers=JSON_LINES
    )
    assert answer.json()["errors"] is False
    assert client.get(index="crlf", id="1")["_source"] == {"n": 1}


def test_an_index_is_missing_where_nobody_names_one(server):
    answer = httpx.post(f"{server.url}/es/_bulk", content=b'{"index":{}}\n{}\n', headers=JSON_LINES)
    assert answer.json()["error"]["reason"] == "Validation Failed: 1: index is missing;"


def test_operations_on_one_document_follow_one_another(client):
    items = client.bulk(
        index="sequence",
        operations=[
            {"index": {"_id": "a"}}, {"n": 1},
            {"update": {"_id": "a"}}, {"doc": {"m": 2}},
            {"delete": {"_id": "a"}},
            {"create": {"_id": "a"}}, {"n": 3},
        ],
    )["items"]  # fmt: skip
    assert [item["_version"] for each in items for item in each.values()] == [1, 2, 3, 4]
    assert [item["_seq_no"] for each in items for item in each.values()] == [0, 1, 2, 3]
    assert client.get(index="sequence", id="a")["_source"] == {"n": 3}


def test_a_partial_update_embeds_only_what_has_changed(es, embedded):
    more = {"note": {"type": "semantic_text", "inference_id": "e5"}, "n": {"type": "long"}}
    semantic(es, "changes", **more)
    es.index(index="changes", id="a", document={"body": "one fish two fish", "note": "red fish", "n": 1})
    before = embedded()
    assert before > 0
    es.update(index="changes", id="a", doc={"n": 2})
    es.update(index="changes", id="a", doc={"body": "one fish two fish"}, detect_noop=False)
    assert embedded() == before
    es.update(index="changes", id="a", doc={"note": "a blue fish that swims"})
    assert 0 < embedded() - before < 15, "the other field was embedded again"


def test_the_first_document_freezes_the_model(es):
    semantic(es, "frozen")
    field = es.indices.get_mapping(index="frozen")["frozen"]["mappings"]["properties"]["body"]
    assert "model_settings" not in field
    es.index(index="frozen", document={"body": "text"})
    field = es.indices.get_mapping(index="frozen")["frozen"]["mappings"]["properties"]["body"]
    assert field["model_settings"] == {
        "service": "elasticsearch",
        "task_type": "text_embedding",
        "dimensions": 384,
        "similarity": "cosine",
        "element_type": "float",
    }


def test_a_missing_endpoint_fails_the_documents_that_need_it(client):
    other = {"type": "semantic_text", "inference_id": "nowhere"}
    client.indices.create(index="lost", mappings={"properties": {"body": other}})
    items = client.bulk(index="lost", operations=[{"index": {}}, {"body": "x"}, {"index": {}}, {"n": 1}])["items"]
    assert [each["index"]["status"] for each in items] == [404, 201]
    assert "nowhere" in items[0]["index"]["error"]["reason"]


def test_the_default_endpoint_without_its_model_says_the_way_out(client):
    client.indices.create(index="default", mappings={"properties": {"body": {"type": "semantic_text"}}})
    with pytest.raises(NotFoundError) as error:
        client.index(index="default", document={"body": "x"})
    reason = error.value.body["error"]["reason"]
    assert ".multilingual-e5-small-elasticsearch" in reason
    assert "efive models pull multilingual-e5-small" in reason
    assert ".efive-bundled" in reason


def test_texts_of_a_list_are_divided_one_by_one(es, server):
    semantic(es, "lists")
    es.index(index="lists", id="a", document={"body": ["first text", "", "second text"]})
    assert passages(server, "lists") == 2
    es.update(index="lists", id="a", doc={"body": "only one"})
    assert passages(server, "lists") == 1
    es.update(index="lists", id="a", doc={"body": None})
    assert passages(server, "lists") == 0
    assert es.get(index="lists", id="a")["_source"] == {"body": None}


def test_long_texts_are_chunked_as_the_field_says(es, server):
    cut = {"strategy": "word", "max_chunk_size": 20, "overlap": 5}
    body = {"type": "semantic_text", "inference_id": "e5", "chunking_settings": cut}
    es.indices.create(index="chunked", mappings={"properties": {"body": body}})
    es.index(index="chunked", id="a", document={"body": " ".join(f"word{n}" for n in range(50))})
    assert passages(server, "chunked") == 3


def test_vectors_of_wrong_shapes_are_refused(client):
    mapping = {"properties": {"v": {"type": "dense_vector", "dims": 3}}}
    client.indices.create(index="vectors", mappings=mapping)
    client.index(index="vectors", id="a", document={"v": [1, 2, 3]})
    for wrong, reason in [
        ([1, 2], "a different number of dimensions [2] than defined in the mapping [3]"),
        ([1, "x", 3], "failed to parse field [v] of type [dense_vector]"),
        ([0, 0, 0], "does not support vectors with zero magnitude"),
        ("text", "failed to parse field [v]"),
        ([[1, 2, 3]], "failed to parse field [v]"),
    ]:
        with pytest.raises(BadRequestError) as error:
            client.index(index="vectors", id="b", document={"v": wrong})
        assert error.value.body["error"]["type"] == "document_parsing_exception"
        assert reason in error.value.body["error"]["reason"]
    assert client.count(index="vectors")["count"] == 1


def test_pipelines_of_the_request_and_of_the_index(client):
    for name in ("first", "last"):
        client.ingest.put_pipeline(id=name, processors=[{"set": {"field": name, "value": True}}])
    settings = {"index": {"default_pipeline": "first", "final_pipeline": "last"}}
    client.indices.create(index="piped", settings=settings)
    client.index(index="piped", id="a", document={})
    client.index(index="piped", id="b", document={}, pipeline="_none")
    items = client.bulk(index="piped", operations=[{"index": {"_id": "c", "pipeline": "gone"}}, {}])["items"]
    assert client.get(index="piped", id="a")["_source"] == {"first": True, "last": True}
    assert client.get(index="piped", id="b")["_source"] == {"last": True}
    assert items[0]["index"]["status"] == 400
    assert "[gone] does not exist" in items[0]["index"]["error"]["reason"]


def test_a_text_that_begins_with_a_prefix_gets_its_own_as_well(es, server):
    semantic(es, "prefixes")
    es.index(index="prefixes", id="a", document={"body": "query: what is this"})
    with Collection.open(server.home / "collections" / "prefixes", create=False) as collection:
        (entry,) = collection.entries()
    body = {"input": ["passage: query: what is this"], "model": "e5:raw"}
    wanted = httpx.post(f"{server.url}/openai/v1/embeddings", json=body).json()["data"][0]["embedding"]
    assert entry.passages[0].text == "query: what is this"
    assert np.dot(entry.vectors[0], wanted) > 0.999


def test_a_number_of_before_may_be_text(client):
    client.index(index="numbered", id="1", document={"n": 1})
    for given, status in (("0", 200), ("0", 409), (1.5, 400), ("x", 400), (-1, 400)):
        line = {"index": {"_index": "numbered", "_id": "1", "if_seq_no": given, "if_primary_term": 1}}
        assert client.bulk(operations=[line, {"n": 2}])["items"][0]["index"]["status"] == status
    update = {"update": {"_index": "numbered", "_id": "2"}}
    assert not client.bulk(operations=[update, {"doc": {"n": 1}, "doc_as_upsert": "true"}])["errors"]


@pytest.mark.parametrize("options", [{"_index": ["a"]}, {"_id": {"a": 1}}, {"pipeline": []}])
def test_options_of_other_types_are_refused(client, options):
    with pytest.raises(BadRequestError, match="cannot be START_"):
        client.bulk(index="typed", operations=[{"index": options}, {}])
    assert not client.indices.exists(index="typed")


def test_an_index_of_too_long_a_name_fails_alone(client):
    lines = [{"index": {"_index": name, "_id": "1"}} for name in ("a" * 300, "short")]
    done = client.bulk(operations=[part for line in lines for part in (line, {"n": 1})])
    assert [item["index"]["status"] for item in done["items"]] == [400, 201]


def test_the_clients_copy_between_indices(client):
    helpers.bulk(client, ({"_index": "from-here", "_id": str(n), "n": n} for n in range(30)))
    assert helpers.reindex(client, "from-here", "to-here", chunk_size=7) == (30, 0)
    assert client.count(index="to-here")["count"] == 30
