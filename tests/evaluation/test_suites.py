import pytest

from efive.errors import InputError
from efive.evaluation.suites import SUITES, open_suite
from efive.evaluation.tasks import kind_of


def test_what_is_absent_is_named(tmp_path):
    (tmp_path / "tatoeba").mkdir()
    (tmp_path / "tatoeba" / "tatoeba.fra-eng.fra").write_text("Un.\n")
    (tmp_path / "tatoeba" / "tatoeba.fra-eng.eng").write_text("One.\n")
    (tmp_path / "xquad_es").mkdir()
    opened = open_suite("bitext", tmp_path)
    assert [task.about.name for task in opened.tasks] == ["tatoeba.fra-eng"]
    assert opened.absent == ["flores", "ntrex"]
    (tmp_path / "xquad_es").rmdir()
    with pytest.raises(InputError, match="holds nothing of the suite beir"):
        open_suite("beir", tmp_path)
    with pytest.raises(InputError, match="no suite 'large'; the suites are small"):
        open_suite("large", tmp_path)


def test_what_is_there_and_broken_is_an_error(tmp_path):
    (tmp_path / "scifact").mkdir()
    with pytest.raises(InputError, match="holds no task"):
        open_suite("small", tmp_path)


def test_the_small_suite(shared_data):
    opened = open_suite("small", shared_data / "eval")
    assert opened.absent == []
    tasks = {task.about.name: task for task in opened.tasks}
    assert len(tasks) == len(opened.tasks)
    assert (tasks["scifact"].documents, len(tasks["scifact"].queries)) == (5183, 300)
    for name in (name for name in SUITES["small"] if name.startswith("xquad")):
        assert (tasks[name].documents, len(tasks[name].queries)) == (240, 1190)
    assert sum(kind_of(task) == "bitext" for task in opened.tasks) == 52 + 11
    assert len(tasks["tatoeba.fra-eng"].left) == 1000
    assert len(tasks["flores.swh_Latn-eng_Latn"].right) == 1004
    assert len(tasks["stsb_en_test"].pairs) == 1379
    assert not any(task.about.sampled for task in opened.tasks)
    assert all(task.about.language for task in opened.tasks)
