"""The pages of models in a real browser."""

import shutil
import sys
from pathlib import Path

import httpx
import pytest

from efive.models import bundles
from efive.models.family import FAMILY
from efive.models.store import ModelStore

sys.path.append(str(Path(__file__).parents[1] / "models"))


def dialog(page, name):
    return page.get_by_role("dialog").filter(has=page.get_by_role("heading", name=name))


def row(page, name):
    return page.get_by_role("region", name="Models on this server").get_by_role("row").filter(has_text=name)


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_says_what_is_here_and_what_suits(page):
    page.goto("models")
    row(page, "bundled").get_by_text("Deployed as e5").wait_for()
    row(page, "bundled").get_by_text("e5-18f464e1c670ef2c").wait_for()
    published = page.get_by_role("region", name="Published models").get_by_role("row")
    assert published.count() == len(FAMILY) + 1
    assert "Recommended" in published.nth(1).inner_text()
    page.get_by_role("link", name="bundled").click()
    page.get_by_role("heading", name="e5-nano").wait_for()


@pytest.mark.slow
@pytest.mark.browser
def test_a_folder_becomes_a_model_that_is_verified_deployed_and_deleted(page, served, bert):
    page.goto("models")
    page.get_by_role("button", name="From a folder").click()
    asked = dialog(page, "From a folder")
    asked.get_by_label("Folder on the server").fill("/no/such/folder")
    asked.get_by_role("button", name="Copy").click()
    asked.get_by_role("alert").get_by_text("/no/such/folder is not on the server").wait_for()
    asked.get_by_label("Folder on the server").fill(str(bert))
    asked.get_by_label("Name").fill("mine")
    asked.get_by_label("Name").press("Enter")
    asked.get_by_role("button", name="Copy").click()
    page.get_by_text("Done: it can be deployed").wait_for()
    row(page, "mine").get_by_text("Ready to deploy").wait_for()
    page.get_by_role("button", name="Dismiss: Copying mine").click()
    page.get_by_role("button", name="Verify mine").click()
    page.get_by_text("Intact: every file").wait_for()

    made = {"name": "live", "model": "mine", "precision": "fp32", "threads": 1}
    httpx.post(f"{served.url}/deployments", json=made, timeout=240).raise_for_status()
    page.reload()
    row(page, "mine").get_by_text("Deployed as live").wait_for()
    page.get_by_role("button", name="Delete mine").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("mine is the model of live; delete that deployment first").wait_for()
    httpx.delete(f"{served.url}/deployments/live", timeout=240).raise_for_status()
    page.get_by_role("button", name="Delete mine").click()
    page.get_by_role("dialog").get_by_text("Delete mine?").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Delete mine").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("mine is deleted").wait_for()
    row(page, "mine").wait_for(state="detached")


@pytest.mark.slow
@pytest.mark.browser
def test_a_models_own_page_has_it_under_any_name_and_checks_it(page, served, bert):
    name = "50% a?b#c نموذج " + 60 * "x"
    ModelStore(served.home).copy(bert, name)
    page.goto("models")
    page.get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, level=2).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name=f"Verify {name}").click()
    page.get_by_text("Intact: every file").wait_for()


@pytest.mark.slow
@pytest.mark.browser
def test_without_a_network_the_page_says_what_else_there_is(page):
    page.goto("models")
    page.get_by_role("button", name="Pull multilingual-e5-small", exact=True).click()
    page.get_by_text("could not fetch intfloat/multilingual-e5-small").wait_for()
    page.get_by_role("button", name="Pull from the hub").click()
    asked = dialog(page, "Pull from the hub")
    asked.get_by_label("Model", exact=True).fill("nonsense")
    asked.get_by_role("button", name="Pull", exact=True).click()
    asked.get_by_role("alert").get_by_text("neither a family name").wait_for()
    page.keyboard.press("Escape")
    asked.wait_for(state="detached")
    page.get_by_role("button", name="Dismiss: Pulling multilingual-e5-small").click()
    page.get_by_text("could not fetch").wait_for(state="detached")


@pytest.mark.slow
@pytest.mark.browser
def test_a_bundle_is_sent_from_the_browser_in_pieces(page, served, bert, tmp_path):
    fat = shutil.copytree(bert, tmp_path / "fat")
    (fat / "filling.txt").write_bytes(bytes(9 << 20))
    bundles.export_bundle(fat, tmp_path / "fat.efive", source="here", revision="")
    page.goto("models")
    page.get_by_role("button", name="From a bundle").click()
    name = dialog(page, "From a bundle").get_by_label("Name")
    for given in ("a/b", ""):
        name.fill(given)
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Send a file").click()
        chooser.value.set_files(tmp_path / "fat.efive")
        if given:  # refused before it is sent
            page.get_by_text("'a/b' cannot be a model's name").wait_for()
            assert not list((served.home / "incoming").glob("*.part"))
    row(page, "fat").get_by_text("Ready to deploy").wait_for()
    assert (served.home / "models" / "fat" / "filling.txt").stat().st_size == 9 << 20
    assert not [path for path in (served.home / "incoming").iterdir() if path.name.endswith(".part")]
