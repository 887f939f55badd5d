"""A server with the console, as a user starts it, and a real browser."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    running: list[subprocess.Popen[str]] = []

    def started(*arguments: str, home: Path | None = None) -> Served:
        home = home or tmp_path_factory.mktemp("home")
        process = subprocess.Popen(
            [sys.executable, "-m", "efive", "serve", "--port", "0", *arguments],
            env={**os.environ, "EFIVE_HOME": str(home)},
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.match(r"efive: (\S+)", line):
                return Served(found[1], home)
        pytest.fail(f"the server did not start: {process.wait()}")

    yield started
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        assert process.stderr is not None
        process.stderr.read()
        assert process.wait(60) in {0, -signal.SIGTERM}
        process.stderr.close()


@pytest.fixture(scope="module")
def served(start: Callable[..., Served]) -> Served:
    """A server of this module's own, on the bundled model."""
    return start()


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium."""
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
    page.set_default_timeout(20_000)
    yield page
    context.close()
    assert not [fault for fault in faults if "ERR_ABORTED" not in fault]
