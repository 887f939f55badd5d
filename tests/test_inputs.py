import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.errors import InputError
from efive.inputs import E5_PROMPTS, Prompts, Role, add_prefix, prefix_length, strip_prefix

INSTRUCT = Prompts.instruct("Find the answer.")


@pytest.mark.parametrize(
    ("text", "role", "expected"),
    [
        ("tea", Role.QUERY, "query: tea"),
        ("tea", Role.PASSAGE, "passage: tea"),
        ("tea", Role.RAW, "tea"),
        ("query: tea", Role.RAW, "query: tea"),
        ("QUERY:tea", Role.QUERY, "query: tea"),
        ("query:  tea", Role.PASSAGE, "passage: tea"),
        ("queryable: tea", Role.QUERY, "query: queryable: tea"),
        ("my query: tea", Role.QUERY, "query: my query: tea"),
        ("", Role.QUERY, "query: "),
        ("query: Query:  tea", Role.QUERY, "query: tea"),
    ],
)
def test_e5_prefixes(text, role, expected):
    assert add_prefix(text, role, E5_PROMPTS) == expected


def test_instruct_prefixes():
    assert add_prefix("tea", Role.QUERY, INSTRUCT) == "Instruct: Find the answer.\nQuery: tea"
    assert add_prefix("tea", Role.PASSAGE, INSTRUCT) == "tea"
    own = "Instruct: Something else.\nQuery: tea"
    assert add_prefix(own, Role.QUERY, INSTRUCT) == own
    assert add_prefix(own, Role.PASSAGE, INSTRUCT) == "tea"
    # An E5 prefix means nothing to an instruct model: it is part of the text.
    assert prefix_length("query: tea", INSTRUCT) == 0


def test_an_empty_instruction_is_refused():
    with pytest.raises(InputError, match="instruction is empty"):
        Prompts.instruct("  ")


@given(st.text(), st.sampled_from([Role.QUERY, Role.PASSAGE]), st.sampled_from([E5_PROMPTS, INSTRUCT]))
def test_adding_twice_is_adding_once(text, role, prompts):
    once = add_prefix(text, role, prompts)
    rest = text[prefix_length(text, prompts) :]
    # "query: query: x" keeps its inner one, and white space after a prefix belongs to the prefix.
    if prefix_length(rest, prompts) == 0 and rest == rest.lstrip():
        assert add_prefix(once, role, prompts) == once


@given(st.text())
def test_stripping_undoes_adding(text):
    if prefix_length(text, E5_PROMPTS) == 0:
        assert strip_prefix(add_prefix(text, Role.QUERY, E5_PROMPTS), E5_PROMPTS).strip() == text.strip()


def test_a_model_s_own_registered_prefixes_are_the_ones_it_knows():
    own = Prompts("search_query: ", "search_document: ")
    assert add_prefix("Search_Query:tea", Role.QUERY, own) == "search_query: tea"
    assert add_prefix("query: tea", Role.QUERY, own) == "search_query: query: tea"
