"""From drawn examples to model inputs."""

import json
from pathlib import Path

import numpy as np
import pytest

from efive import Encoder
from efive.inputs import Role
from efive.models import checkpoint as checkpoints
from efive.training.batches import Recipe, contrastive_inputs, imitation_inputs
from efive.training.data.formats import open_set
from efive.training.sampling import Draw
from efive.training.teacher import Reading, teacher_vectors
from efive.training.tokens import Coder, Selection, tokenized


@pytest.fixture
def coder(bert) -> Coder:
    return Coder.of(checkpoints.read(bert))


def written(path: Path, records: list[dict]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def recipe(coder: Coder, **more) -> Recipe:
    values = {"query_tokens": 64, "passage_tokens": 64, "negatives": 2, "symmetric": False, "spans": 0.0, "seed": 0}
    return Recipe(coder.frame, **(values | more))


def draw(examples: list[int], epoch: int = 0, number: int = 0) -> Draw:
    return Draw(0, 0, number, np.asarray(examples), np.full(len(examples), epoch))


@pytest.fixture
def data(coder, tmp_path):
    records = [
        {"query": "one", "passage": "first", "negatives": ["a b", "c d", "e f"]},
        {"query": "two", "passage": "second", "negatives": ["a b"]},
        {"query": "three", "passage": "first"},
    ]
    return tokenized(open_set(written(tmp_path / "set.jsonl", records)), coder, tmp_path / "cache", Selection())


def texts_of(coder, inputs, row):
    wanted = [int(m) for m in inputs.members[row] if m >= 0]
    return [inputs.texts[inputs.queries + m].tolist() for m in wanted]


def ids(coder, *texts):
    return [coder.tokenizer.encode([f"passage: {text}"])[0].tolist() for text in texts]


def test_groups_hold_the_positive_and_the_negatives_of_the_epoch(coder, data):
    first = contrastive_inputs(draw([0, 1, 2]), data, recipe(coder))
    assert texts_of(coder, first, 0) == ids(coder, "first", "a b", "c d")
    assert texts_of(coder, first, 1) == ids(coder, "second", "a b")
    assert texts_of(coder, first, 2) == ids(coder, "first")
    later = contrastive_inputs(draw([0], epoch=1), data, recipe(coder))
    assert texts_of(coder, later, 0) == ids(coder, "first", "e f", "a b")


def test_equal_passages_are_encoded_once(coder, data):
    inputs = contrastive_inputs(draw([0, 1, 2]), data, recipe(coder))
    assert len(inputs.texts) == 3 + 4  # "first", "a b", "c d", "second"
    assert inputs.members[0, 0] == inputs.members[2, 0]
    assert inputs.members[0, 1] == inputs.members[1, 1]


def test_a_symmetric_source_has_queries_on_both_sides(coder, data):
    inputs = contrastive_inputs(draw([0]), data, recipe(coder, symmetric=True, negatives=0))
    assert inputs.texts[1].tolist() == coder.tokenizer.encode(["query: first"])[0].tolist()


def test_spans_come_from_the_passage_and_have_keys_of_their_own(coder, tmp_path):
    words = " ".join(f"{i}" for i in range(200))
    source = open_set(written(tmp_path / "long.jsonl", [{"query": "title", "passage": words}] * 8))
    long = tokenized(source, coder, tmp_path / "cache", Selection())
    inputs = contrastive_inputs(draw(list(range(8))), long, recipe(coder, spans=1.0, passage_tokens=40))
    lead, trail = len(coder.frame.leads[Role.QUERY]), len(coder.frame.trail)
    for row in range(8):
        query = inputs.texts[row][lead:-trail].tolist()
        window = inputs.texts[inputs.queries + int(inputs.members[row, 0])].tolist()
        assert len(window) <= 40
        assert query
        place = -1
        for token in query:  # in order, with gaps
            place = window.index(token, place + 1) if token in window[place + 1 :] else -2
            assert place >= 0
    assert len(set(inputs.query_keys.tolist())) == 8
    assert (inputs.query_keys < 0).all()


def test_the_same_draw_makes_the_same_batch(coder, data):
    one, two = (contrastive_inputs(draw([0, 1]), data, recipe(coder, spans=0.5)) for _ in range(2))
    assert [text.tolist() for text in one.texts] == [text.tolist() for text in two.texts]


def test_scores_stand_beside_their_passages(coder, tmp_path):
    record = {"query": "q", "passage": "p", "negatives": ["x", "y", "z"], "positive_scores": [9.0]}
    source = open_set(written(tmp_path / "s.jsonl", [record | {"negative_scores": [1.0, 2.0, 3.0]}]))
    scored = tokenized(source, coder, tmp_path / "cache", Selection())
    assert contrastive_inputs(draw([0]), scored, recipe(coder), scored=True).scores.tolist() == [[9.0, 1.0, 2.0]]
    later = contrastive_inputs(draw([0], epoch=1), scored, recipe(coder), scored=True)
    assert later.scores.tolist() == [[9.0, 3.0, 1.0]]


def test_a_translation_learns_the_vector_of_what_the_teacher_reads(coder, bert, tmp_path):
    records = [
        {"query": "house", "passage": "Haus", "lang": "en-de"},
        {"query": "Baum", "passage": "tree", "lang": "de-en"},
        {"query": "sea", "passage": "water", "lang": "en"},
        {"query": "Meer", "passage": "mer", "lang": "de-fr"},
    ]
    source = open_set(written(tmp_path / "t.jsonl", records))
    english = Selection(containing="en")
    table = tokenized(source, coder, tmp_path / "cache", english)
    with Encoder.load(bert, precision="fp32") as teacher:
        reading = Reading("en", prefixed=False, symmetric=True, foreign_only=True)
        taught = teacher_vectors(source, english, reading, teacher, tmp_path / "cache")
        inputs = imitation_inputs(draw([0, 1, 2]), table, taught, recipe(coder, symmetric=True))
        expected = teacher.embed(["house", "tree", "sea", "water"], "raw").vectors
    assert np.abs(inputs.targets - expected).max() < 1e-3  # kept as float16
    content = [coder.frame.content(text, Role.QUERY) if text[1] == coder.frame.leads[Role.QUERY][1]
               else coder.frame.content(text, Role.PASSAGE) for text in inputs.texts]  # fmt: skip
    plain = [coder.tokenizer.encode([word])[0][1:-1].tolist() for word in ("Haus", "Baum", "sea", "water")]
    assert [c.tolist() for c in content] == plain


def test_teacher_vectors_are_computed_once_and_go_on(coder, bert, tmp_path, monkeypatch):
    from efive.training import teacher as module

    monkeypatch.setattr(module, "_BLOCK", 4)
    records = [{"query": f"word {i}", "passage": f"text {i % 3}", "lang": "en"} for i in range(10)]
    source = open_set(written(tmp_path / "t.jsonl", records))
    reading = Reading("", prefixed=False, symmetric=False, foreign_only=False)
    with Encoder.load(bert, precision="fp32") as encoder:
        done: list[int] = []

        def stop(count: int) -> None:
            done.append(count)
            if sum(done) >= 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            teacher_vectors(source, Selection(), reading, encoder, tmp_path / "cache", stop)
        again: list[int] = []
        found = teacher_vectors(source, Selection(), reading, encoder, tmp_path / "cache", again.append)
        assert again[0] == 8  # blocks that were there
        assert len(found.vectors) == 13  # ten queries, three distinct passages
        for row, record in enumerate(records):
            expected = encoder.embed([record["query"], record["passage"]], "raw").vectors
            assert np.abs(found.vectors[found.rows[row]].astype(np.float32) - expected).max() < 1e-3
