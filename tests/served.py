"""A real server on a real socket, within a block."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from efive.deployments import memory
from efive.server.app import Options, build
from efive.server.service import Service

# What is refused for want of memory has tests of its own. Here other tests' servers take some of it too.
_free = memory.available
memory.available = lambda *where: _free(*where) if where else 1 << 40


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    home: Path
    service: Service
    """For a look inside; it belongs to the server's event loop."""
    requests: Callable[[], int]
    """How many are under way."""


@contextmanager
def serving(options: Options) -> Iterator[Running]:
    """Run a server within the block, from ready to ended."""
    app = build(options)
    # Connections stay: a server that closes an idle one may do so just as the next request leaves.
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="on", timeout_keep_alive=600)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        deadline = time.monotonic() + 240
        while httpx.get(f"{url}/health/ready").status_code != 200:
            assert time.monotonic() < deadline, "the server is not ready after four minutes"
            time.sleep(0.05)
        yield Running(url, options.home, app.state.service, lambda: len(server.server_state.tasks))
    finally:
        server.should_exit = True
        thread.join(120)
        assert not thread.is_alive(), "the server did not end"
