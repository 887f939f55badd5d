"""Who gets into the console: over real sockets, and in a real browser."""

import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets

from efive.console.sessions import LASTS, Failures, Sessions
from efive.deployments.state import State
from efive.server.access import Access

PATHS = (
    "/",
    "/models",
    "/settings",
    "/favicon.ico",
    "/_nicegui/3/static/nicegui.js",
    "/no-such-page",
    "/sign-in/x",
    "/send/x",
)
PAGE = {"accept": "text/html"}
SOCKET = "/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@dataclass(frozen=True)
class Keyed:
    """A server that has keys, one for each of these uses."""

    url: str
    manage: str
    embed: str
    home: Path


@pytest.fixture(scope="module")
def keyed(start, tmp_path_factory):
    home = tmp_path_factory.mktemp("keyed")
    with closing(State(home / "server.sqlite")) as state:
        access = Access(state)
        manage = access.create("admin", ["manage"])[1]
        embed = access.create("app", ["embed", "search"])[1]
    return Keyed(start(home=home).url, manage, embed, home)


@pytest.fixture
def manager(keyed):
    """A client of the API that may make and revoke keys."""
    with httpx.Client(base_url=keyed.url, headers={"authorization": f"Bearer {keyed.manage}"}) as client:
        yield client


@pytest.fixture
def visitor(keyed):
    """A browser that has not signed in."""
    with httpx.Client(base_url=f"{keyed.url}/console", headers=PAGE) as client:
        yield client


def signed_in(visitor, key):
    answer = visitor.post("/sign-in", data={"key": key})
    assert answer.status_code == 303, answer.text
    return visitor


def make_key(manager, **options):
    made = manager.post("/keys", json={"name": "a key", "scopes": ["manage"], **options}).json()
    return made["id"], made["key"]


def test_a_session_ends_by_time_with_its_key_and_by_signing_out(tmp_path):
    now = 0.0
    with closing(State(tmp_path / "state")) as state:
        access, sessions = Access(state), Sessions(lambda: now)
        admin, app = access.create("admin", ["manage"])[0], access.create("app", ["search"])[0]
        first, second, third = (sessions.begin(admin.id) for _ in range(3))
        assert sessions.alive(first, access)
        assert not sessions.alive(sessions.begin(app.id), access)
        assert not sessions.alive("", access)
        sessions.end(second)
        assert [sessions.alive(each, access) for each in (first, second, third)] == [True, False, True]
        now = LASTS
        assert not sessions.alive(third, access)
        fourth = sessions.begin(admin.id)
        access.revoke(admin.id)
        assert not sessions.alive(fourth, access)


def test_wrong_keys_are_counted_for_each_address():
    now = 0.0
    failures = Failures(lambda: now)
    for _ in range(10):
        assert failures.wait("1.2.3.4") == 0
        failures.add("1.2.3.4")
    assert failures.wait("1.2.3.4") == 60
    assert failures.wait("1.2.3.5") == 0
    now = 59.0
    assert failures.wait("1.2.3.4") == 1
    now = 60.0
    assert failures.wait("1.2.3.4") == 0


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_there_without_a_session(visitor, path):
    asked = visitor.get(path)
    assert (asked.status_code, asked.headers["location"]) == (303, f"/console/sign-in?next={path}")
    assert visitor.get(path, headers={"accept": "*/*"}).status_code == 401
    assert visitor.post(path).status_code == 401
    assert visitor.get(path, headers={"authorization": "Bearer x", "cookie": "efive_console=x"}).status_code == 303


def test_no_websocket_without_a_session(keyed):
    assert httpx.get(f"{keyed.url}{SOCKET}", headers=HANDSHAKE).status_code == 403


def test_a_key_to_manage_opens_it_and_a_lesser_one_does_not(visitor, keyed):
    for wrong in (keyed.embed, "e5k_" + "x" * 43, "", "ключ"):
        answer = visitor.post("/sign-in", data={"key": wrong})
        assert answer.status_code == 401
        assert "not for managing" in answer.text
        assert "set-cookie" not in answer.headers
    answer = visitor.post("/sign-in", data={"key": f" {keyed.manage}\n"})
    assert answer.headers["location"] == "/console/"
    port = keyed.url.rpartition(":")[2]
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"efive_console_{port}=")
    assert {"httponly", "samesite=strict", "path=/console/", "max-age=43200"} <= set(cookie.split("; "))
    assert keyed.manage.lower() not in cookie
    assert visitor.get("/").status_code == 200
    assert visitor.get("/sign-in").headers["location"] == "/console/"


def test_a_key_that_was_made_at_the_machine_opens_it_at_once(visitor, keyed):
    with closing(State(keyed.home / "server.sqlite")) as state:
        key = Access(state).create("lost-and-found", ["manage"])[1]
    assert signed_in(visitor, key).get("/").status_code == 200


@pytest.mark.parametrize(
    ("wanted", "page"),
    [
        ("/models", "/models"),
        ("/deployments/e5.v2", "/deployments/e5.v2"),
        ("/collections/my notes", "/collections/my%20notes"),
        ("//evil.example", "/"),
        ("/../docs", "/"),
        ("https://evil.example", "/"),
        ("/a?b", "/"),
        ("/sign-in", "/"),
    ],
)
def test_signing_in_leads_to_the_page_that_was_wanted(visitor, keyed, wanted, page):
    answer = visitor.post("/sign-in", params={"next": wanted}, data={"key": keyed.manage})
    assert answer.headers["location"] == f"/console{page}"


def test_pages_do_not_use_up_a_keys_requests(visitor, manager):
    _, key = make_key(manager, requests_per_minute=2)
    signed_in(visitor, key)
    assert [visitor.get("/").status_code for _ in range(5)] == [200] * 5


def test_a_revoked_key_ends_its_sessions_and_their_open_websockets(visitor, manager, keyed, apart):
    id_, key = make_key(manager)
    signed_in(visitor, key)
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())

    async def run():
        address = f"{keyed.url.replace('http', 'ws')}{SOCKET}"
        async with websockets.connect(
            address, additional_headers={"cookie": cookie}, proxy=None, open_timeout=120
        ) as socket:
            assert (await socket.recv()).startswith("0")
            assert manager.delete(f"/keys/{id_}").status_code == 204
            await socket.send("40")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 4403

    apart(run())
    assert visitor.get("/").status_code == 303


def test_signing_out_ends_the_session_not_only_the_cookie(visitor, keyed):
    signed_in(visitor, keyed.manage)
    before = dict(visitor.cookies)
    assert visitor.post("/sign-out").headers["location"] == "/console/sign-in"
    assert not visitor.cookies
    visitor.cookies.update(before)
    assert visitor.get("/").status_code == 303


def test_guessing_has_an_end(start, tmp_path):
    with closing(State(tmp_path / "server.sqlite")) as state:
        key = Access(state).create("admin", ["manage"])[1]
    url = start(home=tmp_path).url + "/console/sign-in"
    assert [httpx.post(url, data={"key": "wrong"}).status_code for _ in range(11)] == [401] * 10 + [429]
    refused = httpx.post(url, data={"key": key})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 60


# -- without keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example", "origin": "http://evil.example"},  # its name points at 127.0.0.1
        {"host": "192.168.1.7:8080"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "[::1"},
        {"x-forwarded-for": "127.0.0.1"},
        {"via": "1.1 a proxy"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
    ],
)
def test_a_server_without_keys_is_for_this_machine_and_its_own_pages(served, headers):
    assert httpx.get(f"{served.url}/console/", headers=PAGE | headers).status_code == 403
    assert httpx.get(f"{served.url}{SOCKET}", headers=HANDSHAKE | headers).status_code == 403


def test_links_of_other_sites_open_it(served):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert httpx.get(f"{served.url}/console/", headers=PAGE | link).status_code == 200
    assert httpx.post(f"{served.url}/console/", headers=PAGE | link).status_code == 403
    port = served.url.rpartition(":")[2]
    assert httpx.get(f"{served.url}/console/", headers={"host": f"localhost:{port}"}).status_code == 200


def test_answers_say_what_browsers_may_do_with_them(served):
    page = httpx.get(f"{served.url}/console/")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    policy = dict(each.split(" ", 1) for each in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["script-src-attr"] == "'none'"
    script = re.search(r'src="(/console/_nicegui/[^"]+/static/nicegui\.js)"', page.text)[1]
    library = httpx.get(f"{served.url}{script}")
    assert library.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)


def test_there_is_none_where_none_is_wanted(start):
    assert httpx.get(f"{start('--without-console').url}/console/").status_code == 404


# -- in a browser --------------------------------------------------------------------------------------------------


@pytest.fixture
def window(browser, keyed):
    context = browser.new_context(base_url=f"{keyed.url}/console/")
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


@pytest.mark.browser
def test_signing_in_and_out(window, keyed):
    window.goto("settings")
    field = window.get_by_label("A key that may manage")
    field.fill("not a key")
    field.press("Enter")
    assert "not known" in window.get_by_role("alert").inner_text()
    field.fill(keyed.manage)
    window.get_by_role("button", name="Sign in").click()
    window.get_by_role("heading", name="Settings").wait_for()
    assert window.url.endswith("/console/settings")
    assert window.evaluate("document.cookie") == ""
    window.get_by_role("button", name="Sign out").click()
    field.wait_for()


@pytest.mark.browser
def test_an_open_page_asks_for_a_key_when_its_own_is_revoked(window, manager):
    id_, key = make_key(manager)
    window.goto("")
    window.get_by_label("A key that may manage").fill(key)
    window.get_by_role("button", name="Sign in").click()
    window.get_by_role("heading", name="Overview").wait_for()
    manager.delete(f"/keys/{id_}")
    window.get_by_label("A key that may manage").wait_for()


@pytest.mark.browser
def test_an_open_page_asks_for_a_key_when_the_first_is_made_elsewhere(browser, start):
    server = start()
    context = browser.new_context(base_url=f"{server.url}/console/")
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto("")
    page.get_by_role("heading", name="Overview").wait_for()
    httpx.post(f"{server.url}/keys", json={"name": "admin", "scopes": ["manage"]}).raise_for_status()
    page.get_by_label("A key that may manage").wait_for(timeout=120_000)
    context.close()
