"""One engine in its own process and environment, fed over stdin with one JSON request per line.

The parent sets OMP_NUM_THREADS and its like; the worker pins itself to as many processors as it may use, so
that no library can take more. Answers go to the original stdout; whatever libraries print goes to stderr.
"""

import gc
import json
import os
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

Answer = dict[str, Any]


def pin(threads: int) -> None:
    """Keep this process on its first `threads` processors."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def reset_peak_memory() -> None:
    """Start the kernel's peak-memory counter anew (Linux; elsewhere the peak is the process's own)."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mb() -> float:
    """Return the largest resident memory since the last reset, in MB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Worker:
    """Holds the loaded engine and answers the parent's requests."""

    def __init__(self) -> None:
        self._engine: Any = None

    def load(self, kind: str, folder: str, threads: int, options: dict[str, Any]) -> Answer:
        """Load the model; report precision, version and seconds."""
        from engines import loader

        start = time.perf_counter()
        self._engine = loader(kind)(folder, threads, **options)
        seconds = time.perf_counter() - start
        return {"precision": self._engine.precision, "version": self._engine.version, "load_s": seconds}

    def _texts(self, file: str, count: int | None) -> tuple[list[str], str]:
        """Return the first `count` texts of the file as the engine wants them, and their role."""
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        bare = content["texts"][:count]
        prefix = "" if self._engine.bare_texts else content["prefix"]
        return [prefix + text for text in bare], content["prefix"].rstrip(": ")

    def embed(self, file: str, count: int | None = None, save: str | None = None, keep: int = 0) -> Answer:
        """Embed the file's texts in one call; time it; write the first `keep` vectors to `save`."""
        texts, role = self._texts(file, count)
        reset_peak_memory()
        cpu, wall = time.process_time(), time.perf_counter()
        vectors = self._engine.embed(texts, role)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if vectors.shape[0] != len(texts) or not np.isfinite(vectors).all():
            raise ValueError(f"the engine returned {vectors.shape} for {len(texts)} texts, or no finite numbers")
        if save:
            np.save(save, vectors[:keep])
        return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak_memory_mb()}

    def queries(self, file: str, start: int, count: int) -> Answer:
        """Embed `count` texts one by one and report the milliseconds of each."""
        texts, role = self._texts(file, None)
        times = []
        reset_peak_memory()
        cpu = time.process_time()
        for text in texts[start : start + count]:
            begin = time.perf_counter()
            self._engine.embed([text], role)
            times.append(round((time.perf_counter() - begin) * 1e3, 4))
        cpu = time.process_time() - cpu
        return {"query_ms": times, "wall_s": sum(times) / 1e3, "cpu_s": cpu, "peak_mb": peak_memory_mb()}

    def callers(self, file: str, clients: int, seconds: float) -> Answer:
        """Embed text after text in each of `clients` threads, as many requests do; return how many a second."""
        texts, role = self._texts(file, None)
        turns, end, times = iter(range(1 << 62)), time.perf_counter() + seconds, list[float]()

        def call() -> None:
            while (begin := time.perf_counter()) < end:
                self._engine.embed([texts[next(turns) % len(texts)]], role)
                times.append(round((time.perf_counter() - begin) * 1e3, 4))

        begun = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            for call_ in [pool.submit(call) for _ in range(clients)]:
                call_.result()
        return {"rate": len(times) / (time.perf_counter() - begun), "milliseconds": times}

    def warm(self, file: str, count: int) -> Answer:
        """Embed the first texts, and let an engine that can find its best settings on them."""
        getattr(self._engine, "warm", self._engine.embed)(*self._texts(file, count))
        return {}

    def limits(self, threads: int, device: str = "cpu") -> Answer:
        """Measure the machine's matrix products."""
        from engines.matmul import cuda_limits, limits

        return dict(limits(threads) if device == "cpu" else cuda_limits())


def serve(worker: object) -> None:
    """Answer one JSON request per line of stdin with a method of `worker`, until stdin ends."""
    pin(int(os.environ["OMP_NUM_THREADS"]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # every failure becomes a row of the table
            traceback.print_exc()
            message = " ".join(str(error).split())
            answer = {"error": f"{type(error).__name__}: {message}"[:300]}
        print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # some libraries' threads would keep the process alive


if __name__ == "__main__":
    serve(Worker())
