"""efive's trainer and sentence-transformers' side by side in one run: speed, memory, and that both do the same work.

    python benchmarks/train.py --quick                     three small cells of e5-small-v2, in minutes
    python benchmarks/train.py --json results.jsonl        the full run

See docs/benchmarks.md, "Training".
"""

import argparse
import json
import os
import platform
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from measure import flops_per_token
from roster import PEERS
from sessions import EngineFailure, Session, hub_cache
from shapes import SHAPES, Shape
from tokenizers import Tokenizer
from train_data import batch_lengths, padded_tokens, write_pairs
from train_report import print_report
from weights import write_model

from efive.training.sampling import Sampler, Stratum

PYTHONS = {"efive": Path(sys.executable), "sentence-transformers": PEERS / "current" / "bin" / "python"}
INSTALL = {"efive": "pip install 'efive[train]'", "sentence-transformers": "benchmarks/peers/setup.sh current"}
TEMPERATURE, RATE = 0.01, 2e-5
WARMUP = 1
"""Steps before the clock runs: the first allocates the optimiser's state and, on a GPU, loads kernels."""
MINI_BATCH = 32
"""Texts that the peer's cached loss encodes at once: its default."""


@dataclass(frozen=True)
class Cell:
    """What both trainers do."""

    shape: Shape
    precision: str
    passage_tokens: int
    cached: bool
    batch: int
    steps: int

    def described(self) -> dict[str, Any]:
        """Return what tells this cell from others, as JSON values."""
        own = {"precision": self.precision, "passage_tokens": self.passage_tokens, "cached": self.cached}
        return {"model": self.shape.name} | own | {"batch": self.batch, "steps": self.steps}


def drawn_order(count: int, batch: int, seed: int) -> list[int]:
    """Return the rows of a set of `count` pairs in the order in which efive draws them."""
    sampler = Sampler([Stratum(source=0, weight=1.0, size=count, batch=batch)], seed)
    return [int(row) for _ in range(count // batch) for row in sampler.next().examples]


def cells(options: argparse.Namespace) -> list[Cell]:
    """Return what is to be measured: each model with each precision and length, plain and cached."""
    found: list[Cell] = []
    for name, mode in product(options.models, options.modes):
        batch = options.large_batch if mode == "cached" else options.batch
        steps = max(1, options.steps // 2) if mode == "cached" else options.steps
        fewer = options.quick and mode == "cached"  # encoding twice in fp32 would take as long as all the rest
        each = product(options.precisions[:1] if fewer else options.precisions, options.lengths)
        found += [Cell(SHAPES[name], precision, tokens, mode == "cached", batch, steps) for precision, tokens in each]
    return found


class Run:
    """One invocation."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.records: list[dict[str, Any]] = []
        if options.report:
            self.records = [json.loads(line) for line in options.json.read_text(encoding="utf-8").splitlines()]
            return
        self._logs = options.work / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text("", encoding="utf-8")
        self._sessions: dict[str, Session] = {}

    def _session(self, name: str) -> Session:
        """Return a process with a trainer's environment, or the probe's."""
        if name not in self._sessions:
            python = PYTHONS.get(name, Path(sys.executable))
            if not python.exists():
                raise EngineFailure(f"absent; install with {INSTALL[name]}")
            log, cache = self._logs / f"train-{name}.log", hub_cache(self.options.work / "train")
            self._sessions[name] = Session(python, self.options.threads, cache, log, "train_worker.py")
        return self._sessions[name]

    def _record(self, content: dict[str, Any]) -> None:
        self.records.append(content)
        with self.options.json.open("a", encoding="utf-8") as file:
            print(json.dumps(content), file=file)

    def measure(self, cell: Cell) -> None:
        """Let the trainers take turns at one cell; who goes first alternates."""
        options = self.options
        folder = write_model(cell.shape, options.work / f"{cell.shape.name}-seed{options.seed}", seed=options.seed)
        count = cell.batch * (WARMUP + cell.steps)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        pairs = write_pairs(folder / f"pairs-{count}-seed{options.seed}.jsonl", tokenizer, count, options.seed)
        order = drawn_order(count, cell.batch, options.seed)
        lengths = batch_lengths(order, cell.batch, cell.passage_tokens, options.seed, count)[WARMUP:]
        texts = [int(n) for columns in lengths for column in columns for n in column]
        base = cell.described() | {"threads": options.threads, "device": options.device, "seed": options.seed}
        base |= {"pairs": cell.batch * cell.steps, "tokens": sum(texts)}
        # Forward once, backward twice that; what caching encodes again is overhead, not work.
        base |= {"flops": 3 * flops_per_token(cell.shape, texts) * sum(texts)}
        base |= {"padded": padded_tokens(lengths, MINI_BATCH if cell.cached else None)}
        job = {"folder": str(folder), "pairs": str(pairs), "order": order, "batch": cell.batch, "steps": cell.steps}
        job |= {"warmup": WARMUP, "passage_tokens": cell.passage_tokens, "precision": cell.precision}
        job |= {"temperature": TEMPERATURE, "rate": RATE, "cached": cell.cached, "mini_batch": MINI_BATCH}
        job |= {"device": options.device, "seed": options.seed}
        for number in range(options.rounds):
            for name in options.trainers if number % 2 == 0 else options.trainers[::-1]:
                self._turn(name, base | {"round": number}, job | {"scratch": str(options.work / f"train-{name}")})

    def _turn(self, name: str, base: dict[str, Any], job: dict[str, Any]) -> None:
        options = self.options
        try:
            limit = self._session("probe").ask("limits", threads=options.threads, device=options.device)
            answer = self._session(name).ask("train", kind=name, job=job)
            if answer.setdefault("tokens", base["tokens"]) != base["tokens"]:
                raise EngineFailure(f"trained on {answer['tokens']} tokens instead of {base['tokens']}")
        except EngineFailure as failure:
            self._record(base | {"trainer": name, "error": str(failure)})
            print(f"  {name}: {failure}", flush=True)
            if session := self._sessions.pop(name, None):
                session.close()
            return
        self._record(base | {"trainer": name, "limit": limit} | answer)
        what = f"{base['model']} {base['precision']} {base['passage_tokens']} {'cached' if base['cached'] else 'plain'}"
        rate = base["pairs"] / answer[f"{options.clock}_s"]
        print(f"  {what} round {base['round'] + 1} {name}: {rate:.2f} pairs/s by {options.clock} clock", flush=True)

    def close(self) -> None:
        """End the processes."""
        for session in self._sessions.values():
            session.close()


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; --quick only changes what is not given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="e5-small-v2, small batches, few steps")
    parser.add_argument("--models", nargs="+", choices=list(SHAPES))
    parser.add_argument("--precisions", nargs="+", choices=("bf16", "fp32"), default=["bf16", "fp32"])
    parser.add_argument("--lengths", nargs="+", type=int, help="tokens of the longest passage (default 192 512)")
    parser.add_argument("--modes", nargs="+", choices=("plain", "cached"), default=["plain", "cached"])
    parser.add_argument("--trainers", nargs="+", choices=list(PYTHONS), default=list(PYTHONS))
    parser.add_argument("--batch", type=int, help="pairs of a batch (default 64)")
    parser.add_argument("--large-batch", type=int, help="with gradient caching (default 256)")
    parser.add_argument("--steps", type=int, help="timed steps; half as many of a large batch (default 4)")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--threads", type=int, default=1, help="of every trainer (default 1)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what rates and ratios are made of")
    parser.add_argument("--json", type=Path, help="records, one JSON object per line")
    parser.add_argument("--report", action="store_true", help="only print the tables of the --json file")
    parser.add_argument("--work", type=Path, default=PEERS / "work", help="weights, pairs, logs")
    options = parser.parse_args(arguments)
    quick = options.quick
    options.models = options.models or (["e5-small-v2"] if quick else ["e5-small-v2", "multilingual-e5-small"])
    options.lengths = options.lengths or ([192] if quick else [192, 512])
    options.batch = options.batch or (16 if quick else 64)
    options.large_batch = options.large_batch or (32 if quick else 256)
    options.steps = options.steps or (2 if quick else 4)
    options.rounds = options.rounds or (2 if quick else 3)
    options.json = options.json or options.work / ("train-quick.jsonl" if quick else "train.jsonl")
    if options.device == "cuda":
        options.clock = "wall"  # the processors wait while the GPU works
    return options


def main() -> None:
    options = read_options()
    run = Run(options)
    if options.report:
        print_report(run.records, options.clock)
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, {options.device}, ", end="")
    print(f"{options.threads} thread(s) per trainer; records in {options.json}", flush=True)
    try:
        for cell in cells(options):
            run.measure(cell)
    finally:
        run.close()
        print_report(run.records, options.clock)


if __name__ == "__main__":
    main()
