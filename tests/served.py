"""A real server on a real socket, within a block."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from efive.server.app import Options, build
from efive.server.service import Service


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
