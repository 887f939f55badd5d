"""The parent's side of the workers: start, ask, and close them so that they fit into memory together."""

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

from roster import ARTIFACTS, EXPORTER, PEERS, ROOT, Contestant

_HERE = Path(__file__).resolve().parent
_PATIENCE_S = 7200
"""A worker that has not answered for so long is ended."""


class EngineFailure(Exception):  # noqa: N818 - it is a row of the table, not a fault of the benchmark
    """An engine could not do what it was asked; the text goes into the table."""


def environment(threads: int, cache: Path) -> dict[str, str]:
    """Return the variables every worker runs with: the same thread count for all, no network, its own cache."""
    count = str(threads)
    pools = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), count)
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"), "1")
    quiet = {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, **pools, **offline, **quiet, "PYTHONPATH": path, "HF_HOME": str(cache.resolve())}


class Session:
    """One worker process."""

    def __init__(self, python: Path, threads: int, cache: Path, log: Path, script: str = "worker.py") -> None:
        """Start the process on one of this folder's workers; what it prints goes to `log`."""
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [str(python), str(_HERE / script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment(threads, cache),
                text=True,
            )
        self._log = log

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send one request and wait for its answer.

        Raises:
            EngineFailure: if the worker answers with an error or dies.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise EngineFailure("the worker has no pipes")
        patience = threading.Timer(_PATIENCE_S, self._process.kill)
        patience.start()
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            patience.cancel()
        if not line:
            raise EngineFailure(f"the worker died with status {self._process.wait()}; see {self._log}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineFailure(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def available_memory_mb() -> float:
    """Return the memory that new processes can still take (Linux), or infinity where unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith("MemAvailable"))


class Pool:
    """The loaded engines of one model. The least recently used one makes room where memory is short."""

    def __init__(self, folder: Path, threads: int, logs: Path, reserve_mb: float) -> None:
        """Keep at least `reserve_mb` free before an engine loads or works."""
        self._folder, self._threads, self._logs, self._reserve = folder, threads, logs, reserve_mb
        self._cache = hub_cache(folder)
        self._live: dict[str, tuple[Session, dict[str, Any]]] = {}

    def get(self, contestant: Contestant) -> tuple[Session, dict[str, Any], bool]:
        """Return the contestant's session, what it says of itself, and whether it was loaded just now."""
        known = self._live.pop(contestant.name, None)
        while self._live and available_memory_mb() < self._reserve:
            self.drop(next(iter(self._live)))
        if known is not None:
            self._live[contestant.name] = known
            return *known, False
        for kind in contestant.needs:
            convert(self._folder, kind, self._threads, self._logs)
        session = Session(contestant.python, self._threads, self._cache, self._logs / f"{contestant.name}.log")
        load = {"kind": contestant.kind, "folder": str(self._folder), "threads": self._threads}
        try:
            info = session.ask("load", **load, options=contestant.options)
        except EngineFailure:
            session.close()
            raise
        self._live[contestant.name] = (session, info)
        return session, info, True

    def drop(self, name: str) -> None:
        """Close one session if it is live."""
        if known := self._live.pop(name, None):
            known[0].close()

    def close(self) -> None:
        """Close every session."""
        for name in list(self._live):
            self.drop(name)


def hub_cache(folder: Path) -> Path:
    """Return where libraries may cache what they make of one model folder: beside it."""
    return folder.parent / "hub-cache" / folder.name


def convert(folder: Path, kind: str, threads: int, logs: Path) -> None:
    """Make one conversion of the weights unless it is there.

    Raises:
        EngineFailure: if the converter fails.
    """
    if (folder / ARTIFACTS[kind]).exists():
        return
    if not EXPORTER.exists():
        raise EngineFailure("conversions need benchmarks/peers/setup.sh legacy")
    print(f"  converting {folder.name} to {kind}", flush=True)
    command = [str(EXPORTER), str(_HERE / "peers" / "export.py"), str(folder.resolve()), kind]
    log = logs / f"export-{folder.name}-{kind}.log"
    with log.open("wb") as output:
        status = subprocess.run(
            command, env=environment(threads, hub_cache(folder)), stdout=output, stderr=output, check=False
        ).returncode
    if status or not (folder / ARTIFACTS[kind]).exists():
        lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
        raise EngineFailure(f"conversion to {kind} failed: {lines[-1][:200]}")


def probe_python() -> Path | None:
    """Return an interpreter that has PyTorch, for the machine's limit, or None."""
    return next((p for p in (PEERS / n / "bin" / "python" for n in ("current", "legacy")) if p.exists()), None)
