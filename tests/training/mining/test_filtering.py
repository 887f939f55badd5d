"""The consistency filter: ranks equal to brute force, records as they were, a run that goes on."""

import gzip
import json
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import questions

from efive.errors import InputError
from efive.training.data.formats import open_set
from efive.training.mining import filtering
from efive.training.mining.filtering import Filtering, filter_pairs
from efive.training.mining.stages import Place

ALL = Filtering(1000, 1000)


@pytest.fixture
def file(tmp_path):
    return questions.pair_file(tmp_path)


def ranks(nano, queries, passages, among):
    queries = nano.embed_queries(queries).vectors
    own = (queries * nano.embed_passages(passages).vectors).sum(axis=1)
    return 1 + (queries @ nano.embed_passages(among).vectors.T > own[:, None] + 1e-4).sum(axis=1)


def test_ranks_are_those_of_brute_force_and_records_stay_as_they_were(nano, file, tmp_path):
    found = filter_pairs(open_set(file), nano, Place(tmp_path / "out.jsonl"), ALL)
    queries, passages, _ = zip(*questions.PAIRS, strict=True)
    expected = ranks(nano, queries, passages, passages).tolist()
    written = questions.rows(tmp_path / "out.jsonl")
    assert written == [r | {"rank": k} for r, k in zip(questions.rows(file), expected, strict=True)]
    assert max(expected) > 1
    assert (found.pairs, found.kept, found.candidates) == (len(queries), len(queries), len(queries))
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["out.jsonl", "pairs.jsonl"]


@pytest.mark.parametrize("keep", [1, 2])
def test_only_good_ranks_are_kept_and_counted_by_group(nano, file, tmp_path, keep):
    # pairs that do not belong together: each question with the answer to another one of its language
    wrong = [
        {"query": q, "passage": p, "lang": "en", "source": "shuffled"}
        for (q, _, _), (_, p, _) in zip(questions.PAIRS[:6], [*questions.PAIRS[1:6], questions.PAIRS[0]], strict=True)
    ]
    questions.jsonl(file, [*questions.rows(file), *wrong])
    found = filter_pairs(open_set(file), nano, Place(tmp_path / "out.jsonl"), Filtering(1000, keep))
    kept = questions.rows(tmp_path / "out.jsonl")
    assert all(row["rank"] <= keep for row in kept)
    assert found.kept == len(kept) < found.pairs == 24
    assert found.by_source["shuffled"] == (sum(row["source"] == "shuffled" for row in kept), 6)
    assert found.by_language["en"] == (sum(row["lang"] == "en" for row in kept), 12)
    assert sum(every for _, every in found.by_language.values()) == 24
    share = {source: good / every for source, (good, every) in found.by_source.items()}
    assert share["shuffled"] < 0.5 < share["en notes"]


def test_equal_texts_are_one_passage_and_no_rivals(nano, tmp_path):
    query, passage, _ = questions.PAIRS[4]
    records = [{"query": query, "passage": text} for text in (passage, passage, f" {passage}\n", "unlike")]
    data = open_set(questions.jsonl(tmp_path / "pairs.jsonl", records))
    found = filter_pairs(data, nano, Place(tmp_path / "out.jsonl"), ALL)
    assert found.candidates == 2
    assert [row["rank"] for row in questions.rows(tmp_path / "out.jsonl")] == [1, 1, 1, 2]


def test_candidates_are_a_seeded_sample_of_distinct_passages(nano, file, tmp_path):
    data = open_set(file)
    drawn = {}
    for seed in (0, 0, 1):
        work = tmp_path / f"work-{len(drawn)}"
        filter_pairs(data, nano, Place(tmp_path / "out.jsonl", work, restart=True), Filtering(5, 1000, seed))
        (candidates,) = work.glob("candidates-*.jsonl")
        among = [row["contents"] for row in questions.rows(candidates)]
        assert len(among) == len(set(among)) == 5
        queries, passages, _ = zip(*questions.PAIRS, strict=True)
        found = [row["rank"] for row in questions.rows(tmp_path / "out.jsonl")]
        assert found == ranks(nano, queries, passages, among).tolist()
        drawn[work] = among
    first, again, other = drawn.values()
    assert first == again != other


def test_packed_files_blank_and_skipped_lines_keep_their_records(nano, tmp_path):
    path = tmp_path / "pairs.jsonl.gz"
    lines = [json.dumps({"query": q, "passage": p, "n": n}) for n, (q, p, _) in enumerate(questions.PAIRS[:4])]
    lines[1:1] = ["", '{"query": "no passage"}']
    path.write_bytes(gzip.compress(("\ufeff" + "\n".join(lines)).encode()))
    skipped = []
    filter_pairs(open_set(path, on_problem=skipped.append), nano, Place(tmp_path / "out.jsonl"), ALL)
    assert {problem.kind for problem in skipped} == {"missing"}
    assert [row["n"] for row in questions.rows(tmp_path / "out.jsonl")] == [0, 1, 2, 3]


def test_parquet_pairs_become_json_lines_that_are_read_again(nano, tmp_path):
    queries, passages, languages = zip(*questions.PAIRS, strict=True)
    columns = {"query": queries, "passage": passages, "lang": languages, "negatives": [["x", "y"]] * len(queries)}
    pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
    data = open_set(tmp_path / "pairs.parquet")
    filter_pairs(data, nano, Place(tmp_path / "out.jsonl"), ALL)

    def plain(examples):
        return [(e.query, e.positives, e.negatives, e.language) for e in examples]

    assert plain(open_set(tmp_path / "out.jsonl").examples()) == plain(data.examples())


def test_of_several_positives_the_worst_rank_counts(nano, tmp_path):
    queries, passages, _ = zip(*questions.PAIRS, strict=True)
    records = [{"query": queries[0], "positive": [passages[0], passages[3]]}]
    records += [{"query": q, "passage": p} for q, p, _ in questions.PAIRS]
    data = open_set(questions.jsonl(tmp_path / "pairs.jsonl", records))
    filter_pairs(data, nano, Place(tmp_path / "out.jsonl"), ALL)
    expected = ranks(nano, [queries[0]], [passages[3]], passages)[0]
    assert questions.rows(tmp_path / "out.jsonl")[0]["rank"] == expected > 1


def test_a_run_that_is_interrupted_goes_on_to_the_same_result(nano, file, tmp_path, monkeypatch):
    monkeypatch.setattr(filtering, "QUERIES", 5)
    data = open_set(file)
    filter_pairs(data, nano, Place(tmp_path / "whole.jsonl"), Filtering(9, 2))
    began = {}

    def stopping(after):
        @contextmanager
        def watch(what, _total, before):
            began[what] = before
            seen = []

            def done(steps):
                seen.append(steps)
                if what == "ranking pairs" and len(seen) == after:
                    raise KeyboardInterrupt

            yield done

        return watch

    with pytest.raises(KeyboardInterrupt):
        filter_pairs(data, nano, Place(tmp_path / "out.jsonl"), Filtering(9, 2), watch=stopping(2))
    assert not (tmp_path / "out.jsonl").exists()
    with pytest.raises(InputError, match=r"another candidates \(was 9, is 8\)"):
        filter_pairs(data, nano, Place(tmp_path / "out.jsonl"), Filtering(8, 2))
    filter_pairs(data, nano, Place(tmp_path / "out.jsonl"), Filtering(9, 2), watch=stopping(0))
    assert began["ranking pairs"] == 10
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_what_cannot_be_filtered_is_refused(nano, file, tmp_path):
    taken = tmp_path / "taken.jsonl"
    taken.touch()
    refusals = [
        (file, taken, "exists"),
        (questions.corpus_folder(tmp_path), tmp_path / "a.jsonl", "names passages by row"),
        (questions.jsonl(tmp_path / "empty.jsonl", []), tmp_path / "b.jsonl", "empty: no pairs"),
    ]
    for source, output, says in refusals:
        with pytest.raises(InputError, match=says):
            filter_pairs(open_set(source), nano, Place(output), ALL)
    with pytest.raises(InputError, match="exists"):
        filter_pairs(open_set(file), nano, Place(file, restart=True), ALL)
    with pytest.raises(InputError, match="at least 1"):
        Filtering(0)
