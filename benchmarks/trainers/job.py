"""What one turn of a trainer is asked to do, and the clock that times its steps alike on both sides."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from worker import peak_memory_mb, reset_peak_memory


@dataclass(frozen=True)
class Job:
    """One turn."""

    folder: str
    """The model."""
    pairs: str
    """JSONL file of {"anchor", "positive"}."""
    order: list[int]
    """Rows of the file as efive's sampler draws them; the peer takes them in this order."""
    batch: int
    steps: int
    """Timed steps."""
    warmup: int
    """Steps before them that are not timed."""
    passage_tokens: int
    temperature: float
    rate: float
    precision: str
    cached: bool
    """Gradient caching: every text is encoded twice, so that memory does not grow with the batch."""
    mini_batch: int
    device: str
    scratch: str
    seed: int

    @property
    def all_steps(self) -> int:
        """Timed steps and those before."""
        return self.warmup + self.steps


@dataclass
class Stopwatch:
    """Times from the end of the last warm-up step to the end of the last step."""

    job: Job
    began: float = field(default_factory=time.process_time)
    ticks: list[tuple[float, float]] = field(default_factory=list)
    """(wall, processor) seconds at the end of each step, from the last of the warm-up on."""
    seen: int = 0
    set_up: float = 0.0
    """Processor seconds from the start until the clock runs: loading, reading, tokenising, warm-up steps."""

    def tick(self) -> bool:
        """Take note that a step has ended; return whether it was the last."""
        self.seen += 1
        if self.job.device != "cpu":
            torch.cuda.synchronize()
        if self.seen == self.job.warmup:
            self.set_up = time.process_time() - self.began
            reset_peak_memory()
            if self.job.device != "cpu":
                torch.cuda.reset_peak_memory_stats()
        if self.seen >= self.job.warmup:
            self.ticks.append((time.perf_counter(), time.process_time()))
        return self.seen >= self.job.all_steps

    def answer(self, losses: list[float], version: str) -> dict[str, Any]:
        """Return what the parent records."""
        if len(self.ticks) != self.job.steps + 1 or len(losses) < self.job.all_steps:
            raise RuntimeError(f"{self.seen} steps and {len(losses)} losses instead of {self.job.all_steps}")
        (wall, cpu), (wall_end, cpu_end) = self.ticks[0], self.ticks[-1]
        device_mb = torch.cuda.max_memory_allocated() / 1e6 if self.job.device != "cpu" else None
        return {
            "wall_s": wall_end - wall,
            "cpu_s": cpu_end - cpu,
            "step_cpu_s": [b[1] - a[1] for a, b in zip(self.ticks, self.ticks[1:], strict=False)],
            "set_up_s": self.set_up,
            "peak_mb": peak_memory_mb(),
            "device_mb": device_mb,
            "losses": losses,
            "version": version,
        }


def scratch(job: Job) -> Path:
    """Return the folder that the turn may fill."""
    return Path(job.scratch)
