"""`efive similarity`: texts with each other, and pairs from files."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from pyarrow.json import read_json

from efive.cli.journal import Journal

PAIRS = [(tiny.TEXTS[n], tiny.TEXTS[n + 3]) for n in range(5)] + [("naïve", "日本語"), ("same", "same")]


@pytest.fixture
def scores(encoder):
    def run(role="query"):
        left = encoder.embed_queries([a for a, _ in PAIRS]).vectors
        right = encoder.embed([b for _, b in PAIRS], role).vectors
        return (left * right).sum(axis=1)

    return run


def tsv(pairs=PAIRS) -> str:
    return "".join(f"{a}\t{b}\n" for a, b in pairs)


def lines(result) -> list[tuple[float, str]]:
    return [(float(score), text) for score, text in (line.split("\t") for line in result.out.splitlines())]


@pytest.mark.parametrize("options", [[], ["--search"]])
def test_texts_are_compared_with_the_first_best_first(efive, model, encoder, options):
    others = ["beans keep three days", "a red car", "how long do beans keep", "cold tea"]
    result = efive("similarity", *model, *options, "how long do beans keep", *others)
    assert result.code == 0
    found = lines(result)
    first = encoder.embed_queries(["how long do beans keep"]).vectors[0]
    expected = encoder.embed(others, "passage" if options else "query").vectors @ first
    assert {text: score for score, text in found} == {
        text: pytest.approx(float(score), abs=6e-5) for text, score in zip(others, expected, strict=True)
    }
    assert [score for score, _ in found] == sorted((score for score, _ in found), reverse=True)
    if not options:
        assert found[0] == (1.0, "how long do beans keep")


def test_without_search_it_is_symmetric_and_with_it_not(efive, model):
    def one(a, b, *options):
        return lines(efive("similarity", *model, *options, a, b))[0][0]

    assert one("cold tea", "a red car") == one("a red car", "cold tea")
    assert one("cold tea", "a red car", "--search") != one("a red car", "cold tea", "--search")


@pytest.mark.parametrize("form", ["stdin tsv", "stdin jsonl", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("search", [False, True])
def test_pairs_from_every_input(efive, model, scores, tmp_path, form, search):
    objects = "".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in PAIRS)
    source, stdin = ["--pairs", "-"], ""
    if form == "stdin tsv":
        stdin = tsv()
    elif form == "stdin jsonl":
        source, stdin = ["--pairs", "-", "--from", "jsonl"], objects
    else:
        file = tmp_path / f"in.{form}"
        source = ["--pairs", file]
        if form == "parquet":
            pq.write_table(pa.table({"a": [a for a, _ in PAIRS], "b": [b for _, b in PAIRS]}), file)
        else:
            file.write_text(tsv() if form == "tsv" else objects, encoding="utf-8")
    result = efive("similarity", *model, *source, *(["--search"] if search else []), stdin=stdin)
    assert (result.code, result.err) == (0, "")
    assert [row["id"] for row in result.rows] == list(range(len(PAIRS)))
    expected = scores("passage" if search else "query")
    assert [row["similarity"] for row in result.rows] == pytest.approx(expected.tolist(), abs=2e-6)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "npy"])
def test_pairs_to_every_output(efive, model, scores, tmp_path, suffix):
    output = tmp_path / f"out.{suffix}"
    result = efive("similarity", *model, "--pairs", "-", "-o", output, stdin=tsv())
    assert (result.code, result.out) == (0, ""), result.err
    if suffix == "npy":
        found = np.load(output, allow_pickle=False)
        assert found.shape == (len(PAIRS),)
    elif suffix == "parquet":
        found = pq.read_table(output)["similarity"].to_pylist()
    else:
        found = [json.loads(line)["similarity"] for line in output.read_text().splitlines()]
    assert list(found) == pytest.approx(scores().tolist(), abs=2e-6)
    assert sorted(p.name for p in tmp_path.glob("out*")) == [output.name]


def test_fields_name_the_two_texts_and_ids_are_kept(efive, model):
    row = json.dumps({"id": "x", "left": "cold tea", "right": "cold tea"})
    result = efive("similarity", *model, "--pairs", "-", "--from", "jsonl", "--fields", "left, right", stdin=row)
    assert result.rows == [{"id": "x", "similarity": pytest.approx(1, abs=1e-6)}]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "npy"])
def test_an_interrupted_run_goes_on(efive, model, tmp_path, monkeypatch, suffix):
    file = tmp_path / "in.tsv"
    file.write_text(tsv([(f"text {n}", f"text {n % 7}") for n in range(2500)]))
    whole, output = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}"
    assert efive("similarity", *model, "--pairs", file, "-o", whole).code == 0
    note, blocks = Journal.note, []

    def interrupted(self, records, reached):
        blocks.append(records)
        if len(blocks) == 2:
            raise KeyboardInterrupt
        note(self, records, reached)

    monkeypatch.setattr(Journal, "note", interrupted)
    command = ["similarity", *model, "--pairs", file, "-o", output]
    result = efive(*command)
    assert result.code == 130
    assert "interrupted after 1024 texts; they are safe" in result.err
    refused = efive(*command, "--search")
    assert "another search (was False, is True)" in refused.err
    blocks.clear()
    monkeypatch.setattr(Journal, "note", lambda *a: (blocks.append(a[1]), note(*a)))
    assert efive(*command).code == 0
    assert blocks == [1024, 452]
    if suffix == "npy":
        assert np.abs(np.load(output) - np.load(whole)).max() < 2e-6
    else:
        read = pq.read_table if suffix == "parquet" else read_json
        first, second = read(output).to_pydict(), read(whole).to_pydict()
        assert first["id"] == second["id"] == list(range(2500))
        assert first["similarity"] == pytest.approx(second["similarity"], abs=2e-6)


def test_a_finished_output_is_replaced_with_restart_only(efive, model, tmp_path):
    output = tmp_path / "out.npy"
    command = ["similarity", *model, "--pairs", "-", "-o", output]
    assert efive(*command, stdin="a\tb\n").code == 0
    before = output.read_bytes()
    result = efive(*command, stdin="c\td\ne\tf\n")
    assert result.code == 1
    assert "--restart" in result.err
    assert output.read_bytes() == before
    assert efive(*command, "--restart", stdin="c\td\ne\tf\n").code == 0
    assert np.load(output).shape == (2,)


def test_a_broken_pair_is_named_after_those_before_it(efive, model):
    stdin = "a\tb\nc\td\nno tab\ne\tf\n"
    result = efive("similarity", *model, "--pairs", "-", stdin=stdin)
    assert result.code == 1
    assert [row["id"] for row in result.rows] == [0, 1]
    assert "stdin, line 3: 1 tab-separated columns where 2 are needed" in result.err
    assert "--skip-invalid" in result.err
    result = efive("similarity", *model, "--pairs", "-", "--skip-invalid", stdin=stdin)
    assert result.code == 0
    assert [row["id"] for row in result.rows] == [0, 1, 3]
    assert "skipped stdin, line 3" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give at least two texts"),
        (["one"], "give at least two texts"),
        (["one", "two", "--pairs", "-"], "or a file of pairs"),
        (["--pairs", "-", "--fields", "a"], "--fields needs two names"),
        (["--pairs", "-", "--fields", "a,b,c"], "--fields needs two names"),
        (["one", "two", "-o", "out.jsonl"], "--output goes with --pairs"),
        (["--pairs", "nowhere.tsv"], "nowhere.tsv does not exist"),
        (["--pairs", "-", "-o", "out.txt"], "cannot tell the format"),
    ],
)
def test_what_cannot_be_done_is_refused(efive, model, arguments, words):
    result = efive("similarity", *model, *arguments)
    assert (result.code, result.out) == (1, "")
    assert words in result.err
