"""`efive data check`: what is printed, what is told, which exit code."""

import gzip
import json

import pytest


def write(file, *values):
    file.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return file


@pytest.fixture
def good(tmp_path):
    rows = [{"query": f"q{n}", "passage": "p" * 1500, "lang": "de"} for n in range(1200)]
    return write(tmp_path / "good.jsonl", *rows, {"query": "q1", "passage": "other", "negatives": ["n"]})


def test_what_is_there(efive, good):
    result = efive("data", "check", good)
    assert (result.code, result.err) == (0, "")
    lines = {line[:24].strip(): line[24:].split() for line in result.out.splitlines()}
    assert lines["examples"] == ["1,201"]
    assert lines["languages"] == ["de", "1,200"]
    assert lines["scripts, no language"] == ["latin", "1"]
    assert lines["repeated queries"] == ["1"]
    assert lines["repeated pairs"] == ["0"]
    assert lines["problems"] == ["0"]
    assert lines["negatives per example"][-1] == "1"
    assert lines["passage characters"][-1] == "1,500"
    assert "passages" not in lines


def test_problems_are_named_with_file_and_line(efive, good):
    with good.open("a") as out:
        out.write('{"query": "q"}\n\n{"query": "q", "passage": "p", "negative": "p"}\n{\n')
    result = efive("data", "check", good)
    assert result.code == 1
    assert f"{good}, line 1202: no field 'passage'" in result.out
    assert f'{good}, line 1204: "p" is both a positive and a negative' in result.out
    assert f"{good}, line 1205: broken JSON" in result.out
    assert result.err == f"efive: 3 problems in {good}; mend the data, and check it again\n"


def test_json(efive, tmp_path):
    write(tmp_path / "passages.jsonl", {"contents": "a"})
    write(tmp_path / "train.jsonl", {"query": "q", "positives": {"doc_id": [0]}})
    write(tmp_path / "kd_train.jsonl", {"query": "q", "positives": {"doc_id": [1]}})
    result = efive("data", "check", tmp_path, "--json")
    assert result.code == 0
    (report,) = result.rows
    assert (report["examples"], report["corpus"], report["problems"]) == (1, 1, {})
    assert report["query_characters"]["maximum"] == 1
    assert "passages                 1" in efive("data", "check", tmp_path).out
    result = efive("data", "check", tmp_path, "--json", "--split", "kd_train")
    assert result.code == 1
    (report,) = result.rows
    assert report["problems"]["unknown_id"]["count"] == 1
    assert report["problems"]["unknown_id"]["first"][0]["place"] == f"{tmp_path / 'kd_train.jsonl'}, line 1"


def test_several_files(efive, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", *({"query": str(n), "passage": "p", "lang": f"l{n}"} for n in range(20)))
    result = efive("data", "check", tmp_path)
    assert result.code == 0
    assert "a                        20 examples\n" in result.out
    assert "l0 2, l1 2" in result.out
    assert "… (20 in all)" in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["none.jsonl"], "does not exist"), (["."], "holds no training data"), ([".", "--split", "../x"], "no split")],
)
def test_what_cannot_be_read_at_all(efive, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = efive("data", "check", *arguments)
    assert (result.code, result.out) == (1, "")
    assert words in result.err


def test_an_interrupted_download_is_seen(efive, tmp_path):
    whole = gzip.compress(b"".join(b'{"query": "q%d", "passage": "p%d"}\n' % (n * n, n**3) for n in range(5000)))
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(whole[: len(whole) // 2])
    result = efive("data", "check", file)
    assert result.code == 1
    assert f"{file}: damaged after line " in result.out


def test_names_of_broken_fields_can_be_printed(start, tmp_path):
    """A lone surrogate must not break the terminal that the report goes to."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"query": "q", "\\ud800": 1}\n')
    out, err = start("data", "check", file).communicate(timeout=240)
    assert b"Traceback" not in err
    assert b"its fields: query, \\ud800" in out
