"""What the report says of a training set, held against what was written into it."""

import json
import tracemalloc

import pytest

from efive.errors import InputError
from efive.training.data.check import check
from efive.training.data.tallies import Distribution


def write(file, *values):
    file.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return file


class Words:
    """Counts words, and notes how many texts it is given at once."""

    def __init__(self):
        self.largest = 0

    def count(self, texts):
        self.largest = max(self.largest, len(texts))
        return [len(text.split()) for text in texts]


def test_a_corpus(tmp_path):
    write(tmp_path / "passages.jsonl", {"contents": "abc"}, {"contents": ""}, {"title": "a", "contents": "bcd"})
    write(
        tmp_path / "train.jsonl",
        {"query": "что", "positives": {"doc_id": [0, 2], "score": [1, 2]}},
        {"query": "q", "positives": {"doc_id": [2]}, "negatives": {"doc_id": [0]}},
        {"query": "q", "positives": {"doc_id": [2], "score": [1]}, "negatives": {"doc_id": [0, 0], "score": [1, 2]}},
        {"query": "q", "positives": {"doc_id": [2], "score": [1]}, "negatives": {"doc_id": [0], "score": None}},
        {"query": "q", "positives": {"doc_id": [1]}},
        {"query": "q", "positives": {"doc_id": [3]}},
    )
    report = check(tmp_path)
    assert report.files == (str(tmp_path / "passages.jsonl"), str(tmp_path / "train.jsonl"))
    assert report.sets == {tmp_path.name: 4}
    assert (report.examples, report.corpus, report.scored) == (4, 2, 2)
    assert report.positives == Distribution(4, 1.25, 1, 1, 1, 2, 2, 2)
    assert report.negatives == Distribution(4, 1.0, 0, 0, 1, 2, 2, 2)
    assert report.query_characters.maximum == 3
    assert (report.passage_characters.count, report.passage_characters.mean) == (2, 4.0)
    assert report.query_tokens is None
    assert (report.languages, report.scripts) == ({}, {"latin": 3, "cyrillic": 1})
    assert (report.repeated_queries.repeated, report.repeated_pairs.repeated) == (2, 2)
    assert {kind: found.count for kind, found in report.problems.items()} == {"unknown_id": 2, "empty": 1}
    assert [p.place for p in report.problems["unknown_id"].first] == [
        f"{tmp_path / 'train.jsonl'}, line {n}" for n in (5, 6)
    ]
    assert report.problem_count == 3


def test_a_folder_of_files_is_one_report(tmp_path):
    same = {"query": "q", "passage": "pp", "negatives": ["n"]}
    write(tmp_path / "a.jsonl", same, {"query": "q", "passage": "r", "lang": "de"})
    write(tmp_path / "b.jsonl", same | {"lang": "de-en"}, {"query": "x", "passage": "pp", "lang": "de"})
    (tmp_path / "a.ndjson").write_bytes((tmp_path / "b.jsonl").read_bytes())
    report = check(tmp_path)
    assert report.sets == {"a": 2, str(tmp_path / "a.ndjson"): 2, "b": 2}
    assert (report.examples, report.corpus) == (6, 0)
    assert report.languages == {"de": 3, "de-en": 2}
    assert report.scripts == {"latin": 1}
    assert report.passage_characters.count == 9  # positives and negatives
    assert report.repeated_queries.repeated == 4
    assert report.repeated_pairs.repeated == 3  # in another file, too
    assert report.problems == {}


def test_only_the_first_places_are_kept(tmp_path):
    write(tmp_path / "a.jsonl", *([{"query": ""}] * 25 + [{"query": "q", "passage": "p", "negative": "p"}] * 3))
    report = check(tmp_path / "a.jsonl")
    assert report.problems["empty"].count == 25
    assert [p.place.partition(", ")[2] for p in report.problems["empty"].first] == [f"line {n}" for n in range(1, 21)]
    assert report.problems["overlap"].count == 3
    assert report.examples == 3
    assert report.problem_count == 28


def test_a_set_without_examples_is_a_problem(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")
    write(tmp_path / "b.jsonl", {"query": "q", "passage": "p"})
    report = check(tmp_path)
    assert report.problems["empty"].first[0].place == str(tmp_path / "a.jsonl")
    assert report.sets == {"a": 0, "b": 1}
    assert check(tmp_path / "a.jsonl").query_characters is None


def test_a_damaged_file_does_not_hide_the_others(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(b"not gzip")
    (tmp_path / "b.parquet").write_bytes(b"not parquet")
    write(tmp_path / "c.jsonl", {"query": "q", "passage": "p"})
    report = check(tmp_path)
    assert report.problems["damaged"].count == 2
    assert report.examples == 1


def test_tokens_are_counted_in_blocks(tmp_path):
    rows = [{"query": "a b", "passage": "x " * (n % 7 + 1)} for n in range(600)]
    words = Words()
    report = check(write(tmp_path / "a.jsonl", *rows), tokenizer=words)
    assert report.query_tokens == Distribution(600, 2.0, 2, 2, 2, 2, 2, 2)
    assert report.passage_tokens.count == 600
    assert report.passage_tokens.mean == sum(n % 7 + 1 for n in range(600)) / 600
    assert words.largest == 256


def test_a_path_without_data(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        check(tmp_path / "none")


def test_memory_does_not_grow_with_the_data(tmp_path):
    """Ten times the data, all of it different, half of it broken: the same memory."""

    def peak(count: int) -> int:
        file = tmp_path / f"{count}.jsonl"
        with file.open("w") as out:
            for n in range(count):
                print(json.dumps({"query": f"{n} " * 20, "passage": f"{n} " * 50} if n % 2 else {"query": n}), file=out)
        return min(traced(file) for _ in range(3))  # other tests' servers in this process take some too

    def traced(file) -> int:
        tracemalloc.start()
        check(file, hashes=1024)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # what is imported and cached at first use
    small = peak(1000)
    assert peak(10_000) < small + 50_000
