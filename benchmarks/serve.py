"""efive's server and its peers' side by side in one run: throughput and latency, one text a request.

    python benchmarks/serve.py --quick                      a table in a few minutes
    python benchmarks/serve.py --json results.jsonl         the full run

Every server has the same model folder, the same processors and as many threads; the load comes from a process of its
own on the processor that is left; `--besides 1` lets servers use that one too, for what is not the model. Servers take
turns within a round. Beside them is the encoder in a process of its own, without any server: all texts in one call, and
a text a call from as many threads as there are clients.
"""

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from roster import PEERS, ROSTER
from servers.launch import KINDS, Server, end_with_us
from sessions import Session
from shapes import SHAPES
from texts import PREFIXES, TextMaker
from tokenizers import Tokenizer
from weights import write_model

from efive.models.store import BUNDLED, ModelStore

MIXES = {"a": "queries of 8-16 tokens", "b": "passages of 116 tokens on average"}
CLIENTS = (1, 8, 32, 128)
TEXTS = {"a": 4096, "b": 1024}
CALLS = "in process, a text a call"
BUSY = 0.8
"""Share of its processor beyond which the load may have been in the way."""
Record = dict[str, Any]


def model_folder(name: str, work: Path) -> Path:
    """Return the folder of the bundled model, or of random weights of a published shape."""
    return ModelStore().resolve(BUNDLED) if name == BUNDLED else write_model(SHAPES[name], work / f"{name}-seed0")


def texts_of(folder: Path, work: Path, mix: str) -> Path:
    """Return a file with the mix's texts for a model, as benchmarks/encode.py has them."""
    file = work / f"serve-{folder.name}-{mix}.json"
    if not file.exists():
        maker = TextMaker(Tokenizer.from_file(str(folder / "tokenizer.json")), 0)
        file.write_text(json.dumps({"prefix": PREFIXES[mix], "texts": maker.corpus(mix, TEXTS[mix], 0)}), "utf-8")
    return file


class Run:
    """One invocation."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Choose processors."""
        self.options, self.records = options, list[Record]()
        every = (
            sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
        )
        count = options.processors or max(1, len(every) - 1)
        self.processors, self.rest = every[:count], every[count:] or every[-1:]
        self.besides = every[count : count + options.besides]

    def record(self, **content: Any) -> None:  # noqa: ANN401
        """Keep a measurement."""
        self.records.append(content)
        with self.options.json.open("a", encoding="utf-8") as file:
            print(json.dumps(content), file=file)

    def model(self, name: str) -> None:
        """Measure all servers with one model."""
        folder = model_folder(name, self.options.work)
        servers = dict[str, Server]()
        log = self.options.work / "logs" / f"serve-{name}"
        log.parent.mkdir(parents=True, exist_ok=True)
        encoder = Session(ROSTER["efive-fp32"].python, len(self.processors), self.options.work, log)
        try:
            told = encoder.ask("load", kind="efive", folder=str(folder), threads=len(self.processors), options=_AUTO)
            print(f"{name}: {told['precision']} in process", flush=True)
            for each in self.options.servers:
                self._start(each, name, folder, servers)
            for number in range(self.options.rounds):
                for mix in self.options.mixes:
                    self._in_process(encoder, name, texts_of(folder, self.options.work, mix), mix, number)
                    for clients in self.options.clients:
                        self._callers(encoder, name, mix, clients, number)
                        for each, server in servers.items():
                            self._cell(server, each, name, folder, (mix, clients, number))
        finally:
            encoder.close()
            for server in servers.values():
                server.close()

    def _start(self, each: str, name: str, folder: Path, servers: dict[str, Server]) -> None:
        kind, work = KINDS[each], self.options.work / "servers" / f"{name}-{each}-{time.time_ns()}"
        if not kind.python.exists():
            print(f"  {kind.title} is absent: {kind.setup}", flush=True)
            return
        try:
            servers[each] = Server(kind, folder, work, self.processors, self.besides)
        except RuntimeError as error:
            self.record(model=name, server=each, error=str(error)[-500:])
            print(f"  {error}", flush=True)

    def _in_process(self, encoder: Session, name: str, file: Path, mix: str, number: int) -> None:
        """Measure the encoder without a server: all texts at once, then one after the other."""
        count = TEXTS[mix] // (8 if self.options.quick else 1)
        encoder.ask("embed", file=str(file), count=64)
        whole = encoder.ask("embed", file=str(file), count=count)
        single = encoder.ask("queries", file=str(file), start=0, count=100)
        self.record(
            model=name, server="in process", mix=mix, round=number, rate=count / whole["wall_s"],
            p50=float(np.percentile(single["query_ms"], 50)), p99=float(np.percentile(single["query_ms"], 99)),
        )  # fmt: skip

    def _callers(self, encoder: Session, name: str, mix: str, clients: int, number: int) -> None:
        """Measure the encoder without a server under the servers' load: a text a call, from so many threads."""
        file = texts_of(model_folder(name, self.options.work), self.options.work, mix)
        seen = encoder.ask("callers", file=str(file), clients=clients, seconds=self.options.seconds)
        p50, p99 = (float(np.percentile(seen["milliseconds"], each)) for each in (50, 99))
        self.record(
            model=name, server=CALLS, mix=mix, clients=clients, round=number, rate=seen["rate"], p50=p50, p99=p99
        )

    def _cell(self, server: Server, each: str, name: str, folder: Path, cell: tuple[str, int, int]) -> None:
        mix, clients, number = cell
        content = json.loads(texts_of(folder, self.options.work, mix).read_text("utf-8"))
        texts = [content["prefix"] + text for text in content["texts"]]
        seen = server.load(self.rest, texts, clients=clients, seconds=self.options.seconds, start=97 * number)
        times, right, seconds = seen["milliseconds"], seen["statuses"].get("200", 0), seen["seconds"]
        wrong = sum(seen["statuses"].values()) - right + seen["broken"]
        p50, p99 = (float(np.percentile(times, each)) if times else None for each in (50, 99))
        self.record(
            model=name, server=each, mix=mix, clients=clients, round=number, rate=right / seconds, p50=p50, p99=p99,
            wrong=wrong, load_cpu=seen["load_cpu"], bytes=seen["bytes"],
        )  # fmt: skip
        print(f"  {mix} {clients:>3} clients {each}: {right / seconds:,.0f} texts/s", flush=True)


_AUTO = {"engine": "auto", "precision": "auto"}


def report(records: list[Record]) -> str:
    """Return tables in Markdown: a model and mix each, a line for a server and number of clients, medians of rounds."""
    lines = []
    for model, mix in dict.fromkeys((r["model"], r["mix"]) for r in records if "mix" in r):
        own = [r for r in records if (r["model"], r.get("mix")) == (model, mix)]
        inside = [r for r in own if r["server"] == "in process"]
        base = median(r["rate"] for r in inside)
        lines += [
            f"\n### {model}, {MIXES[mix]}\n",
            "| clients | server | texts/s | of all in one call | of a text a call | p50 ms | p99 ms | wrong |",
        ]
        lines += ["|---|---|---|---|---|---|---|---|", _line("", "in process, all in one call", inside, base, None)]
        for clients in sorted({r["clients"] for r in own if "clients" in r}):
            for server in dict.fromkeys(r["server"] for r in own):
                found = [r for r in own if (r.get("clients"), r["server"]) == (clients, server)]
                calls = [r["rate"] for r in own if (r.get("clients"), r["server"]) == (clients, CALLS)]
                title = KINDS[server].title if server in KINDS else server
                lines += [_line(str(clients), title, found, base, median(calls))] if found else []
    busiest = max((r["load_cpu"] for r in records if "load_cpu" in r), default=0.0)
    lines.append(f"\nThe load took at most {busiest:.0%} of its processor.")
    if busiest > BUSY:
        cells = sorted({(r["model"], r["mix"], r["clients"]) for r in records if r.get("load_cpu", 0) > BUSY})
        lines.append(f"That was in the way of {cells}: the servers could do more there.")
    return "\n".join(lines)


def _line(clients: str, title: str, records: list[Record], base: float, calls: float | None) -> str:
    rate = median(r["rate"] for r in records)
    known = [r for r in records if r["p50"] is not None]
    p50, p99 = (f"{median(r[each] for r in known):.2f}" if known else "" for each in ("p50", "p99"))
    wrong = sum(r.get("wrong", 0) for r in records)
    of_calls = "" if calls is None else f"{rate / calls:.0%}"
    return f"| {clients} | {title} | {rate:,.0f} | {rate / base:.0%} | {of_calls} | {p50} | {p99} | {wrong or ''} |"


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 and 32 clients, short cells, one round")
    parser.add_argument("--models", nargs="+", choices=[BUNDLED, *SHAPES], default=[BUNDLED, "e5-small-v2"])
    parser.add_argument("--servers", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--mixes", nargs="+", choices=list(MIXES), default=list(MIXES))
    parser.add_argument("--clients", nargs="+", type=int)
    parser.add_argument("--seconds", type=float, help="of a cell, default 10, quick 2")
    parser.add_argument("--rounds", type=int, help="default 5, quick 1")
    parser.add_argument("--processors", type=int, help="of every server (default: all but one, for the load)")
    parser.add_argument("--besides", type=int, default=0, help="processors for HTTP and the like, shared with the load")
    parser.add_argument("--json", type=Path, help="records, one JSON object per line")
    parser.add_argument("--work", type=Path, default=PEERS / "work", help="weights, texts, homes, logs")
    options = parser.parse_args()
    options.clients = options.clients or ([1, 32] if options.quick else list(CLIENTS))
    options.seconds = options.seconds or (2.0 if options.quick else 10.0)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    options.json = options.json or options.work / "serve.jsonl"
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text("")
    return options


def main() -> None:
    end_with_us()
    options = read_options()
    run = Run(options)
    print(
        f"servers on {len(run.processors)} processor(s), the load on {run.rest}; records in {options.json}", flush=True
    )
    try:
        for name in options.models:
            run.model(name)
    finally:
        print(report(run.records))


if __name__ == "__main__":
    main()
