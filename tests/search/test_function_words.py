import pytest

from efive.search.function_words import content


@pytest.mark.parametrize(
    ("question", "kept"),
    [
        ("¿Qué hago si me sangra la nariz?", ["sangra", "nariz"]),
        ("how hot should the water be for green tea?", ["hot", "water", "green", "tea"]),
        ("Wie setze ich ein unterbrochenes Training fort?", ["setze", "unterbrochenes", "Training", "fort"]),
        ("Как сделать йогурт дома?", ["йогурт", "дома"]),
        ("cat food", ["cat", "food"]),
        ("太阳光要多久才能到达地球", ["太阳光要多久才能到达地球"]),
    ],
)
def test_the_subject_stays(question, kept):
    left = content(question).split()
    assert [word.strip("¿?") for word in left if word.strip("¿?")] == kept


@pytest.mark.parametrize("question", ["who is the who", "to be or not to be", "", "42", "?"])
def test_a_question_of_nothing_else_stays_as_it_is(question):
    assert content(question) == question


def test_places_stay():
    question = "what is the price"
    assert content(question).index("price") == question.index("price")
