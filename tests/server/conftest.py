"""A server that tests share: the bundled model as `e5`, and a random one under a real name."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import tiny
from served import Running, serving

from efive.deployments.settings import Settings
from efive.server.app import Options
from efive.server.service import Limits


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of multilingual-e5-large's kind and dimension."""
    return tiny.make("xlm-roberta", tmp_path_factory.mktemp("large") / "large", hidden=1024)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, large: Path) -> Iterator[Running]:
    """A server without keys. Tests share it: give what you make names of your own."""
    deployments = (
        Settings(name="e5", model="bundled", precision="fp32", threads=1),
        Settings(name="multilingual-e5-large", model=str(large), precision="fp32", threads=1),
    )
    with serving(Options(tmp_path_factory.mktemp("server"), deployments, Limits(body=8 << 20))) as running:
        yield running


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    """A client of the server."""
    with httpx.Client(base_url=server.url, timeout=280) as client:
        yield client
