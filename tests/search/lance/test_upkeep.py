import threading

import numpy as np
import pytest
import stores

from efive.search.conditions import Compare
from efive.search.lance import upkeep
from efive.search.lance.codec import Vectors
from efive.search.lance.table import LanceStore

QUERY = stores.cone(1, 99)[0]


@pytest.fixture
def early(monkeypatch):
    """Indices and merges pay for tables that a test can fill."""
    monkeypatch.setattr(upkeep, "INDEX_PAYS", 1_000)
    monkeypatch.setattr(upkeep, "LOOSE", 300)


def indexed(store: LanceStore) -> dict[str, tuple[int, int]]:
    """Return how many rows each index covers, and how many it does not."""
    table = store._database.open_table("passages")
    stats = {index.columns[0]: table.index_stats(index.name) for index in table.list_indices()}
    return {column: (stat.num_indexed_rows, stat.num_unindexed_rows) for column, stat in stats.items()}


def test_indices_come_when_they_pay(early, tmp_path):
    made = stores.store(tmp_path)
    made.replace(stores.entries(900))
    made.maintain()
    assert set(indexed(made)) == {"terms"}
    made.replace(stores.entries(200, first=900))
    made.maintain()
    assert indexed(made) == {"terms": (900, 200), "document": (1_100, 0), "vector": (1_100, 0)}
    made.replace(stores.entries(50, first=1_100))
    made.maintain()
    assert indexed(made)["document"] == (1_100, 50)  # too few to pay
    made.replace(stores.entries(250, first=1_150))
    made.maintain()
    assert set(indexed(made).values()) == {(1_400, 0)}


@pytest.mark.parametrize("kind", ["int8", "binary"])
def test_compressed_vectors_need_no_index(early, tmp_path, kind):
    made = stores.store(tmp_path, Vectors(kind))
    made.replace(stores.entries(1_100))
    made.maintain()
    assert set(indexed(made)) == {"terms", "document"}


def test_the_index_stays_in_few_parts(early, tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "PARTS", 3)
    made = stores.store(tmp_path)
    made.replace(stores.entries(1_200))
    parts = []
    for n in range(5):
        made.maintain()
        table = made._database.open_table("passages")
        parts.append(table.index_stats("vector_idx").num_indices)
        made.replace(stores.entries(300, first=1_200 + 300 * n))
    assert max(parts) == 3
    assert min(parts[3:]) == 1


def test_small_writes_are_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "FILES", 5)
    made = stores.store(tmp_path)
    for n in range(7):
        made.replace(stores.entries(1, first=n))
    made.maintain()
    assert made._database.open_table("passages").stats()["fragment_stats"]["num_fragments"] == 1
    assert set(made.snapshot().ids()) == {str(n) for n in range(7)}


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_searches_and_writes_go_on_during_upkeep(early, tmp_path, kind):
    """Index, merge and index again while one thread writes and another searches: nothing fails, nothing is lost."""
    made = stores.store(tmp_path, Vectors(kind))
    known = {one.document.id: one for one in stores.entries(1_500)}
    made.replace(list(known.values()))
    failures: list[BaseException] = []
    written, searches, done = threading.Event(), [0], threading.Event()

    def guarded(work):
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            written.set()

    def write() -> None:
        for n in range(6):
            new = stores.entries(40, first=1_500 + 40 * n)
            # Documents that are new, that change and lose a passage or get one, and that go.
            changed = [stores.entry(str(7 * n + i), stores.cone(1 + i % 2, n), ["changed"]) for i in range(5)]
            made.replace([*new, *changed])
            gone = [str(1_000 + 10 * n + i) for i in range(5)]
            made.remove(gone)
            known.update({one.document.id: one for one in [*new, *changed]})
            for name in gone:
                del known[name]

    def search() -> None:
        while not done.is_set():
            snapshot = made.snapshot()
            assert len(snapshot.dense(QUERY, 20, None)) == 20
            assert len(snapshot.dense(QUERY, 20, Compare("tenth", "=", 3))) == 20
            assert len(snapshot.text(["all"], 20, None)) == 20
            searches[0] += 1

    writer = threading.Thread(target=guarded, args=(write,))
    reader = threading.Thread(target=guarded, args=(search,))
    reader.start()
    writer.start()
    while writer.is_alive():
        made.maintain(force=True)
    writer.join()
    done.set()
    reader.join()
    assert failures == []
    assert searches[0] > 0
    made.maintain(force=True)
    snapshot = made.snapshot()
    assert set(snapshot.ids()) == set(known)
    assert snapshot.counts().passages == sum(len(one.passages) for one in known.values())
    found = snapshot.dense(QUERY, 10, None, exact=True)
    vectors = np.concatenate([one.vectors for one in known.values()])
    np.testing.assert_allclose(found.scores, np.sort(vectors @ QUERY)[::-1][:10], atol=2e-3)
    assert {*snapshot.dense(QUERY, 10, None).documents} <= set(known)
    if kind == "float32":
        assert len({*found.documents} & {*snapshot.dense(QUERY, 10, None).documents}) >= 9
