"""What is read, line by line and row by row, and what is said of records that cannot be used."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from efive.cli.records import Source
from efive.errors import InputError


@pytest.fixture
def read(tmp_path):
    def run(content, name="in.txt", fields=("text",), skipped=None):
        file = tmp_path / name
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            pq.write_table(content, file)
        source = Source(file, Source.of(str(file), None, fields, skip_invalid=False).format, fields)
        if skipped is not None:
            source = Source(file, source.format, fields, skipped.append)
        return list(source.read())

    return run


def texts(records):
    return [record.texts[0] for record in records]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\n\nb\n\n", ["a", "", "b", ""]),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        (b"\xef\xbb\xbf", []),
        (b"a\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),  # only at the beginning of a file is it a mark
        (" a\tb \u2028 c\x0b\r\n".encode(), [" a\tb \u2028 c\x0b"]),  # only newlines end lines, blanks stay
        (b'"quoted"\n', ['"quoted"']),
    ],
)
def test_text_lines(read, content, expected):
    records = read(content)
    assert texts(records) == expected
    assert [record.id for record in records] == list(range(len(expected)))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n\n", b""])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_json_lines(read, start, end):
    records = read(start + b'{"text": "a\\nb"}\n\n  "c"' + end, "in.jsonl")
    assert texts(records) == ["a\nb", "c"]
    assert [record.id for record in records] == [0, 1]


def test_places_are_lines_of_the_file(read):
    assert [record.place for record in read(b'\n"a"\n\n"b"', "in.jsonl")] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"text": "a"', ["broken JSON", "column 13"]),
        (b"{'text': 'a'}", ["broken JSON", "column 2"]),
        (b'{"body": "a", "x": 1}', ["no field 'text'", "body, x", "--field"]),
        (b"{}", ["no field 'text'", "none"]),
        (b'{"text": 5}', ["field 'text' is 5, not a string"]),
        (b'{"text": null}', ["field 'text' is null, not a string"]),
        (b'{"text": ["a"]}', ["field 'text' is [\"a\"], not a string"]),
        (b'["a"]', ['["a"] where a JSON object is needed']),
        (b"17", ["17 where a JSON object is needed"]),
        (b'{"text": "\xff"}', ["byte 10 (0xff) is not UTF-8", "iconv"]),
        ('{"text": "ä"}'.encode("latin1"), ["byte 10 (0xe4) is not UTF-8"]),
        (b'{"text": "a\\ud800"}', ["field 'text' has a lone surrogate (\\ud800 at character 1)"]),
        (b'"\\udc00"', ["the text has a lone surrogate"]),
        (b'{"text": "a", "id": "\\ud800"}', ["its id has a lone surrogate"]),
        (b'{"text": "a", "id": 1.5}', ["its id is 1.5, neither a string nor an integer"]),
        (b"[" * 100_000, ["nested too deeply"]),
        (b"1" * 5000, ["unusable JSON"]),
    ],
)
def test_a_broken_line_is_named_with_the_way_out_or_skipped(read, tmp_path, line, words):
    content = b'"a"\n\n' + line + b'\n"b"\n'
    with pytest.raises(InputError) as raised:
        read(content, "in.jsonl")
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'in.jsonl'}, line 3: ")
    for word in [*words, "--skip-invalid"]:
        assert word in message
    assert len(message) < 400
    skipped = []
    records = read(content, "in.jsonl", skipped=skipped)
    assert [(record.id, record.texts[0]) for record in records] == [(0, "a"), (2, "b")]
    assert len(skipped) == 1
    assert skipped[0].startswith(f"{tmp_path / 'in.jsonl'}, line 3: ")


def test_a_text_line_of_another_encoding_is_named(read):
    with pytest.raises(InputError, match=r"in\.txt, line 2: byte 1 \(0xfc\) is not UTF-8"):
        read(b"a\nf\xfcr\n")
    skipped = []
    assert [(r.id, *r.texts) for r in read(b"a\nf\xfcr\nb", skipped=skipped)] == [(0, "a"), (2, "b")]


def test_pairs_are_two_columns(read):
    records = read(b"a\tb\r\n\tc\n", fields=("a", "b"))
    assert [record.texts for record in records] == [("a", "b"), ("", "c")]
    with pytest.raises(InputError, match="line 1: 3 tab-separated columns where 2 are needed"):
        read(b"a\tb\tc\n", fields=("a", "b"))
    with pytest.raises(InputError, match=r"line 1: no field 'b'; its fields: a\. Name another with --fields"):
        read(b'{"a": "x"}\n', "in.jsonl", fields=("a", "b"))
    with pytest.raises(InputError, match='"x" where a JSON object is needed'):
        read(b'"x"\n', "in.jsonl", fields=("a", "b"))


def test_parquet_rows(read):
    table = pa.table({"id": ["x", None, "z"], "text": ["a", "b", "c"]})
    assert [(r.id, *r.texts, r.place) for r in read(table, "in.parquet")] == [
        ("x", "a", "row 0"), (1, "b", "row 1"), ("z", "c", "row 2")
    ]  # fmt: skip
    large = pa.table({"text": pa.array(["a"], pa.large_string()).dictionary_encode()})
    assert texts(read(large, "in.pq")) == ["a"]


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pa.array(["a", None, "b"]), "null"),
        (pa.array([1, 2, 3]), "1"),
        (pa.array([b"a", b"b", b"c"]), "b'a'"),
        (pa.array([0, 1, 2], pa.date32()), "1970-01-01"),
    ],
)
def test_parquet_values_that_are_no_strings(read, column, shown):
    with pytest.raises(InputError, match=r"in\.parquet, row \d: field 'text' is .*--skip-invalid") as raised:
        read(pa.table({"text": column}), "in.parquet")
    assert shown in str(raised.value)
    skipped = []
    records = read(pa.table({"text": column}), "in.parquet", skipped=skipped)
    assert [record.id for record in records] == [
        n for n, value in enumerate(column.to_pylist()) if isinstance(value, str)
    ]
    assert len(records) + len(skipped) == 3


def test_parquet_without_the_column_names_those_it_has(read):
    with pytest.raises(InputError, match=r"has no column 'text'; its columns are body, n\. Name another with --field"):
        read(pa.table({"body": ["a"], "n": [1]}), "in.parquet")


@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1 and then something else PAR1"])
def test_no_parquet_at_all(read, content):
    with pytest.raises(InputError, match=r"in\.parquet is no readable Parquet file"):
        read(content, "in.parquet")


def test_parquet_that_is_damaged_inside(read, tmp_path):
    file = tmp_path / "good.parquet"
    pq.write_table(
        pa.table({"text": [f"text {n}" for n in range(3000)]}), file, compression="zstd", use_dictionary=False
    )
    content = bytearray(file.read_bytes())
    content[100:1100] = bytes(1000)
    with pytest.raises(InputError, match=r"in\.parquet is damaged after row 0"):
        read(bytes(content), "in.parquet")


def test_state_tells_what_changed(tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text('"a"\n')
    source = Source.of(str(file), None, ("text",), skip_invalid=False)
    before = source.state()
    file.write_text('"ab"\n')
    changed = {key for key, value in source.state().items() if before[key] != value}
    assert "input size" in changed
    assert json.loads(json.dumps(before)) == before
    assert Source.of("-", None, ("text",), skip_invalid=False).state() is None


def test_count_is_taken_for_a_terminal_only(tmp_path, monkeypatch):
    file, table = tmp_path / "in.txt", tmp_path / "in.parquet"
    file.write_text("a\nb\n")
    pq.write_table(pa.table({"text": ["a", "b", "c"]}), table)
    sources = [Source.of(str(f), None, ("text",), skip_invalid=False) for f in (file, table)]
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    assert [source.count() for source in sources] == [None, None]
    stderr.isatty = lambda: True
    assert [source.count() for source in sources] == [2, 3]
