"""`efive tokenizer` and `efive trim-vocab`: inputs, outputs, refusals."""

import gzip
import json
import lzma

import numpy as np
import pytest
from tokenizers import Tokenizer

from efive import Encoder

LINES = [
    {"query": "how many people live in the old town", "passage": "the town has many people", "lang": "en"},
    {"query": "the river is cold", "passage": "река холодная и старая", "lang": "en-ru"},
]
OPENERS = {".jsonl": open, ".jsonl.gz": gzip.open, ".jsonl.xz": lzma.open}


def write(path, rows=LINES, times=30):
    opener = OPENERS["".join(path.suffixes)]
    with opener(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows * times)
    return path


@pytest.mark.parametrize("suffix", list(OPENERS))
def test_train_writes_a_tokenizer_that_knows_both_sides(efive, tmp_path, suffix):
    done = efive("tokenizer", "train", write(tmp_path / f"data{suffix}"), "--size", 500, "-o", tmp_path / "t")
    assert done.code == 0, done.err
    vocabulary = Tokenizer.from_file(str(tmp_path / "t" / "tokenizer.json")).get_vocab()
    assert {"▁people", "▁холодная", "▁query"} <= set(vocabulary)
    assert f"{len(vocabulary)} pieces" in done.err


def test_measure_tells_languages_apart(efive, tmp_path):
    data = write(tmp_path / "data.jsonl")
    efive("tokenizer", "train", data, "--size", 500, "-o", tmp_path / "t")
    done = efive("tokenizer", "measure", tmp_path / "t", data)
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[0] for row in rows] == ["language", "en", "ru"]
    assert all(float(row[2]) == 0 and 1 <= float(row[1]) < 2 for row in rows[1:])


def test_other_fields_and_weights(efive, tmp_path):
    rows = [{"text": "winter rain", "l": "a"}, {"text": "summer wind", "l": "b"}]
    data = write(tmp_path / "data.jsonl", rows)
    options = ["--field", "text", "--language-field", "l", "--size", 500, "--characters", 1000]
    done = efive("tokenizer", "train", data, *options, "--weights", "a=9,b=0.5", "--keep-case", "-o", tmp_path / "t")
    assert done.code == 0, done.err
    tokenizer = Tokenizer.from_file(str(tmp_path / "t" / "tokenizer.json"))
    assert tokenizer.encode("Winter").tokens != tokenizer.encode("winter").tokens
    refused = efive("tokenizer", "train", data, *options, "--weights", "c=1", "-o", tmp_path / "u")
    assert refused.code == 1
    assert "'c'" in refused.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "line 2: [1] where a JSON object"),
        ('{"query": "a"}', "line 2: 'passage' is null"),
        ("{", "line 2: broken JSON"),
    ],
)
def test_a_bad_line_is_named(efive, tmp_path, line, said):
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(LINES[0]) + "\n" + line + "\n")
    done = efive("tokenizer", "train", data, "--size", 500, "-o", tmp_path / "t")
    assert done.code == 1
    assert said in done.err
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("weights", "said"),
    [("en", "'en' is no NAME=NUMBER"), ("en=x", "no NAME"), ("en=0", "above 0"), ("en=nan", "above")],
)
def test_bad_weights_are_refused(efive, tmp_path, weights, said):
    done = efive(
        "tokenizer", "train", write(tmp_path / "data.jsonl"), "--size", 500, "-o", tmp_path / "t", "--weights", weights
    )
    assert done.code == 1
    assert said in done.err


def test_torn_and_missing_files_and_full_folders_are_refused(efive, tmp_path):
    torn = tmp_path / "data.jsonl.gz"
    torn.write_bytes(write(tmp_path / "whole.jsonl.gz").read_bytes()[:60])
    for path, said in ((torn, "cannot be read"), (tmp_path / "none.jsonl", "cannot be read")):
        done = efive("tokenizer", "train", path, "--size", 500, "-o", tmp_path / "t")
        assert done.code == 1
        assert said in done.err
    done = efive("tokenizer", "train", tmp_path / "whole.jsonl.gz", "--size", 500, "-o", tmp_path)
    assert "no empty folder" in done.err
    done = efive("tokenizer", "measure", tmp_path, tmp_path / "whole.jsonl.gz")
    assert "tokenizer.json is missing" in done.err


def test_trim_vocab_keeps_the_vectors_of_its_texts(efive, bert, tmp_path):
    texts = ["how many people live in the old town", "the river is cold"]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    done = efive("trim-vocab", bert, "--texts", tmp_path / "texts.txt", "-o", tmp_path / "small")
    assert done.code == 0, done.err
    assert " rows, " in done.err
    before, after = (Encoder.load(folder, precision="fp32") for folder in (bert, tmp_path / "small"))
    np.testing.assert_allclose(after.embed_queries(texts).vectors, before.embed_queries(texts).vectors, atol=1e-5)


def test_trim_vocab_refuses_what_cannot_be_trimmed(efive, tiny_models, tmp_path):
    (tmp_path / "texts.txt").write_text("a\n")
    done = efive("trim-vocab", tiny_models["mistral"], "--texts", tmp_path / "texts.txt", "-o", tmp_path / "small")
    assert done.code == 1
    assert "BPE" in done.err
