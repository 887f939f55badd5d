"""The registry of instructions, and what counts as a sentence of one's own."""

import pytest

from efive.errors import InputError
from efive.inputs import Prompts
from efive.models.tasks import DEFAULT_TASK, TASKS, task_sentence


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_one_sentence(name):
    sentence = task_sentence(name)
    assert sentence == TASKS[name] == sentence.strip()
    assert "\n" not in sentence
    assert " " in sentence
    assert not sentence.lower().startswith(("instruct", "query"))


def test_default_task_is_the_web_search_of_the_model_cards():
    assert task_sentence(DEFAULT_TASK) == TASKS["MSMARCO"]
    assert TASKS["MSMARCO"] == "Given a web search query, retrieve relevant passages that answer the query"
    assert TASKS["STSBenchmark"] == "Retrieve semantically similar text."


def test_own_sentence_is_taken_as_it_is():
    assert task_sentence("  Given a recipe, find the wine \n") == "Given a recipe, find the wine"
    assert Prompts.instruct(task_sentence("find wine")).query == "Instruct: find wine\nQuery: "


@pytest.mark.parametrize(
    ("typo", "meant"), [("retreival", "retrieval"), ("MSMARC", "MSMARCO"), ("similarty", "similarity")]
)
def test_misspelt_name_is_refused_with_a_suggestion(typo, meant):
    with pytest.raises(InputError, match=rf"no task '{typo}' in the registry; did you mean .*{meant}"):
        task_sentence(typo)


@pytest.mark.parametrize("word", ["xyzzy", "", "   ", "\n"])
def test_word_near_no_name_is_refused_without_one(word):
    with pytest.raises(InputError, match="in the registry; A sentence of your own works too"):
        task_sentence(word)
