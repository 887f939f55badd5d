"""The training benchmark's arithmetic: lengths, order, padding, and when two trainers count as doing the same work."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import train
import train_data
import train_report
from tokenizers import Tokenizer
from vocabularies import generated_wordpiece_vocabulary, wordpiece

from efive.inputs import Prompts
from efive.text.tokenizer import TextTokenizer
from efive.training.batches import Recipe, contrastive_inputs
from efive.training.data.formats import open_sets
from efive.training.sampling import Sampler, Stratum
from efive.training.tokens import Coder, Frame, Selection, files_digest, tokenized


def test_lengths_are_realistic_and_the_same_everywhere():
    queries, passages = train_data.pair_lengths(20_000, seed=3)
    assert (queries.min(), queries.max()) == (6, 20)
    assert passages.mean() == pytest.approx(111.2, abs=2)  # E[min(X, 512)], in closed form
    assert passages.max() == 512
    again = train_data.pair_lengths(20_000, seed=3)
    assert np.array_equal(passages, again[1])
    assert not np.array_equal(passages, train_data.pair_lengths(20_000, seed=4)[1])


def test_order_is_every_row_once_in_efives_order():
    order = train.drawn_order(12, 4, seed=5)
    assert sorted(order) == list(range(12))
    drawn = Sampler([Stratum(0, 1.0, 12, 4)], 5).next()
    assert order[:4] == drawn.examples.tolist()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return wordpiece(generated_wordpiece_vocabulary())


def test_efive_reads_exactly_the_tokens_that_the_benchmark_counts(tmp_path, tokenizer):
    count, batch, limit, seed = 12, 4, 60, 1
    file = train_data.write_pairs(tmp_path / "pairs.jsonl", tokenizer, count, seed)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    own, prompts = TextTokenizer.load(tmp_path / "tokenizer.json"), Prompts("query: ", "passage: ")
    frame = Frame.of(own, prompts)
    coder = Coder(own, prompts, files_digest([tmp_path / "tokenizer.json"]), frame)
    (files,) = open_sets(file)
    data = tokenized(files, coder, tmp_path / "cache", Selection())
    sampler = Sampler([Stratum(0, 1.0, count, batch)], seed)
    recipe = Recipe(frame, limit, limit, negatives=0, symmetric=False, spans=0.0, seed=seed)
    order = train.drawn_order(count, batch, seed)
    expected = train_data.batch_lengths(order, batch, limit, seed, count)
    assert max(int(passages.max()) for _, passages in expected) == limit  # something is cut
    for queries, passages in expected:
        inputs = contrastive_inputs(sampler.next(), data, recipe)
        assert [len(text) for text in inputs.texts] == [*queries, *passages]


def test_padded_tokens():
    batches = [(np.array([5, 10]), np.array([100, 20, 30, 10]))]
    assert train_data.padded_tokens(batches) == 2 * 10 + 4 * 100
    assert train_data.padded_tokens(batches, mini_batch=2) == 2 * 10 + 2 * 100 + 2 * 30


def test_cells_and_what_quick_changes():
    quick = train.cells(train.read_options(["--quick"]))
    assert {(c.shape.name, c.passage_tokens) for c in quick} == {("e5-small-v2", 192)}
    assert [(c.cached, c.precision) for c in quick] == [(False, "bf16"), (False, "fp32"), (True, "bf16")]
    full = train.cells(train.read_options([]))
    assert len(full) == 16
    assert all(c.batch > 200 for c in full if c.cached)
    assert train.read_options(["--quick", "--batch", "48"]).batch == 48


def record(trainer, number, seconds, loss):
    cell = {"model": "m", "precision": "fp32", "passage_tokens": 192, "cached": False, "batch": 8, "steps": 2}
    own = {"threads": 1, "device": "cpu", "trainer": trainer, "round": number, "pairs": 16, "tokens": 1000}
    own |= {"padded": 1500, "flops": 1e9, "limit": {"fp32": 1e9, "bf16": 4e9}, "wall_s": 2 * seconds}
    own |= {"cpu_s": seconds, "peak_mb": 10.0, "device_mb": None, "losses": [loss, 1.0], "set_up_s": 1.0}
    return cell | own | {"version": "1"}


@pytest.mark.parametrize(("loss", "verdict"), [(2.00005, "the same work"), (2.001, "NOT THE SAME WORK")])
def test_the_table_says_how_much_faster_and_whether_it_is_the_same_work(capsys, loss, verdict):
    ours = [record("efive", 0, 2, loss), record("efive", 1, 5, loss)]
    theirs = [record("sentence-transformers", 0, 4, 2.0), record("sentence-transformers", 1, 20, 2.0)]
    train_report.print_report([*ours, *theirs], "cpu")
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if "| efive " in line)
    assert "3.00 (2.00-4.00)" in row  # of the quotients within a round
    assert "5.60 (3.20-8.00)" in row
    assert verdict in printed
    assert "1.50 times the tokens" in printed


def test_a_trainer_that_fails_is_named(capsys):
    failed = {k: v for k, v in record("sentence-transformers", 0, 1, 1.0).items() if k != "wall_s"}
    train_report.print_report([record("efive", 0, 1, 1.0), failed | {"error": "absent; install it"}], "cpu")
    assert "sentence-transformers failed: absent; install it" in capsys.readouterr().out
