"""The threads of the native engine: no bit depends on them, and nothing waits for one that is gone."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tiny

from efive.engines import native_workspaces
from efive.engines.base import Precision, TokenBatch
from efive.engines.native_engine import NativeEngine
from efive.engines.native_import import extension, instruction_sets, obstacle
from efive.errors import EngineError
from efive.models import checkpoint as checkpoints
from efive.text.batching import pad

if missing := obstacle():
    pytest.skip(missing, allow_module_level=True)

BUILDS = [(p, isa) for p in (Precision.FP32, Precision.BF16, Precision.INT8) for isa in instruction_sets(p)]
BATCHES = [[1], [5], [13], [97], [512], [3, 1, 7], [200, 100, 90, 60, 30, 2], [16] * 40]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return checkpoints.read(tiny.make("bert", tmp_path_factory.mktemp("threads") / "bert", hidden=128))


def batch(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return TokenBatch(*pad([rng.integers(0, 200, length).astype(np.int32) for length in lengths], 0))


def count():
    """Return how many helpers of native engines this process has."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it ended meanwhile
            names.append((task / "comm").read_text())
    return names.count("efive helper\n")


def helpers(expected, before):
    """Wait until there are so many more than `before`: the system starts and ends threads a moment late."""
    deadline = time.monotonic() + 120
    while count() - before != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return count() - before == expected


@pytest.mark.parametrize(("precision", "isa"), BUILDS)
def test_no_bit_depends_on_the_number_of_threads(checkpoint, precision, isa):
    engine = NativeEngine(checkpoint, precision, threads=1, isa=isa)
    teams = [extension.Workspace(threads) for threads in (2, 3, 7, 33)]
    for lengths in BATCHES * 3:
        given = batch(lengths)
        alone = engine.embed(given)
        for team in teams:
            together = np.full_like(alone, np.nan)
            engine._encoder.embed(team, given.ids, given.lengths, together)
            np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("threads", "per_batch", "parallel", "together"),
    [(4, 1, 4, 3), (4, 2, 2, 2), (4, 4, 1, 3), (3, 2, 1, 1), (1, 4, 1, 0)],
)
def test_processors_are_divided_among_batches(checkpoint, monkeypatch, threads, per_batch, parallel, together):
    monkeypatch.setattr(native_workspaces, "available_cpus", lambda: 4)
    before = count()  # of the encoders that tests share
    engine = NativeEngine(checkpoint, Precision.FP32, threads, threads_per_batch=per_batch)
    assert engine.info.parallel == parallel
    given = [batch([40], seed) for seed in range(8)] + [batch([300, 200], seed) for seed in range(8)]
    one = NativeEngine(checkpoint, Precision.FP32, 1)
    expected = [one.embed(each) for each in given]
    with ThreadPoolExecutor(6) as pool:  # small batches and large ones at once, more than there are workspaces
        for found, wanted in zip(pool.map(engine.embed, given * 4), expected * 4, strict=True):
            np.testing.assert_array_equal(found, wanted)
    for _ in range(parallel):
        engine.embed(given[0])  # alone and small: with one thread a batch, it gets all four
    assert helpers(together, before)
    engine.close()
    assert helpers(0, before)
    with pytest.raises(EngineError, match="closed"):
        engine.embed(given[0])


def test_a_team_is_never_larger_than_the_processors(checkpoint, monkeypatch):
    monkeypatch.setattr(native_workspaces, "available_cpus", lambda: 2)
    before = count()
    engine = NativeEngine(checkpoint, Precision.FP32, 8, threads_per_batch=8)
    engine.embed(batch([200]))
    assert helpers(1, before)
    engine.close()


CHILD = """
import os, sys
from pathlib import Path
import numpy as np
from efive.engines.base import Precision, TokenBatch
from efive.engines.native_engine import NativeEngine
from efive.engines import native_workspaces
from efive.models import checkpoint

native_workspaces.available_cpus = lambda: 3
engine = NativeEngine(checkpoint.read(Path(sys.argv[1])), Precision.FP32, 3, threads_per_batch=3)
given = TokenBatch(np.arange(200, dtype=np.int32)[None], np.array([200], dtype=np.int32))
here = engine.embed(given)
if os.fork() == 0:  # without the helpers, which fork leaves behind
    same = (engine.embed(given) == here).all()
    engine.close()
    os._exit(0 if same else 1)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert (engine.embed(given) == here).all()
if sys.argv[2] == "close":
    engine.close()
"""


@pytest.mark.parametrize("end", ["close", "leave open"])
def test_a_fork_computes_the_same_and_the_interpreter_ends(checkpoint, end):
    command = [
        sys.executable,
        "-W",
        "error",
        "-W",
        "ignore::DeprecationWarning",
        "-c",
        CHILD,
        str(checkpoint.folder),
        end,
    ]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
