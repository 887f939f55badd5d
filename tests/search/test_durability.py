"""Power cuts, by what they leave behind; readers beside a writer; two writers."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from efive import Collection, Document
from efive.errors import CollectionBusyError, StoreError
from efive.search.lance import upkeep
from efive.search.lance.durable import Durability

PARTS = 6
WRITER = """
import sys
from efive import Collection, Encoder
encoder = Encoder.load(sys.argv[1], precision="fp32", threads=1)
with Collection.open(sys.argv[2], encoder) as collection:
    collection.delete(["nobody"])
    print("writing", flush=True)
    sys.stdin.readline()
"""
READER = """
import sys
from efive import Collection
with Collection.open(sys.argv[1], create=False) as collection:
    print("open", flush=True)
    while True:
        entries = list(collection.entries())
        rounds = {entry.document.metadata["round"] for entry in entries}
        assert len(rounds) == 1, rounds
        assert len(entries) == 20
        for entry in entries:
            assert [p.number for p in entry.passages] == list(range(len(entry.passages)))
            assert entry.passages[-1].end == len(entry.document.text)
            assert all(p.text == entry.document.text[p.start : p.end] for p in entry.passages)
        assert len(collection.search("stones", 100, mode="text")) == 20
        print(*rounds, flush=True)
"""


def batch(round_: int, count: int = 20) -> list[Document]:
    """Documents whose text, and number of passages, changes from round to round."""
    sentence = f"Round {round_} is about stones and w{round_}. "
    return [Document(f"d{n}", sentence * (1 + (n + round_) % PARTS) + ".", {"round": round_}) for n in range(count)]


@pytest.fixture
def notes(collection, tmp_path):
    """A closed collection of three batches of one document, and then one that a power cut meets."""
    for number in range(4):
        collection.add([Document(f"d{number}", f"Document w{number} of stones.")])
    collection.close()
    return tmp_path / "notes"


def newest(folder: Path, pattern: str) -> Path:
    return max((folder / "0001" / "passages.lance").glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def holds(path, encoder, count: int) -> None:
    """Check that the first documents are there, are found and can be added to, by a reader and by a writer."""
    names = [f"d{n}" for n in range(count)]
    for _ in range(2):
        with Collection.open(path, encoder) as collection:
            assert sorted(collection.ids()) == names
            assert [d.id for d in collection.get(names)] == names
            assert sorted(hit.document for hit in collection.search("stones", 9, mode="text")) == names
            assert sorted(hit.document for hit in collection.search("stones", 9, mode="dense")) == names
            names.append(f"e{len(names)}")
            collection.add([Document(names[-1], "More stones.")])
            assert sorted(collection.ids()) == names


@pytest.mark.parametrize("kept", [0, 1, 40])
@pytest.mark.parametrize("torn", ["_versions/*.manifest", "data/*.lance"])
def test_a_torn_version_is_undone(notes, encoder, torn, kept):
    os.truncate(newest(notes, torn), kept)
    holds(notes, encoder, 3)


def test_the_end_of_a_file_may_be_zeros(notes, encoder):
    file = newest(notes, "data/*.lance")
    size = file.stat().st_size
    os.truncate(file, 40)
    os.truncate(file, size)
    holds(notes, encoder, 3)


@pytest.mark.parametrize("content", [b"", b'{"ver', b'{"version":99}'])
def test_a_torn_hint_is_no_matter(notes, encoder, content):
    newest(notes, "_versions/latest_version_hint.json").write_bytes(content)
    holds(notes, encoder, 4)


def test_torn_transactions_are_no_matter(notes, encoder):
    for file in notes.rglob("*.txn"):
        os.truncate(file, 0)
    holds(notes, encoder, 4)


def test_torn_deletions_are_undone(notes, encoder):
    with Collection.open(notes, encoder) as collection:
        collection.add([Document(f"z{n}", f"Other w{n}.") for n in range(9)])
        collection.delete(["z1"])
        collection.delete(["z2"])
    os.truncate(newest(notes, "_deletions/*"), 0)
    with Collection.open(notes, encoder) as collection:
        assert sorted(collection.ids("not exists(x)")) == [
            *(f"d{n}" for n in range(4)),
            *(f"z{n}" for n in (0, *range(2, 9))),
        ]


def test_a_torn_index_is_made_again_and_costs_no_document(notes, encoder):
    with Collection.open(notes, encoder) as collection:
        collection.rebuild()
    for file in notes.glob("0001/passages.lance/_indices/*/*"):
        os.truncate(file, 0)
    holds(notes, encoder, 4)


def test_what_no_version_names_is_no_damage(notes, encoder):
    data = notes / "0001" / "passages.lance" / "data"
    (data / "0123.lance").write_bytes(b"")
    (data / ".tmpAbCdEf").write_bytes(b"half")
    (notes / "collection.json.part").write_text('{"cur')
    (notes / "writer.json").write_text('{"process": 1, "ho')
    (notes / "0002").mkdir()
    holds(notes, encoder, 4)
    assert not (data / ".tmpAbCdEf").exists()


def test_damage_that_much_was_built_on_is_an_error_and_changes_nothing(notes, encoder):
    """A disk error, no power cut: going back would lose what was acknowledged."""
    oldest = min((notes / "0001/passages.lance/data").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    with Collection.open(notes, encoder) as collection:
        for number in range(12):
            collection.add([Document(f"z{number}", "Text.")])
    os.truncate(oldest, 0)
    before = sorted(notes.rglob("*.manifest"))
    with pytest.raises(StoreError, match=r"damaged: .* have been built on it\. Restore a copy, or index anew"):
        Collection.open(notes, encoder)
    assert sorted(notes.rglob("*.manifest")) == before


def test_nothing_readable_is_an_error(notes, encoder):
    for file in notes.rglob("*.manifest"):
        os.truncate(file, 0)
    with pytest.raises(StoreError, match="no version of it can be read"):
        Collection.open(notes, encoder)


@pytest.fixture
def forced(monkeypatch):
    """Files and folders that were forced to the disk, by inode, with the size that they had then."""
    seen, fsync = {}, os.fsync

    def noted(descriptor):
        state = os.fstat(descriptor)
        seen[state.st_ino] = state.st_size
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return seen


def not_forced(folder: Path, forced: dict[int, int]) -> list[Path]:
    """Return what is not on the disk as it is now, but for what may be lost."""
    loose = {"writer.lock", "writer.json", "latest_version_hint.json"}
    below = [path for path in [folder, *folder.rglob("*")] if path.name not in loose]
    states = [(path, path.stat()) for path in below]
    return [
        p
        for p, state in states
        if state.st_ino not in forced or (p.is_file() and forced[state.st_ino] != state.st_size)
    ]


def test_what_is_reported_as_safe_was_forced_to_the_disk(collection, tmp_path, forced):
    states = []

    def look(_count=0):
        states.append(not_forced(tmp_path / "notes", forced))

    collection.add([Document("a", "Stones."), Document("b", "More stones.")], progress=look)
    assert tmp_path.stat().st_ino in forced  # the name of the collection
    collection.add([Document("a", "Other stones.", {"new": 1})], progress=look)
    collection.update("b", metadata={"new": 2})
    look()
    collection.delete(["b"])
    look()
    collection.rebuild()
    look()
    assert states == [[]] * 5


def test_what_a_killed_writer_left_is_forced_before_more_is_built_on_it(notes, encoder, forced):
    with Collection.open(notes, encoder) as collection:
        safe = []
        collection.add([Document("d0", "Document w0 of stones.")], progress=lambda _count: safe.append(len(forced)))
        assert not_forced(notes / "0001" / "passages.lance", forced) == []
        assert safe[0] > 10


def test_old_versions_go_only_after_what_replaces_them_is_forced(collection, tmp_path, monkeypatch):
    for number in range(5):
        collection.add([Document(f"d{number}", "Stones.")])
    versions = tmp_path / "notes" / "0001" / "passages.lance" / "_versions"
    there, sync = [], Durability.sync

    def noted(self):
        there.append(len(list(versions.glob("*.manifest"))))
        sync(self)

    before = len(list(versions.glob("*.manifest")))
    monkeypatch.setattr(Durability, "sync", noted)
    monkeypatch.setattr(upkeep, "_KEEP", timedelta(milliseconds=1))
    collection.rebuild()
    assert there[0] > before
    assert len(list(versions.glob("*.manifest"))) < before


def test_readers_see_a_batch_wholly_or_not_at_all(collection, tmp_path):
    """Threads and a process read while one thread replaces, compacts and tidies up."""
    collection.add(batch(0))
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path / "notes")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen, wrong, ended = [], [], threading.Event()

    def read():
        while not ended.is_set():
            entries = list(collection.entries())
            rounds = {entry.document.metadata["round"] for entry in entries}
            whole = all(e.passages[-1].end == len(e.document.text) for e in entries)
            if len(rounds) != 1 or len(entries) != 20 or not whole:
                wrong.append(rounds)
            seen.extend(rounds)

    threads = [threading.Thread(target=read) for _ in range(2)]
    try:
        assert process.stdout.readline() == "open\n"
        for thread in threads:
            thread.start()
        for number in range(1, 10):
            collection.add(batch(number))
            if number % 3 == 0:
                collection.rebuild()
                while number not in seen and any(thread.is_alive() for thread in threads):
                    time.sleep(0.001)
        ended.set()
        for thread in threads:
            thread.join()
        last = 0
        while last != 9:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            assert int(line) >= last
            last = int(line)
    finally:
        ended.set()
        process.kill()
        process.communicate()
    assert wrong == []
    assert len(set(seen)) > 2


def test_two_writers_get_a_clear_answer(notes, encoder, bert):
    command = [sys.executable, "-c", WRITER, str(bert), str(notes)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "writing\n"
        with Collection.open(notes, encoder) as collection:
            with pytest.raises(
                CollectionBusyError, match=f"being written by process {process.pid} on .* since .*Searching"
            ):
                collection.add([Document("x", "Text.")])
            assert len(collection.search("stones", 9, mode="text")) == 4
            process.send_signal(signal.SIGKILL)
            process.wait()
            collection.add([Document("x", "Text.")])
            assert collection.stats().documents == 5
    finally:
        process.kill()
        process.communicate()


def test_a_closed_writer_lets_others_write(notes, encoder):
    with Collection.open(notes, encoder) as first, Collection.open(notes, encoder) as second:
        first.add([Document("x", "Text.")])
        with pytest.raises(CollectionBusyError, match=f"process {os.getpid()} "):
            second.delete(["d0"])
        first.close()
        second.delete(["d0"])
        assert sorted(first.ids()) == ["d1", "d2", "d3", "x"]


def test_a_copy_of_the_folder_is_a_backup(notes, encoder, tmp_path):
    shutil.copytree(notes, tmp_path / "copy")
    shutil.rmtree(notes)
    holds(tmp_path / "copy", encoder, 4)
