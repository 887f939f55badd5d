"""Two deployments of one model share a machine, one of low priority: who gets how much of it.

    python benchmarks/priority.py --seconds 4

Prints the texts a second of each alone and of both together, and fails unless the normal one keeps four fifths of what
it has alone. The engine processes of a low deployment run at nice 10: they yield processors, not memory bandwidth.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from efive.deployments.deployment import Deployment
from efive.deployments.manager import Deployments
from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.engines.hardware import available_cpus
from efive.models.store import BUNDLED, ModelStore

KEPT = 0.8
TOKENS, ROWS, CLIENTS, ROUNDS = 64, 8, 16, 5


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return the texts a second of each deployment, alone and together."""
    with tempfile.TemporaryDirectory() as home:
        state = State(Path(home) / "server.sqlite")
        deployments = Deployments(ModelStore(), state)
        for name in ("normal", "low"):
            low = name == "low"
            deployments.create(Settings(name=name, model=options.model, cache=0, wait=600, low_priority=low))
        normal, low = [await deployments.start(name) for name in ("normal", "low")]
        await asyncio.gather(load(normal, 3.0), load(low, 3.0))  # the first batches are slower
        seen: dict[str, list[float]] = {}
        for _ in range(ROUNDS):  # by turns, so that what else the machine does meets all of them alike
            for label, loaded in (("alone", (normal,)), ("alone", (low,)), ("both", (normal, low))):
                rates = await asyncio.gather(*(load(each, options.seconds) for each in loaded))
                for each, rate in zip(loaded, rates, strict=True):
                    seen.setdefault(f"{each.name} {label}", []).append(rate)
        await deployments.close()
        state.close()
    return {name: median(rates) for name, rates in seen.items()}


async def load(deployment: Deployment, seconds: float) -> float:
    """Keep a deployment busy; return its texts a second."""
    random, end, done = np.random.default_rng(0), time.monotonic() + seconds, 0
    most = deployment.encoder.architecture.vocabulary

    async def client() -> None:
        nonlocal done
        while time.monotonic() < end:
            rows = random.integers(5, most, (ROWS, TOKENS), dtype=np.int32)
            await deployment.compute(list(rows))
            done += ROWS

    begun = time.monotonic()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return done / (time.monotonic() - begun)


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--model", default=BUNDLED)
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    normal, low = (found[f"{name} both"] / found[f"{name} alone"] for name in ("normal", "low"))
    print(json.dumps({"processors": available_cpus(), **{name: round(rate, 1) for name, rate in found.items()}}))
    print(f"beside each other, the normal one keeps {normal:.2f} of its speed and the low one {low:.2f}")
    return 0 if normal >= KEPT else 1


if __name__ == "__main__":
    sys.exit(main())
