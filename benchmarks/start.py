"""Seconds from the command to an answer: `efive serve` with the bundled model, each time in an empty home.

python benchmarks/start.py
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from statistics import median

_PATIENCE = 60.0


def seconds_to_ready(*arguments: str) -> float:
    """Start a server, wait until it is ready, and end it."""
    with tempfile.TemporaryDirectory() as home:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "efive", "serve", "--port", "0", *arguments],
            env={**os.environ, "EFIVE_HOME": home}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            url = next(found[1] for line in process.stderr if (found := re.match(r"efive: (\S+)", line)))
            while not _ready(url):
                if time.perf_counter() > begun + _PATIENCE:
                    raise TimeoutError("the server is not ready after a minute")
                time.sleep(0.01)
            return time.perf_counter() - begun
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/ready") as answer:  # noqa: S310 - our own server
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    times = [seconds_to_ready() for _ in range(options.rounds)]
    print(f"ready after {median(times):.2f} s (median of {len(times)}; {min(times):.2f}-{max(times):.2f})")


if __name__ == "__main__":
    main()
