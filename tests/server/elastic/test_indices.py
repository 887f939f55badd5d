"""Indices: made, shown, changed, removed; names, wildcards, tables."""

import httpx
import pytest
from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError
from served import serving

from efive.deployments.settings import Settings
from efive.server.app import Options
from efive.server.elastic.indices.database import Database

MAPPINGS = {"properties": {"title": {"type": "text"}, "n": {"type": "integer"}}}


def test_an_index_from_its_beginning_to_its_end(client):
    made = client.indices.create(index="life", mappings=MAPPINGS, settings={"number_of_shards": 3})
    assert made.body == {"acknowledged": True, "shards_acknowledged": True, "index": "life"}
    assert client.indices.exists(index="life")
    shown = client.indices.get(index="life")["life"]
    assert shown["aliases"] == {}
    assert shown["mappings"] == MAPPINGS
    settings = shown["settings"]["index"]
    assert (settings["number_of_shards"], settings["provided_name"]) == ("3", "life")
    with pytest.raises(BadRequestError) as error:
        client.indices.create(index="life")
    assert error.value.body["error"]["type"] == "resource_already_exists_exception"
    assert error.value.body["error"]["reason"] == f"index [life/{settings['uuid']}] already exists"
    assert client.indices.delete(index="life").body == {"acknowledged": True}
    assert not client.indices.exists(index="life")
    with pytest.raises(NotFoundError, match=r"index_not_found_exception"):
        client.indices.delete(index="life")
    client.indices.delete(index="life", ignore_unavailable=True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Upper", "must be lowercase"),
        ("a b", "must not contain the following characters"),
        ("-a", "must not start with '_', '-', or '+'"),
        ("a#b", "must not contain '#'"),
        ("a:b", "must not contain ':'"),
        ("x" * 300, "index name is too long, (300 > "),
    ],
)
def test_names_that_cannot_be(client, name, reason):
    with pytest.raises(BadRequestError) as error:
        client.indices.create(index=name)
    assert error.value.body["error"]["type"] == "invalid_index_name_exception"
    assert reason in error.value.body["error"]["reason"]


def test_nothing_of_a_deleted_index_comes_back(es, server):
    mapping = {"properties": {"body": {"type": "semantic_text", "inference_id": "e5"}}}
    for _ in range(2):
        es.indices.create(index="again", mappings=mapping)
        assert es.count(index="again")["count"] == 0
        es.index(index="again", id="a", document={"body": "some text", "v": [0.5] * 128})
        assert es.get(index="again", id="a")["_version"] == 1
        es.indices.delete(index="again")
    assert "again" not in httpx.get(f"{server.url}/collections").json()["collections"]


def test_wildcards_and_what_is_missing(client):
    for name in ("wild-1", "wild-2", "tame"):
        client.indices.create(index=name)
    assert set(client.indices.get(index="wild-*")) == {"wild-1", "wild-2"}
    assert set(client.indices.get(index="wild-*,-wild-1,tame")) == {"wild-2", "tame"}
    assert client.indices.get(index="none-*").body == {}
    with pytest.raises(NotFoundError):
        client.indices.get(index="none-*", allow_no_indices=False)
    with pytest.raises(NotFoundError, match=r"no such index \[none\]"):
        client.indices.get(index="wild-1,none")
    assert set(client.indices.get(index="wild-1,none", ignore_unavailable=True)) == {"wild-1"}
    assert [each["name"] for each in client.indices.resolve_index(name="wild-*")["indices"]] == ["wild-1", "wild-2"]
    client.indices.delete(index="wild-*")
    assert set(client.indices.get(index="wild-*,tame")) == {"tame"}
    with pytest.raises(BadRequestError):
        client.indices.delete(index="_all")


def test_settings_are_checked_kept_and_changed(client):
    with pytest.raises(BadRequestError, match=r"unknown setting \[index.number_of_cats\]"):
        client.indices.create(index="settings", settings={"number_of_cats": 1})
    with pytest.raises(BadRequestError, match=r"\[index.analysis.analyzer.x.type\] is not supported"):
        client.indices.create(index="settings", settings={"analysis": {"analyzer": {"x": {"type": "custom"}}}})
    client.indices.create(index="settings", settings={"index": {"refresh_interval": "5s"}})
    client.indices.put_settings(index="settings", settings={"index.number_of_replicas": 2})
    found = client.indices.get_settings(index="settings", flat_settings=True)["settings"]["settings"]
    assert (found["index.refresh_interval"], found["index.number_of_replicas"]) == ("5s", "2")
    with pytest.raises(BadRequestError, match="non dynamic settings"):
        client.indices.put_settings(index="settings", settings={"number_of_shards": 2})


def test_a_write_makes_its_index_and_a_deletion_does_not(client):
    client.index(index="by-itself", document={"n": 1})
    assert client.indices.exists(index="by-itself")
    with pytest.raises(NotFoundError, match="index_not_found_exception"):
        client.delete(index="not-by-itself", id="1")
    assert not client.indices.exists(index="not-by-itself")


def test_refreshing_is_done_already(client):
    client.index(index="fresh", document={"n": 1})
    for call in (client.indices.refresh, client.indices.flush, client.indices.forcemerge):
        assert call(index="fresh")["_shards"]["failed"] == 0
    with pytest.raises(NotFoundError):
        client.indices.refresh(index="stale")


def test_counting(client):
    for number in range(5):
        client.index(index="counted", document={"n": number, "tag": "even" if number % 2 == 0 else "odd"})
    assert client.count(index="counted")["count"] == 5
    assert client.count(index="counted", query={"term": {"tag.keyword": "even"}})["count"] == 3
    with pytest.raises(BadRequestError, match=r"\[sice\]"):
        client.count(index="counted", body={"sice": 3})


def test_tables(client, server):
    client.index(index="table-a", document={"n": 1})
    client.indices.create(index="table-b")
    rows = client.cat.indices(index="table-*", format="json")
    assert [(row["index"], row["docs.count"], row["health"]) for row in rows] == [
        ("table-a", "1", "green"),
        ("table-b", "0", "green"),
    ]
    text = str(client.cat.indices(index="table-*", v=True, h="index,docs.count"))
    assert text == "index   docs.count\ntable-a          1\ntable-b          0\n"
    plain = httpx.get(f"{server.url}/es/_cat/indices/table-a")
    assert plain.headers["content-type"].startswith("text/plain")
    assert "efive" in str(client.cat.health())
    assert "1" in str(client.cat.count(index="table-a"))


def test_health(client):
    client.indices.create(index="healthy")
    assert client.cluster.health()["status"] == "green"
    assert client.cluster.health(index="healthy", wait_for_status="yellow")["active_shards"] == 1


def test_aliases_are_refused_by_name(client):
    with pytest.raises(BadRequestError, match=r"\[aliases\] of an index is not supported by efive"):
        client.indices.create(index="aliased", aliases={"other": {}})
    client.indices.create(index="aliased")
    with pytest.raises(BadRequestError, match=r"not supported by efive"):
        client.indices.put_alias(index="aliased", name="other")
    assert client.indices.get_alias(index="aliased").body == {"aliased": {"aliases": {}}}


def test_a_mapping_that_contradicts_itself_makes_no_index(client):
    for properties in ({"a": {"type": "text", "fields": {"b": {"type": "keyword"}}}, "a.b.c": {"type": "long"}},
                       {f"n{number}": {"type": "long"} for number in range(1001)}):  # fmt: skip
        with pytest.raises(BadRequestError):
            client.indices.create(index="contradiction", mappings={"properties": properties})
        assert not client.indices.exists(index="contradiction")


@pytest.mark.parametrize("expression", ["kept,", ",", "**", "*,-x", "kept,_all"])
def test_no_expression_removes_all_indices(client, server, expression):
    client.index(index="kept", document={})
    refused = httpx.delete(f"{server.url}/es/{expression}")
    assert refused.json()["error"]["reason"] == "Wildcard expressions or all indices are not allowed"
    assert client.indices.exists(index="kept")
    assert httpx.get(f"{server.url}/es/kept,/_count").status_code == 404


def test_a_name_that_no_file_can_have_is_none(client):
    for name in ("a" * 300, "é" * 150):
        with pytest.raises(NotFoundError):
            client.get(index=name, id="1")


def test_settings_are_objects_and_pipelines_are_names(client, server):
    client.indices.create(index="shapes")
    for body in ({"settings": 5}, {"settings": None}, {"index": {"default_pipeline": ["a"]}}):
        assert httpx.put(f"{server.url}/es/shapes/_settings", json=body).status_code == 400
    assert client.index(index="shapes", document={})["result"] == "created"


def test_bm25_may_be_named(client):
    text = {"properties": {"t": {"type": "text", "similarity": "mine"}}}
    for parameters in ({}, {"k1": None, "b": None}, {"k1": 1.2, "b": "0.75"}):
        client.indices.create(
            index="ranked", mappings=text, settings={"similarity.mine": {"type": "BM25", **parameters}}
        )
        client.indices.delete(index="ranked")
    for wrong in ({"type": "BM25", "k1": 2.0}, {"type": "DFR"}, {"type": "BM25", "c": 1}):
        with pytest.raises(BadRequestError, match=r"\[index.similarity.mine.* other than BM25"):
            client.indices.create(index="ranked", mappings=text, settings={"similarity": {"mine": wrong}})
    with pytest.raises(BadRequestError, match=r"Unknown Similarity type \[mine\] for field \[t\]"):
        client.indices.create(index="ranked", mappings=text)


def test_an_index_that_a_crash_left_half_made_is_none(client, server):
    """Its file is there, and does not say yet what the index is."""
    for name in ("half-made", "half-gone"):
        folder = server.home / "elastic" / "indices" / name
        folder.mkdir(parents=True)
        Database(folder / "index.sqlite").close()
        assert not client.indices.exists(index=name)
    assert client.search(index="half-*")["hits"]["hits"] == []
    client.indices.create(index="half-made", mappings={"properties": {"n": {"type": "byte"}}})
    assert client.index(index="half-made", id="1", document={"n": 1})["_seq_no"] == 0
    assert client.index(index="half-gone", id="1", document={"n": 1})["_seq_no"] == 0


def test_a_damaged_index_is_shown_so_and_can_be_deleted(client, server):
    client.indices.create(index="sound")
    folder = server.home / "elastic" / "indices" / "spoiled"
    folder.mkdir()
    (folder / "index.sqlite").write_bytes(b"no database at all" * 100)
    rows = {row["index"]: row["health"] for row in client.cat.indices(format="json")}
    assert (rows["sound"], rows["spoiled"]) == ("green", "red")
    with pytest.raises(ApiError, match=r"index\.sqlite cannot be read: file is not a database"):
        client.search(index="spoiled")
    client.indices.delete(index="spoiled")
    assert not folder.exists()
    assert "spoiled" not in {row["index"] for row in client.cat.indices(format="json")}


def test_a_deletion_that_a_crash_interrupted_is_finished_at_the_start(tmp_path):
    mappings = {"properties": {"body": {"type": "semantic_text", "inference_id": ".efive-bundled"}}}
    options = Options(tmp_path, (Settings(name="other", model="bundled", precision="fp32", threads=1),))
    with serving(options) as server, Elasticsearch(f"{server.url}/es", max_retries=0, request_timeout=280) as client:
        client.indices.create(index="doomed", mappings=mappings)
        client.index(index="doomed", id="a", document={"body": "some text"})
    folder, collection = tmp_path / "elastic" / "indices" / "doomed", tmp_path / "collections" / "doomed"
    (folder / "deleted").touch()
    assert collection.exists()
    with serving(options):
        assert not folder.exists()
        assert not collection.exists()


def test_numbers_beyond_64_bits_are_kept_and_shown(client):
    client.indices.create(index="vast", mappings={"_meta": {"grains": 10**30}})
    assert client.indices.get_mapping(index="vast")["vast"]["mappings"]["_meta"] == {"grains": 10**30}
    with pytest.raises(BadRequestError, match=r"The value \[1000000000000000000000000000000\] cannot be converted"):
        client.inference.put(
            inference_id="vast",
            task_type="text_embedding",
            inference_config={"service": "elasticsearch", "service_settings": {"model_id": 10**30, "num_threads": 1}},
        )
