"""What the console offers to copy, run as it stands there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest
from served import Running, serving

from efive.console.snippets import TEXT, Snippet, Target, endpoint_snippets, snippets
from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.server.access import Access, Scope
from efive.server.app import Options

_ENVIRONMENTS = Path(__file__).parents[2] / ".clients"
_PACKAGES = {
    "openai": ("openai", "openai-3.52.0"),
    "langchain-openai": ("langchain_openai", "langchain-openai-1.1.16"),
    "pinecone": ("pinecone", "pinecone-10.2.0"),
    "elasticsearch": ("elasticsearch", "elasticsearch-9.5.1"),
    "TEI, huggingface_hub": ("huggingface_hub", "huggingface-hub-2.4.0"),
    "langchain-sambanova 0.1": ("langchain_sambanova", "langchain-sambanova-0.1.6"),
}
CLIENTS = [each.client for each in snippets(Target("http://here", "e5"))]


def settings_of(name: str) -> Settings:
    return Settings(name=name, model="bundled", precision="fp32", threads=1)


@pytest.fixture(scope="module")
def open_server(tmp_path_factory) -> Iterator[Running]:
    with serving(Options(tmp_path_factory.mktemp("open"), tuple(map(settings_of, ("e5", "team/second.model"))))) as it:
        yield it


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[tuple[Running, str]]:
    """A server that asks for a key, and one."""
    home = tmp_path_factory.mktemp("guarded")
    state = State(home / "server.sqlite")
    _, key = Access(state).create("all", [Scope.MANAGE])
    state.close()
    with serving(Options(home, (settings_of("e5"),))) as running:
        yield running, key


def run(snippet: Snippet, **variables: str) -> str:
    """Run a snippet as its reader would; skip where its client is not installed, once its Python is seen to be one."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "HF_HUB_OFFLINE"}}
    if snippet.language == "bash":
        command = ["bash", "-c", snippet.code.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)]
    else:
        compile(snippet.code, snippet.client, "exec")
        command = [python_of(snippet.client), "-c", snippet.code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=clean | variables, check=False)
    assert done.returncode == 0, f"{snippet.code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def python_of(client: str) -> str:
    package, environment = _PACKAGES[client]
    if find_spec(package) is not None:
        return sys.executable
    if not (_ENVIRONMENTS / environment / "ready").is_file():
        pytest.skip(f"scripts/clients.sh makes the environment {environment}")
    return str(_ENVIRONMENTS / environment / "bin" / "python")


def beginning(printed: str) -> list[float]:
    """Return the first numbers with a fraction of an output: the first components of a vector."""
    return [float(found) for found in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", printed)[:4]]


def chosen(target: Target, client: str) -> Snippet:
    return next(each for each in snippets(target) if each.client == client)


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_gets_the_query_s_vector(open_server, nano, client):
    printed = run(chosen(Target(open_server.url, "e5", default="e5"), client))
    expected = nano.embed_queries([TEXT]).vectors[0, :4]
    np.testing.assert_allclose(beginning(printed), expected, atol=1e-4)


@pytest.mark.parametrize("client", CLIENTS)
def test_with_keys_the_key_is_taken_from_a_variable(guarded, client):
    running, key = guarded
    snippet = chosen(Target(running.url, "e5", keys=True, default="e5"), client)
    assert key not in snippet.code
    assert len(beginning(run(snippet, EFIVE_KEY=key))) == 4


@pytest.mark.parametrize("client", [each for each in CLIENTS if each != "TEI, huggingface_hub"])
def test_a_name_with_a_slash_and_a_dot_is_the_deployment_s(open_server, client):
    before = answered(open_server.url, "team/second.model")
    run(chosen(Target(open_server.url, "team/second.model", default="e5"), client))
    assert answered(open_server.url, "team/second.model") == before + 1


def answered(url: str, model: str) -> float:
    found = re.findall(rf'^efive_requests_total{{.*model="{model}".*}} (\S+)', httpx.get(f"{url}/metrics").text, re.M)
    return sum(map(float, found))


def test_tei_s_own_client_is_told_which_model_it_asks(open_server):
    target = Target(open_server.url, "team/second.model", default="e5")
    assert "asks e5" in chosen(target, "TEI, huggingface_hub").note
    assert chosen(replace(target, name="e5"), "TEI, huggingface_hub").note == ""


def test_names_and_addresses_cannot_leave_their_quotes():
    target = Target("http://here/$(touch x)`'\"", "a'; touch x; '\"\\\n", keys=True)
    for snippet in [*snippets(target), *endpoint_snippets(target.server)]:
        if snippet.language == "python":
            compile(snippet.code, snippet.client, "exec")
            continue
        harmless = snippet.code.replace("curl ", "printf '%s\\n' ", 1)
        done = subprocess.run(["bash", "-c", harmless], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[0].startswith("http://here/$(touch x)`'\"")
        assert done.stderr == ""
        assert not Path("x").exists()


def test_an_endpoint_s_lines_take_its_own_key(open_server, nano):
    made = httpx.post(
        f"{open_server.url}/samba/api/projects/shop/endpoints", json={"name": "search", "model": "e5", "batch_size": 1}
    ).json()
    expected = nano.embed_queries([TEXT]).vectors[0, :4]
    for snippet in endpoint_snippets(made["urls"]["generic"]):
        assert made["key"] not in snippet.code
        printed = run(snippet, ENDPOINT_KEY=made["key"])
        np.testing.assert_allclose(beginning(printed), expected, atol=1e-4)
