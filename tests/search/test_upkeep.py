"""Indices build themselves while documents are added, in a thread, and failures are not lost."""

import threading

import pytest

from efive import Collection, Document
from efive.errors import StoreError
from efive.search import upkeep
from efive.search.upkeep import Upkeep


class Store:
    """A store whose upkeep takes until it is told to end."""

    def __init__(self):
        self.begun, self.end, self.error = threading.Event(), threading.Event(), None
        self.calls = 0

    def maintain(self):
        self.calls += 1
        self.begun.set()
        assert self.end.wait(240)
        if self.error:
            raise self.error


def test_it_begins_when_passages_have_become_many_and_once_at_a_time():
    store = Store()
    kept = Upkeep(store)
    kept.wrote(upkeep._EVERY - 1)
    assert store.calls == 0
    kept.wrote(1)
    assert store.begun.wait(240)
    kept.wrote(5 * upkeep._EVERY)  # returns at once, although the first is under way
    assert store.calls == 1
    store.end.set()
    kept.wait()
    kept.wrote(0)
    kept.wait()
    assert store.calls == 2


def test_what_fails_is_told_once():
    store = Store()
    store.error = StoreError("the disk is full")
    store.end.set()
    kept = Upkeep(store)
    kept.wrote(upkeep._EVERY)
    with pytest.raises(StoreError, match="disk is full"):
        kept.wait()
    kept.wait()


def test_adding_builds_what_pays(tmp_path, encoder, monkeypatch):
    from efive.search.lance import upkeep as pays

    monkeypatch.setattr(upkeep, "_EVERY", 20)
    monkeypatch.setattr(pays, "INDEX_PAYS", 300)
    with Collection.open(tmp_path / "c", encoder) as collection:
        collection.add(Document(str(n), f"Note number {n} about something.") for n in range(400))
        collection.maintain()
        table = collection._opened.current().store._database.open_table("passages")
        columns = {index.columns[0] for index in table.list_indices()}
        assert columns == {"terms", "document", "vector"}
        assert collection.search("Note number 17 about something.", 1, mode="text")[0].document == "17"
