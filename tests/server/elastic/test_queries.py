"""Queries on one index: what matches, with which scores. Against plain Python wherever that can say it."""

import math
from collections import Counter

import pytest
from elastic_reading import opened, scores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from efive.search.terms import index_terms, query_terms
from efive.server.elastic.errors import ElasticError
from efive.server.elastic.queries import values
from efive.server.elastic.queries.evaluation import Evaluation
from efive.server.elastic.queries.minimum import at_least
from efive.server.elastic.queries.parsing import parse

PROPERTIES = {
    "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
    "body": {"type": "text"},
    "tag": {"type": "keyword"},
    "year": {"type": "integer"},
    "price": {"type": "double"},
    "sold": {"type": "boolean"},
    "day": {"type": "date"},
    "author": {"properties": {"name": {"type": "keyword"}, "age": {"type": "long"}}},
}


BOOKS = {
    "a": {"title": "The quick brown fox", "body": "a fox in a forest", "tag": ["x", "y"], "year": 2001, "price": 9.5,
          "sold": True, "day": "2024-05-01", "author": {"name": "Ann", "age": 40}},
    "b": {"title": "Lazy dogs sleep", "body": "the dog of the fox", "tag": "y", "year": 2010, "price": 12,
          "sold": False, "day": "2024-05-31T23:30:00Z", "author": [{"name": "Bob"}, {"name": "Eve"}]},
    "c": {"title": "Brown bears", "body": "honey", "tag": "Zebra*", "year": 2020, "day": "2024-06-01T00:00:00+02:00"},
    "d": {"year": [1999, 2015], "tag": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("books"), PROPERTIES, BOOKS) as reading:
        yield reading


def ids(reading, query):
    return set(scores(reading, query))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"match_all": {}}, "abcd"),
        ({"match_none": {}}, ""),
        ({"match": {"title": "brown dogs"}}, "abc"),
        ({"match": {"title": {"query": "brown fox", "operator": "AND"}}}, "a"),
        ({"match": {"title": {"query": "quick brown bears", "minimum_should_match": 2}}}, "ac"),
        ({"match": {"title": {"query": "quick brown fox bear", "minimum_should_match": "75%"}}}, "a"),
        ({"match": {"title": {"query": "brown", "fuzziness": 0}}}, "ac"),
        ({"match": {"title": "..."}}, ""),
        ({"match": {"title": {"query": "...", "zero_terms_query": "all"}}}, "abcd"),
        ({"match": {"nowhere": "fox"}}, ""),
        ({"match": {"year": "2010"}}, "b"),
        ({"match": {"tag": "y"}}, "ab"),
        ({"match": {"year": {"query": "new", "lenient": True}}}, ""),
        ({"match_phrase": {"title": "Quick BROWN"}}, "a"),
        ({"match_phrase": {"title": "brown quick"}}, ""),
        ({"multi_match": {"query": "fox", "fields": ["title", "bod*"]}}, "ab"),
        ({"multi_match": {"query": "lazy fox", "fields": ["title", "body"], "operator": "and"}}, ""),
        ({"multi_match": {"query": "lazy fox", "fields": ["title", "body"], "type": "cross_fields",
                          "operator": "and"}}, "b"),
        ({"multi_match": {"query": "the dog", "type": "phrase", "fields": ["title", "body"]}}, "b"),
        ({"multi_match": {"query": "honey"}}, "c"),
        ({"term": {"tag": "y"}}, "ab"),
        ({"term": {"tag": {"value": "Y", "case_insensitive": True}}}, "ab"),
        ({"term": {"tag": "Y"}}, ""),
        ({"term": {"title.raw": "Brown bears"}}, "c"),
        ({"term": {"title": "brown"}}, "ac"),
        ({"term": {"sold": False}}, "b"),
        ({"term": {"sold": "true"}}, "a"),
        ({"term": {"year": 2015.0}}, "d"),
        ({"term": {"year": 2015.5}}, ""),
        ({"term": {"price": "9.5"}}, "a"),
        ({"term": {"day": "2024-05-31"}}, "bc"),
        ({"term": {"day": "2024-05-31T22:00:00Z"}}, "c"),
        ({"term": {"author.name": "Eve"}}, "b"),
        ({"term": {"_id": "c"}}, "c"),
        ({"term": {"_index": "books"}}, "abcd"),
        ({"terms": {"tag": ["x", "Zebra*"]}}, "ac"),
        ({"terms": {"_id": ["c", "nobody"]}}, "c"),
        ({"terms": {"year": []}}, ""),
        ({"range": {"year": {"gt": 2001, "lte": 2015}}}, "bd"),
        ({"range": {"price": {"gte": "9.5", "lt": 12}}}, "a"),
        ({"range": {"tag": {"gte": "x", "lt": "y"}}}, "a"),
        ({"range": {"day": {"lte": "2024-05"}}}, "a"),
        ({"range": {"day": {"lte": "2024-05||/M"}}}, "abc"),
        ({"range": {"day": {"gt": "2024-05-31||/d"}}}, ""),
        ({"range": {"day": {"gte": "2024-06-01", "time_zone": "+02:00"}}}, "bc"),
        ({"range": {"day": {"gte": "31/05/2024", "format": "dd/MM/yyyy"}}}, "bc"),
        ({"range": {"day": {"gte": "2024-06-01||-1M/M", "lt": "2024-05-02"}}}, "a"),
        ({"range": {"year": {}}}, "abcd"),
        ({"exists": {"field": "price"}}, "ab"),
        ({"exists": {"field": "author"}}, "ab"),
        ({"exists": {"field": "tag"}}, "abc"),
        ({"exists": {"field": "title"}}, "abc"),
        ({"ids": {"values": ["a", "zz", "d"]}}, "ad"),
        ({"prefix": {"tag": "Z"}}, "c"),
        ({"prefix": {"title.raw": {"value": "the QUICK", "case_insensitive": True}}}, "a"),
        ({"wildcard": {"tag": "?ebra\\*"}}, "c"),
        ({"wildcard": {"title.raw": {"value": "*o*s*"}}}, "bc"),
        ({"wildcard": {"tag": "[xy]"}}, ""),
        ({"constant_score": {"filter": {"term": {"tag": "y"}}}}, "ab"),
        ({"dis_max": {"queries": [{"term": {"tag": "x"}}, {"term": {"year": 1999}}]}}, "ad"),
        ({"bool": {}}, "abcd"),
        ({"bool": {"must_not": {"exists": {"field": "price"}}}}, "cd"),
        ({"bool": {"should": [{"term": {"tag": "x"}}, {"term": {"year": 2020}}]}}, "ac"),
        ({"bool": {"should": [{"term": {"tag": "x"}}], "minimum_should_match": 0}}, "a"),
        ({"bool": {"filter": {"term": {"tag": "y"}}, "should": {"term": {"tag": "x"}}}}, "ab"),
        ({"bool": {"filter": {"term": {"tag": "y"}}, "should": {"term": {"tag": "x"}},
                   "minimum_should_match": 1}}, "a"),
        ({"bool": {"must": {"match": {"body": "fox"}}, "must_not": {"term": {"sold": True}}}}, "b"),
    ],
)  # fmt: skip
def test_what_matches(books, query, found):
    assert ids(books, query) == set(found)


TESTS = st.one_of(
    st.builds(lambda tag: {"term": {"tag": tag}}, st.sampled_from("xyz")),
    st.builds(
        lambda a, b: {"range": {"year": {"gte": min(a, b), "lt": max(a, b)}}}, st.integers(0, 9), st.integers(0, 9)
    ),
    st.builds(lambda field: {"exists": {"field": field}}, st.sampled_from(["tag", "year"])),
)


def test_case_is_passed_over_in_ascii(client):
    client.indices.create(index="cases", mappings={"properties": {"tag": {"type": "keyword"}}})
    client.index(index="cases", id="a", document={"tag": "ÄPFEL und Birnen"}, refresh=True)
    for query in ({"prefix": {"tag": {"value": "Äpf"}}}, {"wildcard": {"tag": {"value": "Ä*bIRNEN"}}},
                  {"term": {"tag": {"value": "ÄPFEL UND birnen"}}}):  # fmt: skip
        ((kind, inner),) = query.items()
        asked = {kind: {"tag": inner["tag"] | {"case_insensitive": True}}}
        assert client.count(index="cases", query=asked)["count"] == 1, query
        assert client.count(index="cases", query=query)["count"] == 0, query


CLAUSES = ("must", "filter", "should", "must_not")


TREES = st.recursive(
    TESTS,
    lambda inner: st.builds(
        lambda clauses, least: {"bool": clauses | ({} if least is None else {"minimum_should_match": least})},
        st.dictionaries(st.sampled_from(CLAUSES), st.lists(inner, max_size=3), max_size=4),
        st.none() | st.integers(0, 3) | st.sampled_from(["-1", "50%"]),
    ),
    max_leaves=8,
)


def holds(query, document):
    """What a query means, document by document."""
    ((kind, body),) = query.items()
    if kind == "term":
        return body["tag"] in document.get("tag", [])
    if kind == "range":
        return any(body["year"]["gte"] <= year < body["year"]["lt"] for year in document.get("year", []))
    if kind == "exists":
        return bool(document.get(body["field"]))
    clauses = {name: body.get(name, []) for name in CLAUSES}
    required = clauses["must"] + clauses["filter"]
    least = at_least(str(body.get("minimum_should_match", 0)), len(clauses["should"]))
    if clauses["should"] and not required:  # Lucene: of optional clauses alone, one must match
        least = max(least, 1)
    return (
        all(holds(part, document) for part in required)
        and not any(holds(part, document) for part in clauses["must_not"])
        and sum(holds(part, document) for part in clauses["should"]) >= least
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    documents=st.lists(
        st.fixed_dictionaries(
            {"tag": st.lists(st.sampled_from("xyz"), max_size=2), "year": st.lists(st.integers(0, 9), max_size=2)}
        ),
        min_size=1,
        max_size=8,
    ),
    queries=st.lists(TREES, min_size=5, max_size=10),
)
def test_bool_is_what_it_means(tmp_path_factory, documents, queries):
    named = {str(number): document for number, document in enumerate(documents)}
    with opened(tmp_path_factory.mktemp("index"), PROPERTIES, named) as reading:
        for query in queries:
            assert ids(reading, query) == {id_ for id_, document in named.items() if holds(query, document)}, query


def bm25(text, documents):
    """Lucene's formula, one document at a time."""
    bodies = {id_: index_terms(each["body"]).split() for id_, each in documents.items() if "body" in each}
    average = sum(map(len, bodies.values())) / len(bodies)
    found = Counter()
    for term in query_terms(text):
        having = sum(term in terms for terms in bodies.values())
        idf = math.log(1 + (len(bodies) - having + 0.5) / (having + 0.5))
        for id_, terms in bodies.items():
            if count := terms.count(term):
                found[id_] += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(terms) / average))
    return found


@pytest.mark.parametrize("text", ["fox", "the fox", "the the dog", "honey forest of", "a"])
def test_words_score_by_lucenes_bm25(books, text):
    assert scores(books, {"match": {"body": text}}) == pytest.approx(bm25(text, BOOKS), rel=1e-5)


def test_scores_are_joined(books):
    fox, dog = (scores(books, {"match": {"body": word}}) for word in ("fox", "dog"))
    parts = [{"match": {"body": "fox"}}, {"match": {"body": {"query": "dog", "boost": 3}}}]
    assert scores(books, {"bool": {"should": parts}})["b"] == pytest.approx(fox["b"] + 3 * dog["b"])
    assert scores(books, {"dis_max": {"queries": parts}})["b"] == pytest.approx(3 * dog["b"])
    tied = scores(books, {"dis_max": {"queries": parts, "tie_breaker": 0.5}})
    assert tied["b"] == pytest.approx(3 * dog["b"] + 0.5 * fox["b"])
    assert scores(books, {"bool": {"filter": parts, "must": {"match_all": {"boost": 2}}}}) == {"b": 2}
    assert scores(books, {"constant_score": {"filter": parts[0], "boost": 7}}) == {"a": 7, "b": 7}
    assert scores(books, {"bool": {"filter": parts[0]}}) == {"a": 0, "b": 0}
    rare, common = (scores(books, {"term": {"tag": tag}})["a"] for tag in "xy")
    assert rare > common > 0


def test_names_of_queries_are_told(books):
    evaluation = Evaluation(books)
    named = {"bool": {"should": [{"term": {"tag": {"value": "x", "_name": "one"}}},
                                 {"match": {"body": {"query": "fox", "_name": "two"}}}]}}  # fmt: skip
    evaluation.matches(parse(named))
    found = {name: values.ids_of(books.database, rows.tolist()) for name, rows in evaluation.named.items()}
    assert found == {"one": ["a"], "two": ["a", "b"]}


@pytest.mark.parametrize(
    ("query", "type_", "reason"),
    [
        ({"matches": {}}, "parsing_exception", "unknown query [matches]"),
        ({"function_score": {}}, "illegal_argument_exception", "[function_score] query is not supported by efive"),
        ({}, "illegal_argument_exception", "query malformed, empty clause found"),
        ([], "parsing_exception", "[_na] query malformed, must start with start_object"),
        ({"match": {"a": "x"}, "term": {"b": "y"}}, "parsing_exception", "[match] malformed query"),
        ({"match": {"a": "x", "b": "y"}}, "parsing_exception", "[match] query doesn't support multiple fields"),
        ({"match": {"a": {"query": "x", "slop": 1}}}, "x_content_parse_exception", "[match] unknown field [slop]"),
        ({"match": {"a": {"query": "x", "fuzziness": "AUTO"}}}, "illegal_argument_exception", "[fuzziness] AUTO"),
        ({"match": {"a": {"query": "x", "operator": "xor"}}}, "illegal_argument_exception", "[xor]"),
        ({"bool": {"musst": []}}, "x_content_parse_exception", "[bool] unknown field [musst]"),
        ({"bool": {"must": [{"oops": {}}]}}, "parsing_exception", "unknown query [oops]"),
        ({"match_phrase": {"title": {"query": "!", "zero_terms_query": "all"}}}, "illegal_argument_exception",
         "[match_phrase] with [zero_terms_query]"),
        ({"bool": {"minimum_should_match": "many"}}, "illegal_argument_exception", "[minimum_should_match]"),
        ({"term": {"a": None}}, "illegal_argument_exception", "[term] requires value"),
        ({"terms": {"a": "x"}}, "parsing_exception", "a list of values is needed"),
        ({"range": {"year": {"gte": "many"}}}, "number_format_exception", 'For input string: "many"'),
        ({"range": {"title": {"gte": "a"}}}, "illegal_argument_exception", "[text]"),
        ({"range": {"day": {"gte": "soon"}}}, "parse_exception", "failed to parse date field [soon]"),
        ({"term": {"sold": "maybe"}}, "illegal_argument_exception", "Can't parse boolean value [maybe]"),
        ({"prefix": {"title": "a"}}, "illegal_argument_exception", "keyword fields"),
        ({"semantic": {"field": "title", "query": "x"}}, "illegal_argument_exception",
         "Field [title] of type [text] does not support [semantic] queries"),
        ({"knn": {"field": "title", "query_vector": [1.0]}}, "illegal_argument_exception", "[dense_vector"),
        ({"knn": {"field": "v"}}, "illegal_argument_exception", "must be provided"),
        ({"knn": {"field": "v", "query_vector": [1], "k": 10, "num_candidates": 5}}, "illegal_argument_exception",
         "[num_candidates] cannot be less than [k]"),
        ({"knn": {"field": "v", "query_vector": [1], "num_candidates": 10_001}}, "illegal_argument_exception",
         "[num_candidates] cannot exceed [10000]"),
        ({"knn": {"field": "v", "query_vector": ["a"]}}, "illegal_argument_exception", "finite numbers"),
    ],
)  # fmt: skip
def test_mistakes_are_named(books, query, type_, reason):
    with pytest.raises(ElasticError) as caught:
        ids(books, query)
    assert caught.value.type == type_
    assert reason in caught.value.reason
    assert caught.value.status == 400
