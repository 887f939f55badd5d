"""The load: one process that sends requests and notes what comes back.

    python benchmarks/servers/load.py < SPECIFICATION.json

Closed: so many clients, each of which sends its next request when it has its answer. Open: requests at a rate,
whether or not those before them are answered. It measures its own processor time, so that one can see whether it was
in the way.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import httptools

Asked = bytes
_PATIENCE = 10
"""Where two answers for each client take longer than asked, so many times as long; a moment's rate says nothing."""


@dataclass(slots=True)
class Seen:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    """Of answers with status 200."""
    broken: int = 0
    """Connections that ended without an answer."""
    without_retry: int = 0
    """429s that do not say when to try again."""
    received: int = 0
    """Bytes."""
    seconds: float = 0.0


class Client(asyncio.Protocol):
    """One connection. Sends `requests` one after the other, or one and then says that it is free."""

    def __init__(self, seen: Seen, requests: Iterator[Asked] | None = None, free: "list[Client] | None" = None) -> None:
        self._seen, self._requests, self._free = seen, requests, free
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._sent = 0.0
        self._retry = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        if self._requests is not None:
            self.ask(next(self._requests))

    def ask(self, request: Asked) -> None:
        """Send a request."""
        self._sent, self._retry = time.perf_counter(), False
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._seen.received += len(data)
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002 - httptools' signature
        """Note what a refusal must have."""
        self._retry = self._retry or name.lower() == b"retry-after"

    def on_message_complete(self) -> None:
        """Note an answer; go on."""
        status = self._parser.get_status_code()
        seen = self._seen
        seen.statuses[status] += 1
        if status == 200:
            seen.milliseconds.append((time.perf_counter() - self._sent) * 1e3)
        seen.without_retry += status == 429 and not self._retry
        self._sent = 0.0
        if self._requests is not None:
            self.ask(next(self._requests))
        elif self._free is not None:
            self._free.append(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note an answer that will not come."""
        self._seen.broken += bool(self._sent)
        if self._free is not None and self in self._free:
            self._free.remove(self)

    def close(self) -> None:
        """Go, whatever is still to come."""
        self._sent = 0.0
        self._transport.close()


def requests_of(specification: dict[str, Any]) -> list[Asked]:
    """Return the requests as they go over the wire: one text each, in OpenAI's form."""
    found = []
    for text in specification["texts"]:
        body = json.dumps({"model": specification["model"], "input": text}).encode()
        lines = [
            f"POST {specification['path']} HTTP/1.1",
            f"host: {specification['host']}:{specification['port']}",
            "content-type: application/json",
            f"content-length: {len(body)}",
        ]
        found.append("\r\n".join([*lines, "", ""]).encode() + body)
    return found


async def closed(specification: dict[str, Any], requests: Iterator[Asked]) -> Seen:
    """Keep `clients` requests at work for `seconds`, or longer where answers are slow; `warmup` is not counted."""
    loop, seen = asyncio.get_running_loop(), Seen()
    clients = []
    for _ in range(specification["clients"]):
        made = await loop.create_connection(
            lambda: Client(seen, requests), specification["host"], specification["port"]
        )
        clients.append(made[1])
    await asyncio.sleep(specification.get("warmup", 0.5))
    seen.statuses, seen.milliseconds, seen.received = Counter(), [], 0
    begun, patience = time.perf_counter(), _PATIENCE * specification["seconds"]
    await asyncio.sleep(specification["seconds"])
    while seen.statuses.total() < 2 * len(clients) and time.perf_counter() - begun < patience:
        await asyncio.sleep(0.05)
    seconds = time.perf_counter() - begun
    result = replace(seen, statuses=seen.statuses.copy(), milliseconds=seen.milliseconds.copy(), seconds=seconds)
    for client in clients:
        client.close()
    return result


async def opened(specification: dict[str, Any], requests: Iterator[Asked]) -> Seen:
    """Send `rate` requests a second at random moments for `seconds`, and wait for the answers."""
    loop, seen = asyncio.get_running_loop(), Seen()
    free: list[Client] = []
    waiting: set[asyncio.Task[None]] = set()
    everybody: list[Client] = []

    async def connect(request: Asked) -> None:
        try:
            made = await loop.create_connection(
                lambda: Client(seen, free=free), specification["host"], specification["port"]
            )
        except OSError:
            seen.broken += 1
            return
        everybody.append(made[1])
        made[1].ask(request)

    draw, due, sent = random.Random(0), time.perf_counter(), 0  # noqa: S311 - arrivals, no secrets
    end = due + specification["seconds"]
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent += 1
        if free:
            free.pop().ask(next(requests))
        else:
            task = asyncio.ensure_future(connect(next(requests)))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        due += draw.expovariate(specification["rate"])
    patience = time.perf_counter() + specification.get("patience", 60.0)
    while seen.statuses.total() + seen.broken < sent and time.perf_counter() < patience:
        await asyncio.sleep(0.05)
    seen.broken += sent - seen.statuses.total() - seen.broken
    for client in everybody:
        client.close()
    return seen


async def run(specification: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and return what was seen."""
    requests = cycle(requests_of(specification))
    for _ in range(specification.get("start", 0)):
        next(requests)
    processor, wall = time.process_time(), time.perf_counter()
    seen = await (opened if "rate" in specification else closed)(specification, requests)
    share = (time.process_time() - processor) / (time.perf_counter() - wall)
    return {
        "statuses": {str(status): count for status, count in seen.statuses.items()},
        "milliseconds": [round(each, 3) for each in seen.milliseconds],
        "broken": seen.broken,
        "without_retry": seen.without_retry,
        "bytes": seen.received,
        "seconds": seen.seconds,
        "load_cpu": share,
    }


def main() -> None:
    specification = json.load(sys.stdin)
    if specification.get("processors") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, specification["processors"])
    try:
        import uvloop
    except ImportError:
        answer = asyncio.run(run(specification))
    else:
        answer = uvloop.run(run(specification))
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
