"""`efive mine` and `efive filter` from the command line, with the bundled model."""

import json
import signal

import pytest
import questions

from efive.models.store import _BUNDLED_FOLDER as BUNDLED
from efive.training.data.formats import open_set

pytestmark = pytest.mark.filterwarnings("always::efive.errors.EfiveWarning")
RANKS = ["--negatives", "3", "--from-rank", "1", "--to-rank", "9"]


@pytest.fixture
def pairs(tmp_path):
    return questions.pair_file(tmp_path)


def test_mine_writes_a_training_set_and_says_what_it_found(efive, pairs, tmp_path):
    result = efive("mine", pairs, "-o", tmp_path / "out", *RANKS, "--languages", "same")
    assert (result.code, result.out) == (0, ""), result.err
    for said in ("18 queries, 18 passages", "queries got all", "false negatives", "mean score", "MRR@9"):
        assert said in result.err
    assert json.loads((tmp_path / "out" / "mining.json").read_text())["run"]["max_ratio"] == 0.95
    examples = list(open_set(tmp_path / "out").examples())
    assert [e.query for e in examples] == [q for q, _, _ in questions.PAIRS]
    assert all(e.negatives for e in examples if e.language == "en")


def test_several_sets_share_their_passages(efive, pairs, tmp_path):
    folder = questions.corpus_folder(tmp_path)
    assert efive("mine", pairs, folder, "-o", tmp_path / "out", *RANKS).code == 0
    mined = open_set(tmp_path / "out")
    texts = {p for _, p, _ in questions.PAIRS} | set(questions.EXTRA)
    assert sorted(mined.passages()) == sorted(texts)
    assert len(list(mined.examples())) == 2 * len(questions.PAIRS)


def test_a_teacher_scores_with_or_without_its_prefixes(efive, pairs, tmp_path):
    first, teacher = {}, {}
    for role in ("e5", "raw"):
        out = tmp_path / role
        result = efive("mine", pairs, "-o", out, *RANKS, "--teacher", BUNDLED, "--teacher-role", role)
        assert result.code == 0, result.err
        first[role] = questions.rows(out / "train.jsonl")[0]["positives"]
        teacher[role] = json.loads((out / "mining.json").read_text())["run"]["teacher"]
    assert first["e5"]["doc_id"] == first["raw"]["doc_id"]
    assert abs(first["e5"]["score"][0] - first["raw"]["score"][0]) > 0.002
    assert teacher["e5"].replace("role e5", "role raw") == teacher["raw"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl does not exist"),
        (["PAIRS", "--from-rank", "20", "--to-rank", "10"], "ranks 20 to 10 are none"),
        (["PAIRS", "--teacher", "a", "--cross-encoder", "b"], "not both"),
        (["PAIRS", "--model", "unheard-of"], "unheard-of"),
        (["PAIRS", "--cross-encoder", "."], "no config.json"),
    ],
)
def test_what_cannot_be_mined_is_one_line(efive, pairs, tmp_path, arguments, says):
    given = [pairs if a == "PAIRS" else a for a in arguments]
    result = efive("mine", *given, "-o", tmp_path / "out")
    assert result.code == 1
    assert says in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["mine", "filter"])
def test_broken_records_stop_it_or_are_left_out_and_named_once(efive, pairs, tmp_path, command):
    with pairs.open("a") as file:
        file.write('{"query": "no passage"}\n')
    arguments = [command, pairs, "-o", tmp_path / "out.jsonl"]
    result = efive(*arguments)
    assert result.code == 1
    assert "line 19: no field 'passage'" in result.err
    result = efive(*arguments, "--skip-invalid", "--restart")
    assert result.code == 0, result.err
    assert result.err.count("skipped") == 1


def test_filter_keeps_records_and_reports_shares(efive, pairs, tmp_path):
    result = efive("filter", pairs, "-o", tmp_path / "out.jsonl", "--keep-rank", "1")
    assert result.code == 0, result.err
    kept = questions.rows(tmp_path / "out.jsonl")
    assert kept
    assert all(row["rank"] == 1 for row in kept)
    groups = {tuple(line.split("\t")[:2]): line.split("\t")[2:] for line in result.out.splitlines()}
    english = sum(row["lang"] == "en" for row in kept)
    assert groups["language", "en"] == groups["source", "en notes"] == [str(english), "6", f"{english / 6:.3f}"]
    assert f"kept {len(kept)} of 18 pairs" in result.err
    again = efive("filter", pairs, "-o", tmp_path / "out.jsonl")
    assert again.code == 1
    assert "--restart" in again.err


def test_ctrl_c_leaves_what_goes_on(efive, break_off, tmp_path):
    records = [{"query": f"{q} ({n})", "passage": f"{p} ({n})"} for n in range(40) for q, p, _ in questions.PAIRS]
    file, out = questions.jsonl(tmp_path / "many.jsonl", records), tmp_path / "out"
    options = ["-o", out, *RANKS, "--threads", "1"]
    code, _, err = break_off(signal.SIGINT, out / "passages.jsonl", "mine", file, *options)
    assert code == 130
    assert "the same command goes on" in err
    assert not (out / "train.jsonl").exists()
    result = efive("mine", file, *options)
    assert result.code == 0, result.err
    assert [row["query"] for row in questions.rows(out / "train.jsonl")] == [r["query"] for r in records]
