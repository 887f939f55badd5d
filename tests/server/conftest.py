"""A real server on a real socket: the bundled model as `e5`, and a random one under a real name."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import tiny
import uvicorn

from efive.deployments.settings import Settings
from efive.server.app import Options, build
from efive.server.service import Limits, Service


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    home: Path
    service: Service
    """For a look inside; it belongs to the server's event loop."""


@contextmanager
def serving(options: Options) -> Iterator[Running]:
    """Run a server within the block, from ready to ended."""
    app = build(options)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        deadline = time.monotonic() + 60
        while httpx.get(f"{url}/health/ready").status_code != 200:
            assert time.monotonic() < deadline, "the server is not ready after a minute"
            time.sleep(0.05)
        yield Running(url, options.home, app.state.service)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server did not end"


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
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client
