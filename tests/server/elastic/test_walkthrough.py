"""The walk through Elastic's tutorial, as users run it."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "examples" / "elastic_walkthrough.py"


def test_the_walkthrough_ends_well_and_leaves_nothing(server, client):
    before = client.inference.get()
    command = [sys.executable, "-W", "error", SCRIPT, "--url", f"{server.url}/es"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2. 358 passages in walkthrough-plain" in done.stdout
    assert "3. 358 passages embedded into walkthrough-semantic by the task " in done.stdout
    assert "[fr] Saignement de nez: Asseyez-vous" in done.stdout
    assert int(re.search(r"(\d+)%\s+have the", done.stdout)[1]) >= 20, done.stdout
    assert client.inference.get() == before
    assert not client.indices.exists(index="walkthrough-*", allow_no_indices=False)
