"""Highlights: passages of semantic fields, marked words of others."""

import pytest
from elasticsearch import BadRequestError

STORY = [
    "The museum opens at nine in the morning. Tickets cost twelve euros.",
    "Dinosaurs lived in the Jurassic. Their bones are shown on the second floor. The café sells soup.",
    "Children under six enter free of charge, and dogs have to stay outside.",
]


@pytest.fixture(scope="module")
def museum(es):
    properties = {
        "story": {"type": "semantic_text", "inference_id": "e5",
                  "chunking_settings": {"strategy": "word", "max_chunk_size": 10, "overlap": 1}},
        "text": {"type": "text", "fields": {"whole": {"type": "keyword"}}},
        "note": {"type": "text"},
        "kind": {"type": "keyword"},
    }  # fmt: skip
    es.indices.create(index="museum", mappings={"properties": properties})
    document = {"story": STORY, "text": STORY, "note": "A <b>museum</b> & more", "kind": "museum"}
    es.index(index="museum", id="1", document=document, refresh=True)
    return es


def highlighted(es, query, **options):
    (hit,) = es.search(index="museum", query=query, highlight=options)["hits"]["hits"]
    return hit.get("highlight", {})


def test_passages_that_mean_what_is_asked(museum):
    query = {"semantic": {"field": "story", "query": "How much is a ticket?"}}
    (hit,) = museum.search(
        index="museum", query=query, fields=[{"field": "story", "format": "chunks"}],
        highlight={"fields": {"story": {"type": "semantic", "number_of_fragments": 2, "order": "score"}}},
    )["hits"]["hits"]  # fmt: skip
    best, second = hit["highlight"]["story"]
    chunks = hit["fields"]["story"]
    assert "Tickets" in best
    assert {best, second} <= set(chunks)
    assert len(chunks) > 4
    every = highlighted(museum, query, fields={"story": {"number_of_fragments": 2}})["story"]
    assert sorted(every, key=chunks.index) == every
    assert set(every) == {best, second}
    assert highlighted(museum, query, fields={"story": {"number_of_fragments": 0}})["story"] == chunks
    assert highlighted(museum, {"match": {"story": "How much is a ticket?"}}, fields={"story": {}})["story"]
    assert highlighted(museum, {"match_all": {}}, fields={"story": {}}) == {}


def test_words_are_marked(museum):
    query = {"match": {"text": "museum dinosaur cafe"}}
    assert highlighted(museum, query, fields={"text": {}})["text"] == [
        "The <em>museum</em> opens at nine in the morning. Tickets cost twelve euros.",
        STORY[1].replace("Dinosaurs", "<em>Dinosaurs</em>").replace("café", "<em>café</em>"),
    ]
    marked = highlighted(
        museum, query, pre_tags=["["], post_tags=["]"], order="score", fields={"text": {"fragment_size": 20}}
    )
    assert marked["text"] == ["The [museum] opens at nine in the morning.", "[Dinosaurs] lived in the Jurassic.",
                              "The [café] sells soup."]  # fmt: skip
    assert highlighted(museum, query, fields={"te*": {"number_of_fragments": 1, "fragment_size": 20}}) == {
        "text": ["The <em>museum</em> opens at nine in the morning."]
    }
    whole = highlighted(museum, query, number_of_fragments=0, fields={"text": {"type": "plain"}})["text"]
    assert [fragment.replace("<em>", "").replace("</em>", "") for fragment in whole] == STORY[:2]


def test_only_the_field_that_is_asked(museum):
    query = {"bool": {"must": {"match": {"text": "museum"}}, "filter": {"term": {"kind": "museum"}}}}
    found = highlighted(museum, query, fields=[{"note": {}}, {"kind": {}}])
    assert found == {"kind": ["<em>museum</em>"]}
    found = highlighted(museum, query, fields={"note": {"require_field_match": False, "encoder": "html"}})
    assert found["note"] == ["A &lt;b&gt;<em>museum</em>&lt;/b&gt; &amp; more"]
    other = {"highlight_query": {"match": {"note": "more"}}}
    assert highlighted(museum, query, fields={"note": other})["note"] == ["A <b>museum</b> & <em>more</em>"]
    assert highlighted(museum, query, fields={"note": {"no_match_size": 3}}) == {"note": ["A <"]}
    assert highlighted(museum, {"bool": {"must_not": {"match": {"text": "nothing"}}}}, fields={"text": {}}) == {}
    several = {"multi_match": {"query": "museum", "fields": ["text", "note"]}}
    assert set(highlighted(museum, several, fields={"*": {}})) == {"text", "note"}


def test_what_cannot_be_highlighted_is_said(museum):
    with pytest.raises(BadRequestError, match="unified"):
        highlighted(museum, {"match_all": {}}, fields={"story": {"type": "unified"}})
    with pytest.raises(BadRequestError):
        highlighted(museum, {"match_all": {}}, fields={"text": {"type": "semantic"}})
    with pytest.raises(BadRequestError):
        highlighted(museum, {"match_all": {}}, fields={"text": {"matched_fields": ["note"]}})
