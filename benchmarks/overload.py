"""Twice the load that the server can bear: what it does with the rest, and whether it stays as it is.

    python benchmarks/overload.py --seconds 60

First measures what it can bear with as many clients as keep it busy, then sends twice as much at random moments,
whether or not it answers. Fails unless memory is flat, nothing gets a 5xx or no answer at all, what is refused is a
429 that says when to try again, and what is accepted is answered in bounded time.
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from roster import PEERS
from serve import MIXES, Run, model_folder, texts_of
from servers.launch import KINDS, Server, end_with_us
from shapes import SHAPES

from efive.models.store import BUNDLED

CLIENTS = 64
WAIT = 2.0
"""Seconds that the last one in the queue may expect to wait, by the server's setting."""
SLACK = 2.0
"""How much longer an accepted request may take than that, as a factor: the estimate is one, and batches take time."""
GROWTH, ROOM = 1.05, 24 << 20
"""How much memory may grow from the first third to the last, as a factor and in bytes."""


class Watch:
    """Notes a server's memory every second."""

    def __init__(self, server: Server) -> None:
        """Begin."""
        self.bytes: list[tuple[int, int]] = []
        self._server, self._end = server, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(1.0):
            self.bytes.append(self._server.memory())

    def thirds(self) -> list[tuple[float, float]]:
        """Return, for the server and for its engines, the medians of the second and of the last third, in bytes.

        In the first one queues still fill, and engines meet lengths that they have not had.
        """
        self._end.set()
        self._thread.join()
        third = max(1, len(self.bytes) // 3)
        middle, last = self.bytes[third : 2 * third] or self.bytes, self.bytes[-third:]
        return [(median(each[i] for each in middle), median(each[i] for each in last)) for i in (0, 1)]


def overload(options: argparse.Namespace) -> list[tuple[str, bool, str]]:
    """Return what was checked: a name, whether it held, and the numbers."""
    run = Run(options)
    folder = model_folder(options.model, options.work)
    content = texts_of(folder, options.work, options.mix)
    texts = _texts(content)
    work = options.work / "servers" / f"overload-{time.time_ns()}"
    server = Server(KINDS["efive"], folder, work, run.processors, wait=WAIT)
    try:
        bears = server.load(run.rest, texts, clients=CLIENTS, seconds=options.measure)
        capacity = bears["statuses"].get("200", 0) / bears["seconds"]
        print(f"{options.model}, {MIXES[options.mix]}: bears {capacity:,.0f} texts/s; twice that follows", flush=True)
        watch = Watch(server)
        seen = server.load(run.rest, texts, rate=2 * capacity, seconds=options.seconds)
        memory = watch.thirds()
        server.ask("GET", "/health/ready")
    finally:
        server.close()
    return checks(seen, capacity, options.seconds, memory)


def _texts(file: Path) -> list[str]:
    content = json.loads(file.read_text("utf-8"))
    return [content["prefix"] + text for text in content["texts"]]


def checks(
    seen: dict[str, Any], capacity: float, seconds: float, memory: list[tuple[float, float]]
) -> list[tuple[str, bool, str]]:
    """Judge what was seen."""
    statuses, broken = seen["statuses"], seen["broken"]
    accepted, refused = statuses.get("200", 0), statuses.get("429", 0)
    p99 = float(np.percentile(seen["milliseconds"], 99)) / 1e3 if accepted else float("inf")
    bound = WAIT * (1 + SLACK)
    return [
        ("it is overloaded", refused > 0, f"{accepted} accepted, {refused} refused"),
        ("refused ones get 429, nobody a 5xx", set(statuses) <= {"200", "429"}, f"statuses {statuses}"),
        ("every request has an answer", not broken, f"{broken} without"),
        ("a 429 says when to try again", not seen["without_retry"], f"{seen['without_retry']} do not"),
        ("accepted ones are answered in time", p99 <= bound, f"p99 {p99:.2f} s, at most {bound:.1f} s"),
        ("it does its work all the while", accepted >= 0.7 * capacity * seconds, f"{accepted / seconds:,.0f} texts/s"),
        *(
            (
                f"memory of {who} is flat",
                late <= early * GROWTH + ROOM,
                f"{early / 1e6:.0f} MB, then {late / 1e6:.0f} MB",
            )
            for who, (early, late) in zip(("the server", "its engines"), memory, strict=True)
        ),
    ]


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="of overload (default ten minutes)")
    parser.add_argument("--measure", type=float, default=10.0, help="seconds that its capacity is measured for")
    parser.add_argument("--model", choices=[BUNDLED, *SHAPES], default="e5-small-v2")
    parser.add_argument("--mix", choices=list(MIXES), default="b")
    parser.add_argument("--processors", type=int, help="of the server (default: all but one, for the load)")
    parser.add_argument("--work", type=Path, default=PEERS / "work", help="weights, texts, homes, logs")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def main() -> None:
    end_with_us()
    found = overload(read_options())
    for name, held, numbers in found:
        print(f"{'ok  ' if held else 'FAIL'} {name}: {numbers}")
    sys.exit(not all(held for _, held, _ in found))


if __name__ == "__main__":
    main()
