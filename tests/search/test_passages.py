"""Documents become passages whose places are true and whose inputs fit."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive import Document
from efive.errors import InputError
from efive.search.documents import Section
from efive.search.passages import Shape, digest, draft

SHAPE = Shape(window=32, overlap=8)
LONG = " ".join(f"Sentence number {n} says something about cats." for n in range(30))


def tokens(encoder, text):
    return encoder.embed_passages([text]).usage[0].tokens_seen


def test_passages_are_slices_of_the_text_that_fit_into_the_window(encoder):
    made = draft(Document("a", LONG), encoder, SHAPE)
    assert len(made.passages) > 5
    for passage, text in zip(made.passages, made.inputs, strict=True):
        assert LONG[passage.start : passage.end] == passage.text == text
        assert tokens(encoder, text) <= SHAPE.window
    assert made.passages[0].start == 0
    assert made.passages[-1].end == len(LONG)
    assert [passage.number for passage in made.passages] == list(range(len(made.passages)))


def test_neighbours_overlap_and_leave_nothing_out(encoder):
    made = draft(Document("a", LONG), encoder, SHAPE).passages
    assert all(LONG[b.end : a.start].strip() == "" for b, a in pairwise(made))
    assert any(a.start < b.end for b, a in pairwise(made))


def test_no_passage_reaches_out_of_its_section_and_each_carries_its_headings(encoder):
    text = "Intro words here.\nMore words there."
    sections = [Section(0, 17, ("Guide",)), Section(18, len(text), ("Guide", "Part two"), page=3)]
    made = draft(Document("a", text, {}, sections), encoder, Shape(96, 0))
    assert [p.text for p in made.passages] == ["Intro words here.", "More words there."]
    assert made.inputs == ["Guide\nIntro words here.", "Guide > Part two\nMore words there."]
    assert [p.page for p in made.passages] == [None, 3]
    assert "guide" in made.terms[0].split()


def test_endless_headings_leave_room_for_the_text(encoder):
    text = "Some text that is short."
    headings = tuple(f"A heading that goes on and on, number {n}" for n in range(20))
    made = draft(Document("a", text, {}, [Section(0, len(text), headings)]), encoder, SHAPE)
    assert "number 19\n" in made.inputs[0]
    assert tokens(encoder, made.inputs[0]) <= SHAPE.window
    assert made.passages[0].text == text


@pytest.mark.parametrize(("lines", "expected"), [((), [1, 3]), ((10, 11, 40), [10, 40])])
def test_lines_are_those_of_the_source(encoder, lines, expected):
    text = "first line.\n\nthird line."
    sections = [Section(0, 11), Section(13, len(text))]
    made = draft(Document("a", text, {}, sections, lines), encoder, SHAPE)
    assert [p.line for p in made.passages] == expected


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (Document("a", " \n "), "'a' has no text"),
        (Document("", "text"), "'' is no id"),
        (Document("a\nb", "text"), "is no id"),
        (Document("a", "text\ud800"), "its text has a lone surrogate at character 4"),
        (Document("a", "text", {"year": {1, 2}}), "metadata 'year' is set"),
        (Document("a", "text", {"score": float("nan")}), "metadata 'score' is nan"),
        (Document("a", "text", {"tags": ["x", 1]}), "metadata 'tags' is list"),
        (Document("a", "text", {"id": 2**60}), "keep so large a number as text"),
    ],
)
def test_what_cannot_be_stored_is_named(encoder, document, says):
    with pytest.raises(InputError, match=says):
        draft(document, encoder, SHAPE)


def test_a_window_beyond_the_model_names_the_document(encoder):
    with pytest.raises(InputError, match="'a': windows of 4096 tokens are more than the 512"):
        draft(Document("a", "text"), encoder, Shape(4096, 0))


def test_the_digest_tells_text_and_metadata_apart():
    one = digest(Document("a", "text", {"year": 1}))
    assert digest(Document("b", "text", {"year": 1})) == one
    assert digest(Document("a", "text", {"year": 2})).split(":")[0] == one.split(":")[0]
    assert digest(Document("a", "text", {"year": 2})) != one
    assert digest(Document("a", "text", {"year": 1}, [Section(0, 2)])).split(":")[0] != one.split(":")[0]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_is_divided_without_loss(encoder, text):
    if not text.strip():
        return
    made = draft(Document("a", text), encoder, SHAPE)
    covered = set()
    for passage in made.passages:
        assert text[passage.start : passage.end] == passage.text
        covered |= set(range(passage.start, passage.end))
    assert all(text[at].isspace() for at in set(range(len(text))) - covered)
