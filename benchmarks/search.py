"""Measure the store of collections: recall, latency, time to build, disk and memory, by number of passages.

    python benchmarks/search.py --quick                      10k and 50k passages, in two minutes
    python benchmarks/search.py --json figures.jsonl         10k, 200k and 1M
    python benchmarks/search.py --vectors int8 --sizes 200000

Vectors are made up, in the form of E5's (see `Maker`); everything else is the store as collections use it, with one
passage for each document. Recall is against numpy's exact search among all passages that the filter lets through.
Each size is written by one process and read by another, so that the memory of both is known.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from report import print_table

from efive.search.conditions import Compare, Condition
from efive.search.documents import Document
from efive.search.lance.codec import Codec, Vectors
from efive.search.lance.table import LanceStore
from efive.search.store import Entry, Passage, Snapshot

Floats = npt.NDArray[np.float32]
DIMENSION = 384
BLOCK = 5_000
QUERIES = 200
SHARES = (1.0, 0.1, 0.01, 0.001)
LIMITS = (10, 100)
"""What a search by vectors alone shows, and what a hybrid one asks for."""


class Maker:
    """Passages and queries like E5's, block by block, the same ones for the same seed.

    All vectors share one direction: random pairs have a cosine of 0.751 +- 0.03. What is left follows a power law over
    the dimensions, in a random rotation, half of it a topic's and half the passage's own. A topic has 40 passages on
    average, and the ten nearest passages of a query have a mean cosine of 0.90.
    """

    _COMMON, _OF_TOPIC, _DECAY, _TOPIC = 0.751, 0.53, 0.7, 40

    def __init__(self, size: int, seed: int) -> None:
        """Draw the space and the topics."""
        self.size, self._seed = size, seed
        rng = np.random.default_rng([seed, 0])
        rotation = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0]
        spectrum = np.arange(1, DIMENSION + 1) ** -self._DECAY
        self._basis = (np.sqrt(spectrum / spectrum.sum())[:, None] * rotation).astype(np.float32)
        common = rng.standard_normal(DIMENSION).astype(np.float32)
        self._common = common / np.linalg.norm(common)
        self._topics = rng.standard_normal((max(size // self._TOPIC, 1), DIMENSION), dtype=np.float32)
        words = np.arange(1, 30_001) ** -1.05
        self._words = words / words.sum()

    def vectors(self, count: int, *stream: int) -> Floats:
        """Return vectors that nothing else is drawn with: (count, 384), unit length."""
        rng = np.random.default_rng([self._seed, *stream])
        topics = self._topics[rng.integers(len(self._topics), size=count)]
        own = rng.standard_normal((count, DIMENSION), dtype=np.float32)
        rest = (np.sqrt(self._OF_TOPIC) * topics + np.sqrt(1 - self._OF_TOPIC) * own) @ self._basis
        found = np.sqrt(self._COMMON) * self._common + np.sqrt(1 - self._COMMON) * rest
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    def terms(self, count: int, length: int, *stream: int) -> list[str]:
        """Return texts of words as frequent as in natural language."""
        rng = np.random.default_rng([self._seed, *stream])
        drawn = rng.choice(len(self._words), size=(count, length), p=self._words)
        return [" ".join(f"w{word}" for word in row) for row in drawn.tolist()]

    def places(self, block: int) -> npt.NDArray[np.float64]:
        """Return the number in the metadata of a block's passages, even between 0 and 1."""
        return np.random.default_rng([self._seed, 4, block]).random(min(BLOCK, self.size - block * BLOCK))

    def blocks(self) -> Iterator[tuple[Floats, npt.NDArray[np.float64], list[Entry]]]:
        """Yield vectors, numbers and documents."""
        for block in range(-(-self.size // BLOCK)):
            places = self.places(block)
            vectors, texts = self.vectors(len(places), 1, block), self.terms(len(places), 40, 2, block)
            rows = zip(vectors, places.tolist(), texts, strict=True)
            yield vectors, places, [_entry(block * BLOCK + i, *row) for i, row in enumerate(rows)]

    def queries(self) -> Floats:
        """Return vectors that are not among the passages'."""
        return self.vectors(QUERIES, 3)

    def center(self) -> Floats:
        """Return the mean of a few vectors, as collections take it from a few texts."""
        return np.asarray(self.vectors(64, 5).mean(axis=0), np.float32)


def _entry(row: int, vector: Floats, place: float, text: str) -> Entry:
    name = f"{row:07d}"
    metadata = {"place": place, "shelf": f"shelf {row % 50}"}
    passage = Passage(name, 0, text, 0, len(text), 1, None, (), metadata)
    return Entry(Document(name, text, metadata), f"{row}:0", [passage], [text], vector[None])


class Truth:
    """The exact nearest passages of all queries, among those that each filter lets through."""

    def __init__(self, queries: Floats) -> None:
        """Begin with no passages."""
        self._queries = queries
        self._best = {share: (np.empty((QUERIES, 0), np.float32), np.empty((QUERIES, 0), int)) for share in SHARES}
        self._seen = 0

    def add(self, vectors: Floats, places: npt.NDArray[np.float64]) -> None:
        """Take in a block."""
        scores = self._queries @ vectors.T
        rows = np.broadcast_to(self._seen + np.arange(len(vectors)), scores.shape)
        for share, (best, at) in self._best.items():
            through = places < share
            every = np.hstack([best, scores[:, through]])
            names = np.hstack([at, rows[:, through]])
            order = np.argsort(-every, axis=1)[:, : max(LIMITS)]
            self._best[share] = np.take_along_axis(every, order, 1), np.take_along_axis(names, order, 1)
        self._seen += len(vectors)

    def names(self) -> dict[float, list[list[int]]]:
        """Return the rows, best first, by the filter's share."""
        return {share: at.tolist() for share, (_, at) in self._best.items()}


def write(folder: Path, size: int, kind: str, seed: int) -> dict[str, Any]:
    """Fill a store and build its indices, searching meanwhile."""
    maker = Maker(size, seed)
    queries = maker.queries()
    truth, seconds = Truth(queries), 0.0
    store = LanceStore(folder, Codec(Vectors(kind), maker.center()), create=True)
    for vectors, places, entries in maker.blocks():
        truth.add(vectors, places)
        started = time.perf_counter()
        store.replace(entries)
        seconds += time.perf_counter() - started
    (folder / "truth.json").write_text(json.dumps(list(truth.names().items())), encoding="utf-8")
    before = _peak()
    build, meanwhile = _maintained(store, queries)
    return {
        "rows_per_s": size / seconds,
        "build_s": build,
        "meanwhile": meanwhile,
        "disk_mb": store.bytes() / 1e6,
        "ingest_mb": before,
        "build_mb": _peak(),
    }


def _maintained(store: LanceStore, queries: Floats) -> tuple[float, dict[str, Any]]:
    """Return how long upkeep takes, and the latency of searches until then."""
    took: list[float] = []

    def maintain() -> None:
        started = time.perf_counter()
        store.maintain(force=True)
        took.append(time.perf_counter() - started)

    _timed(lambda query: store.snapshot().dense(query, 10, None), queries[:5])
    thread = threading.Thread(target=maintain)
    thread.start()
    times: list[float] = []
    while thread.is_alive():
        times += _timed(lambda query: store.snapshot().dense(query, 10, None), queries[:1])[0]
    thread.join()
    return took[0], _latency(times)


def read(folder: Path, size: int, kind: str, seed: int) -> dict[str, Any]:
    """Search a store in every way, as a process that only reads."""
    maker = Maker(size, seed)
    queries = maker.queries()
    truth = dict(json.loads((folder / "truth.json").read_text(encoding="utf-8")))
    before = _resident()
    started = time.perf_counter()
    snapshot = LanceStore(folder, Codec(Vectors(kind), maker.center())).snapshot()
    snapshot.dense(queries[0], 10, None)
    first = time.perf_counter() - started
    searches = {}
    for limit in LIMITS:
        for share in SHARES:
            name = f"dense, {limit} best" + (f", {share:.1%} filter" if share < 1 else "")
            searches[name] = _recalled(_dense(snapshot, limit, share), queries, truth[share], limit)
        if limit == 10:
            plain = _resident()
    asked = maker.terms(QUERIES, 3, 6)
    times, _ = _timed(lambda terms: snapshot.text(terms.split(), 100, None), asked)
    searches["text, 100 best"] = _latency(times)
    exact = _dense(snapshot, 10, 1.0, exact=True)
    searches["exact, 10 best"] = _recalled(exact, queries[: QUERIES // 4], truth[1.0], 10)
    return {
        "searches": searches,
        "first_ms": 1e3 * first,
        "read_mb": plain - before,
        "read_all_mb": _resident() - before,
    }


def _dense(snapshot: Snapshot, limit: int, share: float, *, exact: bool = False) -> Callable[[Floats], list[str]]:
    where: Condition | None = Compare("place", "<", share) if share < 1 else None
    return lambda query: snapshot.dense(query, limit, where, exact=exact).documents


def _recalled(
    search: Callable[[Floats], list[str]], queries: Floats, truth: list[list[int]], limit: int
) -> dict[str, Any]:
    times, found = _timed(search, queries)
    wanted = [set(rows[:limit]) for rows in truth[: len(queries)]]
    right = sum(len(rows & {int(name) for name in names}) for rows, names in zip(wanted, found, strict=True))
    return {"recall": right / max(sum(map(len, wanted)), 1)} | _latency(times)


def _timed(search: Callable[[Any], Any], queries: Any) -> tuple[list[float], list[Any]]:  # noqa: ANN401
    times, found = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(search(query))
        times.append(1e3 * (time.perf_counter() - started))
    return times, found


def _latency(times: list[float]) -> dict[str, Any]:
    if not times:
        return {"count": 0, "p50_ms": None, "p99_ms": None}
    return {
        "count": len(times), "p50_ms": float(np.percentile(times, 50)), "p99_ms": float(np.percentile(times, 99)),
        "most_ms": max(times),
    }  # fmt: skip


def _peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _apart(function: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """Call in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _print(record: Mapping[str, Any]) -> None:
    during = record["meanwhile"]
    print(f"\n### {record['size']:,} passages, {record['vectors']}\n")
    rows = [
        [name, f"{one['recall']:.3f}" if "recall" in one else "", f"{one['p50_ms']:.1f}", f"{one['p99_ms']:.1f}"]
        for name, one in record["searches"].items()
    ]
    if during["count"]:
        rows.append(["dense, during upkeep", "", f"{during['p50_ms']:.1f}", f"{during['p99_ms']:.1f}"])
    print_table(["search", "recall", "p50 ms", "p99 ms"], rows)
    print(
        f"\nwritten {record['rows_per_s']:,.0f} passages/s, upkeep {record['build_s']:.1f} s, "
        f"disk {record['disk_mb']:,.0f} MB; memory: peak of writing {record['ingest_mb']:,.0f} MB, with upkeep "
        f"{record['build_mb']:,.0f} MB, a reader's {record['read_mb']:,.0f} MB, once it has searched in every way "
        f"{record['read_all_mb']:,.0f} MB; first search {record['first_ms']:.0f} ms",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10k and 50k passages")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of passages (default 10k, 200k, 1M)")
    parser.add_argument("--vectors", nargs="+", choices=[*Vectors], default=[Vectors.FLOAT32], help="how they are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="append the figures to this file, one JSON object per size")
    parser.add_argument("--keep", type=Path, help="keep the stores in this folder")
    options = parser.parse_args()
    sizes = options.sizes or ([10_000, 50_000] if options.quick else [10_000, 200_000, 1_000_000])
    for kind in options.vectors:
        for size in sizes:
            with tempfile.TemporaryDirectory() as temporary:
                folder = (options.keep or Path(temporary)) / f"{kind}-{size}"
                folder.mkdir(parents=True)
                arguments = folder, size, str(kind), options.seed
                record = {"size": size, "vectors": str(kind), "seed": options.seed}
                record |= _apart(write, *arguments)
                record |= _apart(read, *arguments)
            _print(record)
            if options.json:
                with options.json.open("a", encoding="utf-8") as file:
                    print(json.dumps(record), file=file)


if __name__ == "__main__":
    main()
