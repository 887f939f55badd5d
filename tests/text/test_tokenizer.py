import numpy as np
import pytest
import tiny
import transformers
from hypothesis import given
from hypothesis import strategies as st

from efive.errors import InputError, ModelFileError
from efive.text import tokenizer as module
from efive.text.tokenizer import TextTokenizer

UNIGRAM, WORDPIECE = TextTokenizer(tiny.unigram()), TextTokenizer(tiny.wordpiece())
MISTRAL = TextTokenizer(tiny.llama_bpe(), end_id=2)
LONG = " ".join(tiny.TEXTS)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_ids_equal_transformers(tiny_models, kind):
    ours = TextTokenizer.load(tiny_models[kind] / "tokenizer.json").encode(tiny.TEXTS)
    theirs = transformers.AutoTokenizer.from_pretrained(tiny_models[kind])(tiny.TEXTS)["input_ids"]
    assert [row.tolist() for row in ours] == theirs


def test_specials_are_counted():
    assert (UNIGRAM.leading, UNIGRAM.trailing, UNIGRAM.pad_id) == (1, 1, 1)
    assert (WORDPIECE.leading, WORDPIECE.trailing, WORDPIECE.pad_id) == (1, 1, 0)
    assert (MISTRAL.leading, MISTRAL.trailing) == (1, 1)


def test_mistral_always_ends_with_its_pooled_token():
    for row in MISTRAL.encode([*tiny.TEXTS, "", LONG]):
        assert row[0] == 1
        assert row[-1] == 2
        assert MISTRAL.cut(row, 10)[-1] == 2


def test_a_file_that_adds_the_end_gets_no_second(tmp_path):
    from tokenizers import processors

    backend = tiny.llama_bpe()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    row = TextTokenizer(backend, end_id=2).encode(["tea"])[0]
    assert row[-1] == 2
    assert row[-2] != 2


def test_stored_padding_and_truncation_are_off(tmp_path):
    backend = tiny.unigram()
    backend.enable_padding(length=512, pad_id=1, pad_token="<pad>")
    backend.enable_truncation(16)
    backend.save(str(tmp_path / "tokenizer.json"))
    rows = TextTokenizer.load(tmp_path / "tokenizer.json").encode(["tea", LONG])
    assert len(rows[0]) < 10
    assert len(rows[1]) > 512


@given(st.integers(8, 60), st.booleans())
def test_cut_keeps_specials_and_the_asked_side(limit, keep_end):
    row = UNIGRAM.encode(["query: " + LONG])[0]
    prefix = len(UNIGRAM.offsets("query:"))
    cut = UNIGRAM.cut(row, limit, keep_end=keep_end, prefix_tokens=prefix if keep_end else 0)
    assert len(cut) == limit
    assert (cut[0], cut[-1]) == (0, 2)
    if keep_end:
        assert cut[: 1 + prefix].tolist() == row[: 1 + prefix].tolist()
        assert cut[1 + prefix :].tolist() == row[len(row) - (limit - 1 - prefix) :].tolist()
    else:
        assert cut[:-1].tolist() == row[: limit - 1].tolist()


def test_a_limit_without_room_is_refused():
    row = UNIGRAM.encode(["query: " + LONG])[0]
    with pytest.raises(InputError, match="no room"):
        UNIGRAM.cut(row, 4, keep_end=True, prefix_tokens=3)


def test_huge_texts_in_pieces_have_the_same_ids(monkeypatch):
    whole = UNIGRAM.encode([LONG, "a", LONG])
    monkeypatch.setattr(module, "_TEXT_CHARACTERS", 150)
    pieces = UNIGRAM.encode([LONG, "a", LONG])
    assert [row.tolist() for row in pieces] == [row.tolist() for row in whole]


@given(st.lists(st.integers(0, 3000), max_size=30))
def test_portions_cover_all_texts_in_order(sizes):
    texts = ["x" * size for size in sizes]
    original = module._TEXT_CHARACTERS, module._BATCH_CHARACTERS
    module._TEXT_CHARACTERS, module._BATCH_CHARACTERS = 1000, 2000
    try:
        bounds = module._portions(texts)
    finally:
        module._TEXT_CHARACTERS, module._BATCH_CHARACTERS = original
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(len(texts)))
    for start, stop in bounds:
        assert stop - start == 1 or all(size <= 1000 for size in sizes[start:stop])
        assert stop - start == 1 or sum(sizes[start:stop]) <= 2000


def test_missing_and_damaged_files_are_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ModelFileError, match=r"tokenizer\.json is missing"):
        TextTokenizer.load(path)
    path.write_text('{"model": 3')
    with pytest.raises(ModelFileError, match=r"tokenizer\.json is no readable tokenizer"):
        TextTokenizer.load(path)


def test_offsets_index_the_text():
    text = "ทำไมทุเรียนมีกลิ่นแรง 水痘會傳染 🙂 fridge"
    spans = UNIGRAM.offsets(text)
    covered = {i for start, end in spans for i in range(start, end)}
    assert {i for i, character in enumerate(text) if character != " "} <= covered
    assert (np.diff(spans[:, 0]) >= 0).all()
