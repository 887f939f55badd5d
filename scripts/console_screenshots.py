"""Take the pictures of docs/console.md: start a server of its own, fill it with the project's docs, visit every page.

    python scripts/console_screenshots.py [FOLDER]

It needs Chromium, Playwright and Pillow, and some minutes: it trains a small model on the docs' headings and sections,
and evaluates it. Pictures are 1280 points wide and light, but for two that are dark and two as on a phone.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
_LARGEST = 120_000
"""Bytes of a picture."""
_QUESTION = "How do I get fewer truncated texts?"
_LONG = 1_800_000
"""Milliseconds that training may take."""


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """Start `efive serve` and yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "efive", "serve", "--port", "0"],
        env={**os.environ, "EFIVE_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        found = next(mark for line in process.stderr if (mark := re.match(r"efive: (\S+)", line)))
        threading.Thread(target=lambda: process.stderr and process.stderr.read(), daemon=True).start()
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def sections() -> list[tuple[str, str]]:
    """Return the headings of the docs with the text below each."""
    found = []
    for path in sorted((ROOT / "docs").rglob("*.md")):
        parts = re.split(r"^#+ +(.+)$", path.read_text(), flags=re.MULTILINE)
        pairs = zip(parts[1::2], parts[2::2], strict=True)
        found += [(heading, text.strip()[:600]) for heading, text in pairs if len(text.strip()) > 80]
    return found


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def prepare(folder: Path) -> None:
    """Make training data and a task of the docs."""
    pairs = sections()
    write(folder / "headings" / "passages.jsonl", [{"contents": text} for _, text in pairs])
    examples = []
    for number, (heading, _) in enumerate(pairs):
        others = [(number + 7 * step) % len(pairs) for step in (1, 2)]
        examples.append({"query": heading, "positives": {"doc_id": [number]}, "negatives": {"doc_id": others}})
    write(folder / "headings" / "train.jsonl", examples)
    task = folder / "tasks" / "docs"
    write(task / "corpus.jsonl", [{"_id": str(n), "title": "", "text": text} for n, (_, text) in enumerate(pairs)])
    write(task / "queries.jsonl", [{"_id": str(n), "text": heading} for n, (heading, _) in enumerate(pairs)][:60])
    judged = "".join(f"{n}\t{n}\t1\n" for n in range(min(60, len(pairs))))
    (task / "qrels").mkdir()
    (task / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")


class Camera:
    """A page, and where its pictures go."""

    def __init__(self, page: Page, output: Path) -> None:
        self.page = page
        self._output = output

    def take(self, name: str, *, dark: bool = False, phone: bool = False) -> None:
        """Take a picture of what the page shows now."""
        page = self.page
        if phone:
            page.set_viewport_size({"width": 390, "height": 780})
        page.evaluate(f"Quasar.Dark.set({str(dark).lower()})")
        page.mouse.move(0, 0)
        page.wait_for_timeout(700)
        path = self._output / f"{name}.png"
        page.screenshot(path=path)
        page.evaluate("Quasar.Dark.set(false)")
        page.set_viewport_size({"width": 1280, "height": 800})
        shrink(path)
        sys.stderr.write(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n")

    def open(self, path: str) -> Page:
        """Go to a page."""
        self.page.goto(path)
        self.page.get_by_role("heading", level=1).wait_for()
        self.page.wait_for_timeout(1500)
        return self.page


def shrink(path: Path) -> None:
    """Reduce the colours of a picture until it is small."""
    with Image.open(path) as image:
        plain = image.convert("RGB")
    for colours in (256, 128, 64, 32):
        plain.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= _LARGEST:
            return


def index(camera: Camera, folder: Path) -> None:
    """Make a collection of the docs and ask it."""
    page = camera.open("new-collection")
    page.get_by_label("Name").fill("docs")
    page.get_by_role("radio", name="A folder on the server").click()
    page.get_by_label("Folder or file on the server").fill(str(folder / "docs"))
    page.get_by_role("button", name="Index").click()
    page.get_by_text("docs: done").wait_for(timeout=_LONG)
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_label("Question or words").fill(_QUESTION)
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("list", name="Hits").wait_for()
    camera.take("collection-phone", phone=True)
    page.get_by_role("switch", name="All modes side by side").click()
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("region", name="dense").wait_for()
    camera.take("collection-modes")


def train(camera: Camera, folder: Path) -> None:
    """Train on headings and sections, and look at it on the way and at the end."""
    page = camera.open("new-training")
    page.get_by_label("Name of the new model").fill("e5-docs")
    page.get_by_role("radio", name="On the server").click()
    page.get_by_label("Folder or file on the server").fill(str(folder / "headings"))
    page.get_by_role("button", name="Check the data").click()
    page.get_by_text("no problems").wait_for(timeout=_LONG)
    for field, value in (("Batch size", "8"), ("Steps", "40"), ("Held out", "40"), ("Save and measure every", "10")):
        page.get_by_label(field, exact=True).fill(value)
    camera.take("training-new")
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("heading", name="The new model").wait_for(timeout=_LONG)
    camera.take("training")
    page.get_by_role("button", name="Deploy").click()
    page.get_by_label("State of e5-docs").get_by_text("Live").wait_for(timeout=_LONG)


def evaluate(camera: Camera, folder: Path) -> None:
    """Measure both models on the docs, and compare them."""
    for model in ("bundled", "e5-docs"):
        page = camera.open(f"new-evaluation?model={model}")
        page.get_by_label("Folder or file on the server").fill(str(folder / "tasks"))
        page.get_by_role("button", name="Evaluate").click()
    for model in ("bundled", "e5-docs"):
        page.get_by_role("link", name=model, exact=True).wait_for(timeout=_LONG)
        page.get_by_role("checkbox", name=f"Compare {model}").click()
    page.get_by_text("running").wait_for(state="detached")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("paired bootstrap").wait_for()
    camera.take("comparison")


def look_around(camera: Camera, url: str) -> None:
    """Visit the other pages, one of them while the server has work."""
    page = camera.open("models")
    camera.take("models")
    camera.open("settings")
    camera.take("settings")
    texts = [f"{heading}: {text}" for heading, text in sections()]
    camera.open("deployments/e5")
    for start in range(0, 240, 8):
        body = {"model": "e5", "input": [f"{start} {text}" for text in texts[start % 64 : start % 64 + 8]]}
        httpx.post(f"{url}/openai/v1/embeddings", json=body, timeout=120).raise_for_status()
    camera.take("deployment-dark", dark=True)
    camera.open("deployments")
    camera.take("deployments")
    page = camera.open("playground")
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("table", name="Cosine of each text with each").wait_for()
    camera.take("playground")
    for tab in ("Tokens", "Map"):
        page.get_by_role("tab", name=tab).click()
        camera.take(f"playground-{tab.lower()}")
    camera.open("")
    camera.take("overview")


def main() -> None:
    """Take all pictures."""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "console"
    output.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    folder = Path(gettempdir()) / "efive-demo"  # a path that may be seen
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("images"))
    prepare(folder)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with serving(folder / "home") as url:
            page = browser.new_page(base_url=f"{url}/console/", viewport={"width": 1280, "height": 800})
            page.set_default_timeout(60_000)
            camera = Camera(page, output)
            index(camera, folder)
            train(camera, folder)
            evaluate(camera, folder)
            look_around(camera, url)
        browser.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
