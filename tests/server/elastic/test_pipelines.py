"""Pipelines: what each processor does, what fails and how, restarts."""

import pytest
from elastic_pipelines import after, failure, refused, simulated
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError
from served import serving

from efive.server.app import Options

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
