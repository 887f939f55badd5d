"""Mappings: read, checked, merged, grown by what documents bring."""

import pytest

from efive.server.elastic.errors import ElasticError
from efive.server.elastic.indices.mapping_json import parse, to_dict
from efive.server.elastic.indices.mapping_merging import merged
from efive.server.elastic.indices.values import values_of


def refusal(work, *arguments, **options):
    """Return the error that something raises."""
    with pytest.raises(ElasticError) as error:
        work(*arguments, **options)
    return error.value


def one(definition):
    """Return the mapping of one field `f`."""
    return {"properties": {"f": definition}}


def put(mapping, given):
    """Put a mapping on top of another."""
    return merged(mapping, parse(given), dynamic_given="dynamic" in given)


def test_what_is_given_comes_back():
    given = {
        "dynamic": "strict",
        "date_detection": False,
        "properties": {
            "n": {"type": "integer", "ignore_malformed": True},
            "o": {"dynamic": "true", "properties": {"in": {"properties": {"x": {"type": "keyword"}}}}},
            "s": {"type": "semantic_text", "inference_id": "e5"},
            "t": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 10}}, "copy_to": "s"},
            "v": {"type": "dense_vector", "dims": 3, "similarity": "l2_norm"},
        },
    }
    assert to_dict(parse(given)) == given
    assert to_dict(parse(to_dict(parse(given)))) == given


def test_dotted_names_make_objects():
    given = {"properties": {"a.b.c": {"type": "long"}}}
    nested = {"properties": {"a": {"properties": {"b": {"properties": {"c": {"type": "long"}}}}}}}
    assert to_dict(parse(given)) == nested


def test_semantic_text_without_an_endpoint_gets_the_default_one():
    assert parse(one({"type": "semantic_text"})).fields["f"].options == {
        "inference_id": ".multilingual-e5-small-elasticsearch"
    }


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({"type": "strng"}, "The mapper type [strng] declared on field [f] does not exist."),
        ({"type": "text", "dims": 3}, "unknown parameter [dims] on mapper [f] of type [text]"),
        ({"index": True}, "No type specified for field [f]"),
        ({"type": "long", "index": None}, "[index] on mapper [f] of type [long] must not have a [null] value"),
        ({"type": "long", "index": "maybe"}, "Failed to parse value [maybe] as only [true] or [false] are allowed."),
        (
            {"type": "dense_vector", "dims": 5000},
            "The number of dimensions for field [f] should be in the range [1, 4096] but was [5000]",
        ),
        (
            {"type": "dense_vector", "similarity": "near"},
            (
                "Unknown value [near] for field [similarity] - accepted values are "
                "[cosine, dot_product, l2_norm, max_inner_product]"
            ),
        ),
        ("text", "Expected map for property [fields] on field [f] but got [text]"),
    ],
)
def test_what_cannot_be_parsed_is_said_as_elasticsearch_says_it(definition, reason):
    error = refusal(parse, one(definition))
    assert (error.status, error.type) == (400, "mapper_parsing_exception")
    assert error.reason.startswith(f"Failed to parse mapping: {reason}")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (one({"type": "nested"}), "the type [nested] of the field [f]"),
        (one({"type": "text", "analyzer": "english"}), "[analyzer] [english] of the field [f]"),
        (one({"type": "keyword", "normalizer": "lowercase"}), "[normalizer] of the field [f]"),
        (one({"type": "dense_vector", "element_type": "byte"}), "[element_type] [byte] of the field [f]"),
        (one({"type": "date", "format": "QQQ"}), "the date format [QQQ]"),
        ({"dynamic": "runtime"}, "[dynamic] [runtime]"),
        ({"dynamic_templates": [{}]}, "[dynamic_templates]"),
    ],
)
def test_what_elasticsearch_has_and_efive_has_not_is_named(given, named):
    assert refusal(parse, given).reason == f"{named} is not supported by efive"


def test_a_field_cannot_change_its_type():
    mapping = parse(one({"type": "long"}))
    error = refusal(put, mapping, one({"type": "text"}))
    assert (error.type, error.reason) == (
        "illegal_argument_exception",
        "mapper [f] cannot be changed from type [long] to [text]",
    )
    error = refusal(put, mapping, one({"properties": {"x": {"type": "long"}}}))
    assert error.reason.startswith("can't merge a non object mapping [f] with an object mapping")
    error = refusal(put, parse(one({"type": "dense_vector", "dims": 3})), one({"type": "dense_vector", "dims": 4}))
    assert "Cannot update parameter [dims] from [3] to [4]" in error.reason


def test_fields_and_multi_fields_are_added():
    mapping = put(parse(one({"type": "text"})), one({"type": "text", "fields": {"raw": {"type": "keyword"}}}))
    mapping = put(mapping, {"properties": {"g": {"type": "date"}}, "dynamic": False})
    assert to_dict(mapping) == {
        "dynamic": "false",
        "properties": {"f": {"type": "text", "fields": {"raw": {"type": "keyword"}}}, "g": {"type": "date"}},
    }


def test_fields_by_their_values():
    document = {
        "text": "some words",
        "date": "2024-05-01T10:00:00Z",
        "slashes": "2024/05/01",
        "digits": "2024",
        "whole": 1,
        "decimal": 1.5,
        "truth": True,
        "list": [None, [3]],
        "object": {"inner": "x"},
        "objects": [{"a": 1}, {"b": "2"}],
        "vector": [0.5] * 128,
        "nothing": None,
        "empty": [],
    }
    mapping, _ = values_of(parse({}), document, "1")
    words = {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
    assert to_dict(mapping)["properties"] == {
        "text": words,
        "date": {"type": "date"},
        "slashes": {"type": "date", "format": "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis"},
        "digits": words,
        "whole": {"type": "long"},
        "decimal": {"type": "float"},
        "truth": {"type": "boolean"},
        "list": {"type": "long"},
        "object": {"properties": {"inner": words}},
        "objects": {"properties": {"a": {"type": "long"}, "b": words}},
        "vector": {"type": "dense_vector", "dims": 128, "index": True, "similarity": "cosine"},
    }


def test_dynamic_false_and_strict():
    mapping, values = values_of(parse({"dynamic": False, **one({"type": "long"})}), {"f": 1, "g": 2}, "1")
    assert list(mapping.fields) == ["f"]
    assert values.rows == [("f", None, 1)]
    error = refusal(values_of, parse({"dynamic": "strict"}), {"g": 2}, "1")
    assert error.type == "strict_dynamic_mapping_exception"
    assert error.reason == "mapping set to strict, dynamic introduction of [g] within [_doc] is not allowed"
    inner = {"dynamic": "strict", "properties": {"o": {"type": "object", "dynamic": True}}}
    assert "o.x" in values_of(parse(inner), {"o": {"x": 1}}, "1")[0].fields


@pytest.mark.parametrize(
    ("definition", "value", "rows"),
    [
        ({"type": "keyword"}, ["a", True, 1, "a"], [("a", None), ("true", None), ("1", None)]),
        ({"type": "keyword", "ignore_above": 2}, ["ab", "abc"], [("ab", None)]),
        ({"type": "long"}, ["7", 7.9], [(None, 7)]),
        ({"type": "boolean"}, [True, "false", ""], [(None, 1), (None, 0)]),
        ({"type": "date"}, ["1970-01-02", 5], [(None, 86_400_000), (None, 5)]),
        ({"type": "date"}, "2024-05-01T10:00:00.123456+02:00", [(None, 1_714_550_400_123)]),
        (
            {"type": "date", "format": "dd.MM.yyyy||epoch_second"},
            ["02.01.1970", "3"],
            [(None, 86_400_000), (None, 3000)],
        ),
        ({"type": "integer", "ignore_malformed": True}, ["x", 3], [(None, 3)]),
        ({"type": "text"}, "words", [(None, None)]),
    ],
)
def test_values_as_they_are_kept(definition, value, rows):
    kept = values_of(parse(one(definition)), {"f": value}, "1")[1].rows
    assert kept == [("f", *row) for row in rows]


@pytest.mark.parametrize(
    ("definition", "value", "kept"),
    [
        ({"type": "boolean"}, ["maybe", True], {"f": True}),
        ({"type": "boolean"}, {"a": 1}, {}),
        ({"type": "date"}, [{"a": 1}, 1e300, "2024-05-01"], {"f": "2024-05-01"}),
        ({"type": "long"}, ["x", 3], {"f": 3}),
    ],
)
def test_malformed_values_that_are_ignored_are_in_no_collection(definition, value, kept):
    field = definition | {"ignore_malformed": True}
    assert values_of(parse(one(field)), {"f": value}, "1")[1].metadata == kept


@pytest.mark.parametrize(
    ("definition", "value", "why"),
    [
        ({"type": "long"}, "x", 'For input string: "x"'),
        ({"type": "long"}, "1_000", 'For input string: "1_000"'),
        ({"type": "byte"}, 128, "Value [128] is out of range for a byte"),
        ({"type": "long", "coerce": False}, 1.5, "has a decimal part"),
        ({"type": "half_float"}, 1e6, "[half_float] supports only finite values, but got [1000000.0]"),
        ({"type": "boolean"}, "yes", "Failed to parse value [yes] as only [true] or [false] are allowed."),
        ({"type": "date"}, "yesterday", "failed to parse date field [yesterday] with format"),
        ({"type": "date"}, "2024-02-30", "failed to parse date field [2024-02-30]"),
        ({"type": "text"}, {"a": 1}, ""),
    ],
)
def test_values_that_a_field_cannot_have(definition, value, why):
    error = refusal(values_of, parse(one(definition)), {"f": value}, "1")
    assert error.type == "document_parsing_exception"
    assert error.reason.startswith(f"failed to parse field [f] of type [{definition['type']}] in document with id '1'")
    assert why in error.reason


def test_multi_fields_and_copies_have_the_values_too():
    given = {
        "properties": {
            "title": {"type": "text", "copy_to": "all", "fields": {"raw": {"type": "keyword"}}},
            "body": {"type": "text", "copy_to": ["all"]},
            "all": {"type": "semantic_text", "inference_id": "e5"},
        }
    }
    values = values_of(parse(given), {"title": "One", "body": "two", "all": "zero"}, "1")[1]
    assert values.semantic == {"all": ["zero", "One", "two"]}
    assert ("title.raw", "One", None) in values.rows
    assert values.metadata == {}


def test_collections_get_scalar_fields_only():
    given = {"properties": {"k": {"type": "keyword"}, "d": {"type": "date"}, "t": {"type": "text"}}}
    document = {"k": ["a", "b"], "d": 0, "t": "text", "n": 2**60, "o": {"x": 1.5, "y": [1, 2]}, "b": False}
    assert values_of(parse(given), document, "1")[1].metadata == {
        "k": ["a", "b"],
        "d": "1970-01-01T00:00:00.000Z",
        "n": str(2**60),
        "o.x": 1.5,
        "o.y": ["1", "2"],
        "b": False,
    }


def test_too_many_fields_are_refused():
    error = refusal(values_of, parse({}), {f"n{number}": 1 for number in range(1001)}, "1")
    assert error.reason == "Limit of total fields [1000] has been exceeded while adding new fields [1001]"
