"""`efive index`, `search`, `collections`, `migrate`: the walk of a user."""

import json
import os
import signal

import pytest


@pytest.fixture
def notes(tmp_path, monkeypatch):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "cats.md").write_text("# Cats\n\nCats sleep on the roof.\n\n## Food\n\nThey like fish.\n")
    (folder / "dogs.txt").write_text("Dogs bark at night.\n")
    monkeypatch.chdir(tmp_path)
    return folder


def hits(outcome):
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_index_then_search_finds_file_and_line(efive, model, notes):
    done = efive("index", notes, *model)
    assert done.code == 0, done.err
    assert done.out == ""
    assert "2 new or changed, 0 unchanged" in done.err
    shown = efive("search", "fish", "--mode", "text")
    assert shown.code == 0
    assert "notes/cats.md:7  Cats › Food" in shown.out
    assert "They like fish." in shown.out


def test_search_loads_the_model_that_made_the_collection(efive, model, notes):
    efive("index", notes, *model)
    found = hits(efive("search", "Dogs bark at night.", "--json", "-k", 1))
    assert found[0]["document"].endswith("notes/dogs.txt")
    assert found[0]["passage"]["text"].strip() == "Dogs bark at night."
    assert found[0]["rank"] == 1
    assert found[0]["cosine"] is not None


def test_again_and_after_a_change(efive, model, notes):
    efive("index", notes, *model)
    assert "0 new or changed, 2 unchanged" in efive("index", notes).err
    (notes / "dogs.txt").unlink()
    (notes / "bad.md").write_bytes(b"\x00\x01")
    again = efive("index", notes)
    assert again.code == 0
    assert "efive: skipped " in again.err
    assert "bad.md" in again.err
    assert "1 removed, 1 files skipped" in again.err


def test_named_collections_are_apart(efive, model, notes, home):
    efive("index", notes / "cats.md", "-c", "cats", *model)
    efive("index", notes / "dogs.txt", "-c", "./here", *model)
    assert (home / ".efive" / "collections" / "cats").is_dir()
    assert (notes.parent / "here").is_dir()
    listed = efive("collections", "list")
    assert listed.out.startswith("cats\t1 documents, 2 passages")
    shown = json.loads(efive("collections", "show", "-c", "./here").out)
    assert (shown["documents"], shown["vectors"], shown["space"]["dimension"]) == (1, "float16", 64)


def test_get_delete_export_remove(efive, model, notes):
    efive("index", notes, *model)
    name = str((notes / "dogs.txt").resolve())
    assert json.loads(efive("collections", "get", name).out)["text"] == "Dogs bark at night.\n"
    missing = efive("collections", "get", "nobody")
    assert (missing.code, missing.err) == (1, "efive: not in the collection: nobody\n")
    assert "2 documents in" in efive("collections", "export", "-o", "out.jsonl").err
    assert "1 documents removed" in efive("collections", "delete", "--where", "kind = 'text'").err
    assert "1 passages in order" in efive("collections", "rebuild").err or efive("collections", "rebuild").code == 0
    assert efive("collections", "remove", "--yes").code == 0
    assert "no collection at" in efive("search", "x").err


def test_standard_input_and_records(efive, model, notes):
    lines = '{"id": 1, "body": "Rain falls."}\n{"id": 2, "body": "Snow melts."}\n'
    done = efive("index", "-", "--as", "jsonl", "--text", "body", *model, stdin=lines)
    assert "2 new or changed" in done.err
    assert hits(efive("search", "snow", "--mode", "text", "--json"))[0]["document"] == "stdin#2"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "x"], "there is no collection at"),
        (["index", "nowhere"], "nowhere does not exist"),
        (["index", "-", "--as", "magic"], "kind 'magic' is none of"),
        (["collections", "show", "-c", ".."], "'..' is no name of a collection"),
        (["migrate", "nobody"], "there is no collection at"),
    ],
)
def test_mistakes_are_one_line(efive, notes, arguments, says):
    outcome = efive(*arguments)
    assert outcome.code == 1
    assert says in outcome.err
    assert outcome.err.count("\n") == 1


def test_another_model_is_refused_and_migrate_changes_over(efive, model, notes, tiny_models):
    efive("index", notes, *model)
    other = ["-m", tiny_models["xlm-roberta"], "--precision", "fp32"]
    refused = efive("search", "fish", *other)
    assert refused.code == 1
    assert "efive migrate" in refused.err
    moved = efive("migrate", "default", *other)
    assert moved.code == 0, moved.err
    assert "2 documents of default are in e5-" in moved.err
    assert hits(efive("search", "Dogs bark at night.", "--json", "-k", 1))[0]["document"].endswith("dogs.txt")


def test_a_second_writer_is_told_who_writes(efive, model, notes, encoder):
    from efive import Collection, Document
    from efive.cli.collection import path_of

    with Collection.open(path_of("default"), encoder) as collection:
        collection.add([Document("a", "Text.")])
        busy = efive("index", notes, *model)
        assert busy.code == 1
        assert f"being written by process {os.getpid()}" in busy.err
        assert efive("search", "text", "--mode", "text").code == 0


def test_ctrl_c_leaves_what_is_done(break_off, notes, model, home):
    for number in range(3000):
        (notes / f"{number}.txt").write_text(f"Text number {number} about something. " * 20)
    made = home / ".efive" / "collections" / "default" / "collection.json"
    code, _, err = break_off(signal.SIGINT, made, "index", notes, *model)
    assert code == 130
    assert "the same command goes on from there" in err
