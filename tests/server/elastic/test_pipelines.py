"""Pipelines: what each processor does, what fails and how, prefixes and vectors, restarts."""

import numpy as np
import pytest
from elasticsearch import BadRequestError, ConflictError, Elasticsearch, NotFoundError
from served import serving

from efive import Encoder
from efive.server.app import Options


def simulated(client, processors, source, *, verbose=False, **pipeline):
    """What becomes of one document."""
    body = {"processors": processors, **pipeline}
    (found,) = client.ingest.simulate(pipeline=body, docs=[{"_source": source}], verbose=verbose)["docs"]
    return found


def after(client, source, *processors):
    """The source that processors leave."""
    found = simulated(client, list(processors), source)
    assert "doc" in found, found
    return found["doc"]["_source"]


def refused(client, *processors, **pipeline):
    """Why a pipeline is not taken: type and reason."""
    with pytest.raises(BadRequestError) as caught:
        client.ingest.put_pipeline(id="refused", body={"processors": list(processors), **pipeline})
    return caught.value.body["error"]["type"], caught.value.body["error"]["reason"]


def failure(client, source, *processors):
    """Why a document fails: type and reason."""
    error = simulated(client, list(processors), source)["error"]
    return error["type"], error["reason"]


# -- kept -------------------------------------------------------------------------------------------------------------


def test_a_pipeline_is_kept_shown_and_forgotten_and_survives_a_restart(tmp_path):
    body = {
        "description": "d",
        "version": 3,
        "_meta": {"by": "me"},
        "processors": [{"set": {"field": "a", "value": 1}}],
        "on_failure": [{"set": {"field": "failed", "value": True}}],
    }
    options = Options(tmp_path / "home")
    with serving(options) as running, Elasticsearch(f"{running.url}/es", request_timeout=280) as client:
        assert client.ingest.put_pipeline(id="kept", body=body) == {"acknowledged": True}
        client.ingest.put_pipeline(id="other", processors=[])
    with serving(options) as running, Elasticsearch(f"{running.url}/es", request_timeout=280) as client:
        assert client.ingest.get_pipeline().body == {"kept": body, "other": {"processors": []}}
        assert client.ingest.get_pipeline(id="k*,nothing").body == {"kept": body}
        found = client.ingest.simulate(id="kept", docs=[{"_source": {}}])
        assert found["docs"][0]["doc"]["_source"] == {"a": 1}
        assert client.ingest.delete_pipeline(id="kept") == {"acknowledged": True}
        assert client.ingest.get_pipeline().body == {"other": {"processors": []}}
        with pytest.raises(NotFoundError) as shown:
            client.ingest.get_pipeline(id="kept")
        assert shown.value.body == {}
        with pytest.raises(NotFoundError) as forgotten:
            client.ingest.delete_pipeline(id="kept")
        assert forgotten.value.body["error"]["reason"] == "pipeline [kept] is missing"


def test_a_version_that_is_expected_is_the_one_that_is_replaced(client):
    client.ingest.put_pipeline(id="versioned", processors=[], version=1)
    client.ingest.put_pipeline(id="versioned", processors=[], if_version=1)
    assert client.ingest.get_pipeline(id="versioned")["versioned"]["version"] == 2
    with pytest.raises(BadRequestError, match=r"required version \[1\].*current version is \[2\]") as caught:
        client.ingest.put_pipeline(id="versioned", processors=[], if_version=1)
    assert caught.value.status_code == 400
    with pytest.raises(BadRequestError, match="with the same version"):
        client.ingest.put_pipeline(id="versioned", processors=[], version=2, if_version=2)
    with pytest.raises(BadRequestError, match="no pipeline was found"):
        client.ingest.put_pipeline(id="nothing", processors=[], if_version=2)


@pytest.mark.parametrize(
    ("processor", "type_", "reason"),
    [
        ({"sett": {}}, "parse_exception", "No processor type exists with name [sett]"),
        ({"set": {"value": 1}}, "parse_exception", "[field] required property is missing"),
        ({"set": {"field": 1, "value": 1}}, "parse_exception", "[field] property isn't a string"),
        ({"set": {"field": "a", "value": 1, "oops": 1}}, "parse_exception", "configuration parameters [oops]"),
        ({"set": {"field": "a", "value": 1, "if": "ctx.a = 2"}}, "illegal_argument_exception", "[ctx.a = 2]"),
        ({"set": {"field": "a", "value": 1, "if": "!" * 5000 + "true"}}, "illegal_argument_exception", "the condition"),
        ({"set": {"field": "a", "value": 1, "if": "for (;;) {}"}}, "illegal_argument_exception", "for (;;)"),
        ({"set": {"field": "a", "value": "{{#x}}y{{/x}}"}}, "illegal_argument_exception", "mustache [{{#x}}]"),
        ({"set": {"field": "a", "value": 1, "on_failure": []}}, "parse_exception", "empty on_failure"),
        ({"script": {"source": "ctx.a = 1"}}, "illegal_argument_exception", "[script] is not supported by efive"),
        ({"grok": {}}, "illegal_argument_exception", "[grok] is not supported by efive"),
        ({"gsub": {"field": "a", "pattern": "(", "replacement": ""}}, "parse_exception", "Invalid regex"),
        ({"gsub": {"field": "a", "pattern": "x", "replacement": "$1"}}, "parse_exception", "has no group [1]"),
        ({"gsub": {"field": "a", "pattern": "x", "replacement": "${n}"}}, "parse_exception", "has no group [n]"),
        ({"gsub": {"field": "a", "pattern": "x", "replacement": "\\"}}, "parse_exception", "the last backslash"),
        ({"convert": {"field": "a", "type": "ip"}}, "parse_exception", "type [ip] not supported"),
        ({"inference": {}}, "parse_exception", "[model_id] required property is missing"),
        (
            {"inference": {"model_id": "e5", "input_output": {"input_field": "a"}}},
            "parse_exception",
            "[output_field] required property is missing",
        ),
        (
            {"inference": {"model_id": "e5", "inference_config": {"ner": {}}}},
            "illegal_argument_exception",
            "[ner] is not supported",
        ),
        (
            {"inference": {"model_id": "e5", "input_output": [], "target_field": "a"}},
            "parse_exception",
            "[target_field] option is incompatible with [input_output]",
        ),
    ],
)
def test_what_is_wrong_with_a_pipeline_is_named(client, processor, type_, reason):
    found = refused(client, processor)
    assert found[0] == type_
    assert reason in found[1]
    assert "refused" not in client.ingest.get_pipeline().body


def test_numbers_of_any_size_are_shown_again(client):
    large = 10**30
    processors = [{"set": {"field": "b", "value": large}}]
    client.ingest.put_pipeline(id="large", processors=processors)
    assert client.ingest.get_pipeline(id="large")["large"]["processors"] == processors
    assert simulated(client, processors, {"a": -large})["doc"]["_source"] == {"a": -large, "b": large}
    client.ingest.delete_pipeline(id="large")


def test_what_no_answer_could_show_is_refused(client):
    deep = {}
    for _ in range(300):
        deep = {"a": deep}
    assert "nested too deeply" in refused(client, _meta=deep)[1]
    with pytest.raises(BadRequestError, match="document_parsing_exception"):
        simulated(client, [], deep)


def test_what_is_wrong_with_the_rest_of_a_pipeline_is_named(client):
    assert refused(client, oops=1)[1] == (
        "pipeline [refused] doesn't support one or more provided configuration parameters [oops]"
    )
    assert "[description]" in refused(client, description=1)[1]
    assert refused(client, field_access_pattern="flexible")[1].endswith("is not supported by efive")


# -- processors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "processor", "left"),
    [
        ({}, {"set": {"field": "a.b", "value": {"c": [1]}}}, {"a": {"b": {"c": [1]}}}),
        ({"n": "Ada"}, {"set": {"field": "a", "value": "Hi {{n}}, {{{m}}}!"}}, {"n": "Ada", "a": "Hi Ada, !"}),
        ({"n": 1}, {"set": {"field": "a", "value": "{n: {{n}}} {{{ n }}}"}}, {"n": 1, "a": "{n: 1} 1"}),
        ({"l": [{"x": 1}]}, {"set": {"field": "l.0.x", "value": 2}}, {"l": [{"x": 2}]}),
        ({"a": 1}, {"set": {"field": "a", "value": 2, "override": False}}, {"a": 1}),
        ({"a": None}, {"set": {"field": "a", "value": 2, "override": False}}, {"a": 2}),
        ({"a": [1]}, {"set": {"field": "b", "copy_from": "a"}}, {"a": [1], "b": [1]}),
        ({}, {"set": {"field": "a", "value": "{{b}}", "ignore_empty_value": True}}, {}),
        ({"a": "x"}, {"set": {"field": "{{a}}", "value": 1}}, {"a": "x", "x": 1}),
        ({"a": 1, "b": 2}, {"remove": {"field": ["a", "c"], "ignore_missing": True}}, {"b": 2}),
        ({"a": {"b": 1, "c": 2}, "d": 3}, {"remove": {"keep": ["a.b"]}}, {"a": {"b": 1}}),
        ({"a": 1}, {"rename": {"field": "a", "target_field": "b.c"}}, {"b": {"c": 1}}),
        ({}, {"rename": {"field": "a", "target_field": "b", "ignore_missing": True}}, {}),
        ({"a": " Ä b "}, {"lowercase": {"field": "a"}}, {"a": " ä b "}),
        ({"a": ["x", "y"]}, {"uppercase": {"field": "a", "target_field": "b"}}, {"a": ["x", "y"], "b": ["X", "Y"]}),
        ({"a": " x "}, {"trim": {"field": "a"}}, {"a": "x"}),
        ({"a": "1-2"}, {"gsub": {"field": "a", "pattern": r"(\d)-(\d)", "replacement": "$2.$1"}}, {"a": "2.1"}),
        ({"a": "x,y,,"}, {"split": {"field": "a", "separator": ","}}, {"a": ["x", "y"]}),
        (
            {"a": "x,"},
            {"split": {"field": "a", "separator": ",", "preserve_trailing": True}},
            {"a": ["x", ""]},
        ),
        ({"a": "x,y;z"}, {"split": {"field": "a", "separator": "(,|;)"}}, {"a": ["x", "y", "z"]}),
        ({"a": ""}, {"split": {"field": "a", "separator": ","}}, {"a": [""]}),
        ({"a": "ab"}, {"split": {"field": "a", "separator": ""}}, {"a": ["a", "b"]}),
        ({"a": "x1"}, {"gsub": {"field": "a", "pattern": r"(?<n>\d)", "replacement": "-${n}"}}, {"a": "x-1"}),
        ({"a": ["x", 1, True]}, {"join": {"field": "a", "separator": "-"}}, {"a": "x-1-true"}),
        ({"a": "x"}, {"append": {"field": "a", "value": ["y", "{{a}}"]}}, {"a": ["x", "y", "x"]}),
        ({"a": ["x"]}, {"append": {"field": "a", "value": ["x", "y"], "allow_duplicates": False}}, {"a": ["x", "y"]}),
        ({"a": "12"}, {"convert": {"field": "a", "type": "integer"}}, {"a": 12}),
        ({"a": ["1.5", 2]}, {"convert": {"field": "a", "type": "double"}}, {"a": [1.5, 2.0]}),
        ({"a": "TRUE"}, {"convert": {"field": "a", "type": "boolean"}}, {"a": True}),
        ({"a": 3}, {"convert": {"field": "a", "type": "string"}}, {"a": "3"}),
        ({"a": "-0x1F"}, {"convert": {"field": "a", "type": "long"}}, {"a": -31}),
        ({"a": "-1.5e3"}, {"convert": {"field": "a", "type": "auto"}}, {"a": -1500.0}),
        *(
            ({"a": text}, {"convert": {"field": "a", "type": "auto"}}, {"a": text})
            for text in ("x", "nan", "Infinity", "1_000", "1e999")
        ),
    ],
)
def test_what_a_processor_does(client, source, processor, left):
    assert after(client, source, processor) == left


@pytest.mark.parametrize(
    ("processor", "reason"),
    [
        ({"remove": {"field": "x"}}, "field [x] not present as part of path [x]"),
        ({"set": {"field": "b", "copy_from": "a.x"}}, "cannot resolve [x] from object of type [java.lang.Integer]"),
        ({"set": {"field": "a.x", "value": 1}}, "cannot set [x] with parent object of type [java.lang.Integer]"),
        ({"rename": {"field": "x", "target_field": "b"}}, "field [x] doesn't exist"),
        ({"rename": {"field": "a", "target_field": "s"}}, "field [s] already exists"),
        ({"lowercase": {"field": "a"}}, "cannot be cast to [java.lang.String]"),
        ({"convert": {"field": "s", "type": "long"}}, "unable to convert [text] to long"),
        ({"convert": {"field": "big", "type": "integer"}}, "unable to convert [3000000000] to integer"),
        ({"set": {"field": "b", "value": 1, "if": "ctx.x.y == 1"}}, "cannot access [y] from a null def reference"),
        ({"pipeline": {"name": "none-such"}}, "non-existent pipeline [none-such]"),
    ],
)
def test_why_a_document_fails(client, processor, reason):
    found = failure(client, {"a": 1, "s": "text", "big": 3000000000}, processor)
    assert found[0] == "illegal_argument_exception"
    assert reason in found[1]


def test_a_document_can_fail_on_purpose_and_be_dropped(client):
    assert failure(client, {"a": 1}, {"fail": {"message": "no {{a}}"}}) == ("fail_processor_exception", "no 1")
    assert simulated(client, [{"drop": {}}], {}) is None


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("ctx.a == 1", True),
        ("ctx.a == 1.0", True),
        ("ctx.t == 1", False),
        ("ctx.none == null && !(ctx.a > 1)", True),
        ("ctx?.o?.p == 'q'", True),
        ("ctx.x?.y != null", False),
        ("ctx['s'].contains('x') || ctx.s.startsWith(\"te\")", True),
        ("ctx.l.contains(2) && ctx.l.size() == 2 && ctx.l[0] == 1", True),
        ("ctx.containsKey('o') && ctx.o instanceof Map", True),
        ("ctx.s instanceof List", False),
        ("ctx._id == 'the-id' && ctx._index.length() == 5", True),
        ("ctx.a >= -1 && ctx.t", True),
        ("!(ctx.a==2||ctx.o.isEmpty());", True),
        ("ctx.s" + "?.trim()" * 60 + " == 'text'", True),
    ],
)
def test_conditions(client, condition, holds):
    source = {"a": 1, "t": True, "s": "text", "o": {"p": "q"}, "l": [1, 2], "none": None}
    pipeline = {"processors": [{"set": {"field": "done", "value": True, "if": condition}}]}
    docs = [{"_index": "books", "_id": "the-id", "_source": source}]
    (found,) = client.ingest.simulate(pipeline=pipeline, docs=docs)["docs"]
    assert ("done" in found["doc"]["_source"]) == holds


def test_failures_are_handled_where_they_should_be(client):
    broken = {"remove": {"field": "x", "tag": "it"}}
    told = {"set": {"field": "why", "value": "{{_ingest.on_failure_message}} {{_ingest.on_failure_processor_tag}}"}}
    why = "field [x] not present as part of path [x] it"
    handled = {"remove": {"field": "x", "tag": "it", "on_failure": [told]}}
    last = {"set": {"field": "last", "value": 1}}
    assert after(client, {}, handled, last) == {"why": why, "last": 1}
    assert after(client, {}, {"remove": {"field": "x", "ignore_failure": True}}, last) == {"last": 1}
    assert simulated(client, [broken, last], {}, on_failure=[told])["doc"]["_source"] == {"why": why}
    assert simulated(client, [broken], {}, on_failure=[{"fail": {"message": "both"}}])["error"]["reason"] == "both"


def test_pipelines_within_pipelines(client):
    inner = [{"set": {"field": "inner", "value": "{{_ingest.pipeline}}"}}]
    client.ingest.put_pipeline(id="inner", processors=inner)
    client.ingest.put_pipeline(id="circle", processors=[{"pipeline": {"name": "circle"}}])
    assert after(client, {}, {"pipeline": {"name": "inner"}}) == {"inner": "inner"}
    assert after(client, {}, {"pipeline": {"name": "no", "ignore_missing_pipeline": True}}) == {}
    assert failure(client, {}, {"pipeline": {"name": "circle"}})[1] == "Cycle detected for pipeline: circle"


def test_a_simulation_shows_the_document_with_its_names_and_every_step(client):
    docs = [{"_index": "i", "_id": "1", "_source": {"a": 1}}]
    processors = [
        {"set": {"field": "_index", "value": "other"}},
        {"set": {"field": "b", "value": 1, "if": "ctx.a == 2", "tag": "never"}},
        {"set": {"field": "at", "value": "{{_ingest.timestamp}}"}},
        {"remove": {"field": "x", "ignore_failure": True}},
        {"fail": {"message": "end"}},
    ]
    (found,) = client.ingest.simulate(pipeline={"processors": processors[:3]}, docs=docs)["docs"]
    doc = found["doc"]
    assert (doc["_index"], doc["_id"]) == ("other", "1")
    assert doc["_source"] == {"a": 1, "at": doc["_ingest"]["timestamp"]}
    (verbose,) = client.ingest.simulate(pipeline={"processors": processors}, docs=docs, verbose=True)["docs"]
    steps = verbose["processor_results"]
    assert [each["status"] for each in steps] == ["success", "skipped", "success", "error_ignored", "error"]
    assert steps[1]["tag"] == "never"
    assert steps[1]["if"] == {"condition": "ctx.a == 2", "result": False}
    assert steps[0]["doc"]["_source"] == {"a": 1}
    assert steps[4]["error"]["reason"] == "end"


# -- inference --------------------------------------------------------------------------------------------------------


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


# -- on the way into an index -----------------------------------------------------------------------------------------


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
