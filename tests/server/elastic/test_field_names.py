"""Fields may be called as documents have it: none gets in another's way, and an index with them is opened again."""

import pytest
from elasticsearch import Elasticsearch
from served import serving

from efive.server.app import Options
from efive.server.elastic.errors import ElasticError
from efive.server.elastic.indices import mapping_json
from efive.server.elastic.indices.mapping import Mapping
from efive.server.elastic.indices.values import values_of

LONG = "漢字" * 60


def found(client, field, word):
    return [hit["_id"] for hit in client.search(index="odd", query={"match": {field: word}})["hits"]["hits"]]


def test_texts_of_fields_with_names_alike_are_kept_apart_and_over_a_restart(tmp_path):
    documents = {
        "1": {"page": "alpha", "page_content": "beta", "Title": "gamma", "title": "delta"},
        "2": {"Title": "epsilon", 'quo"te': "zeta", "n\0l": "eta", "%41": "theta", "A": "iota"},
    }
    words = {(field, word): id_ for id_, source in documents.items() for field, word in source.items()}
    for _ in range(2):
        with serving(Options(tmp_path)) as server, Elasticsearch(f"{server.url}/es", max_retries=0) as client:
            for id_, source in documents.items():
                client.index(index="odd", id=id_, document=source)
            for field, _ in words:
                answers = {word: found(client, field, word) for _, word in words}
                assert answers == {word: [words[field, word]] if (field, word) in words else [] for _, word in words}


def test_a_vector_of_a_field_with_a_long_name(client):
    fields = {LONG: {"type": "dense_vector", "dims": 2}, f"{LONG}字": {"type": "dense_vector", "dims": 2}}
    client.indices.create(index="long", mappings={"properties": fields})
    client.index(index="long", id="a", document={LONG: [1, 0], f"{LONG}字": [0, 1]})
    (hit,) = client.search(index="long", knn={"field": LONG, "query_vector": [1, 0]})["hits"]["hits"]
    assert hit["_score"] == 1


@pytest.mark.parametrize("name", ["a..b", ".a", "a.", "a. .b", "\u00a0", ".".join("a" * 22)])
@pytest.mark.parametrize("value", [1, {"z": 1}])
def test_names_that_no_mapping_has_are_refused(name, value):
    with pytest.raises(ElasticError) as refused:
        values_of(Mapping(), {name: value}, "1")
    assert refused.value.type == "document_parsing_exception"
    with pytest.raises(ElasticError):
        mapping_json.parse({"properties": {name: {"type": "long"}}})


@pytest.mark.parametrize("source", [{".".join("a" * 21): 1}, {"a": {"b.c": 1}, "a.b": {"d": 2}}])
def test_what_documents_add_to_a_mapping_is_read_again(source):
    mapping = values_of(Mapping(), source, "1")[0]
    assert mapping_json.parse(mapping_json.to_dict(mapping)).fields == mapping.fields
