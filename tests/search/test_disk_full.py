"""A full disk is an error, not a broken collection: on a file system of a few megabytes, made for each test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from efive import Collection, Document, Encoder
from efive.errors import StoreError
from efive.search.migration import migrate
from efive.search.wanted import Wanted

FULL = "the disk is full; free some space and give the command again"
LIMITED = """
import resource, sys
from efive import Collection, Document, Encoder
from efive.errors import StoreError
encoder = Encoder.load(sys.argv[1], precision="fp32", threads=1)
with Collection.open(sys.argv[2], encoder) as collection:
    documents = [Document(f"d{n}", f"Sentence {n} of stones.") for n in range(300)]
    collection.add(documents[:1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, resource.RLIM_INFINITY))
    try:
        collection.add(documents)
    except StoreError as error:
        print(error)
    print(len(collection.search("stones", 9, mode="text")), collection.stats().documents)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    collection.add(documents)
    print(collection.stats().documents)
"""


@pytest.fixture
def small(tmp_path):
    """A folder on a file system of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "efive-test", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("mount") else None
    if made is None or made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.strip() if made else 'no mount'}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def documents(count: int, first: int = 0) -> list[Document]:
    return [Document(f"d{n}", f"Sentence {n} is about w{n} and stones.") for n in range(first, first + count)]


def fill(folder: Path, left: int = 0) -> Path:
    """Take all space but `left` bytes."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as stream:
        try:
            while stream.write(b"0" * 4096):
                pass
        except OSError:
            pass
        stream.truncate(max(0, stream.tell() - left))
    return file


def state(path: Path, encoder: Encoder) -> tuple:
    """What a collection holds, and that it is found."""
    with Collection.open(path, encoder) as collection:
        stats = collection.stats()
        digests = {entry.document.id: (entry.digest, len(entry.passages)) for entry in collection.entries()}
        assert len(collection.search("stones", 10_000, mode="text")) == stats.documents
        assert len(collection.search("stones", 10_000, mode="dense")) == stats.documents
        return stats.documents, stats.passages, stats.space, stats.window, digests


@pytest.mark.parametrize("left", [0, 8_192, 40_960])
def test_adding(small, encoder, left):
    path = small / "notes"
    with Collection.open(path, encoder) as collection:
        collection.add(documents(50))
        before = state(path, encoder)
        filler = fill(small, left)
        more = [*documents(500, 50), Document("d1", "Other text of stones.", {"a": 1})]
        for _ in range(2):
            with pytest.raises(StoreError, match=FULL):
                collection.add(more)
            assert state(path, encoder) == before
            assert len(collection.search("stones", 99, mode="text")) == 50
        filler.unlink()
        assert collection.add(more).new == 501
    assert state(path, encoder)[0] == 550


def test_failed_writes_give_their_space_back(small, encoder):
    path = small / "notes"
    with Collection.open(path, encoder) as collection:
        collection.add(documents(50))
        filler = fill(small, 50_000)
        used = shutil.disk_usage(small).used
        for _ in range(3):
            with pytest.raises(StoreError, match=FULL):
                collection.add(documents(1000, 50))
            assert shutil.disk_usage(small).used <= used + 40_000
        filler.unlink()


def test_updating_and_deleting(small, encoder):
    path = small / "notes"
    with Collection.open(path, encoder) as collection:
        collection.add(documents(50))
        before = state(path, encoder)
        filler = fill(small)
        for change in (
            lambda: collection.update("d1", text="Other text of stones."),
            lambda: collection.update("d1", metadata={"new": True}),
            lambda: collection.delete(["d1"]),
        ):
            with pytest.raises(StoreError, match=FULL):
                change()
            assert state(path, encoder) == before
        filler.unlink()
        collection.update("d1", metadata={"new": True})
        assert collection.delete(where="new = true") == 1


def test_a_new_collection(small, encoder):
    path = small / "notes"
    filler = fill(small)
    with Collection.open(path, encoder) as collection:
        with pytest.raises(StoreError, match=FULL):
            collection.add(documents(5))
        filler.unlink()
        collection.add(documents(5))
    assert state(path, encoder)[0] == 5
    assert [p.name for p in path.iterdir() if p.is_dir()] == ["0001"]


def test_a_writer_that_starts_on_a_full_disk(small, encoder):
    path = small / "notes"
    with Collection.open(path, encoder) as collection:
        collection.add(documents(50))
    before = state(path, encoder)
    fill(small)
    with Collection.open(path, encoder) as collection, pytest.raises(StoreError, match=FULL):
        collection.add(documents(5, 50))
    assert state(path, encoder) == before


@pytest.mark.parametrize("left", [0, 20_480])
def test_maintaining(small, encoder, left):
    path = small / "notes"
    with Collection.open(path, encoder) as collection:
        for number in range(10):
            collection.add(documents(20, 20 * number))
        before = state(path, encoder)
        filler = fill(small, left)
        with pytest.raises(StoreError, match=FULL):
            collection.rebuild()
        assert state(path, encoder) == before
        filler.unlink()
        collection.rebuild()
        assert state(path, encoder) == before


@pytest.mark.parametrize("left", [0, 20_480, 200_000])
def test_migrating(small, encoder, left):
    path = small / "notes"
    with Collection.open(path, encoder) as collection:
        collection.add(documents(1300))
    before = state(path, encoder)
    filler = fill(small, left)
    with pytest.raises(StoreError, match=FULL):
        migrate(path, encoder, Wanted(window=32))
    assert state(path, encoder) == before
    filler.unlink()
    migrate(path, encoder, Wanted(window=32))
    with Collection.open(path, encoder) as collection:
        assert (collection.stats().documents, collection.stats().window) == (1300, 32)


def test_a_limit_on_the_size_of_files(bert, encoder, tmp_path):
    """Where nothing can be mounted: the system refuses to write more than some bytes to a file."""
    command = [sys.executable, "-c", LIMITED, str(bert), str(tmp_path / "notes")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "RUST_LOG": "off"})
    assert run.returncode == 0, run.stderr
    said, *counts = run.stdout.splitlines()
    assert said.endswith(f"and is as it was before: {FULL}")
    assert counts == ["1 1", "300"]
    assert state(tmp_path / "notes", encoder)[0] == 300
