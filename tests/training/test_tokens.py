"""Training sets as tables of token ids."""

import json
from pathlib import Path

import numpy as np
import pytest

from efive.errors import InputError
from efive.inputs import Role
from efive.models import checkpoint as checkpoints
from efive.training.data.formats import open_set
from efive.training.tokens import Coder, Selection, text_key, tokenized

RECORDS = [
    {"query": "Wo ist der Fluss?", "passage": "Der Fluss ist hier.", "lang": "de"},
    {"query": "where is the river?", "passage": "Der Fluss ist hier.", "lang": "en-de"},
    {"query": "where is the bridge?", "passage": "The bridge is there.", "negatives": ["No.", "Yes."], "lang": "en"},
]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return path


@pytest.fixture(params=["bert", "bert-multilingual", "xlm-roberta"])
def coder(tiny_models, request) -> Coder:
    return Coder.of(checkpoints.read(tiny_models[request.param]))


def test_a_text_in_its_frame_is_what_the_encoder_reads(coder, pairs, tmp_path):
    data = tokenized(open_set(pairs), coder, tmp_path / "cache", Selection())
    for row, record in enumerate(RECORDS):
        query = coder.frame.build(data.queries[row], Role.QUERY, 512)
        assert query.tolist() == coder.tokenizer.encode([f"query: {record['query']}"])[0].tolist()
        passage = coder.frame.build(data.passages[int(data.positives.rows(row)[0])], Role.PASSAGE, 512)
        assert passage.tolist() == coder.tokenizer.encode([f"passage: {record['passage']}"])[0].tolist()


def test_a_text_can_take_the_other_role(coder, pairs, tmp_path):
    data = tokenized(open_set(pairs), coder, tmp_path / "cache", Selection())
    as_query = coder.frame.build(data.passages[0], Role.QUERY, 512)
    assert as_query.tolist() == coder.tokenizer.encode(["query: Der Fluss ist hier."])[0].tolist()


def test_a_limit_keeps_prefix_and_end(coder, pairs, tmp_path):
    data = tokenized(open_set(pairs), coder, tmp_path / "cache", Selection())
    whole = coder.frame.build(data.passages[0], Role.PASSAGE, 512)
    cut = coder.frame.build(data.passages[0], Role.PASSAGE, len(whole) - 2)
    assert len(cut) == len(whole) - 2
    assert cut[-1] == whole[-1]
    assert cut[:-1].tolist() == whole[: len(whole) - 3].tolist()


def test_equal_texts_have_equal_keys(coder, pairs, tmp_path):
    data = tokenized(open_set(pairs), coder, tmp_path / "cache", Selection())
    keys = [int(data.passages.keys[data.positives.rows(row)[0]]) for row in range(3)]
    assert keys[0] == keys[1] == text_key("Der Fluss ist hier.")
    assert keys[2] != keys[0]


def test_negatives_languages_and_missing_scores(coder, pairs, tmp_path):
    data = tokenized(open_set(pairs), coder, tmp_path / "cache", Selection())
    assert [len(data.negatives.rows(row)) for row in range(3)] == [0, 0, 2]
    assert [data.languages[code] for code in data.language] == ["de", "en-de", "en"]
    assert not data.scored


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        (Selection(languages=("de",)), ["de"]),
        (Selection(languages=("de", "en")), ["de", "en-de", "en"]),
        (Selection(containing="en"), ["en-de", "en"]),
        (Selection(limit=2), ["de", "en-de"]),
        (Selection(limit=1, skip=1), ["en-de"]),
    ],
)
def test_selections(coder, pairs, tmp_path, selection, kept):
    data = tokenized(open_set(pairs), coder, tmp_path / "cache", selection)
    assert [data.languages[code] for code in data.language] == kept


def test_a_selection_that_leaves_nothing_is_an_error(coder, pairs, tmp_path):
    with pytest.raises(InputError, match="pairs has no examples in sw"):
        tokenized(open_set(pairs), coder, tmp_path / "cache", Selection(languages=("sw",)))


def test_tables_are_made_once_and_anew_for_other_data(coder, pairs, tmp_path):
    cache = tmp_path / "cache"
    tokenized(open_set(pairs), coder, cache, Selection())
    (folder,) = cache.iterdir()
    before = (folder / "queries.tokens").stat().st_mtime_ns
    tokenized(open_set(pairs), coder, cache, Selection())
    assert (folder / "queries.tokens").stat().st_mtime_ns == before
    pairs.write_text(pairs.read_text() + json.dumps(RECORDS[0]) + "\n")
    assert len(tokenized(open_set(pairs), coder, cache, Selection())) == 4
    assert len(list(cache.iterdir())) == 2


def test_a_torn_table_is_made_anew(coder, pairs, tmp_path):
    cache = tmp_path / "cache"
    tokenized(open_set(pairs), coder, cache, Selection())
    (folder,) = cache.iterdir()
    (folder / "set.json").unlink()  # written last
    (folder / "queries.tokens").write_bytes(b"")
    data = tokenized(open_set(pairs), coder, cache, Selection())
    assert len(data.queries[0])


def test_a_corpus_keeps_its_rows(coder, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "passages.jsonl").write_text("".join(json.dumps({"contents": f"text {i}"}) + "\n" for i in range(5)))
    record = {"query": "q", "positives": {"doc_id": [3], "score": [2.5]}, "negatives": {"doc_id": ["1"], "score": [1]}}
    (folder / "train.jsonl").write_text(json.dumps(record) + "\n")
    data = tokenized(open_set(folder), coder, tmp_path / "cache", Selection())
    assert data.positives.rows(0).tolist() == [3]
    assert data.scored
    assert np.allclose(data.negatives.scores(0), [1.0])
    assert int(data.passages.keys[3]) == text_key("text 3")
