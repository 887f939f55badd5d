"""One store, two ways in: what `efive index` wrote is an index, and what an index holds is a collection."""

import os
import subprocess
import sys

import httpx
import pytest
from elasticsearch import ApiError, Elasticsearch
from filelock import FileLock
from served import serving

from efive import Encoder
from efive.search.collection import Collection
from efive.search.documents import Document
from efive.server.app import Options

NOTES = {"cats": "Cats sleep for most of the day.", "bread": "Bread rises because of the yeast."}


@pytest.fixture
def path(server):
    """Return the folder of a collection."""
    return lambda name: server.home / "collections" / name


@pytest.fixture
def add(server, path):
    """Write to a collection as another process would."""

    def add(name, documents):
        with Encoder.load("bundled") as encoder, Collection.open(path(name), encoder) as collection:
            collection.add(documents)

    return add


def ids(hits):
    """Return the ids of an answer's hits."""
    return [hit["_id"] for hit in hits["hits"]["hits"]]


def semantic(client, index, text, **more):
    """Search an index's semantic_text field."""
    field = next(
        name
        for name, each in client.indices.get_mapping(index=index)[index]["mappings"]["properties"].items()
        if each["type"] == "semantic_text"
    )
    return client.search(index=index, query={"semantic": {"field": field, "query": text}}, **more)


def test_what_the_command_line_indexed_is_an_index(client, server, tmp_path):
    for name, text in NOTES.items():
        (tmp_path / f"{name}.md").write_text(text)
    command = [sys.executable, "-m", "efive", "index", str(tmp_path), "-c", "notes"]
    subprocess.run(command, env=os.environ | {"EFIVE_HOME": str(server.home)}, check=True, capture_output=True)
    assert client.indices.exists(index="notes")
    assert client.count(index="notes")["count"] == 2
    found = semantic(client, "notes", "yeast in dough")
    assert "bread" in ids(found)[0]
    assert found["hits"]["hits"][0]["_source"]["text"] == NOTES["bread"]
    (tmp_path / "bread.md").write_text("Rye bread needs sourdough.")
    (tmp_path / "cats.md").unlink()
    subprocess.run(command, env=os.environ | {"EFIVE_HOME": str(server.home)}, check=True, capture_output=True)
    (hit,) = client.search(index="notes", version=True)["hits"]["hits"]
    assert (hit["_source"]["text"], hit["_version"]) == ("Rye bread needs sourdough.", 2)


def test_metadata_is_mapped_by_its_values(client, add):
    add("books", [
        Document("a", "The whale.", {"year": 1851, "lang": "en", "tags": ["sea", "whale"], "price": 2, "old": True}),
        Document("b", "The sea.", {"year": "unknown", "lang": "en", "price": 2.5}),
    ])  # fmt: skip
    properties = client.indices.get_mapping(index="books")["books"]["mappings"]["properties"]
    types = {name: each["type"] for name, each in properties.items()}
    assert types == {"text": "semantic_text", "year": "long", "lang": "keyword", "tags": "keyword", "price": "double",
                     "old": "boolean"}  # fmt: skip
    assert ids(client.search(index="books", query={"term": {"tags": "sea"}})) == ["a"]
    assert ids(client.search(index="books", query={"range": {"price": {"gt": 2}}})) == []
    assert client.get(index="books", id="b")["_source"]["year"] == "unknown"


def test_metadata_that_no_mapping_can_have_is_in_the_source_only(tmp_path):
    metadata = {"a": {"n": 1}, "b": {"n": {"m": 2}, "x..y": 4, "text": {"z": 5}, "o": {"": 6}}}
    with Encoder.load("bundled") as encoder, Collection.open(tmp_path / "collections" / "odd", encoder) as collection:
        collection.add([Document(id_, f"text {id_}", each) for id_, each in metadata.items()])
    for _ in range(2):
        with (
            serving(Options(tmp_path)) as running,
            Elasticsearch(f"{running.url}/es", max_retries=0, request_timeout=280) as client,
        ):
            sources = {hit["_id"]: hit["_source"] for hit in client.search(index="odd")["hits"]["hits"]}
            assert sources == {id_: {**each, "text": f"text {id_}"} for id_, each in metadata.items()}
            mapped = client.indices.get_mapping(index="odd")["odd"]["mappings"]["properties"]
            assert mapped.keys() == {"text", "n"}


def test_what_only_the_index_has_stays_when_the_collection_changes(es, server):
    field = {"type": "semantic_text", "inference_id": "e5"}
    inner = {"properties": {"title": {"type": "text"}, "year": {"type": "long"}, "body": field}}
    es.indices.create(index="kept", mappings={"dynamic": False, "properties": {"about": inner}})
    about = {"title": "A title", "year": 1900, "body": "old text"}
    es.index(index="kept", id="a", document={"about": about, "unmapped": {"x": [1]}})
    line = '{"id": "a", "text": "new text", "metadata": {"about.year": 2000}}\n'
    httpx.post(f"{server.url}/collections/kept/documents", content=line).raise_for_status()
    assert es.get(index="kept", id="a")["_source"] == {
        "about": {"title": "A title"}, "unmapped": {"x": [1]}, "about.year": 2000, "about.body": "new text",
    }  # fmt: skip


def test_an_adopted_index_is_written_to_and_read_by_both(client, add, path):
    add("shared", [Document("a", "One text.", {"n": 1}), Document("b", "Another text.", {"n": 2})])
    client.update(index="shared", id="a", doc={"n": 5})
    client.index(index="shared", id="c", document={"text": "A third text, about ships.", "n": 3})
    client.delete(index="shared", id="b")
    with Collection.open(path("shared"), create=False) as collection:
        found = {each.id: (each.text, dict(each.metadata)) for each in collection.get(collection.ids())}
    assert found == {"a": ("One text.", {"n": 5}), "c": ("A third text, about ships.", {"n": 3})}


def test_what_an_index_holds_is_searched_as_a_collection(es, server, path):
    field = {"type": "semantic_text", "inference_id": "e5"}
    es.indices.create(index="mine", mappings={"properties": {"body": field, "lang": {"type": "keyword"}}})
    for id_, text in NOTES.items():
        es.index(index="mine", id=id_, document={"body": text, "lang": "en", "when": "2024-05-01"})
    with Encoder.load("bundled") as encoder, Collection.open(path("mine"), encoder) as collection:
        (hit, *_) = collection.search("dough", where={"lang": "en"})
    assert (hit.document, hit.passage.metadata["when"]) == ("bread", "2024-05-01")
    answer = httpx.post(f"{server.url}/collections/mine/search", json={"text": "dough"}).json()
    assert answer["hits"][0]["document"] == "bread"


def test_what_the_native_api_writes_is_in_the_index_at_once(es, server):
    es.indices.create(
        index="beside", mappings={"properties": {"body": {"type": "semantic_text", "inference_id": "e5"}}}
    )
    es.index(index="beside", id="a", document={"body": "first", "title": "A title"})
    url = f"{server.url}/collections/beside"
    lines = '{"id": "b", "text": "second", "metadata": {"n": 1}}\n{"id": "a", "text": "changed"}\n'
    assert httpx.post(f"{url}/documents", content=lines).status_code == 200
    assert es.get(index="beside", id="b")["_source"] == {"n": 1, "body": "second"}
    assert es.get(index="beside", id="a")["_source"] == {"body": "changed", "title": "A title"}
    httpx.post(f"{url}/delete", json={"ids": ["a"]})
    assert not es.exists(index="beside", id="a")
    assert es.count(index="beside")["count"] == 1


def test_deleting_an_index_deletes_its_collection(client, server, add):
    add("gone", [Document("a", "text")])
    client.indices.delete(index="gone")
    assert httpx.get(f"{server.url}/collections/gone").status_code == 404
    assert not client.indices.exists(index="gone")


def test_a_second_field_whose_collection_was_removed_is_embedded_anew(es, server):
    field = {"type": "semantic_text", "inference_id": "e5"}
    es.indices.create(index="both", mappings={"properties": {"f": field, "g": field}})
    for _ in range(2):
        es.index(index="both", id="a", document={"f": "first", "g": "second"})
        assert ids(es.search(index="both", query={"semantic": {"field": "g", "query": "second"}})) == ["a"]
        httpx.delete(f"{server.url}/collections/both%23g").raise_for_status()


def test_an_index_that_cannot_be_deleted_now_is_not_deleted_later(client, add, path):
    add("busy", [Document("a", "One text.")])
    assert client.count(index="busy")["count"] == 1
    with FileLock(path("busy") / "writer.lock", timeout=5), pytest.raises(ApiError, match="is being written by"):
        client.indices.delete(index="busy")
    assert client.get(index="busy", id="a")["_source"] == {"text": "One text."}
    client.indices.delete(index="busy")
    assert not path("busy").exists()


def test_another_space_is_refused(es, server, tmp_path, bert):
    wanted = {"name": "stranger", "model": str(bert), "precision": "fp32", "threads": 1}
    httpx.post(f"{server.url}/deployments?wait=60", json=wanted).raise_for_status()
    while httpx.get(f"{server.url}/deployments/stranger").json()["phase"] == "starting":
        pass
    es.indices.create(
        index="spaces", mappings={"properties": {"body": {"type": "semantic_text", "inference_id": "e5"}}}
    )
    es.index(index="spaces", document={"body": "text"})
    changed = {"body": {"type": "semantic_text", "inference_id": "stranger"}}
    with pytest.raises(Exception, match=r"Incompatible model settings for field \[body\]"):
        es.indices.put_mapping(index="spaces", properties=changed)
    same = {"body": {"type": "semantic_text", "inference_id": ".efive-bundled"}}
    es.indices.put_mapping(index="spaces", properties=same)
