"""Which tasks a folder holds, and what is known of published sets by their names."""

import pytest
from task_files import BEIR, jsonl, names

from efive.errors import InputError
from efive.evaluation.formats import open_task
from efive.evaluation.formats.known import known, language_of


def test_a_folder_of_folders(folder, tmp_path):
    folder("data/one", BEIR)
    folder("data/tatoeba", {"tatoeba.fra-eng.fra": b"Un.", "tatoeba.fra-eng.eng": b"One."})
    folder("data/other", {"notes.txt": b"nothing"})
    assert names(open_task(tmp_path / "data")) == ["one", "tatoeba.fra-eng"]
    assert names(open_task(tmp_path / "data", kind="bitext")) == ["tatoeba.fra-eng"]


def test_what_cannot_be_found_is_said(folder, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_task(tmp_path / "gone")
    with pytest.raises(InputError, match="no kind 'rank' of task; the kinds are mrtydi"):
        open_task(folder("a", BEIR), kind="rank")
    with pytest.raises(InputError, match="holds no task in a form that efive knows"):
        open_task(folder("b", {"notes.txt": b""}))
    with pytest.raises(InputError, match=r"needs train.jsonl and test.jsonl"):
        open_task(folder("c", BEIR), kind="classification")
    with pytest.raises(InputError, match="its first record has name, price; a task in one file has"):
        open_task(folder("d", {"x.jsonl": jsonl({"name": "x", "price": 1})}) / "x.jsonl")
    with pytest.raises(InputError, match=r"notes.txt: a task in one file is .jsonl"):
        open_task(folder("e", {"notes.txt": b""}) / "notes.txt")
    with pytest.raises(InputError, match="a task of kind tatoeba is a folder"):
        open_task(folder("f", {"x.jsonl": b"{}"}) / "x.jsonl", kind="tatoeba")


@pytest.mark.parametrize(
    ("name", "language", "source"),
    [
        ("tydiqa_dev_ko", "ko", "TyDi QA"),
        ("mrtydi-v1.1-arabic", "ar", "mrtydi-v1.1-arabic"),
        ("climate-fever", "en", "Climate-FEVER"),
        ("NanoFEVER", "en", "FEVER"),
        ("my_pairs", "", "my_pairs"),
    ],
)
def test_names_of_sets(name, language, source):
    assert language_of(name) == language
    assert known(name).sources[0] == source


def test_ids_are_dropped_where_mteb_drops_them():
    dropped = {"arguana", "fever", "fiqa", "msmarco", "quora"}
    kept = {"climate-fever", "cqadupstack", "hotpotqa", "nfcorpus", "nq", "scidocs", "scifact", "trec-covid"}
    assert {name for name in dropped | kept if known(name).drop_same_id} == dropped
