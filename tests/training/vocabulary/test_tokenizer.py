"""Vocabularies: what the trained tokenizer does, that training repeats itself, and that trimming changes no vector."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import transformers
from tokenizers import Tokenizer

from efive import Encoder
from efive.errors import DependencyError, InputError, ModelError
from efive.training.vocabulary.tokenizer import (
    SPECIAL,
    TrainingOptions,
    fertility,
    train_tokenizer,
    write_tokenizer,
)
from efive.training.vocabulary.trimming import trim_vocabulary

OPTIONS = TrainingOptions(characters=200_000, threads=1)
EN = "the river carries cold water from the mountains to the old town , where people of many countries live"
RU = "река несёт холодную воду с гор в старый город , где живут люди из многих стран"
ZH = "河水从山上流到老城那里住着很多国家的人"


def texts():
    english, russian = EN.split(), RU.split()
    rng = np.random.default_rng(0)
    return {
        "en": [" ".join(rng.choice(english, 12)).capitalize() + "." for _ in range(400)],
        "ru": [" ".join(rng.choice(russian, 12)) + " 42!" for _ in range(400)],
        "zh": ["".join(ZH[i : i + 2] for i in rng.integers(0, len(ZH) - 1, 8)) + "。" for _ in range(400)],
    }


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(texts(), 500, options=OPTIONS)


def tokens(tokenizer, text):
    return tokenizer.encode(text).tokens


def test_special_tokens_have_the_ids_of_xlm_r_and_frame_each_text(tokenizer):
    assert [tokenizer.token_to_id(name) for name in SPECIAL] == [0, 1, 2, 3]
    assert tokens(tokenizer, "Water") == ["<s>", "▁water", "</s>"]
    assert tokenizer.get_vocab_size() <= 500


def test_frequent_words_are_one_piece_each(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert {"▁" + word for word in (EN + " " + RU).split() if len(word) > 1} <= set(vocabulary)


def test_a_prefix_costs_two_tokens(tokenizer):
    assert tokens(tokenizer, "query: water")[1:-1] == ["▁query", "▁:", "▁water"]
    assert tokens(tokenizer, "passage: water")[1:-1] == ["▁passage", "▁:", "▁water"]


def test_digits_and_punctuation_stand_alone(tokenizer):
    assert tokens(tokenizer, "town42!")[1:-1] == ["▁town", "4", "2", "▁!"]
    assert tokens(tokenizer, "42")[1:-1] == ["▁4", "2"]


def test_white_space_width_points_and_case_do_not_matter(tokenizer):
    plain = tokens(tokenizer, "water river")
    assert tokens(tokenizer, "  Ｗater \n\t RIVER\u200b ") == plain
    assert tokens(tokenizer, "שָׁלוֹם") == tokens(tokenizer, "שלום")


def test_scripts_without_spaces_have_no_word_mark(tokenizer):
    found = tokens(tokenizer, "河水。河水")
    middle = found.index("▁。")
    assert found[1:middle] == found[middle + 1 : -1]
    assert "".join(found[1:middle]) == "河水"


def test_unknown_characters_become_bytes_and_come_back(tokenizer):
    encoding = tokenizer.encode("water ɸ river")
    assert [t for t in encoding.tokens if t.startswith("<0x")] == ["<0xC9>", "<0xB8>"]
    assert tokenizer.decode(encoding.ids).split() == ["water", "ɸ", "river"]


def test_the_same_texts_give_the_same_file(tokenizer, tmp_path):
    for name, made in (("a", tokenizer), ("b", train_tokenizer(texts(), 500, options=OPTIONS))):
        write_tokenizer(made, tmp_path / name)
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (tmp_path / "b" / "tokenizer.json").read_bytes()


def test_transformers_reads_the_folder(tokenizer, tmp_path):
    write_tokenizer(tokenizer, tmp_path / "t")
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "t")
    assert read("Water 42!")["input_ids"] == tokenizer.encode("Water 42!").ids
    assert (read.pad_token_id, read.cls_token_id, read.sep_token_id, read.unk_token_id) == (1, 0, 2, 3)


def test_weight_buys_pieces():
    # Rare words of two languages: the heavier language's are whole, the lighter one's in parts.
    rng = np.random.default_rng(1)

    def words(letters):
        return ["".join(rng.choice(list(letters), 6)) for _ in range(300)]

    groups = {"a": [" ".join(words("abcdef"))] * 3, "b": [" ".join(words("uvwxyz"))] * 3}
    counts = {}
    for heavy, light in (("a", "b"), ("b", "a")):
        made = train_tokenizer(groups, 500, weights={heavy: 9, light: 1}, options=OPTIONS)
        counts[heavy] = fertility(made, groups["a"]).pieces_per_word
    assert counts["a"] < counts["b"]


def test_fertility_counts_pieces_bytes_and_words(tokenizer):
    found = fertility(tokenizer, ["water, river", "ɸ"])
    assert (found.pieces, found.fallen, found.words, found.characters) == (6, 2, 3, 13)
    assert found.pieces_per_word == 2
    assert (found + found).byte_share == found.byte_share == pytest.approx(1 / 3)


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="no text"):
        train_tokenizer({"en": []}, 400)
    with pytest.raises(InputError, match="'fr'"):
        train_tokenizer({"en": ["water"]}, 400, weights={"fr": 1})
    with pytest.raises(InputError, match="smaller than"):
        train_tokenizer(texts(), 330)


def test_without_sentencepiece_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(DependencyError, match=r"efive\[train\]"):
        train_tokenizer({"en": ["water"]}, 400)


def test_few_texts_give_fewer_pieces():
    assert train_tokenizer({"en": ["water and rivers"] * 9}, 40_000).get_vocab_size() < 500


USED = ["how many people live in the town", "сколько людей живёт в городе", "A 2nd text, with signs!"]


@pytest.mark.parametrize("kind", ["bert", "bert-multilingual", "xlm-roberta"])
def test_texts_of_kept_pieces_keep_their_vectors(kind, tiny_models, tmp_path):
    done = trim_vocabulary(tiny_models[kind], tmp_path / "small", texts=USED)
    before, after = (Encoder.load(folder, precision="fp32") for folder in (tiny_models[kind], tmp_path / "small"))
    assert done.rows_after < done.rows_before
    assert done.megabytes_after / done.megabytes_before == pytest.approx(done.rows_after / done.rows_before)
    for role in ("query", "passage"):
        expected, found = (encoder.embed(USED, role).vectors for encoder in (before, after))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    other = after.embed(["quite another 音 text"], "query").vectors
    assert np.isfinite(other).all()


def test_named_pieces_are_kept_and_unknown_names_refused(bert, tmp_path):
    vocabulary = Tokenizer.from_file(str(bert / "tokenizer.json")).get_vocab()
    piece = next(name for name in vocabulary if len(name) > 4 and name.isalpha())
    trim_vocabulary(bert, tmp_path / "a", keep=[piece], characters=False)
    small = Tokenizer.from_file(str(tmp_path / "a" / "tokenizer.json")).get_vocab()
    assert piece in small
    assert sorted(small.values()) == list(range(len(small)))
    with pytest.raises(InputError, match="no piece 'nosuchpiece'"):
        trim_vocabulary(bert, tmp_path / "b", keep=["nosuchpiece"])


def test_bpe_is_refused(tiny_models, tmp_path):
    with pytest.raises(ModelError, match="BPE"):
        trim_vocabulary(tiny_models["mistral"], tmp_path / "x", texts=USED)


def test_transformers_reads_a_trimmed_folder(tmp_path):
    folder: Path = tiny.make("bert-multilingual", tmp_path / "whole")
    trim_vocabulary(folder, tmp_path / "small", texts=USED)
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "small")
    own = Tokenizer.from_file(str(tmp_path / "small" / "tokenizer.json"))
    assert read(USED[0])["input_ids"] == own.encode(USED[0]).ids
    assert json.loads((tmp_path / "small" / "config.json").read_text())["vocab_size"] == own.get_vocab_size()
