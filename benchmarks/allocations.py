"""How much more two allocations do than one: the same deployment, a thread for each engine, no HTTP.

python benchmarks/allocations.py
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from statistics import median

from roster import PEERS
from serve import MIXES, model_folder, texts_of
from shapes import SHAPES

from efive.deployments.deployment import Deployment
from efive.deployments.settings import Settings
from efive.inputs import Role
from efive.models.store import BUNDLED
from efive.preparation import Request

CALLERS = 32


async def rate(folder: Path, texts: list[str], allocations: int, seconds: float) -> float:
    """Return the texts per second that callers get from so many engines."""
    settings = Settings(name="m", model=str(folder), allocations=allocations, threads=1, cache=0)
    deployment = Deployment(settings)
    await deployment.start(folder)
    rows = [deployment.encoder.prepare([text], Request(Role.PASSAGE)).rows for text in texts]
    done, begun = 0, time.perf_counter()

    async def call(place: int) -> None:
        nonlocal done
        while time.perf_counter() < begun + seconds:
            await deployment.compute(rows[place % len(rows)])
            done, place = done + 1, place + CALLERS

    await asyncio.gather(*(call(place) for place in range(CALLERS)))
    found = done / (time.perf_counter() - begun)
    await deployment.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[BUNDLED, *SHAPES], default="e5-small-v2")
    parser.add_argument("--mix", choices=list(MIXES), default="b")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=PEERS / "work", help="weights, texts")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    folder, ratios = model_folder(options.model, options.work), []
    content = json.loads(texts_of(folder, options.work, options.mix).read_text("utf-8"))
    for _ in range(options.rounds):
        one, two = (asyncio.run(rate(folder, content["texts"], n, options.seconds)) for n in (1, 2))
        ratios.append(two / one)
        print(f"{one:,.1f} texts/s with one, {two:,.1f} with two: {two / one:.2f}", flush=True)
    print(f"median {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
