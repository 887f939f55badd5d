import io
import os
from pathlib import Path

import pytest

from efive.errors import InputError
from efive.search.readers.choice import read
from efive.search.readers.files import File, Options
from efive.search.readers.kinds import KINDS, kind_of


def written(path: Path, content: str | bytes) -> File:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return File.of(path)


def test_what_every_document_knows(tmp_path):
    file = written(tmp_path / "a.md", "# Title\n\ntext\n")
    os.utime(file.path, (1_700_000_000, 1_700_000_000))
    [document] = read(file)
    assert document.id == file.path.as_posix()
    assert document.metadata == {
        "path": document.id,
        "name": "a.md",
        "kind": "markdown",
        "modified": "2023-11-14T22:13:20+00:00",
        "title": "Title",
    }


def test_the_name_of_a_file_is_the_callers(tmp_path):
    written(tmp_path / "a.txt", "text")
    [document] = read(File(tmp_path / "a.txt", "docs/a.txt"))
    assert (document.id, document.metadata["path"]) == ("docs/a.txt", "docs/a.txt")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.txt", "", "empty"),
        ("a.md", " \n", "empty"),
        ("a.html", "<p></p><script>x</script>", "empty"),
        ("a.csv", "", "empty"),
        ("a.xyz", b"\x7fELF\0\0", "binary"),
        ("a.py", b"\x01\x02\x03", "binary"),
        ("a.pdf", "not a pdf", "damaged, or no PDF"),
        ("a.parquet", "not parquet", "damaged, or no Parquet"),
        ("a.docx", b"PK", "convert it to Markdown"),
        ("a.ipynb", "{}", "nbconvert"),
        ("a.jsonl.gz", b"\x1f\x8b", "unpack it"),
        ("a.txt", b"\xff\xfea", "mark of utf-16"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path, name, content, why):
    file = written(tmp_path / name, content)
    with pytest.raises(InputError, match=why) as refused:
        list(read(file))
    assert str(refused.value).startswith(f"{file.name}: ")


def test_files_of_unknown_kinds_are_tried_as_text(tmp_path):
    [document] = read(written(tmp_path / "a.unheard", "text"))
    assert (document.text, document.metadata["kind"]) == ("text", "text")


def test_vanished_folders_and_odd_names(tmp_path):
    with pytest.raises(InputError, match=r"gone\.pdf: No such file"):
        list(read(File.of(tmp_path / "gone.pdf")))
    with pytest.raises(InputError, match="it is a folder"):
        list(read(File.of(tmp_path)))
    with pytest.raises(InputError, match=r"\\udcff\.txt: its name is not UTF-8"):
        list(read(File.of(tmp_path / "\udcff.txt")))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    file = written(tmp_path / "a.txt", "text")
    file.path.chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        list(read(file))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.rst", "a.html", "a.py"])
def test_large_files_are_refused_and_the_limit_is_exact(tmp_path, name):
    file = written(tmp_path / name, "x" * 100)
    assert list(read(file, Options(max_bytes=100)))
    with pytest.raises(InputError, match="larger than the limit"):
        list(read(file, Options(max_bytes=99)))


def test_stdin_is_one_text_or_what_it_is_said_to_be():
    def stdin(content: bytes) -> File:
        return File(Path("stdin"), "stdin", io.BytesIO(content))

    [text] = read(stdin(b"one\ntwo\n"))
    assert (text.id, text.text) == ("stdin", "one\ntwo\n")
    assert text.metadata == {"path": "stdin", "name": "stdin", "kind": "text"}
    records = read(stdin(b'"one"\n{"text": "two", "id": "b"}\n'), Options(kind="jsonl"))
    assert [record.id for record in records] == ["stdin#1", "stdin#b"]
    assert [d.metadata["n"] for d in read(stdin(b"text,n\na,1\nb,2\n"), Options(kind="csv"))] == [1, 2]
    with pytest.raises(InputError, match="kind 'docx' is none of"):
        list(read(stdin(b""), Options(kind="docx")))


def test_every_kind_has_a_reader(tmp_path):
    file = written(tmp_path / "a", "\0")
    for kind in KINDS:
        with pytest.raises(InputError):
            list(read(file, Options(kind=kind)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("README", "text"), ("A.MD", "markdown"), ("Makefile", "code"), ("x.RS", "code"), ("x.json", "code"), ("x", None)],
)
def test_kinds_by_name(name, kind):
    assert kind_of(Path(name)) == kind
