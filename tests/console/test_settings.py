"""The settings page: keys, addresses, the log."""

import logging
import math
import os
import re
import subprocess
import sys
from contextlib import closing

import httpx
import pytest

from efive.console import about, keys
from efive.console.logs import REQUESTS, Memory
from efive.deployments.state import State
from efive.errors import InputError
from efive.server.access import Access, Scope


@pytest.fixture
def access(tmp_path):
    with closing(State(tmp_path / "state")) as state:
        yield Access(state)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (("", [Scope.MANAGE], None, None), "name"),
        ((None, [Scope.MANAGE], None, None), "name"),
        (("x" * 101, [Scope.MANAGE], None, None), "101 characters"),
        (("x", [], None, None), "what it is for"),
        (("x", [Scope.EMBED], None, None), "first key must be for managing"),
        (("x", [Scope.MANAGE], 0, None), "0 a minute"),
        (("x", [Scope.MANAGE], None, 2.5), "2.5 a minute"),
        (("x", [Scope.MANAGE], 1e13, None), "no rate"),
        (("x", [Scope.MANAGE], math.nan, None), "no rate"),
        (("x", [Scope.MANAGE], None, math.inf), "no rate"),
    ],
)
def test_a_form_says_what_to_change(access, form, said):
    with pytest.raises(InputError, match=said):
        keys.wanted(access, *form)


def test_a_key_is_made_as_the_form_says(access):
    secret = keys.wanted(access, " admin ", [Scope.MANAGE], 60.0, None).make(access)
    key = access.all()[0]
    assert (key.name, key.scopes, key.requests_per_minute, key.tokens_per_minute) == ("admin", ("manage",), 60, None)
    assert access.admit({"authorization": f"Bearer {secret}"}, Scope.MANAGE).key == key.id
    shown = keys.shown(key, key.id)
    assert (shown.rates, shown.mine) == ("60 requests a minute", True)
    assert "signed in with this key" in keys.consequence(access, shown)
    assert "No other key is for managing" in keys.consequence(access, shown)
    access.create("other", ["manage"])
    assert "No other key" not in keys.consequence(access, shown)


def test_keys_of_another_program_are_seen_and_taken_over(tmp_path):
    with closing(State(tmp_path / "state")) as state, closing(State(tmp_path / "state")) as other:
        here = Access(state)
        mine, _ = here.create("mine", ["manage"])
        there = Access(other)
        made, theirs = there.create("theirs", ["embed"])
        there.revoke(mine.id)
        assert here.elsewhere() == ([made], [mine])
        assert here.all() == [mine]
        here.reread()
        assert here.elsewhere() == ([], [])
        assert here.all() == [made]
        assert here.admit({"api-key": theirs}, Scope.EMBED).key == made.id


def test_the_log_keeps_what_went_wrong_however_many_requests_come():
    memory, log = Memory(most=10), logging.getLogger("efive.test")
    requests = logging.getLogger(REQUESTS)
    with memory.attached():
        log.error("broken", extra={"model": "e5"})
        for _ in range(50):
            requests.warning("request", extra={"status": 200})
        try:
            raise ValueError("a text of " + "somebody")
        except ValueError:
            log.exception("unexpected")
    log.error("nobody listens")
    lines = memory.lines(requests=False)
    assert [(line.message, line.fields) for line in lines] == [("broken", "model=e5"), ("unexpected", "")]
    assert "a text of somebody" not in lines[1].stack
    assert lines[1].stack.endswith("ValueError")
    assert len(memory.lines()) == 12
    assert len(memory.lines(least=logging.ERROR)) == 2
    assert memory.lines(after=lines[0].number, least=logging.ERROR) == [lines[1]]


def test_addresses_are_those_that_the_server_has(served):
    for door in about.DOORS:
        answer = httpx.get(served.url + door.path)
        if answer.status_code == 404:  # a door, and at its root there is nothing
            assert httpx.get(f"{served.url}/no-such-door").json() != answer.json(), door.path


# -- in a browser --------------------------------------------------------------------------------------------------


def listed(page, name):
    return page.get_by_role("region", name="Keys").get_by_role("row").filter(has_text=name)


def ask_for_key(page, name, *scopes):
    page.get_by_role("button", name="Make a key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    for scope in scopes:
        name = re.compile(f"^{scope}:")
        dialog.get_by_role("checkbox", name=name).click()
        dialog.get_by_role("checkbox", name=name, checked=True).wait_for()
    dialog.get_by_role("button", name="Make the key").click()


@pytest.mark.slow
@pytest.mark.browser
def test_from_the_first_key_to_a_revoked_one(browser, start):
    server = start()
    context = browser.new_context(base_url=f"{server.url}/console/")
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto("settings")
    page.get_by_text("There are no keys").wait_for()

    # The first one: it is no key before it was seen.
    ask_for_key(page, "")
    page.get_by_role("alert").get_by_text("Give it a name").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    ask_for_key(page, "admin")
    secret = page.get_by_role("region", name="The key").inner_text()
    assert re.fullmatch(r"e5k_[\w-]{43}", secret)
    httpx.get(f"{server.url}/keys").raise_for_status()
    page.get_by_role("button", name="I have it, use keys").click()
    field = page.get_by_label("A key that may manage")
    field.fill(secret)
    assert httpx.get(f"{server.url}/keys").status_code == 401
    field.press("Enter")
    page.goto("settings")
    listed(page, "admin (yours)").wait_for()

    # Another one: shown once, then used, then revoked.
    ask_for_key(page, "app", "search")
    other = page.get_by_role("region", name="The key").inner_text()
    page.keyboard.press("Escape")  # it cannot be seen again: not by a slip of the hand
    page.get_by_role("button", name="I have it").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert other not in page.content()
    listed(page, "app").get_by_text("embed, search").wait_for()
    headers = {"authorization": f"Bearer {other}"}
    assert httpx.get(f"{server.url}/collections", headers=headers).status_code == 200
    page.get_by_role("button", name="Revoke app").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Revoke app").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    listed(page, "app").wait_for(state="detached")
    assert httpx.get(f"{server.url}/collections", headers=headers).status_code == 401

    # One that `efive keys` made meanwhile.
    command = [sys.executable, "-m", "efive", "keys", "create", "from-afar"]
    subprocess.run(command, env={**os.environ, "EFIVE_HOME": str(server.home)}, check=True, capture_output=True)
    page.reload()
    page.get_by_role("button", name="Take the changes over").click()
    listed(page, "from-afar").wait_for()

    # The one that this page was signed in with.
    page.get_by_role("button", name="Revoke admin").click()
    page.get_by_text("You are signed in with this key").wait_for()
    page.get_by_role("button", name="Revoke", exact=True).click()
    field.wait_for()
    context.close()


@pytest.mark.slow
@pytest.mark.browser
def test_the_log_goes_on_while_one_looks(page, served):
    page.goto("settings")
    log = page.get_by_role("log")
    log.get_by_text("ready model=e5").wait_for()
    made = {"name": "gone", "model": "no-such-model"}
    assert httpx.post(f"{served.url}/deployments", json=made).status_code == 404
    page.get_by_role("switch", name="Single requests").click()
    log.get_by_text("method=POST path=/deployments status=404").wait_for()
    page.get_by_role("combobox", name="Show").click()
    page.get_by_role("option", name="Errors", exact=True).click()
    log.get_by_text("ready model=e5").wait_for(state="detached")
