"""Pinecone's own package, unmodified, four generations of it, against the door that stands in for Pinecone."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients
CLIENTS = Path(__file__).parents[3] / ".clients"
STEPS = Path(__file__).with_name("pinecone_steps.py")


@pytest.mark.parametrize("version", ["10.2.0", "9.1.0", "8.1.2", "7.3.0"])
@pytest.mark.parametrize("base", ["/pinecone", "/pinecone/"])
def test_what_a_user_does(server, version, base):
    folder = CLIENTS / f"pinecone-{version}"
    if not (folder / "ready").exists():
        pytest.skip(f"scripts/clients.sh makes pinecone {version}")
    command = [folder / "bin" / "python", STEPS, server.url + base]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 7, done.stdout
