"""Chunking: limits, coverage and order over texts of any script; where chunks end in each script."""

from itertools import accumulate, pairwise

import numpy as np
import pytest
import sentencex
import unicode_segmentation_rs as segmentation
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from efive.errors import InputError
from efive.text import chunking
from efive.text.chunking import Chunk, chunk, sentence_ends

SAMPLES = {
    "english": "Dr. Smith paid 3.14 dollars to Mr. Jones. He left at 5 p.m. on Monday. Was it enough? Yes! It was.",
    "chinese": "今天天气很好。我们去公园吧！你要来吗？“好的。”他说。我们一起走。",
    "japanese": "今日は晴れです。公園へ行きましょう！来ますか？「はい。」と彼は言った。帰りました。",
    "arabic": "كيف حالك؟ أنا بخير. شكرا لك! هذا نص طويل، وفيه جمل. انتهى.",
    "urdu": "یہ ایک جملہ ہے۔ یہ دوسرا جملہ ہے۔ کیا یہ ٹھیک ہے؟ ہاں۔",
    "hindi": "यह एक वाक्य है। यह दूसरा वाक्य है। क्या यह ठीक है? हाँ। क्षत्रिय आए।",
    "thai": "วันนี้อากาศดีมาก เราไปเดินเล่นที่สวนกันเถอะ คุณจะมาด้วยไหม น้ำตาลทำให้อ้วน",
    "code": "def f(x):\r\n    return x.y[0]+g(x,1)\r\n\r\nclass A:\r\n\tpass\r\n",
    "emoji": "👩‍👩‍👧‍👦🇩🇪🇫🇷👍🏽 e\u0301a\u0308o\u0302 ☎️ 각",
}


def unigram() -> Tokenizer:
    """Like XLM-R's: a word-start mark, a few whole words, unknown runs fused into one token."""
    words = ["▁Dr", "▁the", "▁Smith", "ing", "天气", "公园", "です", "ました", "▁है", "▁ال", "วัน", "อากาศ", "การ"]
    letters = sorted({c for text in SAMPLES.values() for c in text if not c.isspace() and c < "\U0001f000"})
    pieces = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(word, -5.0) for word in words] + [(letter, -7.0) for letter in letters if letter != "▁"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return with_special_tokens(tokenizer, "<s>", "</s>")


def wordpiece() -> Tokenizer:
    """Like BERT's: accents stripped, control characters dropped, one token for each Chinese character."""
    words = ["[CLS]", "[SEP]", "[UNK]", "smith", "doll", "##ars", "monday", "query", ":", "##3"]
    letters = sorted({c for text in SAMPLES.values() for c in text.lower() if not c.isspace()})
    vocabulary = dict.fromkeys(words + letters + ["##" + letter for letter in letters])
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=30))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return with_special_tokens(tokenizer, "[CLS]", "[SEP]")


def byte_level() -> Tokenizer:
    """Several tokens for one character, and tokens for white space."""
    alphabet = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return with_special_tokens(tokenizer, "<s>", "</s>")


def with_special_tokens(tokenizer: Tokenizer, first: str, last: str) -> Tokenizer:
    ids = [(piece, tokenizer.token_to_id(piece)) for piece in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ids)
    return tokenizer


class Counter:
    """A real tokenizer with a prefix."""

    def __init__(self, tokenizer: Tokenizer, prefix: str = "query: ") -> None:
        self.tokenizer, self.prefix = tokenizer, prefix
        self.overhead = self.count(["a"])[0] - len(self.offsets("a"))

    def offsets(self, text):
        spans = self.tokenizer.encode(text, add_special_tokens=False).offsets
        return np.asarray(spans, dtype=np.int64).reshape(-1, 2)

    def count(self, texts):
        return [len(self.tokenizer.encode(self.prefix + text).ids) for text in texts]


class CharacterCounter:
    """One token for each character and two around the text; remembers how much it was asked to count.

    With `surprise`, a slice has so many tokens more alone than it has in its context.
    """

    def __init__(self, surprise: int = 0) -> None:
        self.surprise, self.counted, self.calls = surprise, 0, 0

    def offsets(self, text):
        starts = np.arange(len(text), dtype=np.int64)
        return np.stack([starts, starts + 1], axis=1)

    def count(self, texts):
        self.counted += sum(map(len, texts))
        self.calls += 1
        return [len(text) + 2 + (self.surprise if len(text) > 1 else 0) for text in texts]


COUNTERS = {"unigram": Counter(unigram()), "wordpiece": Counter(wordpiece()), "bytes": Counter(byte_level(), "")}


def slices(text, chunks):
    return [text[c.start : c.end] for c in chunks]


def tokens_within(offsets, start, end):
    return int(np.sum((offsets[:, 1] > start) & (offsets[:, 0] < end))) if start < end else 0


def first_visible(text, position):
    return next(i for i in range(position, len(text)) if not text[i].isspace())


def check(text, counter, max_tokens, overlap, chunks):
    """Assert everything that holds for the chunks of any text."""
    offsets = counter.offsets(text)
    whole = counter.count([text])[0]
    assert [c.tokens for c in chunks] == counter.count(slices(text, chunks))
    assert max(c.tokens for c in chunks) <= max_tokens
    if whole <= max_tokens:
        assert chunks == [Chunk(0, len(text), whole)]
        return
    covered = np.zeros(len(text), dtype=bool)
    for c in chunks:
        covered[c.start : c.end] = True
    missing = {text[i] for i in np.flatnonzero(~covered)}
    assert all(character.isspace() for character in missing)
    assert all(s == s.strip() for s in slices(text, chunks))
    assert all(covered[i] for start, end in offsets for i in range(start, end) if not text[i].isspace())
    for before, after in pairwise(chunks):
        assert before.start < after.start
        assert before.end < after.end
        assert tokens_within(offsets, max(before.end, after.start), after.end) >= 1
        assert tokens_within(offsets, after.start, before.end) <= overlap
    check_sentences(text, counter, max_tokens, offsets, chunks)
    check_graphemes(text, counter, max_tokens, chunks)


def check_sentences(text, counter, max_tokens, offsets, chunks):
    """A chunk breaks up a sentence only if that sentence does not fit into a chunk of its own."""
    ends = [e for e in sentence_ends(text) if tokens_within(offsets, 0, e)]
    done = 0
    for c in chunks[:-1]:
        start = first_visible(text, done)
        done = c.end
        if c.end in ends:
            continue
        sentence = next(e for e in [*ends, len(text.rstrip())] if tokens_within(offsets, start, e) and e > start)
        spare = 1  # chunking spares a token for the mark of a slice that starts inside a word
        planned = counter.overhead + tokens_within(offsets, start, sentence) + spare
        assert c.end > sentence or max(planned, *counter.count([text[start:sentence]])) > max_tokens


def check_graphemes(text, counter, max_tokens, chunks):
    """A chunk cuts a grapheme only if that grapheme is over the limit by itself, or begins with white space."""
    breaks = [0, *accumulate(map(len, segmentation.graphemes(text, is_extended=True)))]
    for cut in {position for c in chunks for position in (c.start, c.end)} - set(breaks):
        start = max(b for b in breaks if b < cut)
        end = min(b for b in breaks if b > cut)
        assert counter.count([text[start:end]])[0] > max_tokens or text[start].isspace() or text[end - 1].isspace()


FRAGMENTS = st.one_of(
    st.sampled_from([*SAMPLES.values()]),
    st.sampled_from([word for text in SAMPLES.values() for word in text.split()]),
    st.sampled_from(
        [*" \n\t.!?。！？؟।“”「」()", "\r\n", "\n\n", "\u3000", "\u00a0", "A\u00a0.", "\u200d", "\u0301", "3.14"]
    ),
    st.text(max_size=8),
    st.builds(
        lambda piece, n: piece * n,
        st.sampled_from(["a", "ab", "字", "ก", "น้ำ", " ", "e\u0301", "👩‍👧"]),
        st.integers(1, 60),
    ),
)
TEXTS = st.lists(FRAGMENTS, max_size=15).map("".join)


@settings(deadline=None, max_examples=300)
@given(text=TEXTS, name=st.sampled_from(sorted(COUNTERS)), budget=st.integers(1, 40), data=st.data())
def test_any_text_is_covered_in_order_within_the_limit(text, name, budget, data):
    counter = COUNTERS[name]
    max_tokens = counter.overhead + budget
    overlap = data.draw(st.integers(0, budget - 1), label="overlap")
    try:
        chunks = chunk(text, counter, max_tokens, overlap=overlap)
    except InputError:
        assert max(counter.count([*text])) > max_tokens, "refused, but every single character fits"
    else:
        check(text, counter, max_tokens, overlap, chunks)


@settings(deadline=None, max_examples=50)
@given(text=TEXTS, name=st.sampled_from(sorted(COUNTERS)))
def test_blocks_do_not_show(text, name):
    counter = COUNTERS[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "_TOKENIZER_BLOCK", 20)
        patch.setattr(chunking, "_BLOCK", 30)
        chunks = chunk(text, counter, counter.overhead + 25)
    covered = {i for c in chunks for i in range(c.start, c.end)}
    assert {i for i, character in enumerate(text) if not character.isspace()} <= covered
    assert max(counter.count(slices(text, chunks))) <= counter.overhead + 25


def test_texts_are_tokenised_in_blocks_that_end_before_a_space(monkeypatch):
    monkeypatch.setattr(chunking, "_TOKENIZER_BLOCK", 20)
    text = SAMPLES["english"] * 3 + "x" * 50
    for name in ("wordpiece", "bytes"):
        assert chunking._offsets(text[:300], COUNTERS[name]).tolist() == COUNTERS[name].offsets(text[:300]).tolist()
    assert chunking._offsets(text, CharacterCounter()).tolist() == CharacterCounter().offsets(text).tolist()


# One sentence ends where the next begins.
SENTENCES = {
    "english": [
        "Dr. Smith paid Mr. Jones 3.14 dollars. ",
        "He left at 5 p.m. for the U.S. embassy. ",
        '"Why?" she asked. ',
        "See Fig. 3 e.g. below.",
    ],
    "chinese": ["今天天气很好。", "我们去公园吧！", "你要来吗？", "“好的。”", "他说我们一起走。"],
    "japanese": ["今日は晴れです。", "公園へ行きましょう！", "来ますか？", "「はい。」", "と彼は言いました。"],
    "arabic": ["كيف حالك؟ ", "أنا بخير، شكرا! ", "هذا نص طويل. ", "انتهى."],
    "urdu": ["یہ ایک جملہ ہے۔ ", "یہ دوسرا جملہ ہے۔ ", "کیا یہ ٹھیک ہے؟ ", "ہاں۔"],
    "hindi": ["यह एक वाक्य है। ", "यह दूसरा वाक्य है। ", "क्या यह ठीक है? ", "हाँ।"],
    "thai": ["วันนี้อากาศดีมาก ", "เราไปซื้อ 3 อย่าง ", "คุณจะมาด้วยไหม ", "ฉันชอบแมว"],
    "mixed": [
        "Hello world. ",
        "今天天气很好。",
        "क्या यह ठीक है? ",
        "यह है। ",
        "كيف حالك؟ ",
        "วันนี้อากาศดีมาก ",
        "เราไป. ",
        "The end.",
    ],
}


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_end_where_a_reader_says(name):
    sentences = SENTENCES[name]
    ends = accumulate(map(len, sentences))
    text = "".join(sentences)
    assert sentence_ends(text) == [len(text[:end].rstrip()) for end in ends]


@pytest.mark.parametrize("counter", COUNTERS.values(), ids=COUNTERS)
@pytest.mark.parametrize("name", SENTENCES)
def test_chunks_end_with_sentences_in_every_script(name, counter):
    sentences = SENTENCES[name]
    text = "".join(sentences)
    longest = max(counter.count(sentences)) + 2
    chunks = chunk(text, counter, longest)
    assert len(chunks) > 1
    ends = {len(text[:end].rstrip()) for end in accumulate(map(len, sentences))}
    assert {c.end for c in chunks} <= ends


def test_a_sentence_more_goes_into_a_chunk_if_it_fits():
    text = "One two. Three four. Five six. Seven."
    assert slices(text, chunk(text, CharacterCounter(), 22)) == ["One two. Three four.", "Five six. Seven."]
    assert slices(text, chunk(text, CharacterCounter(), 21)) == ["One two.", "Three four.", "Five six. Seven."]


def test_a_long_sentence_is_cut_at_lines_then_at_spaces_then_between_words():
    lines = "def f(a):\r\n    return a + 1\r\nprint(f(2), 3)"
    assert slices(lines, chunk(lines, CharacterCounter(), 43)) == ["def f(a):\r\n    return a + 1", "print(f(2), 3)"]
    spaces = "one two three four five six"
    assert slices(spaces, chunk(spaces, CharacterCounter(), 13)) == ["one two", "three four", "five six"]
    words = "alpha.beta(gamma,delta)"
    assert slices(words, chunk(words, CharacterCounter(), 14)) == ["alpha.beta(", "gamma,delta", ")"]


def test_what_has_no_token_goes_with_the_chunk_before():
    counter = COUNTERS["wordpiece"]
    assert slices("00\x1b", chunk("00\x1b", counter, counter.overhead + 1)) == ["0", "0\x1b"]


def test_crlf_is_white_space_and_never_halved():
    text = "One two.\r\nThree four.\r\n\r\nFive six.\r\n"
    assert slices(text, chunk(text, CharacterCounter(), 14)) == ["One two.", "Three four.", "Five six."]


@pytest.mark.parametrize("counter", COUNTERS.values(), ids=COUNTERS)
def test_one_very_long_word_makes_full_chunks(counter):
    text = "weil" * 500
    if counter is COUNTERS["wordpiece"]:
        assert chunk(text, counter, 40) == [Chunk(0, 2000, counter.count([text])[0])]  # one [UNK]
        return
    chunks = chunk(text, counter, 40)
    check(text, counter, 40, 0, chunks)
    assert min(c.tokens for c in chunks[:-1]) >= 39


def test_graphemes_stay_whole():
    family, flag, accents = "👩‍👩‍👧‍👦", "🇩🇪", "e\u0301\u0323"
    counter = COUNTERS["bytes"]
    for grapheme in (family, flag, accents, "น้ำ", "क्षि", "각"):
        text = grapheme * 30
        alone = counter.count([grapheme])[0]
        assert {len(s) % len(grapheme) for s in slices(text, chunk(text, counter, alone + 3))} == {0}
        assert slices(text, chunk(text, counter, alone, overlap=2)) == [grapheme] * 30


def test_overlap_yields_to_a_long_grapheme():
    letter = "e" + "\u0301" * 59
    text = "alpha,beta,gamma,delta," + letter + "x" * 100
    assert slices(text, chunk(text, CharacterCounter(), 72, overlap=20))[:2] == [text[:23], "delta," + letter + "xxx"]


def test_a_grapheme_over_the_limit_is_cut_between_characters():
    text = "👩‍👩‍👧‍👦" * 3
    chunks = chunk(text, COUNTERS["bytes"], 12)
    check(text, COUNTERS["bytes"], 12, 0, chunks)
    assert "".join(slices(text, chunks)) == text
    endless = "e" + "\u0301" * 3000
    chunks = chunk(endless, CharacterCounter(), 102)
    assert "".join(slices(endless, chunks)) == endless
    assert len(chunks) <= 32


def test_a_character_over_the_limit_is_refused_with_both_numbers():
    with pytest.raises(InputError, match=r"'👩' at character 2 cannot be divided and makes 6 .* max_tokens=5"):
        chunk("ab👩cd", COUNTERS["bytes"], 5)


def test_a_text_that_fits_is_one_chunk_as_it_is():
    for text in ("", "  ", " One.\n Two. \n"):
        assert chunk(text, CharacterCounter(), 20) == [Chunk(0, len(text), len(text) + 2)]
    exact = "a" * 18
    assert chunk(exact, CharacterCounter(), 20, overlap=3) == [Chunk(0, 18, 20)]
    assert len(chunk(exact + "a", CharacterCounter(), 20)) == 2


def test_white_space_around_chunks_is_left_out():
    text = " \n\t" * 5 + "One two. " + "\u3000" * 9 + "Three." + "\n " * 20
    assert slices(text, chunk(text, CharacterCounter(), 12)) == ["One two.", "Three."]
    assert chunk(" \n" * 50, COUNTERS["bytes"], 10) == [Chunk(0, 0, 2)]


def test_overlap_repeats_whole_sentences():
    text = "Aa bb. Cc. Dd. Ee ff gg. Hh. Ii."
    chunks = chunk(text, CharacterCounter(), 20, overlap=8)
    assert slices(text, chunks) == ["Aa bb. Cc. Dd.", "Dd. Ee ff gg. Hh.", "Hh. Ii."]


def test_overlap_repeats_whole_words_where_no_sentence_is_short_enough():
    text = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu"
    chunks = chunk(text, CharacterCounter(), 26, overlap=8)
    assert slices(text, chunks) == [
        "alpha beta gamma delta",
        "delta epsilon zeta eta",
        "zeta eta theta iota",
        "iota kappa lambda mu nu",
    ]
    words = "alpha,beta,gamma,delta,epsilon,zeta"
    chunks = chunk(words, CharacterCounter(), 20, overlap=6)
    assert slices(words, chunks) == ["alpha,beta,gamma,", "gamma,delta,", "epsilon,zeta"]
    thai = SENTENCES["thai"][0].strip() * 20
    chunks = chunk(thai, COUNTERS["unigram"], 40, overlap=9)
    check(thai, COUNTERS["unigram"], 40, 9, chunks)
    assert chunks[0].start < chunks[1].start < chunks[0].end


def test_overlap_yields_to_a_sentence_that_fits_alone():
    text = "Aa. Bb. Cccc dddd eeee. Ff."
    chunks = chunk(text, CharacterCounter(), 18, overlap=7)
    assert slices(text, chunks) == ["Aa. Bb.", "Cccc dddd eeee.", "eeee. Ff."]


def test_a_sentence_that_fits_alone_is_whole_even_if_the_plan_failed_badly():
    class DearSecondSentence(CharacterCounter):
        def count(self, texts):
            return [len(text) + 2 + 10 * max(0, text.count(".") - 1) for text in texts]

    text = "Aaaa bbbb ccccc. Dd. Ee. Ffff gggg hhhhh. Ii."
    expected = ["Aaaa bbbb ccccc.", "Dd. Ee.", "Ffff gggg hhhhh.", "Ii."]
    assert slices(text, chunk(text, DearSecondSentence(), 22)) == expected


def test_a_plan_that_fails_again_and_again_is_cut_down_ever_faster():
    class NothingFrom300(CharacterCounter):
        def count(self, texts):
            self.counted += sum(map(len, texts))
            return [513 if len(text) >= 300 else len(text) + 2 for text in texts]

    counter = NothingFrom300()
    chunks = chunk("x" * 6000, counter, 512)
    assert len(chunks) <= 40
    assert counter.counted <= 30 * 6000


def test_slices_with_far_more_tokens_than_in_their_context_are_halved():
    class Threefold(CharacterCounter):
        def count(self, texts):
            self.counted += sum(map(len, texts))
            return [3 * len(text) + 2 for text in texts]

    counter = Threefold()
    chunks = chunk("x" * 3000, counter, 512)
    assert len(chunks) <= 25
    assert counter.counted <= 12 * 3000


@pytest.mark.parametrize("overlap", [18, 50, -1])
def test_overlap_outside_the_budget_is_refused_with_both_numbers(overlap):
    with pytest.raises(InputError, match=rf"overlap={overlap} .* less than 18, .* max_tokens=20"):
        chunk("short", CharacterCounter(), 20, overlap=overlap)


def test_a_limit_without_room_for_text_is_refused_with_both_numbers():
    counter = COUNTERS["unigram"]
    with pytest.raises(InputError, match=rf"max_tokens=5 .* take {counter.overhead}"):
        chunk("", counter, 5)


@pytest.mark.parametrize("surprise", [0, 1, 7])
@pytest.mark.parametrize("text", ["x" * 60_000, "xy " * 20_000, "Xy z. " * 10_000, "字" * 60_000], ids=len)
def test_work_is_linear_even_if_every_plan_is_too_long(text, surprise):
    counter = CharacterCounter(surprise)
    chunks = chunk(text, counter, 66, overlap=9)
    covered = sum(c.end - c.start for c in chunks)
    assert counter.counted <= (1.1 if not surprise else 6) * covered
    assert surprise or counter.calls <= 8
    assert np.median([c.tokens for c in chunks]) >= 50


def test_unclosed_quotation_marks_do_not_make_segmentation_quadratic(monkeypatch):
    read = []
    segment = sentencex.segment
    monkeypatch.setattr(sentencex, "segment", lambda language, text: read.append(len(text)) or segment(language, text))
    text = "“Aa. " * 20_000
    assert len(sentence_ends(text)) == 20_000
    assert sum(read) * max(read) < 5_000 * len(text)


def test_blocks_of_segmentation_change_no_sentence(monkeypatch):
    text = "".join(SENTENCES["english"] + ["\n"] + SENTENCES["japanese"] + ["\n"]) * 100
    in_blocks = sentence_ends(text)
    monkeypatch.setattr(chunking, "_BLOCK", len(text))
    assert in_blocks == sentence_ends(text)
    assert len(in_blocks) > 800


@pytest.mark.parametrize("space", ["\u00a0", "\u0085", "\u2028", "\u3000", "\u2009"])
def test_white_space_that_sentencex_panics_on(space):
    assert sentence_ends(f"Plan A{space}. Plan B.")[-1] == 16
