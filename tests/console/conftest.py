"""A server with the console, as a user starts it, and a real browser."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from efive.models.store import ModelStore

T = TypeVar("T")
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    url: str
    home: Path


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Start `efive serve` with these arguments and this home; all are ended with the session."""
    running: list[subprocess.Popen[bytes]] = []

    def started(*arguments: str, home: Path | None = None) -> Served:
        home = home or tmp_path_factory.mktemp("home")
        said = tmp_path_factory.mktemp("log") / "stderr"
        with said.open("wb") as file:  # a pipe would be full some time, and nobody reads it
            process = subprocess.Popen(
                [sys.executable, "-m", "efive", "serve", "--port", "0", *arguments],
                env={**os.environ, "EFIVE_HOME": str(home)},
                stderr=file,
            )
        begun = time.monotonic()
        while process.poll() is None and time.monotonic() - begun < 240:
            if found := re.search(r"^efive: (http\S+)", said.read_text(), re.MULTILINE):
                running.append(process)
                return Served(found[1], home)
            time.sleep(0.05)
        process.kill()
        process.wait()
        pytest.fail(f"the server did not start:\n{said.read_text()[-2000:]}")

    yield started
    for process in running:
        process.send_signal(signal.SIGTERM)
    assert {process.wait(240) for process in running} <= {0, -signal.SIGTERM}


@pytest.fixture(scope="module")
def served(start: Callable[..., Served]) -> Served:
    """A server of this module's own, on the bundled model."""
    return start()


@pytest.fixture
def apart() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a coroutine to its end in a thread: Playwright has an event loop of its own in this one."""

    def run(work: Coroutine[Any, Any, T]) -> T:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(asyncio.run, work).result()

    return run


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, until the module's end: Playwright's event loop is in the way of other tests' own."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served: Served):
    """A new browser page on the console; what its scripts complain of fails the test."""
    context = browser.new_context(base_url=f"{served.url}/console/", viewport={"width": 1280, "height": 900})
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(f"{request.url}: {request.failure}"))
    page.set_default_timeout(120_000)
    yield page
    context.close()
    assert not [fault for fault in faults if "ERR_ABORTED" not in fault]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Models of a server that does not run."""
    return ModelStore(tmp_path / "home")
