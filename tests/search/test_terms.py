import pytest
from hypothesis import given
from hypothesis import strategies as st

from efive.search.terms import fold, highlights, index_terms, located, query_terms

# Letters of every kind of run, joints, marks and what NFKC changes, close together, and anything else.
MIXED = st.text(
    st.sampled_from("aB9é_-.,'@+# ı\u0301\u00ad東のｶﾞｱ한국어\u1112\u1161กำที่العربة\u064eשָׁहिन्दी①㍿ﷺ½İ\n"), max_size=40
)
TEXTS = MIXED | st.text(max_size=40)


def marked(text, query):
    for start, end in reversed(highlights(text, query)):
        text = f"{text[:start]}[{text[start:end]}]{text[end:]}"
    return text


@given(TEXTS)
def test_the_column_holds_the_located_terms(text):
    found = list(located(text))
    assert index_terms(text).split(" ") == [term.text for term in found] or not found
    assert all(0 <= term.start < term.end <= len(text) for term in found)
    assert all(not any(c.isspace() for c in term.text) and term.text for term in found)


@given(TEXTS)
def test_every_text_finds_itself(text):
    assert set(query_terms(text)) <= set(index_terms(text).split())


@given(TEXTS, TEXTS)
def test_terms_do_not_depend_on_what_stands_behind_a_space(first, second):
    assert index_terms(f"{first} {second}").split() == [*index_terms(first).split(), *index_terms(second).split()]


@given(TEXTS, TEXTS)
def test_highlights_are_apart_and_inside_the_text(text, query):
    spans = highlights(text, query)
    ends = [0, *[end for _, end in spans]]
    assert all(start < end <= len(text) for start, end in spans)
    assert all(end < start for end, (start, _) in zip(ends[1:], spans[1:], strict=False))
    assert bool(spans) <= bool(set(query_terms(query)) & set(index_terms(text).split()))


@given(TEXTS)
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("max_tokens", "maxtok max tokens"),
        ("HTTPServer", "httpse http server"),
        ("e5-small-v2", "e5smallv2 e5 small v2"),
        ("C++, C# and C.", "c++ c c# c and c"),
        ("v1.2.3 costs 1,000", "v1.2.3 v1 2 3 costs 1000 1 000"),
        ("U.S.A. don’t", "usa u s a dont don t"),
        ("mail me@example.org", "mail meexam me exampl org"),
        ("Organisation ORGANISED", "organi organi"),
        ("café Ёлка", "café cafe ёлка елка"),
        ("ｱｶﾞ東京", "ア ガ 東 京 アガ ガ東 東京"),
        ("ประเทศ", "ประ ระเ ะเท เทศ"),
        ("한국어를 꿈", "한국 국어 어를 꿈"),
        ("الكِتَاب", "الكتاب الك لكت كتا تاب"),
        ("हिन्दी ٢٠١٠", "हिन्दी 2010"),
        ("Donau\u00addampf", "donaud"),
        ("— … !", ""),
    ],
)
def test_terms(text, terms):
    assert index_terms(text) == terms


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("max tokens", "max_tokens"),
        ("maxTokens", "max_tokens"),
        ("email", "e-mail"),
        ("USA", "U.S.A."),
        ("1000", "1,000"),
        ("cafe", "café"),
        ("ΟΔΟΣ", "οδός"),
        ("straße", "STRASSE"),
        ("ＡＢＣ", "abc"),
        ("كتاب", "والكتاب"),
        ("한국", "한국에서"),
        ("organisation", "organised"),
        ("2010", "२०१०"),
    ],
)
def test_a_query_finds(query, text):
    assert set(query_terms(query)) & set(index_terms(text).split())


@pytest.mark.parametrize(("query", "text"), [("café", "cafe"), ("thể", "thế"), ("1.2", "12"), ("C++", "C+")])
def test_a_query_is_taken_as_written(query, text):
    assert query_terms(query)[0] not in index_terms(text).split()


def test_a_query_may_repeat_itself():
    assert query_terms("the terms of the terms") == ["the", "terms", "of", "the", "terms"]


def test_highlights_mark_whole_words():
    assert marked("The organisations use MaxTokens.", "max_tokens of an organisation") == (
        "The [organisations] use [MaxTokens]."
    )


def test_highlights_are_the_longest_matches():
    assert marked("東京の人口は何人か。人は東京に住む", "東京の人口") == "[東京の人口]は何人か。人は[東京]に住む"
    assert marked("京の人", "人々") == "京の[人]"
    assert marked("สวัสดี ประเทศไทย", "ประเทศไทย") == "สวัสดี [ประเทศไทย]"


def test_a_shared_particle_is_no_match():
    assert marked("학교에서 사람들", "사회에서 사람") == "학교에서 [사람들]"
    assert marked("قرأت الكتابَ في المكان", "كتاب") == "قرأت [الكتابَ] في المكان"
