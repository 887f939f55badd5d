"""efive and its peers side by side in one run: speed, latency, memory, and how close each stays to fp32.

    python benchmarks/encode.py --quick                     a table in a few minutes
    python benchmarks/encode.py --json results.jsonl        the full run; add --resume to continue one
    python benchmarks/encode.py --device cuda               on GPUs: efive and sentence-transformers

See docs/benchmarks.md.
"""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import flops_per_token, min_cosine
from report import print_report
from roster import BASELINES, PEERS, ROSTER, Contestant
from sessions import EngineFailure, Pool, Session, probe_python
from shapes import SHAPES, Shape
from texts import MIXES, PREFIXES, TextMaker, lengths
from tokenizers import Tokenizer
from weights import write_model

FULL_TEXTS = {"cpu": {"a": 4096, "b": 4096, "c": 256}, "cuda": {"a": 131_072, "b": 32_768, "c": 8192}}
FEWEST_TEXTS = {"cpu": {"a": 1024, "b": 512, "c": 8}, "cuda": {"a": 16_384, "b": 4096, "c": 1024}}
"""Models that cost more per token than e5-small get fewer texts in proportion, but never fewer than these."""
QUICK_TEXTS = {"cpu": {"a": 256, "b": 96, "c": 8}, "cuda": {"a": 16_384, "b": 4096, "c": 1024}}
WARMING_TEXTS = {"cpu": 64, "cuda": 2048}
"""At most; a first call compiles, allocates, captures and looks for the best batch size, which is not measured."""
COMPARED = 256
"""Texts of each mix whose vectors are compared with the baseline's."""
QUERIES = 50
"""Single queries timed per engine and round."""


@dataclass(frozen=True)
class Cell:
    """One mix of one model, as every engine gets it."""

    shape: Shape
    mix: str
    file: Path
    tokens: int
    count: int
    flops: float


class Run:
    """One invocation: what to measure, and where the records go."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Read earlier records where the run is to be resumed."""
        self.options = options
        self.folder: Path = options.work
        self.logs = self.folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.records: list[dict[str, Any]] = []
        if options.resume and options.json.exists():
            self.records = [json.loads(line) for line in options.json.read_text().splitlines()]
        elif options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text("")
        self._done = {self._key(record) for record in self.records if "tokens" in record}
        self._failed: dict[tuple[str, str], dict[str, str]] = {}
        python = None if options.report else Path(sys.executable) if options.device == "cuda" else probe_python()
        self._probe = Session(python, options.threads, self.folder, self.logs / "probe.log") if python else None

    @staticmethod
    def _key(record: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(record[k] for k in ("model", "mix", "engine", "round", "texts", "threads", "seed"))

    def _record(self, **content: Any) -> None:  # noqa: ANN401
        self.records.append(content)
        with self.options.json.open("a", encoding="utf-8") as file:
            print(json.dumps(content), file=file)

    def model(self, shape: Shape) -> None:
        """Measure every mix of one model, round by round, engine by engine."""
        options = self.options
        vocabulary = options.vocab and options.vocab.resolve()
        variant = f"{shape.name}-seed{options.seed}" + ("-vocab" if vocabulary else "")
        folder = write_model(shape, self.folder / variant, vocabulary=vocabulary, seed=options.seed)
        cells = self._cells(shape, folder)
        # What one engine may need beside the others: its weights three times over, and room to work.
        pool = Pool(folder, options.threads, self.logs, reserve_mb=shape.parameters * 12 / 1e6 + 3_000)
        try:
            for mix, cell in cells.items():
                for number in range(options.rounds):
                    for name in options.engines:
                        self._turn(pool, ROSTER[name], cell, number)
                    print(f"{shape.name} {mix} round {number + 1} of {options.rounds} done", flush=True)
        finally:
            pool.close()

    def _cells(self, shape: Shape, folder: Path) -> dict[str, Cell]:
        maker = TextMaker(Tokenizer.from_file(str(folder / "tokenizer.json")), self.options.seed)
        cells = {}
        for mix in self.options.mixes:
            count = self.texts(shape, mix)
            wanted = lengths(mix, count, self.options.seed)
            file = folder / f"texts-{mix}-{count}.json"
            if not file.exists():
                corpus = maker.corpus(mix, count, self.options.seed)
                file.write_text(json.dumps({"prefix": PREFIXES[mix], "texts": corpus}), encoding="utf-8")
            flops = flops_per_token(shape, wanted) * float(wanted.sum())
            cells[mix] = Cell(shape, mix, file, int(wanted.sum()), count, flops)
        return cells

    def texts(self, shape: Shape, mix: str) -> int:
        """Return how many texts the cell has: fewer for the models that cost more per token."""
        if self.options.texts:
            return int(self.options.texts)
        if self.options.quick:
            return QUICK_TEXTS[self.options.device][mix]
        fewest, full = FEWEST_TEXTS[self.options.device][mix], FULL_TEXTS[self.options.device][mix]
        return max(fewest, full * 12 * 384**2 // (shape.layers * shape.hidden**2))

    def _turn(self, pool: Pool, who: Contestant, cell: Cell, number: int) -> None:
        """Let one engine do one cell once, unless that is done or the engine has failed before."""
        options = self.options
        base = {"model": cell.shape.name, "mix": cell.mix, "engine": who.name, "round": number}
        base |= {"texts": cell.count, "threads": options.threads, "seed": options.seed}
        if self._key(base) in self._done:
            return
        if not who.python.exists():
            self._failed[cell.shape.name, who.name] = {"absent": who.install_command}
        if failed := self._failed.get((cell.shape.name, who.name)):
            if number == 0:
                self._record(**base, **failed)
            return
        try:
            session, info, fresh = pool.get(who)
            if fresh or number == 0:
                most = WARMING_TEXTS[options.device]
                session.ask("warm", file=str(cell.file), count=max(2, min(cell.count // 16, most)))
            limit = self._limit()
            vectors = self._vectors_file(cell, who.name)
            answer = session.ask("embed", file=str(cell.file), save=str(vectors), keep=COMPARED)
            one = {"file": str(cell.file), "start": number * QUERIES % cell.count, "count": QUERIES}
            queries = session.ask("queries", **one) if cell.mix == "a" else {}
        except EngineFailure as failure:
            pool.drop(who.name)
            self._failed[cell.shape.name, who.name] = {"error": str(failure)}
            self._record(**base, error=str(failure))
            print(f"  {who.name}: {failure}", flush=True)
            return
        own = {"precision": info["precision"], "version": info["version"], "load_s": info["load_s"]}
        own |= {"tokens": cell.tokens, "flops": cell.flops, "limit": limit, "at": time.time()}
        own |= {"cosine": self._cosine(cell, vectors)}
        own |= {f"query_{k}".replace("query_query_", "query_"): v for k, v in queries.items()}
        self._record(**base, **own, **answer)
        rate = cell.tokens / answer["wall_s"]
        print(f"  {cell.mix} {who.name} {rate:,.0f} tok/s ({answer['wall_s']:.1f} s)", flush=True)

    def _limit(self) -> dict[str, float]:
        if self._probe is None:
            return {}
        return self._probe.ask("limits", threads=self.options.threads, device=self.options.device)

    def _vectors_file(self, cell: Cell, name: str) -> Path:
        return cell.file.with_name(f"vectors-{cell.mix}-{cell.count}-{name}.npy")

    def _cosine(self, cell: Cell, vectors: Path) -> float | None:
        reference = self._vectors_file(cell, BASELINES[self.options.device])
        return min_cosine(np.load(vectors), np.load(reference)) if reference.exists() else None

    def close(self) -> None:
        """End the probe."""
        if self._probe:
            self._probe.close()


def _affordable(device: str) -> list[str]:
    """Return the models that a full run on `device` measures."""
    return [name for name, shape in SHAPES.items() if device != "cpu" or not shape.mistral]


def read_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; --quick only changes what is not given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="e5-small-v2, few texts, two rounds")
    parser.add_argument("--models", nargs="+", choices=list(SHAPES))
    parser.add_argument("--mixes", nargs="+", choices=list(MIXES), default=list(MIXES))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--engines", nargs="+", choices=list(ROSTER), help="default: all that compute on the device")
    parser.add_argument("--threads", type=int, help="of every engine (default 1; on a GPU all processors)")
    parser.add_argument("--rounds", type=int, help="default 3, quick 2")
    parser.add_argument("--texts", type=int, help="texts of every mix (default: 4096, and fewer of 512 tokens)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocab", type=Path, help="vocab.txt for the English models (default: made up)")
    parser.add_argument("--json", type=Path, help="records, one JSON object per line")
    parser.add_argument("--resume", action="store_true", help="keep the file's records and skip their cells")
    parser.add_argument("--report", action="store_true", help="only print the table of the --json file")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what ratios are made of")
    parser.add_argument("--work", type=Path, default=PEERS / "work", help="weights, texts, vectors, logs")
    options = parser.parse_args(arguments)
    options.engines = options.engines or [name for name, who in ROSTER.items() if who.device == options.device]
    options.threads = options.threads or (1 if options.device == "cpu" else os.cpu_count())
    options.models = options.models or (["e5-small-v2"] if options.quick else _affordable(options.device))
    options.rounds = options.rounds or (2 if options.quick else 3)
    kind = "quick" if options.quick else "full"
    options.json = options.json or options.work / (f"{kind}.jsonl" if options.device == "cpu" else f"{kind}-cuda.jsonl")
    options.resume = options.resume or options.report
    return options


def main() -> None:
    options = read_options()
    run = Run(options)
    try:
        if not options.report:
            print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, ", end="")
            print(f"{options.threads} thread(s) per engine; records in {options.json}", flush=True)
            for name in options.models:
                run.model(SHAPES[name])
    finally:
        run.close()
        print_report(run.records, options.clock)


if __name__ == "__main__":
    main()
