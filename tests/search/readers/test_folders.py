import os
from pathlib import Path

import pytest

from efive.search.readers.folders import find


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def names(root: Path, *paths: Path, **options) -> list[str]:
    return [file.path.relative_to(root).as_posix() for file in find(paths or [root], **options)]


def test_a_folder_gives_what_is_read_in_order(tmp_path):
    files = (
        "b.md a.txt sub/z.pdf sub/a.py README x.png y.docx data.json app.min.js .hidden.md .git/a.md node_modules/a.js"
    )
    root = tree(tmp_path / "r", dict.fromkeys(files.split(), ""))
    tree(root, {"venv/pyvenv.cfg": "", "venv/lib/a.py": "", "cache/CACHEDIR.TAG": "", "cache/a.md": ""})
    assert names(root) == ["README", "a.txt", "b.md", "sub/a.py", "sub/z.pdf"]


def test_a_file_that_is_named_always_comes(tmp_path):
    root = tree(tmp_path, {".gitignore": "*", ".hidden": "", "x.png": "", "sub/a.md": ""})
    named = [root / ".hidden", root / "x.png", root / "gone.md"]
    assert [file.path for file in find([*map(str, named), root / "x.png"])] == named


def test_ignore_files_at_every_level(tmp_path):
    files = {
        ".gitignore": "*.log\n/build/\n!keep.log\n\n# no\n[\ndocs/**/draft.md\n",
        ".efiveignore": "secret.*\n!also.log\n",
        "sub/.gitignore": "!again.log\n/only.md\n",
    }
    wanted = ["also.log", "keep.log", "sub/again.log", "sub/build/a.md", "sub/deep/only.md"]
    unwanted = ["x.log", "build/a.md", "docs/a/draft.md", "secret.md", "sub/secret.txt", "sub/only.md", "sub/x.log"]
    root = tree(tmp_path, files | dict.fromkeys([*wanted, *unwanted], ""))
    assert names(root) == wanted


def test_the_rules_of_the_repository_hold_below_it_but_not_for_what_is_named(tmp_path):
    root = tree(tmp_path / "repo", {".git/config": "", ".gitignore": "draft.md\nout/\n"})
    tree(root, dict.fromkeys(["docs/a.md", "docs/draft.md", "out/a.md", "out/draft.md"], ""))
    tree(tmp_path, {".gitignore": "*.md"})  # outside of it
    assert names(root, root / "docs") == ["docs/a.md"]
    assert names(root, root / "out") == ["out/a.md", "out/draft.md"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_make_no_loops_and_no_doubles(tmp_path):
    root = tree(tmp_path / "r", {"sub/b.md": "", "sub/c.md": ""})
    tree(tmp_path / "elsewhere", {"d.md": ""})
    (root / "sub" / "up").symlink_to(root)
    (root / "a.md").symlink_to(root / "sub" / "b.md")
    (root / "loop.md").symlink_to(root / "loop.md")
    (root / "broken.md").symlink_to(root / "nothing.md")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    assert names(root) == ["a.md", "sub/c.md"]
    assert names(root, root / "linked", root / "sub" / "up") == ["linked/d.md", "sub/up/a.md", "sub/up/sub/c.md"]


def test_files_are_named_by_the_caller(tmp_path, monkeypatch):
    tree(tmp_path, {"docs/a.md": ""})
    monkeypatch.chdir(tmp_path)
    assert [file.name for file in find(["docs"])] == ["docs/a.md"]
    assert [file.name for file in find(["."], name=lambda path: path.resolve().as_uri())] == [
        (tmp_path / "docs" / "a.md").as_uri()
    ]


def test_deep_folders_are_walked(tmp_path):
    path = tmp_path
    for _ in range(300):
        path /= "d"
    tree(path, {"a.md": ""})
    assert [file.path for file in find([tmp_path])] == [path / "a.md"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_told(tmp_path):
    tree(tmp_path, {"sub/a.md": "", "b.md": ""})
    (tmp_path / "sub").chmod(0)
    told = []
    assert names(tmp_path, notice=lambda *what: told.append(what)) == ["b.md"]
    assert told == [(tmp_path / "sub", "Permission denied")]
    (tmp_path / "sub").chmod(0o700)


@pytest.mark.parametrize(
    ("rules", "read"),
    [
        ({".gitignore": "a/**\n!*.md"}, ["a/x.md"]),  # the folder itself is not ignored
        ({".gitignore": "a/\n!a/x.md"}, []),  # and here it is
        ({".gitignore": "*.md", "a/.gitignore": "!b/"}, []),  # a folder let in lets no file in
    ],
)
def test_patterns_of_folders_mean_what_they_mean_to_git(tmp_path, rules, read):
    assert names(tree(tmp_path, rules | {"a/x.md": "", "a/b/y.md": ""})) == read
