import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.errors import InputError
from efive.search.conditions import (
    And,
    Compare,
    Exists,
    Has,
    In,
    Not,
    Or,
    StartsWith,
    from_mapping,
    matches,
    parse,
    text,
)  # fmt: skip

GUIDE = {
    "lang": "de",
    "year": 2021,
    "tags": ["new", "draft"],
    "draft": True,
    "file": {"path": "docs/a.md", "size": 1.5},
}
BARE: dict[str, object] = {"lang": "en"}

ENCODABLE = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(ENCODABLE, max_size=8)
FIELDS = st.one_of(
    st.sampled_from(
        ["lang", "year", "tags", "file.path", "not", "Exists", "order", "in-stock", "a b", "`", '\\"', "名"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\t\0"), min_size=1, max_size=8),
)
ORDERED = st.one_of(TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(ORDERED, st.booleans())
TESTS = st.one_of(
    st.builds(Compare, FIELDS, st.sampled_from(["=", "!="]), SCALARS),
    st.builds(Compare, FIELDS, st.sampled_from(["<", "<=", ">", ">="]), ORDERED),
    st.builds(In, FIELDS, st.lists(SCALARS, max_size=4).map(tuple)),
    st.builds(Has, FIELDS, SCALARS),
    st.builds(StartsWith, FIELDS, TEXTS),
    st.builds(Exists, FIELDS),
)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=12,
)

WORDS = [
    *(
        "a",
        "=",
        "1",
        '"x"',
        "in",
        "[",
        "]",
        ",",
        "(",
        ")",
        "not",
        "and",
        "or",
        "has",
        "exists",
        "true",
        "^=",
        "<",
        "1.",
    ),
    *("`b`", ".", "-", "'", "\\", '"', "%", "名"),
]


def refusal(call, *arguments) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return str(caught.value)


@given(CONDITIONS)
def test_text_is_read_back_as_the_same_condition(condition):
    again = parse(text(condition))
    assert again == condition
    assert repr(again) == repr(condition)  # 1, 1.0 and True are equal to Python


def test_the_language():
    assert parse('lang = "de" and year >= 2020 and (tags has "draft" or not exists(author))') == And(
        (
            Compare("lang", "=", "de"),
            Compare("year", ">=", 2020),
            Or((Has("tags", "draft"), Not(Exists("author")))),
        )
    )
    assert parse("a=1 or b=2 and not c=3") == Or(
        (Compare("a", "=", 1), And((Compare("b", "=", 2), Not(Compare("c", "=", 3)))))
    )
    assert parse("NOT order == TRUE") == Not(Compare("order", "=", True))
    assert parse("lang Not In ['de', -1.5e1]") == Not(In("lang", ("de", -15.0)))
    assert parse('file.path ^= "docs/"') == StartsWith("file.path", "docs/")
    assert parse("`not`\n!= 'it\\'s \\u00e9 \"x\" \\\\'") == Compare("not", "!=", 'it\'s é "x" \\')
    assert parse("exists ( 名字 )") == Exists("名字")


@pytest.mark.parametrize(
    ("asked", "guide", "bare"),
    [
        ('lang = "de"', True, False),
        ('lang = "DE"', False, False),
        ("year = 2021.0", True, False),
        ('year = "2021"', False, False),
        ("year > 2020", True, False),
        ("not year > 2021", True, True),
        ("year != 2021", False, True),
        ("year != '2021'", True, True),
        ("year != 2020 and exists(year)", True, False),
        ("draft = true", True, False),
        ("draft = 1", False, False),
        ("draft <= 1", False, False),
        ('tags = "draft"', True, False),
        ('tags != "draft"', False, True),
        ('tags has "draft"', True, False),
        ('tags has "dra"', False, False),
        ('lang has "de"', False, False),
        ('tags >= "new"', True, False),
        ('lang in ["de", "fr"]', True, False),
        ('tags in ["old", "new"]', True, False),
        ('tags not in ["old", "new"]', False, True),
        ("year in []", False, False),
        ("year in [true, 2021]", True, False),
        ('file.path ^= "docs/"', True, False),
        ('file.path ^= "ocs/"', False, False),
        ('year ^= "2"', False, False),
        ("file.size < 2", True, False),
        ("exists(file.path) and not exists(file)", True, False),
        ('lang < "ä" and lang > "Z"', True, True),
    ],
)
def test_what_holds(asked, guide, bare):
    assert (matches(parse(asked), GUIDE), matches(parse(asked), BARE)) == (guide, bare)


def test_an_empty_list_exists_and_equals_nothing():
    assert matches(parse('exists(tags) and not tags = "a" and tags != "a"'), {"tags": []})
    assert not matches(parse("exists(tags)"), {"tags": None})


@given(CONDITIONS, st.dictionaries(FIELDS, st.one_of(SCALARS, st.lists(TEXTS, max_size=3)), max_size=6))
def test_every_condition_has_an_answer_and_not_turns_it(condition, metadata):
    assert matches(Not(condition), metadata) is not matches(condition, metadata)


@pytest.mark.parametrize(
    ("broken", "column", "says"),
    [
        ("", 1, "it is empty, where a field"),
        ("lang = de", 8, "stands in quotes"),
        ("day > 2020-01-01", 7, "stands in quotes"),
        ('lang = "de', 8, "never closed"),
        ('"lang" = "de"', 1, "a field stands without quotes"),
        ("in = 2", 1, "backticks: `in`"),
        ("a = 1 && b = 2", 7, "write `and` and `or`"),
        ("year 2020", 6, "an operator (="),
        ("year not 2020", 10, "where `in` is expected"),
        ("(a = 1 ", 7, "it ends, where `and`, `or` or ) is expected"),
        ("a = 1)", 6, "`and`, `or` or the end is expected"),
        ("draft > true", 9, "a text in quotes or a number is expected"),
        ('a in "x"', 6, "a list such as"),
        ('path ^= "docs\\guides"', 9, "a backslash is written"),
        ("a = 9223372036854775808", 5, "64 bits"),
        ("a = 1e999", 5, "inf is no number"),
        ("a = " + 5000 * "1", 5, "too many digits"),
        ('a = "\\ud800"', 5, "lone surrogate"),
        ("`` = 1", 1, "no name for a field"),
    ],
)
def test_mistakes_name_the_column_and_the_way_out(broken, column, says):
    message = refusal(parse, broken)
    assert f"at column {column}: " in message
    assert says in message
    assert message.splitlines()[-1].startswith("Example: ")
    parse(message.splitlines()[-1].removeprefix("Example: "))


@given(st.lists(st.sampled_from(WORDS)))
def test_any_text_is_a_condition_or_a_mistake(words):
    for joint in ("", " "):
        try:
            condition = parse(joint.join(words))
        except InputError as error:
            assert "column" in str(error)  # noqa: PT017 - most texts are mistakes, some are none
        else:
            assert parse(text(condition)) == condition


def test_the_caret_stands_below_the_mistake():
    lines = refusal(parse, 'year > 1 and\n  语言 = "中文" y').splitlines()
    assert "line 2, column 13" in lines[0]
    assert lines[1:3] == ['      语言 = "中文" y', 20 * " " + "^"]  # Chinese characters are two columns wide


def test_the_excerpt_of_a_long_condition_is_short():
    lines = refusal(parse, 50 * "a = 1 and " + "% " + 100 * "x").splitlines()
    assert lines[1][lines[2].index("^")] == "%"
    assert len(lines[1]) < 100


def test_limits_are_errors_and_no_crashes():
    assert parse(10_000 * "(" + "a=1" + 10_000 * ")") == Compare("a", "=", 1)
    assert "levels deep" in refusal(parse, 10_000 * "not " + "a=1")
    assert "levels deep" in refusal(parse, 5_000 * "(not " + "a=1" + 5_000 * ")")
    assert "column 20001" in refusal(parse, 20_000 * "(")
    assert "500 tests" in refusal(parse, " or ".join(501 * ["a=1"]))
    assert "10000" in refusal(parse, f"a in [{','.join(10_001 * ['1'])}]")
    assert "200000" in refusal(parse, 200_001 * " ")
    deep: dict[str, object] = {"a": 1}
    for _ in range(10_000):
        deep = {"$and": [deep]}
    assert "levels deep" in refusal(from_mapping, deep)


def test_the_tree_refuses_what_no_store_can_answer():
    assert "two or more" in refusal(And, (Exists("a"),))
    assert "no order" in refusal(Compare, "a", "<", True)
    assert "no operator" in refusal(Compare, "a", "==", 1)
    assert "nan" in refusal(Compare, "a", "=", float("nan"))
    assert "no value" in refusal(In, "a", (None,))


@pytest.mark.parametrize(
    ("mapping", "same"),
    [
        ('{"genre": "x"}', 'genre = "x"'),
        ('{"genre": {"$eq": "x"}}', 'genre = "x"'),
        ('{"year": {"$gte": 2020, "$lt": 2024}}', "year >= 2020 and year < 2024"),
        ('{"a": {"$gt": 1}, "b.c": {"$lte": "x"}}', 'a > 1 and b.c <= "x"'),
        ('{"a": {"$ne": true}}', "a != true"),
        ('{"a": {"$in": [1, "x"]}, "b": {"$nin": []}}', 'a in [1, "x"] and b not in []'),
        ('{"a": {"$exists": true}, "b": {"$exists": false}}', "exists(a) and not exists(b)"),
        ('{"$or": [{"a": 1}, {"$and": [{"b": 2}, {"c": 3}]}]}', "a = 1 or b = 2 and c = 3"),
        ('{"$not": {"a": 1, "b": 2}}', "not (a = 1 and b = 2)"),
        ('{"a": {"$not": {"$gt": 1}}}', "not a > 1"),
        ('{"$and": [{"a": 1}]}', "a = 1"),
    ],
)
def test_mappings_mean_what_the_language_says(mapping, same):
    assert from_mapping(json.loads(mapping)) == parse(same)


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ("{}", "leave it out"),
        ('{"a": {}}', "filter a is empty"),
        ('{"$and": [{"a": 1}, {"b": {"$gt": null}}]}', "filter $and[1].b.$gt is null"),
        ('{"$or": {"a": 1}}', "filter $or is {"),
        ('{"$or": []}', "filter $or needs at least one"),
        ('{"$or": ["a"]}', 'filter $or[0] is "a"'),
        ('{"$nor": [{"a": 1}]}', "filter $nor is no operator"),
        ('{"a": {"$regex": "x"}}', "filter a.$regex is no operator; there are $eq"),
        ('{"a": {"b": "x"}}', 'a nested field is written "a.b"'),
        ('{"a": ["x"]}', "$in"),
        ('{"a": null}', '{"$exists": false}'),
        ('{"a": {"$in": ["x", {}]}}', "filter a.$in[1] is {}"),
        ('{"a": {"$exists": 1}}', "true or false"),
        ('{"a": {"$lt": true}}', "filter a.$lt cannot be used: true and false have no order"),
        ('{"": 1}', "no name for a field"),
        ('{"a": 9223372036854775808}', "filter a cannot be used: a whole number"),
    ],
)
def test_mistakes_in_mappings_name_the_place(mapping, says):
    assert says.lower() in refusal(from_mapping, json.loads(mapping)).lower()
