"""The whole walk, as somebody takes it who has just started a server: from a folder with a model to a better one."""

import json
import re

import pytest
from choosing import choose

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROUTES = {
    "ferry.md": "# Ferries\n\nThe ferry to the island leaves at noon from the old harbour.",
    "train.txt": "The night train to the coast leaves at nine in the evening from platform four.",
}
PASSAGES = [{"contents": f"the answer to question {i} is {i * 31}"} for i in range(48)]
EXAMPLES = [
    {"query": f"question {i}", "positives": {"doc_id": [i]}, "negatives": {"doc_id": [i + 24, (i + 1) % 24]}}
    for i in range(24)
]


@pytest.fixture
def expect():
    sync = pytest.importorskip("playwright.sync_api")
    sync.expect.set_options(timeout=120_000)
    return sync.expect


@pytest.fixture
def route_files(tmp_path):
    for name, text in ROUTES.items():
        (tmp_path / name).write_text(text)
    return [tmp_path / name for name in ROUTES]


@pytest.fixture
def training_files(tmp_path):
    for name, rows in (("passages.jsonl", PASSAGES), ("train.jsonl", EXAMPLES)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [tmp_path / "passages.jsonl", tmp_path / "train.jsonl"]


def go(page, name):
    """Follow the menu."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, level=1).wait_for()


def test_the_whole_walk(page, expect, bert, route_files, training_files):
    page.goto("")
    add_a_model(page, expect, bert)
    start_it(page, expect)
    embed(page, expect)
    search(page, expect, route_files)
    train(page, expect, training_files)
    deploy(page, expect)


def add_a_model(page, expect, folder):
    go(page, "Models")
    page.get_by_role("button", name="From a folder").click()
    dialog = page.get_by_role("dialog", name="From a folder")
    dialog.get_by_label("Folder on the server").fill(str(folder))
    dialog.get_by_label("Name").fill("walker")
    dialog.get_by_role("button", name="Copy").click()
    row = page.get_by_role("region", name="Models on this server").get_by_role("row").filter(has_text="walker")
    expect(row).to_contain_text("Ready to deploy")


def start_it(page, expect):
    page.get_by_role("button", name="Deploy walker").click()
    dialog = page.get_by_role("dialog", name="Start a deployment")
    dialog.get_by_label("Deployment id").fill("walking")
    start = dialog.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_enabled()
    start.click()
    expect(dialog).to_have_count(0)
    go(page, "Deployments")
    expect(page.get_by_label("State of walking")).to_contain_text("Live")  # without reloading


def embed(page, expect):
    page.get_by_role("link", name="walking").click()
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="Playground", level=1)).to_be_visible()
    page.get_by_role("textbox", name="Text 1", exact=True).fill("when does the ferry leave?")
    page.get_by_role("button", name="Compare").click()
    table = page.get_by_role("table", name="Cosine of each text with each")
    expect(table.get_by_role("row").nth(1).get_by_role("cell").first).to_have_text("1.00")


def search(page, expect, files):
    go(page, "Collections")
    page.get_by_role("button", name="New collection").click()
    page.get_by_label("Name").fill("routes")
    page.get_by_label("Deployment that embeds").click()
    page.get_by_role("option", name="walking").click()
    choose(page, files)
    page.get_by_role("button", name="Index").click()
    expect(page.get_by_text("routes: done")).to_be_visible()
    page.get_by_label("Question or words").fill("which platform has the night train?")
    page.keyboard.press("Enter")
    first = page.get_by_role("list", name="Hits").get_by_role("listitem").first
    expect(first).to_contain_text("train.txt")
    expect(first.locator("mark").filter(has_text="platform")).to_have_count(1)


def train(page, expect, files):
    go(page, "Training")
    page.get_by_role("button", name="New training").click()
    page.get_by_label("Name of the new model").fill("runner")
    page.get_by_label("Model to start from").click()
    page.get_by_role("option", name="walker").click()
    choose(page, files)
    page.get_by_role("button", name="Check the data").click()
    expect(page.get_by_text("24 questions, 48 passages, at least 2 negatives each; no problems.")).to_be_visible()
    for field, value in (("Batch size", "4"), ("Steps", "30"), ("Held out", "4"), ("Save and measure every", "10")):
        page.get_by_label(field, exact=True).fill(value)
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("heading", name="The new model")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("img", name=re.compile(r"^Loss: loss [\d.]+ at step 30$"))).to_be_visible()
    gains = page.get_by_role("region", name="Before and after").get_by_role("row")
    expect(gains.filter(has_text="nDCG@10")).to_contain_text(re.compile(r"[+-]0\.\d{4}$"))


def deploy(page, expect):
    page.get_by_role("button", name="Deploy").click()
    expect(page.get_by_label("State of runner")).to_contain_text("Live")
    go(page, "Models")
    row = page.get_by_role("region", name="Models on this server").get_by_role("row").filter(has_text="runner")
    expect(row).to_contain_text("Deployed as runner")
