"""`kill -9` at any moment: what was acknowledged is there, nothing twice, and search works.

Writers are killed at random moments, ten at each of five kinds of work with the slow tests and two at each without.
Each was about to commit, in the middle of it or just behind it; the next one goes on with what it left.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from json import dumps
from pathlib import Path

import numpy as np
import pytest

from efive import Collection, Document
from efive.search.passages import Shape, digest, draft

KILLS = 10
"""Of each kind, with the slow tests."""
WINDOW = 32
KINDS = ("index", "update", "delete", "compaction", "migration")


@dataclass
class Writers:
    """Writers one after the other (`writer.py`); the next one warms up as soon as one has ended."""

    process: subprocess.Popen

    def say(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def lines(self, *until: str):
        for line in self.process.stdout:
            assert not line.startswith("failed"), line
            yield line.split()
            if line.split()[0] in until:
                return
        pytest.fail("no writer is left")


@pytest.fixture(scope="module")
def writers(bert, tmp_path_factory):
    home = {**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))}
    command = [sys.executable, str(Path(__file__).with_name("writer.py")), str(bert)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home)
    yield Writers(process)
    process.kill()
    process.communicate()


@dataclass
class Expected:
    """What the collection holds, as far as it was acknowledged, and what the next works will be."""

    chance: random.Random
    stored: dict[str, Document] = field(default_factory=dict)
    made: int = 0

    def document(self, name: str | None = None) -> Document:
        """A document that no other one is like, of one passage or several."""
        self.made += 1
        words = [f"w{self.made}", *self.chance.choices(["cat", "tree", "house", "stone", "river"], k=6)]
        text = " ".join(f"Sentence {n} of {' '.join(words)}." for n in range(self.chance.choice([1, 1, 2, 6])))
        return Document(name or f"d{self.made}", text, {"made": self.made, "odd": str(self.made % 2)})

    def works(self, kind: str, count: int) -> list[dict]:
        """Works to be done in order, whatever a killed writer did of those before them."""
        names = sorted(self.stored) or ["d0"]
        return [self._work(kind, number, names) for number in range(count)]

    def _work(self, kind: str, number: int, names: list[str]) -> dict:
        some = self.chance.sample(names, min(3, len(names)))
        few = [self.document() for _ in range(self.chance.choice([1, 2, 5]))]
        if kind == "index" and number == 1 and self.chance.random() < 0.4:  # more than one block
            return add([self.document() for _ in range(1100)])
        if kind == "compaction" and number % 2:
            return {"do": "maintain"}
        if kind == "migration" and number % 2 == 0:
            return {"do": "migrate", "window": self.chance.choice([24, 32, 40])}
        if kind == "update":
            return add([*map(self.document, some), self.document()])
        if kind == "delete":
            return {"do": "delete", "ids": some} if number % 2 else add(list(map(self.document, some)))
        return add(few)


def add(documents: list[Document]) -> dict:
    return {"do": "add", "documents": [(d.id, d.text, d.metadata) for d in documents]}


def after(work: dict, before: dict[str, Document]) -> dict[str, Document]:
    """Return what is stored when a work is done."""
    if work["do"] == "add":
        return before | {name: Document(name, text, metadata) for name, text, metadata in work["documents"]}
    return {name: document for name, document in before.items() if name not in work.get("ids", [])}


@dataclass
class Pace:
    """How long works take here and now, so that a kill comes at any moment of one with the same chance."""

    seconds: dict[tuple, float] = field(default_factory=dict)

    def kind(self, work: dict) -> tuple:
        return work["do"], len(work.get("documents", [])) > 1000

    def of(self, work: dict) -> float:
        return self.seconds.get(self.kind(work), 0.2)


def run_and_kill(writers: Writers, path: Path, works: list[dict], chance: random.Random, pace: Pace) -> list[list[str]]:
    """Let a writer do some works, kill it in the middle of one, and return what it has said."""
    *_, (_, process) = writers.lines("ready")
    last = chance.randint(0, 3)
    writers.say(dumps({"path": str(path), "window": WINDOW, "work": works}))
    said, began = [], 0.0
    for line in writers.lines("ended"):
        said.append(line)
        if line[0] == "done":
            pace.seconds[pace.kind(works[int(line[1])])] = time.monotonic() - began
        if line[0] == "begin":
            began = time.monotonic()
            if int(line[1]) == last:
                break
    longest = 1.2 * pace.of(works[last])
    if chance.random() < 0.5:
        wait_for_a_file(path, longest)
        time.sleep(chance.choice([0, 0.001, 0.003]))
    else:
        time.sleep(chance.uniform(0, longest))
    with contextlib.suppress(ProcessLookupError):  # where this process was kept waiting, all works are done by now
        os.kill(int(process), signal.SIGKILL)
    return said + list(writers.lines("ended"))


def wait_for_a_file(path: Path, seconds: float) -> None:
    """Wait until a data file or a version has been made, or so long: what is not atomic is torn right behind that."""

    def made() -> list[int]:
        return [
            folder.stat().st_mtime_ns for part in ("data", "_versions") for folder in path.glob(f"*/*.lance/{part}")
        ]

    before, end = made(), time.monotonic() + seconds
    while made() == before and time.monotonic() < end:
        pass


def plain(documents) -> dict[str, tuple]:
    return {d.id: (d.text, dict(d.metadata)) for d in documents}


def check(path: Path, encoder, works: list[dict], said: list[list[str]], before: dict[str, Document]) -> dict:
    """Check a collection against what a killed writer has said, and return what it holds."""
    done = max((int(line[1]) for line in said if line[0] == "done"), default=-1)
    for work in works[: done + 1]:
        before = after(work, before)
    begun = any(line[:2] == ["begin", str(done + 1)] for line in said)
    later = after(works[done + 1], before) if begun else before
    safe = sum(int(line[2]) for line in said if line[:2] == ["safe", str(done + 1)])
    with Collection.open(path, encoder, create=False) as collection:
        entries = list(collection.entries())
        found = {entry.document.id: entry.document for entry in entries}
        assert len(found) == len(entries) == len(list(collection.ids())) == collection.stats().documents
        assert collection.stats().passages == sum(len(entry.passages) for entry in entries)
        if begun and works[done + 1]["do"] == "add":
            batch = [row[0] for row in works[done + 1]["documents"]]
            fresh = [name in found and found[name].text == later[name].text for name in batch]
            assert fresh == sorted(fresh, reverse=True), "a later document was stored before an earlier one"
            assert sum(fresh) >= safe
            assert sum(fresh) in {0, len(batch)} or len(batch) > 1000, "half a batch"
            before = {n: d for n, d in before.items() if n not in batch[: sum(fresh)]}
            before |= {n: later[n] for n in batch[: sum(fresh)]}
            later = before
        assert plain(found.values()) in (plain(before.values()), plain(later.values()))
        check_passages(collection, encoder, entries)
    return found


def check_passages(collection: Collection, encoder, entries) -> None:
    """Check that documents have all their passages, with their own vectors, and are found by them."""
    stats = collection.stats()
    shape = Shape(stats.window, stats.overlap)
    for entry in entries[:: len(entries) // 20 + 1]:
        made = draft(entry.document, encoder, shape)
        assert entry.digest == digest(entry.document)
        assert list(entry.passages) == made.passages
        assert list(entry.terms) == made.terms
        wanted = encoder.embed_passages(made.inputs).vectors
        assert np.abs(entry.vectors - wanted).max() < 2e-3
        first = made.inputs[0].split()[3]
        assert [hit.document for hit in collection.search(first, 3, mode="text")] == [entry.document.id]
    if entries:
        all_of_them = collection.search("river", min(len(entries), 500), mode="dense")
        assert len({hit.document for hit in all_of_them}) == min(len(entries), 500)


@pytest.mark.parametrize("kind", KINDS)
def test_kill(writers, encoder, tmp_path, kind):
    kill_again_and_again(writers, encoder, tmp_path, kind, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_kill_fifty(writers, encoder, tmp_path, kind):
    kill_again_and_again(writers, encoder, tmp_path, kind, KILLS)


def kill_again_and_again(writers, encoder, tmp_path, kind, kills):
    seed = time.time_ns()
    expected = Expected(random.Random(seed))
    path = tmp_path / "notes"
    with Collection.open(path, encoder, window=WINDOW) as collection:
        documents = [expected.document() for _ in range(600 if kind == "migration" else 30)]
        collection.add(documents)
    expected.stored = {d.id: d for d in documents}
    met, pace, midway = [], Pace(), 0
    for number in range(kills):
        works = expected.works(kind, 40)
        said = run_and_kill(writers, path, works, expected.chance, pace)
        try:
            expected.stored = check(path, encoder, works, said, expected.stored)
        except BaseException as error:
            error.add_note(f"kill {number} while {kind}, seed {seed}, the last that it said: {said[-4:]}")
            raise
        midway += said[-2][0] != "done"
        met.append(int(next((line[1] for line in reversed(said) if line[0] == "begin"), 0)))
    print(f"{kills} writers killed at {kind}, {midway} in the middle of a work; {sum(met)} works done; seed {seed}")
