import pytest

from efive.remember import remembered


def test_computed_once(tmp_path):
    calls = []
    for _ in range(3):
        assert remembered(tmp_path / "new", ["a", 1], lambda: calls.append(1) or "0.5") == "0.5"
    assert calls == [1]
    assert remembered(tmp_path / "new", ["a", 2], lambda: "0.25") == "0.25"


@pytest.mark.parametrize("torn", ["", "0.", "0.5", "0.5\n\n", "nan\n"])
def test_a_torn_note_is_computed_again(tmp_path, torn):
    remembered(tmp_path, "key", lambda: "0.5")
    note = next(tmp_path.iterdir())
    note.write_text(torn)
    assert remembered(tmp_path, "key", lambda: "0.75") == "0.75"
    assert remembered(tmp_path, "key", lambda: "unused") == "0.75"


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert remembered(tmp_path / "file", "key", lambda: "0.5") == "0.5"
