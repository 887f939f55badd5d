"""JSON lines, CSV and Parquet."""

import csv
import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from efive.errors import InputError
from efive.search.documents import check_metadata
from efive.search.readers.choice import read
from efive.search.readers.files import File, Options


def saved(path, content: str | bytes) -> File:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return File(path, path.name)


def all_of(file, **options):
    """The documents, and what was told of bad records and of parts left out."""
    skipped, notices = [], []
    documents = list(read(file, Options(skip=skipped.append, notice=notices.append, **options)))
    for document in documents:
        check_metadata(document.metadata, document.id)
    return documents, skipped, notices


def test_a_record_of_json_is_a_document(tmp_path):
    record = {"_id": 7, "title": "Head", "text": "Body.", "year": 2024, "tags": ["a"], "of": {"x": 1}, "no": None}
    [document], skipped, notices = all_of(saved(tmp_path / "a.jsonl", json.dumps(record)))
    assert (document.id, document.text) == ("a.jsonl#7", "Body.")
    assert [(s.start, s.end, s.headings) for s in document.sections] == [(0, 5, ("Head",))]
    del document.metadata["modified"]
    assert document.metadata == {
        "path": "a.jsonl",
        "name": "a.jsonl",
        "kind": "jsonl",
        "title": "Head",
        "year": 2024,
        "tags": ["a"],
        "of.x": 1,
    }
    assert (skipped, notices) == ([], [])


def test_bad_records_lose_no_good_ones_and_are_named_by_line(tmp_path):
    lines = [
        b'\xef\xbb\xbf{"text": "a"}',
        b"",
        b"{",
        b'{"n": 1}',
        b'{"text": 5}',
        b'{"text": " "}',
        b'{"text": "\\ud800"}',
        b'{"text": "\xff"}',
        b'{"text": "x", "id": true}',
        b'{"text": "' + b"x" * 200 + b'"}',
        b"[1]",
        b'{"text": "x", "m": ' + b'{"a":' * 1500 + b"1" + b"}" * 1501,
        b'"z"',
    ]
    documents, skipped, _ = all_of(saved(tmp_path / "a.jsonl", b"\n".join(lines)), max_bytes=10_000)
    assert [document.text for document in documents if len(document.text) < 9] == ["a", "z"]
    assert documents[-1].id == "a.jsonl#13"
    expected = {
        3: "broken JSON", 4: "none of the fields", 5: "not a text", 6: "empty", 7: "surrogate", 8: "UTF-8", 9: "id",
        11: "object", 12: "too deeply",
    }  # fmt: skip
    for told, (line, why) in zip(skipped, expected.items(), strict=True):
        assert told.startswith(f"a.jsonl, line {line}: ")
        assert why in told


def test_the_same_reason_is_told_ten_times_and_then_counted(tmp_path):
    documents, skipped, _ = all_of(saved(tmp_path / "a.jsonl", '{"x": 1}\n' * 100 + '"a"\n'))
    assert [document.id for document in documents] == ["a.jsonl#101"]
    assert len(skipped) == 11
    assert skipped[9].startswith("a.jsonl, line 10: none of the fields")
    assert skipped[10].startswith("a.jsonl: 90 more records for the same reason: none of the fields")


def test_a_line_over_the_limit_is_a_bad_record(tmp_path):
    file = saved(tmp_path / "a.jsonl", '"a"\n"' + "x" * 500 + '"\n"b"\n')
    documents, skipped, _ = all_of(file, max_bytes=100)
    assert [document.text for document in documents] == ["a", "b"]
    assert skipped[0].startswith("a.jsonl, line 2: it is larger than the limit")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_without_a_skip_a_bad_record_is_an_error(tmp_path, name):
    with pytest.raises(InputError, match=rf"^{name}: line 2: .*skipped$"):
        list(read(saved(tmp_path / name, "text,n\na\n" if name.endswith("csv") else '"a"\n{\n')))


def test_fields_are_chosen(tmp_path):
    file = saved(tmp_path / "a.jsonl", '{"text": "a", "answer": "b", "key": "k", "id": 1}')
    [document], _, _ = all_of(file, text_field="answer", id_field="key")
    assert (document.id, document.text, document.metadata["text"]) == ("a.jsonl#k", "b", "a")
    _, [skipped], _ = all_of(file, id_field="nokey")
    assert "no id in field 'nokey'; its fields: text, answer, key, id" in skipped


def test_what_metadata_cannot_hold_is_told_once(tmp_path):
    lines = '{"text": "a", "v": [1], "path": "p", "": 1}\n' * 3
    documents, _, [notice] = all_of(saved(tmp_path / "a.jsonl", lines))
    assert notice.startswith("a.jsonl: left out of the metadata: 'v', 'path', ''; ")
    assert documents[0].metadata["path"] == "a.jsonl"


def test_csv_with_quotes_line_ends_and_a_bad_row(tmp_path):
    rows = 'id,text,n,zip,x\n1,"a, ""b""\nc",1.50,01,\n\n2,"q"r,2,3,\n3,short\n4,d,-2,12,y\n'
    documents, skipped, _ = all_of(saved(tmp_path / "a.csv", "\ufeff" + rows))
    assert [(d.id, d.text) for d in documents] == [("a.csv#1", 'a, "b"\nc'), ("a.csv#4", "d")]
    assert [d.metadata["n"] for d in documents] == [1.5, -2]
    assert [d.metadata["zip"] for d in documents] == ["01", "12"]
    assert [d.metadata.get("x") for d in documents] == [None, "y"]
    assert [told.split(": ")[0] for told in skipped] == ["a.csv, line 5", "a.csv, line 6"]


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_csv_is_numbered_by_line_whatever_separates_it(tmp_path, name, mark):
    with (tmp_path / name).open("w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([["content", "k"], ["a\nb", "x" * 200_000], ["c,d;e", "y"]])
    documents, skipped, _ = all_of(File(tmp_path / name, name))
    assert [(d.id, d.text) for d in documents] == [(f"{name}#2", "a\nb"), (f"{name}#4", "c,d;e")]
    assert skipped == []


def test_csv_in_other_encodings(tmp_path):
    russian = "text\nСъешь же ещё этих мягких французских булок\n"
    for encoding in "cp1251", "utf-16", "utf-8-sig":
        [document], _, _ = all_of(saved(tmp_path / "a.csv", russian.encode(encoding)))
        assert document.text == russian.split("\n")[1]
    late = b"text\n" + b"good\n" * 100_000 + b"\xff\n" + b"good\n"
    documents, [skipped], _ = all_of(saved(tmp_path / "a.csv", late))
    assert len(documents) == 100_001
    assert "line 100002" in skipped


@pytest.mark.parametrize(("header", "why"), [("a,b\n", "none of the fields"), ("text,text\n", "two of its columns")])
def test_headers_that_cannot_be_used(tmp_path, header, why):
    with pytest.raises(InputError, match=why):
        list(read(saved(tmp_path / "a.csv", header)))


def test_a_table_can_be_left_half_read(tmp_path):
    documents = read(saved(tmp_path / "a.csv", "text\na\nb\n"))
    assert next(documents).text == "a"
    documents.close()


def test_parquet(tmp_path):
    table = pa.table(
        {
            "_id": pa.array([1.0, None, 3.0]),
            "title": ["T", None, ""],
            "text": pa.array(["a", None, "c"], pa.large_string()),
            "day": pa.array([dt.date(2024, 5, 1)] * 3),
            "tags": [["x"], [], None],
            "of": [{"x": 1}] * 3,
            "vector": [[0.5, 0.5]] * 3,
            "picture": [{"bytes": b"x"}] * 3,
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    documents, skipped, [notice] = all_of(File(tmp_path / "a.parquet", "a.parquet"))
    assert [(d.id, d.text) for d in documents] == [("a.parquet#1", "a"), ("a.parquet#3", "c")]
    assert documents[0].sections[0].headings == ("T",)
    assert (documents[0].metadata["day"], documents[0].metadata["of.x"]) == ("2024-05-01", 1)
    assert skipped == ["a.parquet, row 2: field 'text' is null, not a text"]
    assert "'vector', 'picture'" in notice


def test_parquet_rows_that_cannot_be_read_and_columns_that_are_missing(tmp_path):
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xffb")]
    )
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    [document], [skipped], _ = all_of(File(tmp_path / "a.parquet", "a.parquet"))
    assert (document.id, document.text) == ("a.parquet#2", "b")
    assert skipped.startswith("a.parquet, row 1: it cannot be read")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="its fields: x"):
        list(read(File.of(tmp_path / "b.parquet")))
