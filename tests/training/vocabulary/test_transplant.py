"""Transplanting a vocabulary: rows follow from the teacher's and from translations; the layers stay."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from efive import Encoder
from efive.errors import InputError, ModelError
from efive.models import checkpoint
from efive.training.vocabulary.tokenizer import TrainingOptions, train_tokenizer
from efive.training.vocabulary.transplant import RowOptions, gather, rows, transplant

TABLE = "embeddings.word_embeddings.weight"
WORDS = {"people": "люди", "live": "живут", "in": "в", "the": "этот", "how": "как", "many": "много", "water": "вода"}


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    english = [list(rng.choice(list(WORDS), 4, replace=False)) for _ in range(300)]
    return [(" ".join(words), " ".join(WORDS[word] for word in words)) for words in english]


@pytest.fixture(scope="module")
def tokenizer(pairs):
    texts = {"en": [pair[0] for pair in pairs], "ru": [pair[1] for pair in pairs]}
    return train_tokenizer(texts, 500, options=TrainingOptions(characters=50_000, threads=1))


@pytest.fixture(scope="module")
def evidence(tokenizer, pairs):
    return gather(tokenizer, {"ru": pairs}, english=["people live"] * 10)


@pytest.fixture(scope="module")
def teacher(bert):
    read = checkpoint.read(bert)
    return read.tensors[TABLE].floats(), Tokenizer.from_file(str(read.tokenizer_file))


def test_english_pieces_are_the_mean_of_their_wordpieces(tokenizer, evidence, teacher):
    table, wordpiece = teacher
    made = rows(table, wordpiece, tokenizer, evidence)
    for word in WORDS:
        expected = table[wordpiece.encode(word, add_special_tokens=False).ids].mean(axis=0)
        np.testing.assert_allclose(made[tokenizer.token_to_id("▁" + word)], expected, atol=1e-5)


def test_foreign_pieces_lie_nearest_to_their_translation(tokenizer, evidence, teacher):
    made = rows(*teacher, tokenizer, evidence)
    english = np.array([made[tokenizer.token_to_id("▁" + word)] for word in WORDS])
    foreign = np.array([made[tokenizer.token_to_id("▁" + word)] for word in WORDS.values()])
    cosines = (foreign @ english.T) / np.linalg.norm(foreign, axis=1)[:, None] / np.linalg.norm(english, axis=1)
    assert cosines.argmax(axis=1).tolist() == list(range(len(WORDS)))


def test_a_mean_has_the_norm_of_the_rows_it_was_made_of(tokenizer, evidence, teacher):
    ids = [tokenizer.token_to_id("▁" + word) for word in WORDS.values()]
    options = {"exponent": 0.1, "top": 6}  # nearly even means, which are short
    short, long = (
        np.linalg.norm(rows(*teacher, tokenizer, evidence, RowOptions(**options, norm=norm))[ids], axis=1).mean()
        for norm in (0.0, 1.0)
    )
    assert short < 0.8 * long
    assert long == pytest.approx(np.linalg.norm(teacher[0], axis=1).mean(), rel=0.3)


def test_special_tokens_take_their_counterparts_rows(tokenizer, evidence, teacher):
    table, wordpiece = teacher
    made = rows(table, wordpiece, tokenizer, evidence)
    for new, old in (("<s>", "[CLS]"), ("<pad>", "[PAD]"), ("</s>", "[SEP]"), ("<unk>", "[UNK]")):
        np.testing.assert_array_equal(made[tokenizer.token_to_id(new)], table[wordpiece.token_to_id(old)])


def test_pieces_without_evidence_take_the_mean_row(tokenizer, evidence, teacher):
    made = rows(*teacher, tokenizer, evidence)
    np.testing.assert_allclose(made[tokenizer.token_to_id("<0xFF>")], teacher[0].mean(axis=0), atol=1e-6)


def test_a_piece_of_both_languages_is_mixed_by_frequency(tokenizer, pairs, teacher):
    """`live` also stands for `water` in the other language: the more often, the nearer to water."""

    def cosine(share):
        turned = [(a, b.replace("вода", "live")) for a, b in pairs]
        found = gather(tokenizer, {"xx": turned}, english=["live"] * share)
        made = rows(*teacher, tokenizer, found)
        row, water = made[tokenizer.token_to_id("▁live")], made[tokenizer.token_to_id("▁water")]
        return row @ water / np.linalg.norm(row) / np.linalg.norm(water)

    assert cosine(0) > cosine(2000) + 0.1


def test_the_folder_loads_and_keeps_layers_and_prompts(bert, tokenizer, evidence, tmp_path):
    transplant(bert, tokenizer, evidence, tmp_path / "start")
    old, new = checkpoint.read(bert), checkpoint.read(tmp_path / "start")
    assert (new.prompts.query, new.prompts.passage) == ("query: ", "passage: ")
    assert new.architecture.vocabulary == tokenizer.get_vocab_size()
    assert new.architecture.pad_id == 1
    for name in set(old.tensors) - {TABLE}:
        np.testing.assert_array_equal(new.tensors[name].floats(), old.tensors[name].floats())
    vectors = Encoder.load(tmp_path / "start", precision="fp32").embed_queries(["how many people", "вода"]).vectors
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)


def test_a_multilingual_teacher_and_foreign_evidence_are_refused(tiny_models, bert, tokenizer, evidence, tmp_path):
    with pytest.raises(ModelError, match="Unigram"):
        transplant(tiny_models["bert-multilingual"], tokenizer, evidence, tmp_path / "a")
    other = Tokenizer.from_str(tokenizer.to_str())
    other.add_tokens(["extra"])
    with pytest.raises(InputError, match="pieces"):
        transplant(bert, other, evidence, tmp_path / "b")
