"""How texts of semantic_text fields are divided."""

from itertools import pairwise

import pytest
import unicode_segmentation_rs as segmentation
from hypothesis import given
from hypothesis import strategies as st

from efive.server.elastic.errors import ElasticError
from efive.server.elastic.inference.chunking import Chunking, parse, spans

SENTENCES = [
    "The ferry leaves at nine.",
    "Wer zu spät kommt, wartet bis elf!",
    "2024年、船は十回出た。",
    "¿Cuánto cuesta 3.50 € el billete?",
    "  ***  ",
    "เรือออกทุกวันเวลาเก้าโมง",
    "Yes.\n\n",
    "# Tides\n",
    " ".join(f"word{number}" for number in range(25)),
]
texts = st.lists(st.sampled_from(SENTENCES) | st.text(max_size=30), max_size=40).map(" ".join)
chunkings = st.one_of(
    st.builds(Chunking, st.just("sentence"), st.integers(20, 40), st.integers(0, 1)),
    st.integers(10, 40).flatmap(
        lambda size: st.builds(Chunking, st.just("word"), st.just(size), st.none(), st.integers(1, size // 2))
    ),
    st.builds(
        Chunking,
        st.just("recursive"),
        st.integers(10, 40),
        st.none(),
        st.none(),
        st.sampled_from([("\n\n", "\n"), ("(?=#)", " "), ("nothing",)]),
    ),
)


def words(text):
    return sum(any(map(str.isalnum, part)) for part in segmentation.split_word_bounds(text))


def shown(text, chunking):
    return [text[start:end] for start, end in spans(text, chunking)]


@given(texts, chunkings)
def test_chunks_have_all_of_a_text_in_order_and_none_is_too_large(text, chunking):
    found = spans(text, chunking)
    if not text.strip():
        assert found == []
        return
    assert found[0][0] == 0
    assert found[-1][1] == len(text)
    for (start, end), (following, last) in pairwise(found):
        assert start < following <= end < last
    if len(found) > 1:
        assert all(0 < words(text[start:end]) <= chunking.max_chunk_size for start, end in found)
    if chunking.strategy == "recursive" and words(text) <= chunking.max_chunk_size:
        assert found == [(0, len(text))]


def test_sentences_stay_whole_and_the_one_before_is_repeated():
    text = "".join(f"This is sentence {number} of the text. " for number in range(10))
    sentence = len("This is sentence 0 of the text. ")
    assert [words(each) for each in shown(text, Chunking("sentence", 21, 0))] == [21, 21, 21, 7]
    assert spans(text, Chunking("sentence", 21, 0))[1] == (3 * sentence, 6 * sentence)
    repeated = spans(text, Chunking("sentence", 21, 1))
    assert repeated == [(at * sentence, (at + 3) * sentence) for at in (0, 2, 4, 6)] + [(8 * sentence, 10 * sentence)]


def test_a_sentence_for_which_the_one_before_leaves_no_room_is_repeated_in_part():
    text = "a b c d e f g h i j k l. " + "A B C D E F G H I J K L M N O."
    assert shown(text, Chunking("sentence", 20, 1)) == ["a b c d e f g h i j k l. ", " h i j k l. " + text[25:]]


def test_a_sentence_that_is_too_long_is_cut_between_words():
    text = "First. " + " ".join(f"W{number}" for number in range(50)) + ". Last."
    found = shown(text, Chunking("sentence", 20, 0))
    assert found[0] == "First. "
    assert [each.split()[0] for each in found[1:]] == ["W0", "W11", "W22", "W33"]
    assert found[-1].endswith("W49. Last.")


def test_words_overlap():
    text = " ".join(f"w{number}" for number in range(30)) + "!"
    found = shown(text, parse({"strategy": "word", "max_chunk_size": 12, "overlap": 6}))
    assert [each.split()[0] for each in found] == ["w0", "w6", "w12", "w18"]
    assert found[-1].split()[-1] == "w29!"


def test_separators_are_tried_in_their_order_and_stay_with_what_they_begin():
    text = "# One\n" + "a " * 8 + "\n# Two\n" + "b " * 8 + "\n## Sub\n" + "c " * 8 + "\n# Three\n" + "d " * 4
    found = shown(text, parse({"strategy": "recursive", "max_chunk_size": 12, "separator_group": "markdown"}))
    assert [each.split()[:2] for each in found] == [["#", "One"], ["#", "Two"], ["##", "Sub"], ["#", "Three"]]
    plain = "x " * 6 + "\n\n" + "y " * 6 + "\n" + "z " * 6
    assert [each.strip()[0] for each in shown(plain, parse({"strategy": "recursive", "max_chunk_size": 10}))] == [
        "x",
        "y",
        "z",
    ]


def test_no_division():
    text = "word " * 5000
    assert spans(text, parse({"strategy": "none"})) == [(0, len(text))]
    assert parse(None) == parse({}) == Chunking()
    assert Chunking().to_dict() == {"strategy": "sentence", "max_chunk_size": 250, "sentence_overlap": 1}
    assert parse({"strategy": "none"}).to_dict() == {"strategy": "none"}


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "sentence", "max_chunk_size": 20, "sentence_overlap": 0},
        {"strategy": "word", "max_chunk_size": 300, "overlap": 150},
        {"strategy": "recursive", "max_chunk_size": 10, "separators": ["\n", " "]},
        {"strategy": "none"},
    ],
)
def test_settings_come_back_as_they_were_given(settings):
    assert parse(settings).to_dict() == settings


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_chunk_size": 30}, "Can't generate Chunker without ChunkingStrategy provided"),
        ({"strategy": "page"}, "Invalid chunkingStrategy page"),
        ({"strategy": "sentence"}, "1: [chunking_settings] does not contain the required setting [max_chunk_size];"),
        ({"strategy": "sentence", "max_chunk_size": 19}, "must be a greater than or equal to [20.0]"),
        (
            {"strategy": "sentence", "max_chunk_size": 20, "sentence_overlap": 2},
            "sentence_overlap[2] must be either 0 or 1",
        ),
        (
            {"strategy": "sentence", "max_chunk_size": "20", "overlap": 3},
            "settings: [overlap];2: field [max_chunk_size] is not of the expected type. The value [20] cannot be",
        ),
        ({"strategy": "word", "max_chunk_size": 301, "overlap": 1}, "must be a less than or equal to [300.0]"),
        ({"strategy": "word", "max_chunk_size": 20}, "does not contain the required setting [overlap]"),
        ({"strategy": "word", "max_chunk_size": 20, "overlap": 11}, "[overlap] must be a less than or equal to [10.0]"),
        ({"strategy": "recursive", "max_chunk_size": 20, "separators": []}, "can not have an empty list of separators"),
        ({"strategy": "recursive", "max_chunk_size": 20, "separators": ["("]}, "[(] is none"),
        (
            {"strategy": "recursive", "max_chunk_size": 20, "separator_group": "xml"},
            "[separator_group] must be one of [markdown, plaintext]",
        ),
        ({"strategy": "none", "max_chunk_size": 20}, "settings can not have the following: [max_chunk_size]"),
    ],
)
def test_what_cannot_be_is_named(settings, reason):
    with pytest.raises(ElasticError) as refused:
        parse(settings)
    assert refused.value.status == 400
    assert reason in refused.value.reason
