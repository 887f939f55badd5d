import json
import sys
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from efive.errors import DependencyError, InputError
from efive.evaluation.drift import clusters, energy, stability
from efive.evaluation.monitoring import Settings, monitor
from efive.evaluation.query_log import Logged, QueryLog, read
from efive.vectors import normalize

START = datetime(2026, 5, 4, tzinfo=UTC)


@dataclass(frozen=True)
class Hit:
    cosine: float | None = 0.8
    confidence: float | None = 0.9


def logged(number=0, **values):
    made = {
        "time": START + timedelta(seconds=number), "hash": f"{number:032x}", "hits": 3, "cosine": 0.8,
        "confidence": 0.9, "mode": "hybrid", "collection": "notes", "space": "e5-1", "milliseconds": 10.0,
    }  # fmt: skip
    return Logged(**made | values)


def around(middle, count, seed=0, spread=0.1):
    noise = np.random.default_rng(seed).normal(scale=spread, size=(count, len(middle)))
    return normalize((np.asarray(middle) + noise).astype(np.float32))


# -- the log


def test_a_log_holds_no_text_and_no_vector_unless_asked(tmp_path):
    vector = np.array([0.6, 0.8], np.float32)
    facts = {"mode": "dense", "collection": "notes", "space": "e5-1", "milliseconds": 12.5, "vector": vector}
    bare, full = QueryLog(tmp_path / "a.jsonl"), QueryLog(tmp_path / "b.jsonl", texts=True, vectors=True)
    for log in (bare, full):
        log.note("naïve Frage", [Hit(0.7, 0.2), Hit(0.9, 0.6), Hit(None, None)], **facts)
    line = (tmp_path / "a.jsonl").read_text()
    assert "Frage" not in line
    assert set(json.loads(line)) == {
        "time", "hash", "hits", "cosine", "confidence", "mode", "collection", "space", "milliseconds",
    }  # fmt: skip
    (one,) = read(tmp_path / "b.jsonl")
    assert (one.query, one.hits, one.cosine, one.confidence, one.milliseconds) == ("naïve Frage", 3, 0.9, 0.6, 12.5)
    assert one.vector.tolist() == vector.tolist()
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a.jsonl.key").stat().st_mode & 0o077 == 0


def test_hashes_are_the_same_for_the_same_text_and_key_only(tmp_path):
    facts = {"mode": "text", "collection": "notes", "space": "", "milliseconds": 1.0}
    for name, texts in (("a", ["x", "y"]), ("a", ["x"]), ("b", ["x"])):
        log = QueryLog(tmp_path / name)
        for text in texts:
            log.note(text, [], **facts)
    x, y, again = (query.hash for query in read(tmp_path / "a"))
    assert x == again != y
    assert next(read(tmp_path / "b")).hash != x
    (tmp_path / "b.key").write_bytes(b"short")
    with pytest.raises(InputError, match="is no key"):
        QueryLog(tmp_path / "b")


def test_writers_at_the_same_time_share_a_key_and_tear_no_line(tmp_path):
    def write():
        for _ in range(10):  # opening looks at the last line, which another one may be writing
            log = QueryLog(tmp_path / "log", texts=True)
            for _ in range(5):
                log.note("q" * 500, [Hit()], mode="text", collection="c", space="", milliseconds=1)

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    queries = list(read(tmp_path / "log"))
    assert len(queries) == 400
    assert len({query.hash for query in queries}) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["log", "log.key"]


def test_a_torn_last_line_is_left_out_and_others_are_named(tmp_path):
    whole = logged(query="a", vector=np.array([1, 0], np.float32)).to_json() + "\n"
    file = tmp_path / "log"
    file.write_text(whole + whole[:40])
    assert [query.query for query in read(file)] == ["a"]
    for bad, message in (
        (whole[:40] + "\n" + whole, "line 1: broken JSON"),
        (whole + "3\n", "line 2: 3 where a JSON object"),
        (whole.replace('"hits"', '"hit"'), "line 1: no field 'hits'"),
        (whole.replace("+00:00", ""), "line 1: .* no time zone"),
        (whole.replace("0.8,", "NaN,"), "line 1: .* not finite"),
        (whole.replace("10.0", '"inf"'), "line 1: .* not finite"),
    ):
        file.write_text(bad)
        with pytest.raises(InputError, match=message):
            list(read(file))


def test_a_log_goes_on_after_a_power_cut(tmp_path):
    file, facts = tmp_path / "log", {"mode": "text", "collection": "c", "space": "", "milliseconds": 1.0}
    whole = logged().to_json() + "\n"
    for torn, before in ((whole + whole[:40], 1), (whole + whole.strip(), 2), (whole[:40], 0), ("", 0)):
        file.write_text(torn)
        QueryLog(file).note("next", [], **facts)
        assert [query.hits for query in read(file)] == [3] * before + [0]


# -- drift


def test_stability_by_hand():
    # Deciles of 0 to 99 make ten bins of ten; everything now is in the last one.
    seen = stability(np.arange(100), np.full(100, 99))
    p, q = 10.5 / 105, np.array([0.5] * 9 + [100.5]) / 105
    assert seen["psi"] == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert stability(np.arange(100), np.arange(100))["psi"] == pytest.approx(0)
    assert stability([1, 1, 1], [1, 1])["psi"] == pytest.approx(0)


def test_stability_by_chance_is_what_chance_gives():
    random = np.random.default_rng(0)
    seen = [stability(random.normal(size=300), random.normal(size=200)) for _ in range(50)]
    assert np.mean([each["psi"] for each in seen]) == pytest.approx(seen[0]["by_chance"], rel=0.25)


def test_energy_by_hand():
    # Between: 2; within: 0 and 0.
    left, right = np.array([[0.0, 0]] * 3), np.array([[2.0, 0]] * 3)
    assert energy(left, right)["distance"] == pytest.approx(4)
    assert energy(left, left)["distance"] == 0
    assert energy(left, left)["p"] == 1


def test_no_drift_is_seldom_seen_and_drift_always():
    def p(shift, seed):
        random = np.random.default_rng(seed)
        return energy(random.normal(size=(80, 8)), random.normal(size=(80, 8)) + shift, seed=seed)["p"]

    same = [p(0, seed) for seed in range(12)]
    assert sum(value < 0.05 for value in same) <= 2
    assert 0.25 < np.mean(same) < 0.75
    assert max(p(0.7, seed) for seed in range(3)) == 1 / 1000
    assert p(0.1, 3) == p(0.1, 3)


def test_clusters_find_groups_that_are_apart():
    vectors = np.concatenate([around(middle, 8, spread=0.01) for middle in np.eye(3)])
    found = clusters(vectors, most=3)
    assert [len(set(found[at : at + 8].tolist())) for at in (0, 8, 16)] == [1, 1, 1]
    assert len(set(found.tolist())) == 3
    assert set(clusters(np.ones((50, 3), np.float32)).tolist()) == {0}


def test_clusters_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(DependencyError, match=r"pip install 'efive\[evaluate\]'"):
        clusters(np.ones((5, 3), np.float32))


# -- the report


def test_rates_and_latency_by_hand():
    queries = [logged(n, milliseconds=float(n + 1)) for n in range(96)]
    queries += [logged(96, hits=0, cosine=None, confidence=None, hash="0"), logged(97, confidence=0.2, hash="0")]
    queries += [logged(98, confidence=0.5), logged(99, confidence=None)]
    (report,) = monitor(queries, Settings())
    assert (report.queries, report.distinct, report.zero_results) == (100, 99, 0.01)
    assert (report.low_confidence, report.confidence_known) == (1 / 98, 98)
    assert report.milliseconds["50"] == pytest.approx(np.percentile([*range(1, 97), 10, 10, 10, 10], 50))
    assert (report.first, report.last) == ("2026-05-04T00:00:00+00:00", "2026-05-04T00:01:39+00:00")
    assert report.drift is None
    assert report.gaps is None
    json.dumps(report.to_dict(), allow_nan=False)


def test_spaces_and_collections_are_apart():
    ones = np.ones(4, np.float32) / 2
    queries = [logged(n, space=f"e5-{n % 2}", vector=ones[: 4 - n % 2]) for n in range(50)]
    queries += [logged(collection="other")]
    reports = monitor(queries, Settings())
    assert [(r.collection, r.space, r.queries) for r in reports] == [
        ("notes", "e5-0", 25), ("notes", "e5-1", 25), ("other", "e5-1", 1),
    ]  # fmt: skip
    assert [r.collection for r in monitor(queries, Settings(), collection="other")] == ["other"]
    other = monitor(queries[:1], Settings(), before=queries[1:2])[0].drift
    assert other.queries_before == 0
    with pytest.raises(InputError, match=r"\[3, 4\] dimensions in the space e5-1"):
        monitor([replace(query, space="e5-1") for query in queries], Settings())


def test_drift_of_what_is_asked():
    def period(middle, confidence, seed):
        vectors = around(middle, 40, seed=seed, spread=0.3)
        noise = np.random.default_rng(seed).uniform(-0.1, 0.1, 40)
        return [logged(n, vector=v, confidence=confidence + noise[n]) for n, v in enumerate(vectors)]

    before = period([1, 0, 0], 0.8, 0)
    same = monitor(period([1, 0, 0], 0.8, 1), Settings(), before=before)[0].drift
    moved = monitor(period([0, 1, 0], 0.62, 1), Settings(), before=before)[0].drift
    assert same.vectors["p"] > 0.01 > moved.vectors["p"]
    assert same.confidence["psi"] < 1 < moved.confidence["psi"]
    few = monitor(period([1, 0, 0], 0.8, 1)[:10], Settings(), before=before)[0].drift
    assert (few.vectors, few.confidence, few.queries_before) == (None, None, 40)


def test_gaps_are_counted_and_told_only_when_asked():
    sure = [logged(n, vector=v, query=f"known {n}") for n, v in enumerate(around([1, 0, 0], 30))]
    weak = [
        logged(n, vector=v, query=f"about {'tax' if n < 12 else 'cats'} {n}", confidence=0.1, hits=n % 2)
        for n, v in enumerate(np.concatenate([around([0, 1, 0], 12), around([0, 0, 1], 8)]))
    ]
    (report,) = monitor(sure + weak, Settings())
    assert sum(gap.queries for gap in report.gaps) == 20
    assert report.gaps[0].confidence == pytest.approx(0.1)
    assert "about" not in json.dumps(report.to_dict())
    (told,) = monitor(sure + weak, Settings(with_texts=True))
    for gap in told.gaps:
        assert len({text.split()[1] for text in gap.texts}) == 1
    assert {gap.texts[0].split()[1] for gap in told.gaps} == {"tax", "cats"}
    assert monitor(sure, Settings())[0].gaps == []


def test_texts_without_vectors_are_embedded_in_their_space_only():
    queries = [logged(n, query=f"q{n}", space=f"e5-{n % 2}") for n in range(60)]

    def embed(space, texts):
        return around([1, 0, 0], len(texts)) if space == "e5-1" else None

    reports = {r.space: r for r in monitor(queries, Settings(), before=queries, embed=embed)}
    assert reports["e5-1"].vectors_known == 30
    assert reports["e5-1"].drift.vectors["p"] == 1
    assert reports["e5-0"].vectors_known == 0
    assert reports["e5-0"].drift.vectors is None
