"""Files into a collection: once, again, and after changes."""

import json
import os

import pytest

from efive import Collection
from efive.errors import InputError
from efive.search.indexing import Watcher, index


@pytest.fixture
def folder(tmp_path):
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / "cats.md").write_text("# Cats\n\nCats sleep a lot.\n\n## Food\n\nThey like fish.\n")
    (docs / "deep" / "dogs.txt").write_text("Dogs bark at night.\n")
    records = [{"id": "r1", "text": "Rain falls.", "year": 2001}, {"id": "r2", "text": "Snow melts."}]
    (docs / "weather.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return docs


@pytest.fixture
def run(collection):
    def run(*paths, skipped=None, **options):
        told = [] if skipped is None else skipped
        done = index(collection, paths, Watcher(told.append), **options)
        assert skipped is not None or told == []
        return done

    return run


def ids(collection):
    return {name.rsplit("/", 1)[1] for name in collection.ids()}


def test_a_folder_becomes_documents_with_places(run, collection, folder):
    done = run(folder)
    assert (done.files, done.documents.new, done.skipped, done.removed) == (3, 4, 0, 0)
    assert ids(collection) == {"cats.md", "dogs.txt", "weather.jsonl#r1", "weather.jsonl#r2"}
    hit = collection.search("fish", 1, mode="text")[0]
    assert hit.document == (folder / "cats.md").resolve().as_posix()
    assert (hit.passage.headings, hit.passage.line) == (("Cats", "Food"), 7)
    assert (folder / "cats.md").read_text()[hit.passage.start : hit.passage.end].strip() == "They like fish."
    assert collection.search("snow", 1, mode="text")[0].passage.line == 2
    assert [h.document[-2:] for h in collection.search("rain", 5, where="year < 2010")] == ["r1"]


def test_again_nothing_is_embedded(run, folder):
    run(folder)
    again = run(folder)
    assert (again.documents.new, again.documents.unchanged, again.documents.passages) == (0, 4, 0)


def test_touching_a_file_embeds_nothing(run, folder):
    run(folder)
    os.utime(folder / "cats.md", (1, 1))
    again = run(folder)
    assert (again.documents.new, again.documents.metadata, again.documents.unchanged) == (0, 1, 3)


def test_what_has_changed_is_replaced_and_what_is_gone_removed(run, collection, folder):
    run(folder)
    (folder / "cats.md").write_text("# Cats\n\nCats are awake.\n")
    (folder / "deep" / "dogs.txt").unlink()
    (folder / "weather.jsonl").write_text(json.dumps({"id": "r2", "text": "Snow melts."}) + "\n")
    again = run(folder)
    # The second record has moved to the first line: nothing to embed, but the line that a hit shows.
    assert (again.documents.new, again.documents.metadata, again.removed) == (1, 1, 2)
    assert ids(collection) == {"cats.md", "weather.jsonl#r2"}
    assert collection.search("fish", 5, mode="text") == []


def test_other_folders_are_left_alone(run, collection, folder, tmp_path):
    other = tmp_path / "docs-old"  # begins like the other folder's name
    other.mkdir()
    (other / "a.txt").write_text("An old text.")
    run(folder, other)
    (folder / "cats.md").unlink()
    run(folder)
    assert ids(collection) == {"a.txt", "dogs.txt", "weather.jsonl#r1", "weather.jsonl#r2"}


def test_a_file_that_cannot_be_read_is_named_and_keeps_what_was_stored(run, collection, folder):
    run(folder)
    (folder / "cats.md").write_bytes(b"\x00\x01\x02 binary")
    told = []
    done = run(folder, skipped=told)
    assert done.skipped == 1
    assert "cats.md" in told[0]
    assert "cats.md" in ids(collection)


def test_so_does_one_with_a_number_sign_in_its_path(run, collection, tmp_path):
    folder = tmp_path / "c#"
    folder.mkdir()
    (folder / "a.txt").write_text("Sharp.")
    (folder / "b.jsonl").write_text('{"id": "x#1", "text": "Flat."}')
    run(folder)
    assert [collection.search(word, 1, mode="text")[0].place(folder.resolve()) for word in ("sharp", "flat")] == [
        "a.txt:1",
        "b.jsonl#x#1",
    ]
    for name in ("a.txt", "b.jsonl"):
        (folder / name).write_bytes(b"\x00")
    assert run(folder, skipped=[]).removed == 0
    assert ids(collection) == {"a.txt", "b.jsonl#x#1"}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_keeps_what_was_stored(run, collection, folder):
    run(folder)
    (folder / "deep").chmod(0)
    told = []
    try:
        assert run(folder, skipped=told).removed == 0
    finally:
        (folder / "deep").chmod(0o700)
    assert told == [f"{folder}/deep: Permission denied; nothing in it is read"]
    assert "dogs.txt" in ids(collection)


def test_records_of_the_same_id_are_named(run, collection, folder):
    (folder / "weather.jsonl").write_text('{"id": "2", "text": "Rain falls."}\n{"text": "Snow melts."}\n')
    told = []
    run(folder, skipped=told)
    assert [what.rsplit("/", 1)[1] for what in told] == [
        "weather.jsonl#2: two records have this id, and the later one counts"
    ]
    assert collection.search("rain", mode="text") == []


def test_a_broken_record_is_named_and_loses_nothing(run, collection, folder):
    run(folder)
    (folder / "weather.jsonl").write_text('{"id": "r1", "text": "Rain falls."}\n{"id": "r2", "text"\n')
    told = []
    run(folder, skipped=told)
    assert len(told) == 1
    assert "weather.jsonl" in told[0]
    assert "line 2" in told[0]
    assert "weather.jsonl#r2" in ids(collection)


def test_an_empty_file_does_not_stop_the_others(run, collection, folder):
    (folder / "empty.md").write_text("")
    told = []
    run(folder, skipped=told)
    assert len(told) == 1
    assert "empty.md" in told[0]
    assert len(ids(collection)) == 4


def test_a_path_that_does_not_exist_is_an_error_before_anything_is_read(run, collection, folder):
    with pytest.raises(InputError, match="nowhere does not exist"):
        run(folder, "nowhere")
    assert not collection.path.exists()


def test_an_interrupted_run_keeps_what_is_safe_and_removes_nothing(tmp_path, encoder, folder):
    with Collection.open(tmp_path / "c", encoder) as collection:
        index(collection, [folder], Watcher(pytest.fail))
        (folder / "deep" / "dogs.txt").unlink()
        (folder / "zebra.txt").write_text("Zebras have stripes.")

        def interrupt():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            index(collection, [folder], Watcher(pytest.fail, file=interrupt))
        assert len(ids(collection)) == 4
        done = index(collection, [folder], Watcher(pytest.fail))
        assert (done.documents.new, done.documents.unchanged, done.removed) == (1, 3, 1)
