"""Uploaded vocabularies against the tokenizers that they come from."""

import json

import pytest
import sentencepiece
import tiny
import traced
from tokenizers import Tokenizer

from efive.errors import ModelError
from efive.models.vocabulary import tokenizer_json

TEXTS = [
    *tiny.TEXTS,
    "  Two  spaces,\ttabs\nand lines  ",
    "ﬁne ① ½ ﾃｽﾄ Ｆｕｌｌ　width ～ wave",
    "zero\u200bwidth soft\xadhyphen \ufeffmark \x07bell",
    "e\u0301clair İstanbul ǅ straße",
    "<s> <mask> </s> [CLS] ##ing",
    "",
    " ",
]


def test_wordpiece_is_the_tokenizer_it_comes_from(bert):
    original = Tokenizer.from_file(str(bert / "tokenizer.json"))
    words = traced.vocabulary(bert)["vocabulary"]
    made = Tokenizer.from_str(json.dumps(tokenizer_json("bert", words, (), lower_case=True)))
    assert [each.ids for each in made.encode_batch(TEXTS)] == [each.ids for each in original.encode_batch(TEXTS)]


@pytest.fixture(scope="module")
def sentencepieces(tmp_path_factory):
    """A model of SentencePiece, normalised as XLM-R's is, and its vocabulary with fairseq's ids as eland uploads it."""
    folder = tmp_path_factory.mktemp("sentencepiece")
    (folder / "texts.txt").write_text("\n".join(tiny.TEXTS * 20))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "texts.txt"), model_prefix=str(folder / "model"), vocab_size=600, model_type="unigram",
        normalization_rule_name="nmt_nfkc", hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "model.model"))
    learned = range(3, model.get_piece_size())
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *map(model.id_to_piece, learned), "<mask>"]
    return model, pieces, [0.0] * 4 + [model.get_score(id_) for id_ in learned] + [0.0]


def test_unigram_gives_the_ids_of_sentencepiece_itself(sentencepieces):
    model, pieces, scores = sentencepieces
    made = Tokenizer.from_str(json.dumps(tokenizer_json("xlm_roberta", pieces, scores, lower_case=False)))
    texts = [text for text in TEXTS if "<" not in text]  # special tokens are none to SentencePiece
    expected = [[0, *(3 if id_ == 0 else id_ + 1 for id_ in row), 2] for row in model.encode(texts)]
    assert [each.ids for each in made.encode_batch(texts)] == expected


def test_what_is_no_vocabulary_is_refused(sentencepieces):
    _, pieces, scores = sentencepieces
    with pytest.raises(ModelError, match="lacks <pad>"):
        tokenizer_json("xlm_roberta", [piece for piece in pieces if piece != "<pad>"], scores[1:], lower_case=False)
    with pytest.raises(ModelError, match="scores; each piece needs one"):
        tokenizer_json("xlm_roberta", pieces, scores[1:], lower_case=False)
    with pytest.raises(ModelError, match="twice"):
        tokenizer_json("bert", ["a", "a"], (), lower_case=False)
    with pytest.raises(ModelError, match="not mpnet"):
        tokenizer_json("mpnet", pieces, scores, lower_case=False)
