"""Writes that break off between the collections of two fields leave every document as it was."""

import contextlib
import json
import sqlite3

import httpx
import pytest
from elasticsearch import ApiError, Elasticsearch
from filelock import FileLock
from served import serving

from efive import Encoder
from efive.deployments.settings import Settings
from efive.search.collection import Collection
from efive.search.documents import Document
from efive.server.app import Options

FIELD = {"type": "semantic_text", "inference_id": "e5"}
OLD = {"A": {"f": "apple pie", "n": 1}, "B": {"f": "fresh bread", "n": 2}}


@pytest.fixture
def pair(es):
    """An index with two semantic_text fields, and two documents that have text in the first one."""
    es.indices.create(index="pair", mappings={"properties": {"f": FIELD, "g": FIELD, "n": {"type": "long"}}})
    for id_, document in OLD.items():
        es.index(index="pair", id=id_, document=document)
    yield es
    es.indices.delete(index="pair")


@pytest.fixture
def locked(server, pair):
    """Another writer's lock on the collection of the second field; it is not held yet."""
    folder = server.home / "collections" / "pair#g"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / "writer.lock", timeout=60)


def texts(es, field):
    """Return what a field's collection has of each document."""
    shown = [{"field": field, "format": "chunks"}]
    found = es.search(index="pair", query={"semantic": {"field": field, "query": "food"}}, fields=shown)
    return {hit["_id"]: hit["fields"][field] for hit in found["hits"]["hits"]}


def assert_unchanged(es):
    """All is as it was written first."""
    assert texts(es, "f") == {id_: [each["f"]] for id_, each in OLD.items()}
    assert texts(es, "g") == {}
    assert {hit["_id"]: hit["_source"] for hit in es.search(index="pair")["hits"]["hits"]} == OLD


def test_a_text_that_one_field_cannot_take_is_in_none(pair, locked):
    with locked, pytest.raises(ApiError) as failed:
        pair.index(index="pair", id="A", document={"f": "zebra crossing", "g": "zebra herd", "n": 9})
    assert failed.value.status_code == 503
    assert_unchanged(pair)
    assert pair.index(index="pair", id="A", document=OLD["A"])["_version"] == 2
    assert_unchanged(pair)


def test_a_document_that_could_not_be_changed_keeps_its_text(pair, locked):
    with locked, pytest.raises(ApiError):
        pair.index(index="pair", id="B", document={"g": "salted butter"})
    assert_unchanged(pair)


def test_a_new_document_of_which_one_field_is_there_is_none(pair, locked):
    with locked, pytest.raises(ApiError):
        pair.create(index="pair", id="C", document={"f": "cold cream", "g": "cold cuts"})
    assert_unchanged(pair)
    assert pair.create(index="pair", id="C", document={"f": "cold cream"})["_version"] == 1
    assert texts(pair, "f")["C"] == ["cold cream"]


def test_a_write_that_a_kill_broke_off_waits_for_its_endpoint(tmp_path):
    other = Settings(name="other", model="bundled", precision="fp32", threads=1)
    documents = [{"f": "old apple", "g": "old bread"}, {"f": "new apple", "g": "new bread"}]
    with serving(Options(tmp_path, (other,))) as server, Elasticsearch(f"{server.url}/es") as es:
        settings = {"deployment_id": "other"}
        es.inference.put(inference_id="e5", task_type="text_embedding",
                         inference_config={"service": "elasticsearch", "service_settings": settings})  # fmt: skip
        es.indices.create(index="pair", mappings={"properties": {"f": FIELD, "g": FIELD}})
        es.index(index="pair", id="A", document=documents[0])
    # As a kill leaves it between the second collection and the end of the write.
    with contextlib.closing(sqlite3.connect(tmp_path / "elastic/indices/pair/index.sqlite")) as database, database:
        database.execute("INSERT INTO pending VALUES ('A', ?, 2, 1)", (json.dumps(documents[1]).encode(),))
    with (
        Encoder.load("bundled", precision="fp32") as encoder,
        Collection.open(tmp_path / "collections" / "pair#g", encoder) as collection,
    ):
        collection.add([Document("A", "new bread")])
    with serving(Options(tmp_path)) as server, Elasticsearch(f"{server.url}/es") as es:
        httpx.delete(f"{server.url}/deployments/other").raise_for_status()
        assert es.get(index="pair", id="A")["_source"] == documents[0]
    with serving(Options(tmp_path, (other,))) as server, Elasticsearch(f"{server.url}/es") as es:
        found = es.get(index="pair", id="A")
        assert (found["_source"], found["_version"]) == (documents[1], 2)
        assert (texts(es, "f"), texts(es, "g")) == ({"A": ["new apple"]}, {"A": ["new bread"]})
