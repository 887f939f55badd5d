"""Writers: what ids and numbers become, and where a writer goes on."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from efive.cli.outputs import Value, format_of, open_writer
from efive.errors import InputError

VECTOR = Value("vector", 3)


def rows(*ids):
    return [{"id": each, "vector": np.full(3, n, np.float32)} for n, each in enumerate(ids)]


def write(output, *blocks, value=VECTOR):
    writer = open_writer(output, format_of(output, None), 0, value)
    reached = [writer.append(block) for block in blocks]
    writer.finish()
    writer.close()
    return reached


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([[1, 2], [3]], [1, 2, 3]),
        ([[1, 2], ["a"]], ["1", "2", "a"]),
        ([["a"], [1, 2]], ["a", "1", "2"]),
        ([["a", 1]], ["a", "1"]),
        ([[1], [2**63]], ["1", str(2**63)]),
        ([[-(2**63), 2**63 - 1]], [-(2**63), 2**63 - 1]),
    ],
)
def test_parquet_ids_are_integers_if_all_are(tmp_path, blocks, expected):
    output = tmp_path / "out.parquet"
    write(output, *[rows(*block) for block in blocks])
    table = pq.read_table(output)
    assert table["id"].to_pylist() == expected
    assert table.schema.names == ["id", "vector"]
    assert len(table["vector"].combine_chunks().flatten()) == 3 * len(expected)


def test_json_keeps_ids_and_every_bit_of_a_vector(tmp_path):
    output = tmp_path / "out.jsonl"
    vector = np.random.default_rng(0).standard_normal(3).astype(np.float32)
    write(output, [{"id": 2**70, "text": "日本\u2028", "vector": vector}], rows("ä"))
    lines = output.read_bytes().decode().split("\n")
    assert len(lines) == 3  # two, and nothing after the last
    first = json.loads(lines[0])
    assert (first["id"], first["text"]) == (2**70, "日本\u2028")
    assert np.array_equal(np.array(first["vector"], np.float32), vector)
    assert json.loads(lines[1])["id"] == "ä"


@pytest.mark.parametrize("count", [1, 1000])
def test_npy_is_a_plain_array(tmp_path, count):
    output = tmp_path / "out.npy"
    write(output, rows(*range(count)))
    array = np.load(output, allow_pickle=False, mmap_mode="r")
    assert (array.shape, array.dtype.str, array.flags.c_contiguous) == ((count, 3), "<f4", True)
    assert np.array_equal(array[:, 0], np.arange(count))
    numbers = tmp_path / "numbers.npy"
    write(numbers, [{"id": 0, "similarity": 0.5}, {"id": 1, "similarity": 1.0}], value=Value("similarity", 0))
    assert np.load(numbers).tolist() == [0.5, 1.0]


def test_parquet_of_numbers(tmp_path):
    output = tmp_path / "out.parquet"
    write(output, [{"id": 0, "similarity": 0.5}], value=Value("similarity", 0))
    assert pq.read_table(output).to_pylist() == [{"id": 0, "similarity": 0.5}]
    write(output.with_name("none.parquet"), value=Value("similarity", 0))
    assert pq.read_schema(output.with_name("none.parquet")).field("similarity").type == pa.float64()


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "npy"])
def test_a_writer_goes_on_from_what_it_said(tmp_path, suffix):
    once, twice = tmp_path / f"once.{suffix}", tmp_path / f"twice.{suffix}"
    write(once, rows(0, 1), rows(2))
    writer = open_writer(twice, suffix, 0, VECTOR)
    reached = writer.append(rows(0, 1))
    writer.append(rows(7, 8, 9))  # not noted
    writer.close()
    assert not twice.exists()
    writer = open_writer(twice, suffix, reached, VECTOR)
    writer.append(rows(2))
    writer.finish()
    if suffix == "parquet":
        assert pq.read_table(twice) == pq.read_table(once)
    else:
        assert twice.read_bytes() == once.read_bytes()


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [("a.jsonl", None, "jsonl"), ("a.NPY", None, "npy"), ("a.ndjson", None, "jsonl"), ("a.x", "parquet", "parquet")],
)
def test_formats(tmp_path, name, form, expected):
    assert format_of(tmp_path / name, form) == expected
    assert format_of(None, None) == "jsonl"
    with pytest.raises(InputError, match="--to"):
        format_of(tmp_path / "a.json", None)
