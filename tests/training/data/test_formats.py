"""What each form reads as, and the stated outcome of everything that can be wrong with a record."""

import gzip
import json
import lzma
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from efive.errors import InputError
from efive.training.data import records, sets
from efive.training.data.examples import Example
from efive.training.data.formats import open_set, open_sets

PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def jsonl(*values) -> bytes:
    return b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values)


def bare(example: Example):
    return example.query, example.positives, example.negatives, example.positive_scores, example.negative_scores


@pytest.fixture
def read(tmp_path):
    """Write one file, read its examples and problems."""

    def run(content: bytes, name="pairs.jsonl"):
        (tmp_path / name).write_bytes(content)
        problems = []
        return list(open_set(tmp_path / name, on_problem=problems.append).examples()), problems

    return run


@pytest.fixture
def corpus(tmp_path):
    """Write a folder of passages and examples, read all of it."""

    def run(passages: bytes, train: bytes, **options):
        (tmp_path / "passages.jsonl").write_bytes(passages)
        (tmp_path / "train.jsonl").write_bytes(train)
        problems = []
        opened = open_set(tmp_path, on_problem=problems.append, **options)
        return list(opened.passages()), list(opened.examples()), problems

    return run


# --- forms -------------------------------------------------------------------------------------------------------

PASSAGES = jsonl(
    {"contents": "zero"}, {"id": "1", "title": "One", "contents": "one "}, {"title": None, "contents": "2"}
)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"query": "q", "passage": "p"}, ("q", ("p",), (), None, None)),
        ({"query": "q", "positive": "p", "negative": "n"}, ("q", ("p",), ("n",), None, None)),
        ({"query": "q", "passage": "p", "negatives": ["n", "m"]}, ("q", ("p",), ("n", "m"), None, None)),
        ({"query": "q", "passage": "p", "negatives": []}, ("q", ("p",), (), None, None)),
        ({"query": "q", "passage": "p", "negatives": None, "lang": None}, ("q", ("p",), (), None, None)),
        (
            {"query": "q", "passage": "p", "negatives": ["n"], "positive_scores": [3], "negative_scores": [-1.5]},
            ("q", ("p",), ("n",), (3.0,), (-1.5,)),
        ),
        ({"query": "q", "passage": "p", "positive_scores": 0.5}, ("q", ("p",), (), (0.5,), None)),
        (
            {"query": "q", "pos": ["p", "r"], "neg": ["n"], "pos_scores": [1, 2], "neg_scores": [0], "prompt": "x"},
            ("q", ("p", "r"), ("n",), (1.0, 2.0), (0.0,)),
        ),
        ({"anchor": "q", "positive": "p"}, ("q", ("p",), (), None, None)),
        (
            {
                "negative_10": "c",
                "anchor": "q",
                "positive": "p",
                "negative_2": "b",
                "negative_1": "a",
                "negative_3": None,
            },
            ("q", ("p",), ("a", "b", "c"), None, None),
        ),
        (
            {
                "query_id": "7",
                "query": "q",
                "positive_passages": [{"docid": "a", "title": "T", "text": "p"}],
                "negative_passages": [{"docid": "b", "title": "", "text": "n"}, {"docid": "c", "text": "m"}],
            },
            ("q", ("T p",), ("n", "m"), None, None),
        ),
    ],
)
def test_each_inline_form(read, record, expected):
    examples, problems = read(jsonl(record))
    assert [bare(example) for example in examples] == [expected]
    assert problems == []


def test_language_and_place(read, tmp_path):
    examples, _ = read(b"\n" + jsonl({"query": "q", "passage": "p", "lang": "de-en"}, {"query": "q", "passage": "p"}))
    file = tmp_path / "pairs.jsonl"
    assert [(e.language, e.place) for e in examples] == [("de-en", f"{file}, line 2"), ("", f"{file}, line 3")]


@pytest.mark.parametrize("packed", PACK)
def test_a_corpus_folder(tmp_path, packed):
    train = jsonl(
        {
            "query": "q",
            "positives": {"doc_id": ["1"], "score": [2]},
            "negatives": {"doc_id": [0, "2"], "score": [0.5, 1]},
        },
        {"query": "r", "positives": {"doc_id": [2, 0]}},
    )
    (tmp_path / f"passages.jsonl{packed}").write_bytes(PACK[packed](PASSAGES))
    (tmp_path / f"train.jsonl{packed}").write_bytes(PACK[packed](train))
    opened = open_set(tmp_path)
    assert [bare(e) for e in opened.examples()] == [  # before passages(): the corpus is counted first
        ("q", (1,), (0, 2), (2.0,), (0.5, 1.0)),
        ("r", (2, 0), (), None, None),
    ]
    assert list(opened.passages()) == ["zero", "One one", "2"]
    assert len(list(opened.examples())) == 2  # again: the next epoch
    assert opened.name == tmp_path.name
    assert [file.name for file in opened.files] == [f"passages.jsonl{packed}", f"train.jsonl{packed}"]


def test_a_split_is_named(tmp_path):
    (tmp_path / "passages.jsonl").write_bytes(PASSAGES)
    for split, row in (("train", 0), ("kd_train", 1)):
        (tmp_path / f"{split}.jsonl").write_bytes(jsonl({"query": split, "positives": {"doc_id": [row]}}))
    (tmp_path / "dev_qrels.txt").write_text("1\t0\t1\t1\n")
    found = open_set(tmp_path, split="kd_train")
    assert found.name == f"{tmp_path.name}/kd_train"
    assert [e.positives for e in found.examples()] == [(1,)]
    with pytest.raises(InputError, match=r"no dev\.jsonl; its splits are kd_train, train\. Name another split"):
        open_set(tmp_path, split="dev")
    with pytest.raises(InputError, match=r"no split '\.\./x'"):
        open_set(tmp_path, split="../x")


def test_parquet(tmp_path):
    table = pa.table(
        {
            "query": ["q", "r"],
            "passage": ["p", "s"],
            "negatives": [["n", "m"], None],
            "negative_scores": [[1.0, 2.0], None],
            "lang": ["de", None],
            "embedding": [[0.1], [0.2]],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    examples = list(open_set(tmp_path / "a.parquet").examples())
    assert [bare(e) for e in examples] == [
        ("q", ("p",), ("n", "m"), None, (1.0, 2.0)),
        ("r", ("s",), (), None, None),
    ]
    assert [e.language for e in examples] == ["de", ""]
    assert examples[1].place == f"{tmp_path / 'a.parquet'}, row 1"


def test_parquet_is_read_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(sets, "_BATCH", 3)
    pq.write_table(pa.table({"anchor": list("abcdefgh"), "positive": list("ABCDEFGH")}), tmp_path / "a.pq")
    steps = []
    examples = list(open_set(tmp_path / "a.pq", advance=steps.append).examples())
    assert "".join(e.query for e in examples) == "abcdefgh"
    assert len(steps) == 3
    assert sum(steps) == (tmp_path / "a.pq").stat().st_size


def test_a_folder_of_pair_files(tmp_path):
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).write_bytes(jsonl({"query": name, "passage": "p"}))
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".hidden.jsonl").write_text("{")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(jsonl({"query": "c", "passage": "p"})))
    pq.write_table(pa.table({"query": ["d"], "passage": ["p"]}), tmp_path / "d.parquet")
    found = open_sets(tmp_path)
    assert [each.name for each in found] == ["a", "b", "c", "d"]
    assert [e.query for each in found for e in each.examples()] == ["a.jsonl", "b.jsonl", "c", "d"]
    assert all(list(each.passages()) == [] for each in found)
    with pytest.raises(InputError, match=r"holds 4 training sets \(a, b, c, d\); name one file"):
        open_set(tmp_path)


def test_files_called_after_the_split_keep_the_others_out(tmp_path):
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test", "training"):
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl({"query": name, "passage": "p"}))
    assert [each.name for each in open_sets(tmp_path)] == ["train-00000-of-00002", "train-00001-of-00002"]
    assert [each.name for each in open_sets(tmp_path, split="test")] == ["test"]
    with pytest.raises(InputError, match="has no dev file, but test, train; name another split"):
        open_sets(tmp_path, split="dev")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no training data"),
        (["notes.txt"], "holds no training data"),
        (["passages.jsonl"], r"no train\.jsonl; it has no other \.jsonl file"),
        (["passages.jsonl", "passages.jsonl.gz", "train.jsonl"], r"both passages\.jsonl and passages\.jsonl\.gz"),
    ],
)
def test_a_folder_that_is_no_training_set(tmp_path, files, message):
    for name in files:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=message):
        open_set(tmp_path)


def test_a_path_that_is_no_training_set(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_set(tmp_path / "none.jsonl")
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match=r"rename it to \.jsonl"):
        open_set(tmp_path / "a.json")


def test_the_examples_of_the_guide_are_read(tmp_path, read):
    guide = Path(__file__).parents[3] / "docs" / "guides" / "training-data.md"
    blocks = re.findall(r"^```(jsonl?)\n(.*?)^```", guide.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    inline = "".join(text for language, text in blocks if language == "json")
    examples, problems = read(inline.encode())
    assert (len(examples), problems) == (6, [])
    passages, train = (text for language, text in blocks if language == "jsonl")
    (tmp_path / "passages.jsonl").write_text(passages)
    (tmp_path / "train.jsonl").write_text(train)
    assert [e.positives for e in open_set(tmp_path).examples()] == [(0,), (1,)]


# --- what can be wrong -------------------------------------------------------------------------------------------

GOOD = {"query": "q", "passage": "p"}
WRONG = [
    (b'{"query": "q"', "json", ["broken JSON", "column 14"]),
    (b"[1]", "json", ["[1] where a JSON object is needed"]),
    (b"[" * 100_000, "json", ["nested too deeply"]),
    (b'{"query": "\xff", "passage": "p"}', "encoding", ["byte 11 (0xff) is not UTF-8"]),
    (b'{"query": "a\\ud800", "passage": "p"}', "encoding", ["'query' has a lone surrogate", "character 1"]),
    (b'{"query": "q", "pos": ["p", "\\udc00"]}', "encoding", ["'pos', item 1 has a lone surrogate"]),
    (b'{"query": "q", "passage": "p", "lang": "\\udc00"}', "encoding", ["'lang' has a lone surrogate"]),
    (b'{"question": "q", "passage": "p"}', "missing", ["no field 'query' (or 'anchor')", "question, passage"]),
    (b'{"query": null, "passage": "p"}', "missing", ["no field 'query'"]),
    (b'{"query": "q", "answer": "p", "\\ud800": 1}', "missing", ["no field 'passage' (or", "query, answer, \\ud800"]),
    (b"{}", "missing", ["its fields: none"]),
    (b'{"query": "q", "positive_passages": [{"docid": "1"}]}', "missing", ["'text'", "item 0", "docid"]),
    (b'{"query": 5, "passage": "p"}', "type", ["'query' is 5, not a string"]),
    (b'{"query": "q", "passage": {"a": 1}}', "type", ["'passage' is", "not a string"]),
    (b'{"query": "q", "passage": "p", "negatives": ["n", 3]}', "type", ["'negatives', item 1 is 3"]),
    (b'{"query": "q", "passage": "p", "lang": 3}', "type", ["'lang' is 3"]),
    (b'{"query": "q", "passage": "p", "positive": "r"}', "type", ["both 'passage' and 'positive'"]),
    (b'{"query": "q", "positives": {"doc_id": [1]}}', "type", ["passages.jsonl"]),
    (b'{"query": "q", "positive_passages": [{"title": 3, "text": "a"}]}', "type", ["'title' in", "is 3"]),
    (b'{"query": " ", "passage": "p"}', "empty", ["'query' is empty"]),
    (b'{"query": "q", "passage": ""}', "empty", ["'passage' is empty"]),
    (b'{"query": "q", "pos": []}', "empty", ["'pos' is an empty list"]),
    (b'{"query": "q", "passage": "p", "negative": ""}', "empty", ["'negative' is empty"]),
    (b'{"query": "q", "positive_passages": [{"title": "", "text": ""}]}', "empty", ["item 0 is empty"]),
    (b'{"query": "q", "passage": "p", "positive_scores": [NaN]}', "scores", ["no finite number"]),
    (b'{"query": "q", "passage": "p", "positive_scores": [1e999]}', "scores", ["no finite number"]),
    (b'{"query": "q", "passage": "p", "positive_scores": [1' + b"0" * 400 + b"]}", "scores", ["no finite number"]),
    (b'{"query": "q", "passage": "p", "positive_scores": ["1"]}', "scores", ["\"1\", which is no number"]),
    (b'{"query": "q", "passage": "p", "positive_scores": [true]}', "scores", ["true, which is no number"]),
    (b'{"query": "q", "passage": "p", "positive_scores": [1, 2]}', "scores", ["has 2 scores for 1 positives"]),
    (b'{"query": "q", "passage": "p", "negative": "n", "negative_scores": []}', "scores", ["0 scores for 1 negatives"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "words"), WRONG)
def test_a_record_that_cannot_be_used(read, tmp_path, line, kind, words):
    """It is left out and told of, or it is an error that says where and what to do."""
    file = tmp_path / "pairs.jsonl"
    examples, problems = read(jsonl(GOOD) + b"\n" + line + b"\n" + jsonl(GOOD))
    assert [e.place for e in examples] == [f"{file}, line 1", f"{file}, line 4"]
    (problem,) = problems
    assert (problem.kind, problem.place, problem.mended) == (kind, f"{file}, line 3", False)
    for word in words:
        assert word in problem.message
    assert len(problem.message) < 400
    problem.message.encode()
    stream = open_set(file).examples()
    next(stream)
    with pytest.raises(InputError) as raised:
        next(stream)
    assert str(raised.value).startswith(f"{file}, line 3: {problem.message}. ")
    assert "efive data check" in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + jsonl(GOOD, GOOD),
        jsonl(GOOD, GOOD).replace(b"\n", b"\r\n"),
        b"\n \n" + jsonl(GOOD) + b"\r\n\n" + jsonl(GOOD)[:-1],
    ],
)
@pytest.mark.parametrize("packed", PACK)
def test_marks_line_ends_and_blank_lines_do_no_harm(read, content, packed):
    examples, problems = read(PACK[packed](content), f"pairs.jsonl{packed}")
    assert [bare(e)[:2] for e in examples] == [("q", ("p",))] * 2
    assert problems == []


def test_a_positive_among_the_negatives_is_taken_out_of_them(read):
    record = {"query": "q", "pos": ["p"], "neg": ["n", "p", "m"], "neg_scores": [1, 2, 3], "pos_scores": [5]}
    examples, problems = read(jsonl(record))
    assert [bare(e) for e in examples] == [("q", ("p",), ("n", "m"), (5.0,), (1.0, 3.0))]
    assert [(p.kind, p.mended) for p in problems] == [("overlap", True)]
    assert '"p" is both a positive and a negative' in problems[0].message


@pytest.mark.parametrize("packed", [".gz", ".xz"])
@pytest.mark.parametrize("harm", ["cut", "altered", "not packed"])
def test_a_damaged_file_ends_with_a_problem(read, tmp_path, packed, harm):
    content = jsonl(*({"query": f"{n * 7919 % 10007} {n}", "passage": str(n**3)} for n in range(5000)))
    whole = bytearray(PACK[packed](content))
    if harm == "cut":
        whole = whole[: len(whole) // 2]
    elif harm == "altered":
        whole[len(whole) // 2 : len(whole) // 2 + 200] = bytes(200)
    else:
        whole = bytearray(content)
    examples, problems = read(bytes(whole), f"pairs.jsonl{packed}")
    damaged = [problem for problem in problems if problem.kind == "damaged"]
    assert len(damaged) == 1
    assert problems[-1] == damaged[0]
    assert damaged[0].place == str(tmp_path / f"pairs.jsonl{packed}")
    assert "damaged after line " in damaged[0].message
    assert len(examples) < 5000
    if harm == "cut":
        assert len(examples) > 1000
    with pytest.raises(InputError) as raised:  # altered gzip may spoil lines before its checksum is seen
        list(open_set(tmp_path / f"pairs.jsonl{packed}").examples())
    assert str(raised.value).startswith(f"{problems[0].place}: {problems[0].message}")


def test_a_huge_line_is_not_read_into_memory(read, monkeypatch):
    monkeypatch.setattr(records, "LONGEST_LINE", 100)
    monkeypatch.setattr(sets, "LONGEST_LINE", 100)
    for length in (99, 100, 101, 202, 250):
        long = json.dumps({"query": "q", "passage": ""}).encode()
        long = long.replace(b'""', b'"' + b"x" * (length - len(long)) + b'"')
        assert len(long) == length
        examples, problems = read(long + b"\n" + jsonl(GOOD))
        fits = length + 1 <= 100  # with its line end
        assert [e.place[-6:] for e in examples] == (["line 1"] if fits else []) + ["line 2"]
        assert [p.kind for p in problems] == ([] if fits else ["json"])


# --- the corpus --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positives", "kind", "words"),
    [
        ({"doc_id": [3]}, "unknown_id", ["doc_id 3 in 'positives'", "out of range", "rows 0 to 2"]),
        ({"doc_id": ["-1"]}, "unknown_id", ['"-1"', "out of range"]),
        ({"doc_id": [-1]}, "unknown_id", ["out of range"]),
        ({"doc_id": ["9" * 5000]}, "unknown_id", ["out of range"]),
        ({"doc_id": ["a"]}, "type", ['"a", neither an integer nor a numeric string']),
        ({"doc_id": ["١"]}, "type", ["neither an integer"]),
        ({"doc_id": [1.0]}, "type", ["1.0, neither"]),
        ({"doc_id": [True]}, "type", ["true, neither"]),
        ({"doc_id": 1}, "type", ["not a list"]),
        ([1], "type", ["'positives' is [1]"]),
        ({"id": [1]}, "missing", ["no field 'doc_id' in 'positives'", "its fields: id"]),
        ({"doc_id": []}, "empty", ["'positives' is empty"]),
        (None, "missing", ["no field 'positives'"]),
        ({"doc_id": [1], "score": [1, 2]}, "scores", ["2 scores for 1 passages"]),
        ({"doc_id": [1], "score": [float("nan")]}, "scores", ["no finite number"]),
    ],
)
def test_references_that_cannot_be_used(corpus, tmp_path, positives, kind, words):
    good = {"query": "q", "positives": {"doc_id": [2]}}
    _, examples, problems = corpus(PASSAGES, jsonl(good, {"query": "q", "positives": positives}, good))
    assert [e.place[-6:] for e in examples] == ["line 1", "line 3"]
    assert [(p.kind, p.place) for p in problems] == [(kind, f"{tmp_path / 'train.jsonl'}, line 2")]
    for word in words:
        assert word in problems[0].message
    with pytest.raises(InputError, match="line 2: "):
        list(open_set(tmp_path).examples())


def test_negatives_are_judged_as_positives_are(corpus):
    train = jsonl(
        {"query": "q", "positives": {"doc_id": [0]}, "negatives": {"doc_id": [1, 128]}},
        {"query": "q", "positives": {"doc_id": [0]}, "negatives": {"doc_id": ["0", 2], "score": [1, 2]}},
    )
    _, examples, problems = corpus(PASSAGES, train)
    assert [p.kind for p in problems] == ["unknown_id", "overlap"]
    assert [bare(e) for e in examples] == [("q", (0,), (2,), None, (2.0,))]


def test_rows_that_cannot_be_used_keep_their_number(corpus, tmp_path):
    passages = (
        jsonl({"contents": "a"}) + b"\n{\n" + jsonl({"text": "c"}, {"contents": " "}, {"contents": "e"}) + b"\n\n"
    )
    train = jsonl(*({"query": str(row), "positives": {"doc_id": [row]}} for row in range(7)))
    texts, examples, problems = corpus(passages, train)
    assert texts == ["a", "", "", "", "", "e"]
    assert [e.query for e in examples] == ["0", "5"]
    of_rows, of_examples = problems[:4], problems[4:]
    assert [(p.kind, p.place[-6:]) for p in of_rows] == [
        ("empty", "line 2"), ("json", "line 3"), ("missing", "line 4"), ("empty", "line 5")
    ]  # fmt: skip
    assert [(p.kind, p.place[-6:]) for p in of_examples] == [("unknown_id", f"line {n}") for n in (2, 3, 4, 5, 7)]
    assert "cannot be used" in of_examples[0].message
    assert "rows 0 to 5" in of_examples[-1].message
    heard = []
    assert [e.query for e in open_set(tmp_path, on_problem=heard.append).examples()] == ["0", "5"]
    assert heard == of_examples  # the corpus, read only to know its rows, tells nothing
    with pytest.raises(InputError, match=r"passages\.jsonl, line 2: a blank line where row 1 should be"):
        next(open_set(tmp_path).examples())


def test_an_id_that_is_not_the_row_is_told_of(corpus, tmp_path):
    passages = jsonl({"id": 0, "contents": "a"}, {"id": "2", "contents": "b"}, {"id": "doc-c", "contents": "c"})
    texts, examples, problems = corpus(passages, jsonl({"query": "q", "positives": {"doc_id": [1]}}))
    assert texts == ["a", "b", "c"]
    assert [e.positives for e in examples] == [(1,)]
    assert [(p.kind, p.mended, p.place) for p in problems] == [
        ("row_id", True, f"{tmp_path / 'passages.jsonl'}, line 2")
    ]


def test_an_empty_corpus(corpus):
    texts, examples, problems = corpus(b"", jsonl({"query": "q", "positives": {"doc_id": [0]}}))
    assert (texts, examples) == ([], [])
    assert "the passages have no rows" in problems[0].message


def test_a_damaged_corpus_makes_the_rest_unknown(tmp_path):
    rows = gzip.compress(jsonl(*({"contents": f"{n * 7919 % 10007} {n**3}"} for n in range(5000))))
    (tmp_path / "passages.jsonl.gz").write_bytes(rows[: len(rows) // 2])
    (tmp_path / "train.jsonl").write_bytes(jsonl(*({"query": "q", "positives": {"doc_id": [n]}} for n in (0, 4999))))
    problems = []
    opened = open_set(tmp_path, on_problem=problems.append)
    assert 1000 < len(list(opened.passages())) < 5000
    assert [e.positives for e in opened.examples()] == [(0,)]
    assert [p.kind for p in problems if p.kind != "json"] == ["damaged", "unknown_id"]


def test_rows_remember_which_cannot_be_used():
    rows = records.Rows()
    bad = {0, 7, 8, 9, 63, 100}
    for row in range(200):
        rows.add(usable=row not in bad)
    assert {row for row in range(-50, 300) if rows.usable(row)} == set(range(200)) - bad


# --- parquet -----------------------------------------------------------------------------------------------------


def parquet(tmp_path, table):
    pq.write_table(table, tmp_path / "a.parquet")
    problems = []
    return list(open_set(tmp_path / "a.parquet", on_problem=problems.append).examples()), problems


def test_parquet_rows_that_cannot_be_used(tmp_path):
    table = pa.table({"query": ["a", "", None, "d"], "passage": ["p", "p", "p", None]})
    examples, problems = parquet(tmp_path, table)
    assert [e.query for e in examples] == ["a"]
    assert [(p.kind, p.place[-5:]) for p in problems] == [
        ("empty", "row 1"),
        ("missing", "row 2"),
        ("missing", "row 3"),
    ]
    with pytest.raises(InputError, match="row 1: 'query' is empty"):
        list(open_set(tmp_path / "a.parquet").examples())


def test_parquet_without_the_columns(tmp_path):
    examples, problems = parquet(tmp_path, pa.table({"question": ["a"], "answer": ["p"]}))
    assert examples == []
    assert problems[0].kind == "missing"
    assert "question, answer" in problems[0].message


def test_parquet_text_that_is_no_utf8_spoils_its_row_only(tmp_path):
    raw = pa.array([b"a", b"\xff", b"c"], pa.binary())
    query = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    examples, problems = parquet(tmp_path, pa.table({"query": query, "passage": ["x", "y", "z"]}))
    assert [e.query for e in examples] == ["a", "c"]
    assert [(p.kind, p.place[-5:]) for p in problems] == [("encoding", "row 1")]


@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1 and something else PAR1"])
def test_no_parquet_at_all(read, content):
    examples, problems = read(content, "a.parquet")
    assert examples == []
    assert [p.kind for p in problems] == ["damaged"]


# --- progress, laziness, round trip ------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", PACK)
def test_progress_adds_up_to_the_size_on_disk(tmp_path, packed):
    for name in ("passages", "train"):
        rows = PASSAGES * 2000 if name == "passages" else jsonl({"query": "q", "positives": {"doc_id": [0]}}) * 3000
        (tmp_path / f"{name}.jsonl{packed}").write_bytes(PACK[packed](rows.replace(b'"id": "1", ', b"")))
    steps = []
    opened = open_set(tmp_path, advance=steps.append)
    assert len(list(opened.passages())) == 6000
    assert len(list(opened.examples())) == 3000
    assert sum(steps) == sum(file.stat().st_size for file in opened.files)
    assert min(steps) >= 0


def test_nothing_is_read_ahead(tmp_path):
    """A stream of examples costs what was taken from it."""
    line = jsonl(GOOD)
    (tmp_path / "a.jsonl").write_bytes(line * 20_000 + b"{broken\n")
    stream = open_set(tmp_path / "a.jsonl").examples()
    assert next(stream).query == "q"
    stream.close()
    with pytest.raises(InputError, match="line 20001"):
        list(open_set(tmp_path / "a.jsonl").examples())


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.strip)
SCORE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def an_example(draw) -> Example:
    positives = draw(st.lists(TEXT, min_size=1, max_size=3))
    negatives = draw(st.lists(TEXT.filter(lambda text: text not in positives), max_size=3))
    scored = draw(st.booleans())
    scores = [tuple(draw(SCORE) for _ in side) if scored else None for side in (positives, negatives)]
    return Example(draw(TEXT), tuple(positives), tuple(negatives), *scores, draw(st.sampled_from(["", "de", "de-en"])))


def _scores(example, positive, negative):
    if example.positive_scores is None:
        return {}
    return {positive: example.positive_scores, negative: example.negative_scores}


def pair(e):
    found = {"query": e.query, "passage": e.positives[0], "negatives": e.negatives, "lang": e.language}
    return found | ({} if e.positive_scores is None else {"positive_scores": e.positive_scores[:1]}) | {
        key: value for key, value in _scores(e, "", "negative_scores").items() if key
    }  # fmt: skip


def flag(e):
    return {"query": e.query, "pos": e.positives, "neg": e.negatives} | _scores(e, "pos_scores", "neg_scores")


def columns(e):
    numbered = {f"negative_{n}": text for n, text in enumerate(e.negatives, 1)}
    return {"anchor": e.query, "positive": e.positives[0]} | numbered


def tevatron(e):
    passages = [
        [{"docid": str(n), "title": "", "text": t} for n, t in enumerate(s)] for s in (e.positives, e.negatives)
    ]
    return {"query_id": "1", "query": e.query, "positive_passages": passages[0], "negative_passages": passages[1]}


def expected(e, form):
    """What remains of an example in a form that cannot say all of it."""
    strip = str.strip if form is tevatron else str
    positives = tuple(map(strip, e.positives[:1] if form in {pair, columns} else e.positives))
    negatives = tuple(text for text in map(strip, e.negatives) if text not in positives)
    scores = (e.positive_scores, e.negative_scores) if form in {pair, flag} else (None, None)
    first = scores[0][:1] if scores[0] is not None and form is pair else scores[0]
    return (e.query, positives, negatives, first, scores[1])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(an_example(), min_size=1, max_size=4),
    st.sampled_from([pair, flag, columns, tevatron]),
    st.sampled_from([*PACK, "parquet"]),
    st.booleans(),
)
def test_what_is_written_in_each_form_is_read_back(tmp_path, examples, form, packed, escaped):
    rows = [form(e) for e in examples]
    if packed == "parquet":
        file = tmp_path / "a.parquet"
        keys = list(dict.fromkeys(key for row in rows for key in row))
        pq.write_table(pa.table({key: [row.get(key) for row in rows] for key in keys}), file)
    else:
        file = tmp_path / f"a.jsonl{packed}"
        lines = [json.dumps(row, ensure_ascii=escaped) for row in rows]
        file.write_bytes(PACK[packed]("\n".join(lines).encode()))
    found = list(
        open_set(file, on_problem=lambda problem: pytest.fail(str(problem)) if not problem.mended else None).examples()
    )
    assert [bare(e) for e in found] == [expected(e, form) for e in examples]
    if form is pair:
        assert [e.language for e in found] == [e.language for e in examples]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT, min_size=1, max_size=8), st.data(), st.booleans(), st.sampled_from(list(PACK)))
def test_a_corpus_that_is_written_is_read_back(tmp_path, texts, data, numeric, packed):
    for old in tmp_path.glob("*.jsonl*"):
        old.unlink()
    order = data.draw(st.permutations(range(len(texts))))
    cut = data.draw(st.integers(1, len(texts)))
    positives, negatives = order[:cut], order[cut:]
    scores = data.draw(st.lists(SCORE, min_size=len(texts), max_size=len(texts)))
    ids = [each if numeric else str(each) for each in order]
    record = {"query": "q", "positives": {"doc_id": ids[:cut], "score": scores[:cut]}}
    record["negatives"] = {"doc_id": ids[cut:], "score": scores[cut:]}
    passages = [{"id": str(row), "title": "", "contents": text} for row, text in enumerate(texts)]
    (tmp_path / f"passages.jsonl{packed}").write_bytes(PACK[packed](jsonl(*passages)))
    (tmp_path / "train.jsonl").write_bytes(jsonl(record))
    opened = open_set(tmp_path)
    assert list(opened.passages()) == [text.strip() for text in texts]
    (example,) = opened.examples()
    assert bare(example) == ("q", tuple(positives), tuple(negatives), tuple(scores[:cut]), tuple(scores[cut:]))
