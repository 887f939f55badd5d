from collections.abc import Iterator

import numpy as np
import pytest
import stores
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from efive.search.conditions import (
    And,
    Compare,
    Condition,
    Exists,
    Has,
    In,
    Not,
    Or,
    StartsWith,
    matches,
)  # fmt: skip
from efive.search.lance import upkeep
from efive.search.lance.codec import Vectors
from efive.search.lance.table import LanceStore

# Few fields and values, so that conditions and metadata meet; some that SQL, paths and columns could stumble over.
FIELDS = ["a", "A", "file.path", "a b", "`", "'", '\\"', "100%2E", "名", "number", "text a"]
TEXTS = ["", "x", "xy", "x'y", "X", "%", "_", "\\", "名", "é", "e\u0301", "\U0001f600", "\uffff", "1", "true"]
NUMBERS = [0, -0.0, 1, 1.0, -1, 0.1, 1e300, 5e-324, 2**53, -(2**53)]
VALUES = st.one_of(st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.booleans())
ORDERED = st.one_of(st.sampled_from(TEXTS), st.sampled_from([*NUMBERS, 2**63 - 1, -(2**63)]))
FIELD = st.sampled_from(FIELDS)
TESTS = st.one_of(
    st.builds(Compare, FIELD, st.sampled_from(["=", "!="]), VALUES),
    st.builds(Compare, FIELD, st.sampled_from(["<", "<=", ">", ">="]), ORDERED),
    st.builds(In, FIELD, st.lists(VALUES, max_size=3).map(tuple)),
    st.builds(Has, FIELD, VALUES),
    st.builds(StartsWith, FIELD, st.sampled_from(TEXTS)),
    st.builds(Exists, FIELD),
)
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LanceStore, dict[str, dict[str, object]]]]:
    """A store with metadata of every kind in every field, and the metadata."""
    rng = np.random.default_rng(0)
    singles = [*TEXTS, *NUMBERS, True, False]
    known: dict[str, dict[str, object]] = {"bare": {}}
    for number in range(300):
        known[str(number)] = {
            field: singles[rng.integers(len(singles))]
            if rng.random() < 0.7
            else [TEXTS[i] for i in rng.integers(len(TEXTS), size=rng.integers(4))]
            for field in rng.permutation(FIELDS)[: rng.integers(len(FIELDS))].tolist()
        }
    made = stores.store(tmp_path_factory.mktemp("described"))
    vectors = stores.cone(len(known), 0)
    made.replace([stores.entry(n, vectors[i : i + 1], metadata=m) for i, (n, m) in enumerate(known.items())])
    yield made, known
    made.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONDITIONS)
def test_filters_mean_what_conditions_mean(described, condition: Condition):
    made, known = described
    wanted = {name for name, metadata in known.items() if matches(condition, metadata)}
    assert set(made.snapshot().ids(condition)) == wanted


def test_counts_and_searches_heed_conditions(described):
    made, known = described
    snapshot, condition = made.snapshot(), Or((Compare("a", "=", "x"), Exists("100%2E")))
    wanted = {name for name, metadata in known.items() if matches(condition, metadata)}
    assert snapshot.counts(condition).passages == len(wanted) > 10
    found = snapshot.dense(stores.cone(1, 9)[0], len(known), condition)
    assert set(found.documents) == wanted
    assert snapshot.dense(stores.cone(1, 9)[0], 5, Compare("a", "=", "nowhere")).documents == []


@pytest.mark.parametrize(("kind", "least"), [("float32", 0.99), ("float16", 0.99), ("int8", 0.97), ("binary", 0.55)])
def test_recall(tmp_path, monkeypatch, kind, least):
    monkeypatch.setattr(upkeep, "INDEX_PAYS", 1_000)
    clusters = np.random.default_rng(1).standard_normal((60, stores.DIMENSION))
    entries = stores.entries(3_000, near=clusters)
    made = stores.store(tmp_path, Vectors(kind))
    made.replace(entries)
    made.maintain()
    made.replace(stores.entries(200, first=3_000, near=clusters))  # covered by no index
    entries += stores.entries(200, first=3_000, near=clusters)
    snapshot, right = made.snapshot(), 0
    few = Compare("tenth", "=", 0)
    for query in stores.cone(20, 8, near=clusters):
        right += len({*snapshot.dense(query, 10, None).documents} & {*stores.nearest(entries, query, 10)})
        some = [one for one in entries if one.document.metadata["tenth"] == 0]
        right += len({*snapshot.dense(query, 10, few).documents} & {*stores.nearest(some, query, 10)})
    assert right / 400 >= least


@pytest.mark.parametrize(("kind", "error"), [("float32", 0), ("float16", 1e-3), ("int8", 1e-2), ("binary", 0.5)])
def test_vectors_come_back(tmp_path, kind, error):
    made = stores.store(tmp_path, Vectors(kind))
    vectors = stores.cone(3, 5)
    made.replace([stores.entry("a", vectors[:2]), stores.entry("b", vectors[2:])])
    stored = {one.document.id: one.vectors for one in made.snapshot().entries(["b", "a", "c"])}
    assert set(stored) == {"a", "b"}
    back = np.concatenate([stored["a"], stored["b"]])
    assert np.linalg.norm(back - vectors, axis=1).max() <= error
    found = made.snapshot().dense(vectors[2], 3, None)
    assert found.documents[0] == "b"
    np.testing.assert_allclose(found.scores, made.snapshot().vectors(found.rows) @ vectors[2], atol=1e-3)


def test_everything_comes_back(tmp_path):
    made = stores.store(tmp_path)
    entry = stores.entry("a", stores.cone(3, 0), ["one", "two", "three"], {"year": 2020, "tags": ["x"]})
    made.replace([entry, stores.entry("b", stores.cone(1, 1))])
    [back] = made.snapshot().entries(["a"])
    assert (back.document, back.digest, back.passages, back.terms) == (
        entry.document, entry.digest, entry.passages, entry.terms,
    )  # fmt: skip
    snapshot = made.snapshot()
    assert snapshot.documents(["b", "nobody", "a"])[1] == entry.document
    assert snapshot.digests(["a", "nobody"]) == {"a": "digest of a"}
    found = snapshot.text(["three"], 10, None)
    assert snapshot.passages(found.rows) == [entry.passages[2]]


def test_a_snapshot_stays_as_it_is(tmp_path):
    made = stores.store(tmp_path)
    made.replace(stores.entries(40))
    before = made.snapshot()
    query = stores.cone(1, 7)[0]
    found, text = before.dense(query, 40, None), before.text(["all"], 40, None)
    passages, vectors = before.passages(found.rows), before.vectors(found.rows)
    made.remove([str(n) for n in range(20)])
    made.replace([stores.entry("39", stores.cone(2, 3), ["other"]), stores.entry("40", stores.cone(1, 4))])
    made.maintain(force=True)
    assert before.dense(query, 40, None).documents == found.documents
    assert set(before.text(["all"], 40, None).documents) == set(text.documents)
    assert before.passages(found.rows) == passages
    np.testing.assert_array_equal(before.vectors(found.rows), vectors)
    assert (before.counts().passages, made.snapshot().counts().passages) == (40, 22)


def test_text_search_sees_what_is_new_and_nothing_that_is_gone(tmp_path):
    made = stores.store(tmp_path)
    made.replace(stores.entries(30))
    made.maintain(force=True)
    made.replace([stores.entry("new", stores.cone(1, 3), ["w5 fresh"]), stores.entry("7", stores.cone(1, 4), ["w8"])])
    made.remove(["6"])
    snapshot = made.snapshot()
    assert set(snapshot.text(["w5"], 10, None).documents) == {"5", "new"}
    assert snapshot.text(["fresh"], 10, None).documents == ["new"]
    assert snapshot.text(["w6", "w7"], 10, None).documents == []
    assert set(snapshot.text(["w8"], 10, None).documents) == {"7", "8"}
    assert snapshot.text([], 10, None).documents == []
