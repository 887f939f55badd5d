"""A cross-encoder as teacher: a tiny random one, made by transformers."""

import numpy as np
import pytest
import questions
import tiny
import torch
import transformers

from efive.errors import InputError
from efive.training.data.formats import open_set
from efive.training.mining.choice import Mining
from efive.training.mining.cross_encoder import CrossEncoderTeacher
from efive.training.mining.miner import mine
from efive.training.mining.stages import Place


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cross-encoder")
    torch.manual_seed(0)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tiny.wordpiece(), pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]"
    )
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.BertConfig(vocab_size=len(tokenizer), num_labels=1, initializer_range=0.5, **sizes)
    transformers.BertForSequenceClassification(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_its_logits_are_written_and_decide(folder, nano, tmp_path):
    data = open_set(questions.pair_file(tmp_path))
    teacher = CrossEncoderTeacher(folder, "cpu")
    mine([data], nano, Place(tmp_path / "out"), Mining(3, 1, 6, None), teacher=teacher)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    passages = list(open_set(tmp_path / "out").passages())
    lines = questions.rows(tmp_path / "out" / "train.jsonl")
    assert sum(len(line["negatives"]["doc_id"]) for line in lines) > len(lines) // 2
    for line in lines:
        rows = [int(row) for side in ("positives", "negatives") for row in line[side]["doc_id"]]
        batch = tokenizer([line["query"]] * len(rows), [passages[r] for r in rows], padding=True, return_tensors="pt")
        expected = model(**batch).logits.detach().numpy()[:, 0]
        found = line["positives"]["score"] + line["negatives"]["score"]
        assert np.allclose(found, expected, atol=1e-4)
        assert all(score < found[0] for score in found[1:])


def test_a_share_of_logits_is_refused(folder, nano, tmp_path):
    data = open_set(questions.pair_file(tmp_path))
    with pytest.raises(InputError, match="logits"):
        mine([data], nano, Place(tmp_path / "out"), Mining(), teacher=CrossEncoderTeacher(folder, "cpu"))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        CrossEncoderTeacher(tmp_path)
