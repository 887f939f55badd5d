"""The unmodified packages of OpenAI, LangChain and Hugging Face, each from its own Python, and a server with a key."""

import os
import subprocess
from pathlib import Path

import pytest
from served import Running, serving

from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.server.access import Access, Scope
from efive.server.app import Options

pytestmark = pytest.mark.clients

ENVIRONMENTS = Path(__file__).parents[3] / ".clients"
CLIENTS = [
    ("openai-3.52.0", "openai_steps.py"),
    ("openai-1.109.1", "openai_steps.py"),
    ("langchain-openai-1.1.16", "langchain_openai_steps.py"),
    ("huggingface-hub-2.4.0", "huggingface_steps.py"),
    ("huggingface-hub-0.36.2", "huggingface_steps.py"),
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, large) -> tuple[Running, str]:
    """A server that asks for a key, and a key for embedding."""
    home = tmp_path_factory.mktemp("guarded")
    state = State(home / "server.sqlite")
    _, secret = Access(state).create("clients", [Scope.EMBED])
    state.close()
    deployments = (
        Settings(name="e5", model="bundled", precision="fp32", threads=1),
        Settings(name="multilingual-e5-large", model=str(large), precision="fp32", threads=1),
    )
    with serving(Options(home, deployments)) as running:
        yield running, secret


@pytest.mark.parametrize(("environment", "steps"), CLIENTS)
def test_an_unmodified_client_works(guarded, environment, steps):
    if not (ENVIRONMENTS / environment / "ready").is_file():
        pytest.skip(f"scripts/clients.sh makes the environment {environment}")
    running, secret = guarded
    python = ENVIRONMENTS / environment / "bin" / "python"
    command = [python, Path(__file__).with_name(steps), running.url, secret]
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "HF_HUB_OFFLINE"}}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=clean, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done" in done.stdout
