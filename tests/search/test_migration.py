"""Another model or other windows: resumed, switched in one step, and never mixed with what was there before."""

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tiny

from efive import Collection, Document, Encoder
from efive.errors import CollectionNotFoundError, InputError, SpaceMismatchError
from efive.search.migration import migrate
from efive.search.wanted import Wanted

DOCUMENTS = [Document(f"d{n}", f"Sentence {n} is about the number w{n} and stones.", {"n": n}) for n in range(1300)]
READER = """
import sys, json
from efive import Collection
with Collection.open(sys.argv[1], create=False) as collection:
    for line in sys.stdin:
        hits = collection.search(line.strip(), 5, mode="text")
        stats = collection.stats()
        print(json.dumps([stats.window, stats.documents, [hit.document for hit in hits]]), flush=True)
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A model of the same family with other weights."""
    folder = tiny.make("bert", tmp_path_factory.mktemp("models") / "other", seed=1)
    with Encoder.load(folder, precision="fp32") as encoder:
        yield encoder


@pytest.fixture(scope="module")
def original(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("original") / "notes"
    with Collection.open(folder, encoder, window=32, overlap=8) as collection:
        collection.add(DOCUMENTS)
    return folder


@pytest.fixture
def path(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "notes"))


@pytest.fixture
def embedded(monkeypatch):
    """How many texts are given to encoders."""
    counts, stream = [], Encoder.stream

    def counted(self, texts, role, **options):
        def count():
            for text in texts:
                counts.append(text)
                yield text

        return stream(self, count(), role, **options)

    monkeypatch.setattr(Encoder, "stream", counted)
    return counts


def generations(path):
    return sorted(p.name for p in path.iterdir() if p.is_dir())


class Stopped(BaseException):
    pass


def stop(_count):
    """Progress that ends the process, so to say, when the first block is safe."""
    raise Stopped


def test_another_model_takes_the_place_of_the_first(path, encoder, other):
    with pytest.raises(SpaceMismatchError) as refused:
        Collection.open(path, other)
    for part in (encoder.space.fingerprint, other.space.fingerprint, f"`efive migrate {path} --model MODEL`"):
        assert part in str(refused.value)
    assert migrate(path, other, Wanted()).new == len(DOCUMENTS)
    with Collection.open(path, other) as collection:
        stats = collection.stats()
        assert (stats.space, stats.window, stats.documents) == (other.space, other.window, len(DOCUMENTS))
        assert sorted(d.id for d in collection.get(d.id for d in DOCUMENTS)) == sorted(d.id for d in DOCUMENTS)
        assert collection.get(["d7"]) == [Document("d7", DOCUMENTS[7].text, {"n": 7}, [], [])]
        assert collection.search("w7", 1, mode="text")[0].document == "d7"
        own = other.embed_passages([DOCUMENTS[7].text]).vectors[0]
        assert next(e for e in collection.entries() if e.document.id == "d7").vectors[0] @ own > 0.999
    with pytest.raises(SpaceMismatchError):
        Collection.open(path, encoder)


def test_interrupted_it_goes_on_and_embeds_nothing_twice(path, other, embedded):
    with pytest.raises(Stopped):
        migrate(path, other, Wanted(), progress=stop)
    assert generations(path) == ["0001", "0002"]
    with Collection.open(path) as reader:
        assert reader.stats().documents == len(DOCUMENTS)
    embedded.clear()
    told = []
    done = migrate(path, other, Wanted(), progress=told.append)
    assert done.unchanged + done.new == sum(told) == len(DOCUMENTS)
    assert done.unchanged >= 128
    assert len(embedded) == done.new
    embedded.clear()
    assert migrate(path, other, Wanted()).unchanged == len(DOCUMENTS)  # given again
    assert embedded == []
    assert generations(path) == ["0001", "0002"]


def test_what_was_changed_after_an_interruption_is_as_it_was_changed(path, encoder, other):
    with pytest.raises(Stopped):
        migrate(path, other, Wanted(), progress=stop)
    with Collection.open(path, encoder) as collection:
        done = [d.id for d in DOCUMENTS]
        collection.delete(done[::2])
        collection.update(done[1], text="Something else.")
        collection.update(done[3], metadata={"n": -1})
        collection.add([Document("late", "Came late.")])
        wanted = {entry.document.id: entry.digest for entry in collection.entries()}
    migrate(path, other, Wanted())
    with Collection.open(path, other) as collection:
        assert {entry.document.id: entry.digest for entry in collection.entries()} == wanted


def test_a_migration_to_something_else_leaves_no_abandoned_one(path, encoder, other):
    with pytest.raises(Stopped):
        migrate(path, other, Wanted(), progress=stop)
    migrate(path, encoder, Wanted(window=24))
    assert generations(path) == ["0001", "0002"]
    with Collection.open(path, encoder) as collection:
        assert (collection.stats().window, collection.stats().overlap) == (24, 6)
        assert collection.stats().documents == len(DOCUMENTS)


def test_readers_go_on_and_change_over_by_themselves(path, encoder):
    """Readers of the same space, in this process and in another one, search without a break."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask():
        process.stdin.write("w7\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    seen, failed, ended = [], [], threading.Event()

    def search():
        try:
            with Collection.open(path, encoder) as reader:
                while not ended.is_set() or len(seen) < 2:
                    found = reader.search("w7", 1, mode="text")[0].document
                    seen.append((reader.stats().window, reader.stats().documents, found))
        except Exception as error:
            failed.append(error)

    try:
        assert ask() == [32, len(DOCUMENTS), ["d7"]]
        thread = threading.Thread(target=search)
        thread.start()
        while not seen and thread.is_alive():
            time.sleep(0.001)
        answers = []
        migrate(path, encoder, Wanted(window=40), progress=lambda _count: answers.append(ask()))
        ended.set()
        thread.join()
        assert ask() == [40, len(DOCUMENTS), ["d7"]]
    finally:
        process.kill()
        process.communicate()
    assert failed == []
    assert {tuple(map(str, answer)) for answer in answers} == {("32", str(len(DOCUMENTS)), "['d7']")}
    assert {documents for _, documents, _ in seen} == {len(DOCUMENTS)}
    windows = [window for window, _, _ in seen]
    assert windows == sorted(windows)
    assert windows[0] == 32


def test_a_reader_of_the_old_space_is_told(path, encoder, other):
    with Collection.open(path, encoder) as reader:
        migrate(path, other, Wanted())
        with pytest.raises(SpaceMismatchError, match="efive migrate"):
            reader.search("w7", 1)
        with pytest.raises(SpaceMismatchError):
            reader.add([Document("new", "Text.")])


def test_without_a_model_the_command_keeps_it(tiny_models, tmp_path):
    path, model = tmp_path / "notes", str(tiny_models["xlm-roberta"])
    with (
        Encoder.load(model, precision="fp32") as encoder,
        Collection.open(path, encoder, window=24, vectors="int8", model=model) as collection,
    ):
        collection.add([Document("a", "Text.")])
        before = collection.stats()
    for arguments, window, vectors in (([], 24, "int8"), (["--vectors", "binary"], 24, "binary")):
        subprocess.run([sys.executable, "-m", "efive", "migrate", str(path), *arguments], check=True)
        with Collection.open(path) as collection:
            stats = collection.stats()
            assert (stats.space, stats.window, stats.vectors) == (before.space, window, vectors)


def test_nothing_is_made_where_there_is_no_collection(tmp_path, encoder):
    with pytest.raises(CollectionNotFoundError):
        migrate(tmp_path / "nothing", encoder, Wanted())
    assert not (tmp_path / "nothing").exists()


def test_a_window_that_the_model_cannot_read_changes_nothing(path, encoder, other):
    with pytest.raises(InputError, match="more than the 512"):
        migrate(path, other, Wanted(window=4096))
    with Collection.open(path, encoder) as collection:
        assert collection.stats().documents == len(DOCUMENTS)
