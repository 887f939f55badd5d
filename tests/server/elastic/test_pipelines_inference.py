"""The inference processor: vectors and their prefixes, and documents on their way into an index."""

import numpy as np
import pytest
from elastic_pipelines import after, simulated
from elasticsearch import BadRequestError, ConflictError

from efive import Encoder


@pytest.fixture(scope="module")
def passages():
    """What the bundled model makes of passages."""
    with Encoder.load("bundled", precision="fp32") as encoder:
        yield lambda texts: encoder.embed(texts, "passage").vectors


def inference(**options):
    return {"inference": {"model_id": "e5", **options}}


def test_a_vector_is_that_of_the_passage_and_lands_in_its_field(es, passages):
    both = [{"input_field": "t", "output_field": "v"}, {"input_field": "o.t", "output_field": "o.v"}]
    left = after(es, {"t": "cats sleep", "o": {"t": "dogs bark"}}, inference(input_output=both))
    assert left["model_id"] == left["o"]["model_id"] == "e5"
    vectors = np.array([left["v"], left["o"]["v"]], dtype=np.float32)
    assert np.abs(vectors - passages(["cats sleep", "dogs bark"])).max() < 5e-3
    single = after(es, {"t": "cats sleep"}, inference(input_output=both[0]))
    assert set(single) == {"t", "v", "model_id"}
    assert "is_truncated" in after(es, {"t": "cats " * 2000}, inference(input_output=both[0]))


def test_a_target_field_gets_an_object(es, passages):
    left = after(es, {"body": "cats sleep"}, inference(target_field="e", field_map={"body": "text_field"}))
    assert np.abs(np.array(left["e"]["predicted_value"]) - passages(["cats sleep"])[0]).max() < 5e-3
    assert left["e"]["model_id"] == "e5"
    left = after(
        es, {"text_field": "x"}, inference(tag="t", inference_config={"text_embedding": {"results_field": "r"}})
    )
    assert len(left["ml"]["inference"]["t"]["r"]) == 384


def test_many_documents_are_embedded_together_and_fail_alone(es, passages):
    texts = [f"text number {n}" for n in range(150)]
    docs = [{"_source": {"t": text}} for text in texts] + [{"_source": {"t": 3}}, {"_source": {}}]
    pipeline = {"processors": [inference(input_output={"input_field": "t", "output_field": "v"})]}
    *good, number, nothing = es.ingest.simulate(pipeline=pipeline, docs=docs)["docs"]
    vectors = np.array([each["doc"]["_source"]["v"] for each in good], dtype=np.float32)
    assert np.abs(vectors - passages(texts)).max() < 5e-3
    assert "not a text type" in number["error"]["reason"]
    assert nothing["error"]["reason"] == "field [t] not present as part of path [t]"
    skipping = inference(input_output={"input_field": "t", "output_field": "v"}, ignore_missing=True)
    assert after(es, {}, skipping) == {}


def test_a_text_that_is_too_long_or_a_model_that_is_not_there_is_the_documents_failure(es):
    config = {"text_embedding": {"tokenization": {"bert": {"truncate": "none"}}}}
    pair = {"input_field": "t", "output_field": "v"}
    pipeline = {"processors": [inference(input_output=pair, inference_config=config)]}
    docs = [{"_source": {"t": "cats " * 2000}}, {"_source": {"t": "cats"}}]
    long, short = es.ingest.simulate(pipeline=pipeline, docs=docs)["docs"]
    assert "tokens" in long["error"]["reason"]
    assert "v" in short["doc"]["_source"]
    nowhere = [{"inference": {"model_id": "nowhere", "input_output": pair}}]
    assert "nowhere" in simulated(es, nowhere, {"t": "x"})["error"]["reason"]


def test_documents_of_a_bulk_request_fail_and_are_dropped_one_by_one(es, passages):
    es.indices.create(index="bulk", mappings={"properties": {"v": {"type": "dense_vector", "dims": 384}}})
    processors = [
        {"drop": {"if": "ctx.drop == true"}},
        inference(input_output={"input_field": "t", "output_field": "v"}),
    ]
    es.ingest.put_pipeline(id="embedding", processors=processors)
    operations = [
        line
        for id_, source in (("1", {"t": "cats sleep"}), ("2", {"t": 2}), ("3", {"drop": True}), ("4", {"t": "dogs"}))
        for line in ({"index": {"_id": id_}}, source)
    ]
    answer = es.bulk(index="bulk", operations=operations, pipeline="embedding")
    items = [each["index"] for each in answer["items"]]
    assert answer["errors"] is True
    assert [each["status"] for each in items] == [201, 400, 200, 201]
    assert items[1]["error"]["type"] == "illegal_argument_exception"
    assert items[2]["result"] == "noop"
    assert es.count(index="bulk")["count"] == 2
    kept = es.get(index="bulk", id="1", source_exclude_vectors=False)["_source"]
    assert np.abs(np.array(kept["v"]) - passages(["cats sleep"])[0]).max() < 5e-3
    nearest = es.search(index="bulk", knn={"field": "v", "query_vector": kept["v"], "k": 1, "num_candidates": 10})
    assert [hit["_id"] for hit in nearest["hits"]["hits"]] == ["1"]


def test_a_single_document_goes_through_its_pipelines(es):
    es.ingest.put_pipeline(id="naming", processors=[{"set": {"field": "by", "value": "{{_index}}/{{_id}}"}}])
    es.ingest.put_pipeline(id="dropping", processors=[{"drop": {}}])
    es.ingest.put_pipeline(id="sending", processors=[{"set": {"field": "_index", "value": "elsewhere"}}])
    es.index(index="single", id="1", document={}, pipeline="naming")
    assert es.get(index="single", id="1")["_source"] == {"by": "single/1"}
    assert es.index(index="single", id="2", document={}, pipeline="dropping")["result"] == "noop"
    assert es.index(index="single", id="3", document={}, pipeline="sending")["_index"] == "elsewhere"
    with pytest.raises(BadRequestError, match=r"pipeline with id \[none-such\] does not exist"):
        es.index(index="single", id="4", document={}, pipeline="none-such")
    assert es.count(index="single")["count"] == 1


def test_an_endpoint_that_a_pipeline_uses_is_not_deleted_without_force(es):
    settings = {"model_id": "bundled", "num_allocations": 1, "num_threads": 1}
    body = {"service": "elasticsearch", "service_settings": settings}
    es.inference.put(task_type="text_embedding", inference_id="used", inference_config=body)
    pair = {"input_field": "a", "output_field": "b"}
    nested = {"fail": {"message": "x", "on_failure": [{"inference": {"model_id": "used", "input_output": pair}}]}}
    es.ingest.put_pipeline(id="user", processors=[], on_failure=[nested])
    with pytest.raises(ConflictError, match="referenced by pipelines"):
        es.inference.delete(inference_id="used")
    assert es.inference.delete(inference_id="used", force=True)["pipelines"] == ["user"]
