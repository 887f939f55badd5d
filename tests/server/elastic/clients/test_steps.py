"""Elastic's and LangChain's unmodified packages, each from its own Python, and a server with a key."""

import os
import subprocess
from pathlib import Path

import pytest
from served import serving

from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.server.access import Access, Scope
from efive.server.app import Options

pytestmark = pytest.mark.clients

ENVIRONMENTS = Path(__file__).parents[4] / ".clients"
CLIENTS = [
    ("elasticsearch-9.5.1", "elasticsearch_steps.py"),
    ("elasticsearch-8.19.3", "elasticsearch_steps.py"),
    ("langchain-elasticsearch-1.0.0", "langchain_elasticsearch_steps.py"),
]


@pytest.mark.parametrize(("environment", "steps"), CLIENTS)
def test_an_unmodified_client_works(tmp_path, environment, steps):
    if not (ENVIRONMENTS / environment / "ready").is_file():
        pytest.skip(f"scripts/clients.sh makes the environment {environment}")
    state = State(tmp_path / "server.sqlite")
    _, secret = Access(state).create("clients", [Scope.MANAGE])
    state.close()
    python = ENVIRONMENTS / environment / "bin" / "python"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    options = Options(tmp_path, (Settings(name="other", model="bundled", precision="fp32", threads=1),))
    with serving(options) as server:
        command = [python, Path(__file__).with_name(steps), f"{server.url}/es", secret]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=clean, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done" in done.stdout
