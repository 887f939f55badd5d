"""The first page: how the server is, and what to do next."""

import httpx
import pytest

from efive.console.overview import Facts, Health, condition, steps
from efive.deployments.deployment import Phase


def facts(*deployments, models=(), recommended="multilingual-e5-small", collections=0, keys=0):
    return Facts(deployments, models, recommended, collections, keys)


@pytest.mark.parametrize(
    ("deployments", "health", "said"),
    [
        ([], Health.BAD, "No model is at work"),
        ([("a", Phase.STOPPED, "")], Health.BAD, "No model is at work"),
        ([("a", Phase.READY, "")], Health.GOOD, "a answers requests."),
        ([("a", Phase.READY, ""), ("b", Phase.STOPPED, "")], Health.GOOD, "a answers requests."),
        ([(n, Phase.READY, "") for n in "abc"], Health.GOOD, "a, b and c answer requests."),
        ([(n, Phase.READY, "") for n in "abcd"], Health.GOOD, "a, b and 2 more answer requests."),
        ([("a", Phase.READY, ""), ("b", Phase.STARTING, "")], Health.WAITING, "b is starting."),
        ([("a", Phase.STARTING, ""), ("b", Phase.FAILED, "no memory")], Health.BAD, "b has failed: no memory"),
    ],
)
def test_the_server_is_as_its_worst_deployment(deployments, health, said):
    found = condition(facts(*deployments))
    assert found.health is health
    assert found.text.startswith(said)


def test_steps_that_are_done_are_known():
    begun = {step.title: step.done for step in steps(facts())}
    assert not any(begun.values())
    everything = facts(("a", Phase.READY, ""), models=["multilingual-e5-small"], collections=1, keys=1)
    done = {step.title for step in steps(everything) if step.done}
    assert done == {"Put a model to work", "Get a better model", "Search your documents", "Make a key"}
    assert "Get a better model" not in {step.title for step in steps(facts(recommended=None))}


@pytest.mark.browser
def test_the_page_follows_the_server(page, served):
    page.goto("")
    page.get_by_text("e5 answers requests.").wait_for()
    httpx.post(f"{served.url}/deployments/e5/stop", timeout=240).raise_for_status()
    page.get_by_text("No model is at work").wait_for()
    httpx.post(f"{served.url}/deployments/e5/start", timeout=240).raise_for_status()
    page.get_by_text("e5 answers requests.").wait_for()
    for title in ("Models", "Settings"):
        page.get_by_role("navigation").get_by_role("link", name=title).click()
        page.get_by_role("heading", name=title, exact=True).wait_for()


@pytest.mark.browser
def test_all_of_it_is_reached_by_the_keyboard_and_fits_a_phone(page):
    for path in ("", "models", "models/bundled", "settings"):
        page.goto(path)
        page.get_by_role("heading", level=1).wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        page.wait_for_function("document.activeElement.matches('main *')")
        assert page.evaluate("document.activeElement.firstElementChild.ariaLevel") == "1"
        assert page.get_by_role("main").count() == 1
        unnamed = page.evaluate(
            """[...document.querySelectorAll("button, a, input")].filter(each => each.checkVisibility()
            && !(each.ariaLabel || each.textContent.trim() || each.labels?.length)).map(each => each.outerHTML)"""
        )
        assert not unnamed
        page.set_viewport_size({"width": 390, "height": 800})
        page.reload()
        page.get_by_role("heading", level=1).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.set_viewport_size({"width": 1280, "height": 900})
