"""A server that tests share: the bundled model as `e5`, and a random one under a real name."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tiny
from sambastudio import make
from served import Running, serving

from efive.deployments.allocation import Allocation
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


@pytest.fixture(scope="session")
def wide(server: Running) -> dict[str, Any]:
    """An endpoint of batch size 32."""
    with httpx.Client(base_url=server.url, timeout=280) as http:
        return make(http, "forms", name="wide", batch_size=32)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Engines that start wait for this event."""
    warm, go = Allocation.warm, threading.Event()

    def wait(self: Allocation) -> None:
        go.wait()
        warm(self)

    monkeypatch.setattr(Allocation, "warm", wait)
    yield go
    go.set()
