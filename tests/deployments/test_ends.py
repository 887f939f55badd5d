"""A server that ends, however it does, takes its engines along."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

PARENT = """
import asyncio, sys
from pathlib import Path
from efive.deployments.deployment import Deployment
from efive.deployments.settings import Settings

async def main():
    found = Deployment(Settings(name="tiny", model="tiny", precision="fp32", threads=1, allocations=2))
    await found.start(Path(sys.argv[1]))
    print(*(each.pid for each in found.engines), flush=True)
    try:
        await asyncio.sleep(600)
    finally:
        print(*(each.poll() for each in [e._process for e in found.engines]), flush=True)
        await found.stop()

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_server_that_ends_leaves_no_process_behind(bert, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(bert)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        engines = [psutil.Process(pid) for pid in pids]
        if how is signal.SIGINT:  # as from a terminal; the engines live on until they are told
            for each in engines:
                each.send_signal(signal.SIGTERM)
            os.killpg(parent.pid, how)
            assert parent.stdout.readline().split() == ["None", "None"]
        else:
            parent.send_signal(how)
        parent.wait(120)
        _, alive = psutil.wait_procs(engines, 60)
        assert not alive
