"""Elasticsearch's API: how busy `_bulk` keeps the encoder, and what a semantic query costs beside encoder and store.

    python benchmarks/elastic.py --quick                    the bundled model, a few minutes
    python benchmarks/elastic.py --models bundled multilingual-e5-small --json results.jsonl

Texts are passages of 116 tokens on average, never the same twice; each request has 500 of them. The server is a process
of its own; the encoder without it embeds the same number of texts in this process, in turns with the server. `busy` is
the share of the time in which the server's engine computed, `ratio` that of the encoder's tokens per second.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from serve import model_folder
from texts import PREFIXES, TextMaker, token_counts
from tokenizers import Tokenizer

from efive import Encoder
from efive.search.collection import Collection

TOGETHER = 500
"""Passages of a request."""
CLIENTS = (1, 2)
QUERIES = 200
MAPPINGS = {"properties": {"body": {"type": "semantic_text", "inference_id": "measured"}, "n": {"type": "long"}}}
LINES = {"content-type": "application/x-ndjson"}


@contextlib.contextmanager
def served(folder: Path, home: Path, threads: int) -> Iterator[httpx.Client]:
    """Run a server that has the model as `measured`."""
    command = [sys.executable, "-m", "efive", "serve", "--port", "0", "--threads", str(threads), "-m"]
    environment = {**os.environ, "EFIVE_HOME": str(home)}
    process = subprocess.Popen([*command, f"measured={folder}"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        url = next((found[0] for line in lines if (found := re.search(r"http://[0-9.:]+", line))), None)
        if url is None:
            raise SystemExit("the server did not start")
        threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
        with httpx.Client(base_url=url, timeout=600) as client:
            while client.get("/health/ready").status_code != 200:
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def bodies(index: str, texts: Sequence[str]) -> list[bytes]:
    """Return requests that write texts into an index."""
    found = []
    for start in range(0, len(texts), TOGETHER):
        lines = []
        for number, text in enumerate(texts[start : start + TOGETHER], start):
            lines += [{"index": {"_index": index, "_id": f"{index}-{number}"}}, {"body": text, "n": number}]
        found.append("".join(json.dumps(line) + "\n" for line in lines).encode())
    return found


def bulk(client: httpx.Client, index: str, texts: Sequence[str], clients: int) -> float:
    """Write texts from so many clients at once, and return the seconds until the last answer."""
    requests = bodies(index, texts)

    def send(body: bytes) -> None:
        answer = client.post("/es/_bulk", content=body, headers=LINES)
        if answer.status_code != 200 or answer.json()["errors"]:
            raise SystemExit(f"a bulk request failed: {answer.text[:500]}")

    with ThreadPoolExecutor(clients) as threads:
        begun = time.perf_counter()
        list(threads.map(send, requests))
        return time.perf_counter() - begun


def computed(client: httpx.Client) -> float:
    """Return the seconds that the server's engine has computed for so far."""
    found = re.search(r'^efive_busy_seconds_total{model="measured"} (\S+)$', client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def milliseconds(work: Any, queries: Sequence[str]) -> float:  # noqa: ANN401 - any call
    """Return the median of the time that a call takes."""
    times = []
    for query in queries:
        begun = time.perf_counter()
        work(query)
        times.append(1000 * (time.perf_counter() - begun))
    return median(times)


class Run:
    """One invocation."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.threads = options.threads or len(os.sched_getaffinity(0))

    def record(self, **content: Any) -> None:  # noqa: ANN401
        """Show a measurement, and keep it."""
        print("  " + ", ".join(f"{name} {value}" for name, value in content.items()), flush=True)
        if self.options.json:
            with self.options.json.open("a", encoding="utf-8") as file:
                print(json.dumps(content), file=file)

    def model(self, name: str) -> None:
        """Measure one model."""
        folder = model_folder(name, self.options.work)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        maker, home = TextMaker(tokenizer, 0), Path(tempfile.mkdtemp(dir=self.options.work))
        with served(folder, home, self.threads) as client, Encoder.load(folder, threads=self.threads) as encoder:
            print(f"{name}: {encoder.space.precision}, {self.threads} threads", flush=True)
            client.put("/es/docs", json={"mappings": MAPPINGS}).raise_for_status()
            bulk(client, "docs", maker.corpus("b", 64, 999), 1)
            for number in range(self.options.rounds):
                self._round(client, encoder, maker, tokenizer, number)
            self._queries(client, encoder, maker, home)

    def _round(
        self, client: httpx.Client, encoder: Encoder, maker: TextMaker, tokenizer: Tokenizer, number: int
    ) -> None:
        count = TOGETHER * self.options.requests
        for clients in CLIENTS:
            texts = maker.corpus("b", count, 10 * number + clients)
            tokens = int(token_counts(tokenizer, [PREFIXES["b"] + text for text in texts]).sum())
            begun = time.perf_counter()
            encoder.embed_passages(texts)
            alone = time.perf_counter() - begun
            before = computed(client)
            seconds = bulk(client, "docs", [f"{text} {number}{clients}" for text in texts], clients)
            self.record(
                round=number, clients=clients, documents=count, busy=round((computed(client) - before) / seconds, 3),
                encoder=round(tokens / alone), bulk=round(tokens / seconds), ratio=round(alone / seconds, 3),
            )  # fmt: skip

    def _queries(self, client: httpx.Client, encoder: Encoder, maker: TextMaker, home: Path) -> None:
        """Compare a semantic query with what encoder and store take for it in this process, without a server."""
        queries = maker.corpus("a", 3 * QUERIES, 77)

        def ask(query: str) -> None:
            body = {"query": {"semantic": {"field": "body", "query": query}}, "size": 10}
            client.post("/es/docs/_search", json=body).raise_for_status()

        with Collection.open(home / "collections" / "docs", create=False) as collection:

            def nearest(query: str) -> None:
                collection.snapshot().dense(encoder.embed_queries([query]).vectors[0], 10, None)

            own = milliseconds(nearest, queries[:QUERIES])
        semantic = milliseconds(ask, queries[QUERIES : 2 * QUERIES])
        health = milliseconds(lambda _: client.get("/es/_cluster/health"), queries[:QUERIES])
        self.record(
            semantic_ms=round(semantic, 2), encoder_and_store_ms=round(own, 2), added_ms=round(semantic - own, 2),
            bare_request_ms=round(health, 2),
        )  # fmt: skip


def main() -> None:
    """Measure the models asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["bundled"], help="bundled, or shapes of benchmarks/shapes.py")
    parser.add_argument("--quick", action="store_true", help="one round of two requests")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=8, help="of 500 passages each, in every measurement")
    parser.add_argument("--threads", type=int, help="of the encoder; all processors by default")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "efive-benchmarks")
    parser.add_argument("--json", type=Path, help="a file to which every measurement is appended")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.requests = 1, 2
    options.work.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    for name in options.models:
        run.model(name)


if __name__ == "__main__":
    main()
