from efive.search.readers.restructured import parse


def parts(text):
    return [(section.headings, text[section.start : section.end]) for section in parse(text).sections]


def test_sections_with_and_without_overline():
    text = "=====\nTitle\n=====\n\nintro\n\nOne\n===\ntext\n\nDeep\n~~~~\n\ndeep\n\nTwo\n===\n\nend\n"
    assert parts(text) == [
        (("Title",), "intro"),
        (("Title", "One"), "text"),
        (("Title", "One", "Deep"), "deep"),
        (("Title", "Two"), "end"),
    ]
    assert parse(text).title == "Title"


def test_the_roles_and_directives_of_sphinx_are_known(capsys):
    text = (
        ":mod:`os` --- :ref:`the <label>` ``x``\n======================================\n\n"
        ".. toctree::\n   :maxdepth: 2\n\n   a\n\n.. function:: f(x)\n\n   text\n\nNext\n====\n\n:unknown:`role` |x|\n"
    )
    assert [headings for headings, _ in parts(text)] == [("os --- the x",), ("Next",)]
    assert capsys.readouterr() == ("", "")


def test_no_file_is_included_and_no_source_is_raw(tmp_path, capsys):
    secret = tmp_path / "secret.txt"
    secret.write_text("Secret\n======\n\ntext\n")
    text = f"Head\n====\n\n.. include:: {secret}\n\n.. csv-table::\n   :file: {secret}\n"
    text += f"\n.. raw:: html\n   :file: {secret}\n"
    assert [headings for headings, _ in parts(text)] == [("Head",)]
    assert capsys.readouterr() == ("", "")


def test_lines_are_counted_as_docutils_does():
    text = "A\n=\n\n\x0cx\u2028y\r\n\r\nB\r\n=\r\n\r\ntext\n"
    assert parts(text)[1] == (("B",), "text")


def test_long_lines_and_deep_nesting_are_read():
    assert parts("A\n=\n\n" + "x" * 20_000)[0][0] == ("A",)
    assert len(parts("- " * 3000 + "x\n")) == 1
