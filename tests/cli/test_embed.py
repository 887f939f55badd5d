"""`efive embed` from every input to every output."""

import json
import os
import subprocess
import sys
import warnings
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny

TEXTS = [*tiny.TEXTS[:3], "", "naïve 日本語", *tiny.TEXTS[3:5]]
pytestmark = pytest.mark.filterwarnings("always::efive.errors.EfiveWarning")


def jsonl(values) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


@pytest.fixture
def passages(encoder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return encoder.embed_passages(TEXTS)


@pytest.fixture
def text_file(tmp_path):
    file = tmp_path / "in.txt"
    file.write_text("".join(text + "\n" for text in TEXTS), encoding="utf-8")
    return file


def source(form: str, folder) -> tuple[list, bytes]:
    """Arguments and stdin that give TEXTS in one of the input forms."""
    plain = "".join(text + "\n" for text in TEXTS).encode()
    objects = jsonl({"text": text, "other": 1} for text in TEXTS)
    if form == "stdin lines":
        return [], plain
    if form == "stdin jsonl":
        return ["--from", "jsonl"], objects
    if form == "dash":
        return ["-", "--from", "jsonl"], jsonl(TEXTS)
    if form == "--text":
        return [part for text in TEXTS for part in ("--text", text)], b""
    name = {"text": "in.txt", "jsonl": "in.jsonl", "strings": "in.ndjson", "parquet": "in.parquet", "forced": "in"}[
        form
    ]
    file = folder / name
    if form == "parquet":
        pq.write_table(pa.table({"text": TEXTS, "other": range(len(TEXTS))}), file, row_group_size=3)
    else:
        file.write_bytes({"text": plain, "jsonl": objects, "strings": jsonl(TEXTS), "forced": objects}[form])
    return [str(file), *(["--from", "jsonl"] if form == "forced" else [])], b""


FORMS = ["stdin lines", "stdin jsonl", "dash", "--text", "text", "jsonl", "strings", "parquet", "forced"]


@pytest.mark.parametrize("form", FORMS)
def test_every_input_gives_the_encoders_vectors_in_order(efive, model, passages, close, tmp_path, form):
    arguments, stdin = source(form, tmp_path)
    result = efive("embed", "--role", "passage", *model, *arguments, stdin=stdin)
    assert result.code == 0, result.err
    assert close(result.vectors, passages.vectors)
    assert [row["id"] for row in result.rows] == list(range(len(TEXTS)))
    found = [(row["tokens_seen"], row["tokens_used"], row["truncated"]) for row in result.rows]
    assert found == [(u.tokens_seen, u.tokens_used, u.truncated) for u in passages.usage]
    assert "text 3 is empty" in result.err


@pytest.mark.parametrize("form", ["stdin lines", "jsonl", "parquet"])
@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "npy"])
def test_every_output_holds_the_encoders_vectors(efive, model, passages, close, tmp_path, form, suffix):
    arguments, stdin = source(form, tmp_path)
    output = tmp_path / f"out.{suffix}"
    result = efive("embed", "--role", "passage", *model, *arguments, "-o", output, stdin=stdin)
    assert (result.code, result.out) == (0, ""), result.err
    assert f"{len(TEXTS)} texts in {output}" in result.err
    if suffix == "npy":
        vectors = np.load(output, allow_pickle=False)
        assert vectors.dtype == np.float32
    elif suffix == "parquet":
        table = pq.read_table(output)
        assert table.schema.field("vector").type == pa.list_(pa.float32(), 64)
        assert table["id"].to_pylist() == list(range(len(TEXTS)))
        assert table["tokens_used"].to_pylist() == [u.tokens_used for u in passages.usage]
        vectors = np.array(table["vector"].to_pylist(), dtype=np.float32)
    else:
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert [row["id"] for row in rows] == list(range(len(TEXTS)))
        vectors = np.array([row["vector"] for row in rows], dtype=np.float32)
    assert close(vectors, passages.vectors)
    assert sorted(p.name for p in tmp_path.glob("out*")) == [output.name]  # nothing of the work is left


@pytest.mark.parametrize("to", ["jsonl", "parquet", "npy"])
def test_to_overrides_the_suffix(efive, model, tmp_path, to):
    output = tmp_path / "out.bin"
    assert efive("embed", "--role", "raw", *model, "--text", "a", "-o", output, "--to", to).code == 0
    assert output.read_bytes()[:4] == {"jsonl": b'{"id', "parquet": b"PAR1", "npy": b"\x93NUM"}[to]


def test_roles_differ_and_raw_adds_nothing(efive, model, encoder, close):
    vectors = {}
    for role in ("query", "passage", "raw"):
        vectors[role] = efive("embed", "--role", role, *model, "--text", "tea").vectors
        assert close(vectors[role], encoder.embed(["tea"], role).vectors)
    assert not close(vectors["query"], vectors["passage"])
    assert not close(vectors["query"], vectors["raw"])


def test_role_is_required(efive, model):
    result = efive("embed", *model, "--text", "tea")
    assert result.code == 2
    assert "--role" in result.err


def test_own_ids_are_kept(efive, model, tmp_path):
    stdin = jsonl([{"id": "a", "text": "x"}, {"_id": 7, "text": "y"}, {"text": "z"}, {"id": None, "text": "w"}])
    result = efive("embed", "--role", "query", *model, "--from", "jsonl", stdin=stdin)
    assert [row["id"] for row in result.rows] == ["a", 7, 2, 3]
    output = tmp_path / "out.parquet"
    assert efive("embed", "--role", "query", *model, "--from", "jsonl", "-o", output, stdin=stdin).code == 0
    assert pq.read_table(output)["id"].to_pylist() == ["a", "7", "2", "3"]


def test_field_names_the_text(efive, model, encoder, close, tmp_path):
    result = efive(
        "embed",
        "--role",
        "query",
        *model,
        "--from",
        "jsonl",
        "--field",
        "body",
        stdin=jsonl([{"body": "x", "text": 1}]),
    )
    assert close(result.vectors, encoder.embed_queries(["x"]).vectors)
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": ["x"]}), file)
    result = efive("embed", "--role", "query", *model, "--field", "id", file)  # id is text and id at once
    assert close(result.vectors, encoder.embed_queries(["x"]).vectors)


LONG = "  query: " + " ".join(tiny.TEXTS * 2)


def test_windows_index_the_original_text(efive, model, encoder, close):
    stdin = jsonl(["short", LONG])
    arguments = ["--from", "jsonl", "--overflow", "chunk", "--overlap", "20", "--with-text"]
    result = efive("embed", "--role", "passage", *model, *arguments, stdin=stdin)
    rows = result.rows
    expected = encoder.embed_passages(["short", LONG], overflow="chunk", overlap=20)
    assert close(result.vectors, expected.vectors)
    assert [(row["id"], row["start"], row["end"]) for row in rows] == [
        (s.input, s.start, s.end) for s in expected.spans
    ]
    assert len(rows) > 3
    assert rows[0]["text"] == "short"
    assert all(row["text"] == LONG[row["start"] : row["end"]] for row in rows[1:])
    assert rows[-1]["end"] == len(LONG)
    assert all(after["start"] < before["end"] for before, after in pairwise(rows[1:]))
    assert not any(row["truncated"] for row in rows)


@pytest.mark.parametrize("overflow", ["end", "start"])
def test_cut_texts_are_named_and_repeated_whole(efive, model, encoder, close, overflow):
    result = efive("embed", "--role", "passage", *model, "--overflow", overflow, "--with-text", "--text", LONG)
    (row,) = result.rows
    assert close(result.vectors, encoder.embed_passages([LONG], overflow=overflow).vectors)
    assert (row["tokens_used"], row["truncated"], row["text"]) == (512, True, LONG)
    assert row["tokens_seen"] > 512
    assert "was cut to 512" in result.err


def test_overflow_error_names_line_and_way_out(efive, model, tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_bytes(jsonl(["short"]) + b"\n" + jsonl([LONG]))
    result = efive("embed", "--role", "passage", *model, "--overflow", "error", file)
    assert result.code == 1
    assert f"{file}, line 3: the text has " in result.err
    assert "chunk" in result.err


@pytest.mark.parametrize(
    ("text", "word"),
    [("", "line 2: the text is empty"), ("Query: x", "line 2: the text already begins with 'Query: '")],
)
def test_strict_refuses_what_is_else_warned_of(efive, model, text, word):
    stdin = f"a\n{text}\n"
    relaxed = efive("embed", "--role", "query", *model, stdin=stdin)
    assert (relaxed.code, len(relaxed.rows)) == (0, 2)
    assert "efive: warning: text 1" in relaxed.err
    strict = efive("embed", "--role", "query", "--strict", *model, stdin=stdin)
    assert strict.code == 1
    assert f"stdin, {word}" in strict.err


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "npy"])
def test_no_text_at_all_gives_an_empty_output(efive, model, tmp_path, suffix):
    empty, output = tmp_path / "empty.txt", tmp_path / f"out.{suffix}"
    empty.touch()
    assert efive("embed", "--role", "query", *model, empty, "-o", output).code == 0
    if suffix == "npy":
        assert np.load(output).shape == (0, 64)
    elif suffix == "parquet":
        assert pq.read_table(output)["vector"].type == pa.list_(pa.float32(), 64)
        assert pq.read_table(output).num_rows == 0
    else:
        assert output.read_bytes() == b""
    result = efive("embed", "--role", "query", *model)
    assert (result.code, result.out) == (0, "")


def test_records_before_a_broken_one_are_delivered(efive, model, encoder, close):
    result = efive("embed", "--role", "query", *model, "--from", "jsonl", stdin=b'"a"\n"b"\n{broken\n"c"\n')
    assert result.code == 1
    assert close(result.vectors, encoder.embed_queries(["a", "b"]).vectors)
    assert "stdin, line 3: broken JSON" in result.err
    assert "--skip-invalid" in result.err


def test_skip_invalid_does_the_rest_and_names_each(efive, model, encoder, close):
    stdin = b'"a"\n{broken\n"b"\n{"text": 5}\n"c"'
    result = efive("embed", "--role", "query", *model, "--from", "jsonl", "--skip-invalid", stdin=stdin)
    assert result.code == 0
    assert [row["id"] for row in result.rows] == [0, 2, 4]  # numbers stay those of the input
    assert close(result.vectors, encoder.embed_queries(["a", "b", "c"]).vectors)
    assert [line.split(":")[1] for line in result.err.splitlines()] == [
        " skipped stdin, line 2",
        " skipped stdin, line 4",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.txt"], ["nowhere.txt does not exist"]),
        (["."], [". is a folder", "name one file"]),
        (["in.json"], ["in.json", "--from jsonl", "--from text"]),
        (["in.txt", "--text", "a"], ["a file or --text, not both"]),
        (["in.txt", "-o", "missing/out.jsonl"], ["no folder missing", "create it"]),
        (["in.txt", "-o", "out.xyz"], ["out.xyz", "--to"]),
        (
            ["in.txt", "-o", "/dev/null", "--to", "jsonl", "--restart"],
            ["/dev/null is no plain file", "redirect stdout"],
        ),
        (["in.txt", "-o", "out"], ["out: cannot tell the format"]),
        (["in.txt", "--to", "npy"], ["npy cannot be written to stdout", "--output"]),
        (["in.txt", "-o", "out.NPY", "--overflow", "chunk"], ["which window", ".parquet"]),
        (["in.txt", "--overlap", "5"], ["--overlap 5", "--overflow chunk"]),
        (["in.jsonl", "-o", "in.jsonl", "--restart"], ["in.jsonl is the input itself"]),
        (["--from", "parquet"], ["Parquet cannot be read from a pipe", "file"]),
        (["in.txt", "--device", "cuda", "--engine", "openvino"], ["openvino engine runs on cpu"]),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(efive, model, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    for name in ("in.txt", "in.json", "in.jsonl"):
        (tmp_path / name).write_text('"a"\n')
    result = efive("embed", "--role", "query", *model, *arguments)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("efive: ")
    assert len(result.err.splitlines()) == 1
    for word in words:
        assert word in result.err
    left = sorted(p.name for p in tmp_path.iterdir() if p.name != "home")
    assert left == ["in.json", "in.jsonl", "in.txt"]
    assert (tmp_path / "in.jsonl").read_text() == '"a"\n'


def test_unknown_model_is_answered_with_the_command_that_fetches_it(efive):
    result = efive("embed", "--role", "query", "-m", "e5-small-v2", "--text", "a")
    assert result.code == 1
    assert "`efive models pull e5-small-v2`" in result.err


def test_a_reader_that_stops_early_ends_it_quietly(start, model, text_file):
    big = text_file.with_name("big.txt")
    big.write_text("".join(f"text {n}\n" for n in range(4000)))
    embed = start("embed", "--role", "query", *model, big)
    assert b'"id": 0' in embed.stdout.readline()
    embed.stdout.close()
    assert embed.stderr.read() == b""
    assert embed.wait(240) == 1


def test_a_named_pipe_is_read_as_a_stream(start, model, tmp_path):
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    process = start("embed", "--role", "query", *model, fifo)
    fifo.write_text("a\nb\n")
    out, err = process.communicate(timeout=240)
    assert len(out.splitlines()) == 2
    assert (process.returncode, err) == (0, b"")


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_input(model):
    measure = "import resource, subprocess, sys\nassert subprocess.run(['sh', '-c', sys.argv[1]]).returncode == 0\n"
    measure += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    embed = f"{sys.executable} -c 'from efive.cli import main; main()' embed --role query {' '.join(model)}"

    def peak(count: int) -> float:
        shell = f"yes 'how long do beans keep' | head -{count} | {embed} > /dev/null"
        done = subprocess.run([sys.executable, "-c", measure, shell], capture_output=True, check=True)
        return int(done.stdout) / 1024

    assert peak(300_000) - peak(30_000) < 30  # MiB; the vectors alone would be 66
