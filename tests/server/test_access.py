"""Keys: what they open, what they may use up, and that they are nowhere to be read."""

import base64
import contextlib

import httpx
import pytest
from served import serving

from efive.deployments.scheduler import Limits
from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.errors import ForbiddenError, InputError, RateLimitError, UnauthenticatedError
from efive.server import access
from efive.server.access import ANYBODY, Access, Scope
from efive.server.app import Options


@pytest.fixture
def state(tmp_path):
    state = State(tmp_path / "server.sqlite")
    yield state
    state.close()


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def test_scopes_include_one_another(state):
    keys = Access(state)
    assert keys.admit({}, Scope.MANAGE) is ANYBODY
    granted = {}
    for scope in Scope:
        _, secret = keys.create(str(scope), [scope])
        granted[scope] = []
        for wanted in Scope:
            with contextlib.suppress(ForbiddenError):
                keys.admit(bearer(secret), wanted)
                granted[scope].append(str(wanted))
    assert granted == {
        Scope.EMBED: ["embed"],
        Scope.SEARCH: ["embed", "search"],
        Scope.MANAGE: ["embed", "search", "manage"],
    }
    _, secret = keys.create("app", ["embed"])
    with pytest.raises(ForbiddenError, match="the key 'app' is for embed; this needs manage"):
        keys.admit(bearer(secret), Scope.MANAGE)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer   {}"},
        {"authorization": "ApiKey {}"},
        {"api-key": "{}"},
        {"key": "{}"},
        {"x-api-key": "{}"},
        {"authorization": "Basic dXNlcjpwYXNz", "api-key": "{}"},
    ],
)
def test_a_key_is_taken_from_each_protocol_s_header(state, headers):
    keys = Access(state)
    key, secret = keys.create("someone", ["embed"])
    given = {name: value.format(secret) for name, value in headers.items()}
    assert keys.admit(given, Scope.EMBED).key == key.id
    for wrong in (secret[:-1], secret.upper(), ""):
        given = {name: value.format(wrong) for name, value in headers.items()}
        with pytest.raises(UnauthenticatedError) as refused:
            keys.admit(given, Scope.EMBED)
        assert not wrong or wrong not in str(refused.value)


def paired(scheme, name, secret):
    return {"authorization": f"{scheme} {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"}


@pytest.mark.parametrize("scheme", ["Basic", "basic", "ApiKey"])
@pytest.mark.parametrize("secret", [None, "with:colons:in:it:16"])
def test_a_key_is_taken_from_a_pair_in_base64(state, scheme, secret):
    keys = Access(state)
    key, secret = keys.create("someone", ["embed"], secret=secret)
    assert keys.admit(paired(scheme, "elastic", secret), Scope.EMBED).key == key.id
    for headers in (
        paired(scheme, "elastic", secret[:-1]),
        paired(scheme, secret, ""),
        paired(scheme, secret, "other"),
        {"authorization": f"{scheme} {base64.b64encode(secret.encode()).decode()}"},
        {"authorization": f"{scheme} !!!"},
        {"authorization": f"{scheme} /w=="},
        {"authorization": scheme},
    ):
        with pytest.raises(UnauthenticatedError) as refused:
            keys.admit(headers, Scope.EMBED)
        assert secret not in str(refused.value)


def test_a_key_that_looks_like_a_pair_in_base64_is_taken_as_it_is(state):
    keys = Access(state)
    looks = base64.b64encode(b"id:another-secret-of-24").decode()
    key, _ = keys.create("someone", ["embed"], secret=looks)
    assert keys.admit({"authorization": f"ApiKey {looks}"}, Scope.EMBED).key == key.id


def test_rates_are_each_key_s_own_and_say_when_to_come_back(state, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(access.time, "monotonic", lambda: now)
    keys = Access(state)
    _, busy = keys.create("busy", ["embed"], requests_per_minute=2, tokens_per_minute=100)
    _, other = keys.create("other", ["embed"])
    for _ in range(2):
        caller = keys.admit(bearer(busy), Scope.EMBED)
    with pytest.raises(RateLimitError, match="this key may have 2 requests a minute; try again in 30") as refused:
        keys.admit(bearer(busy), Scope.EMBED)
    assert refused.value.retry_after == pytest.approx(30)
    for _ in range(100):
        keys.charge(keys.admit(bearer(other), Scope.EMBED), 1000)
    keys.charge(caller, 300)  # what is large is allowed once
    with pytest.raises(RateLimitError, match="100 tokens a minute") as refused:
        keys.charge(caller, 1)
    now += refused.value.retry_after
    keys.charge(caller, 1)
    now += 3600  # and nobody saves up more than a minute's worth
    for _ in range(2):
        keys.admit(bearer(busy), Scope.EMBED)
    with pytest.raises(RateLimitError):
        keys.admit(bearer(busy), Scope.EMBED)


def test_what_cannot_be_a_key_is_refused(state):
    keys = Access(state)
    for bad in ({"scopes": ["all"]}, {"scopes": []}, {"requests_per_minute": 0}, {"tokens_per_minute": -1}):
        with pytest.raises(InputError):
            keys.create("x", **{"scopes": ["embed"], **bad})
    for secret in ("", "short", "with a space in it all", "größer als sechzehn"):
        with pytest.raises(InputError, match="16 to 500"):
            keys.create("x", ["embed"], secret=secret)
    keys.create("mine", ["embed"], secret="a-configured-key-1")
    with pytest.raises(InputError, match="in use already, as 'mine'"):
        keys.create("x", ["manage"], secret="a-configured-key-1")
    assert len(keys.all()) == len(Access(state).all()) == 1


def test_a_key_replaces_those_of_its_name_once_it_is_kept(state):
    keys = Access(state)
    for _ in range(2):
        first, secret = keys.create("app", ["manage"], secret="a-configured-key-1", replace=True)
    keys.create("other", ["embed"], secret="a-configured-key-2")
    for bad in ({"secret": "short"}, {"secret": "a-configured-key-2"}, {"scopes": ["all"]}):
        with pytest.raises(InputError):
            keys.create("app", **{"scopes": ["manage"], "replace": True, **bad})
    assert {each.id for each in Access(state).all()} == {each.id for each in keys.all()} >= {first.id}
    assert Access(state).admit(bearer(secret), Scope.MANAGE).key == first.id
    keys.create("app", ["manage"], secret="a-configured-key-3", replace=True)
    assert [each.name for each in Access(state).all()] == ["other", "app"]


@pytest.mark.parametrize(
    ("origin", "refused"),
    [
        ("http://evil.example", True),
        ("http://127.0.0.1:3000", True),
        ("null", True),
        ("http://127.0.0.1:8080", False),
        ("HTTP://127.0.0.1:8080", False),
        ("app://notes", False),
    ],
)
def test_pages_of_other_sites_may_not_use_a_server_without_keys(state, origin, refused):
    keys = Access(state)
    headers = {"origin": origin, "host": "127.0.0.1:8080"}
    with pytest.raises(ForbiddenError, match="efive keys create") if refused else contextlib.nullcontext():
        keys.admit(headers, Scope.EMBED)
    _, secret = keys.create("page", ["embed"])
    assert keys.admit(headers | bearer(secret), Scope.EMBED).key


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("127.0.0.1:8080", False),
        ("[::1]:8080", False),
        ("10.1.2.3", False),
        ("localhost:8080", False),
        ("embeddings:8080", False),
        ("evil.example:8080", True),
        ("127.0.0.1.evil.example", True),
    ],
)
def test_a_page_s_name_for_this_machine_does_not_open_a_server_without_keys(state, host, refused):
    with pytest.raises(ForbiddenError, match="efive keys create") if refused else contextlib.nullcontext():
        Access(state).admit({"host": host}, Scope.EMBED)  # as a page's own GET comes: no origin
    Access(state, any_name=True).admit({"host": host}, Scope.EMBED)


def test_only_hashes_are_kept_and_revoking_the_last_key_opens_nothing(state, tmp_path):
    keys = Access(state)
    key, secret = keys.create("first", ["manage"])
    chosen = "a-secret-that-clients-have"
    second, _ = keys.create("second", ["embed"], secret=chosen)
    again = Access(state)
    assert [each.name for each in again.all()] == ["first", "second"]
    assert again.admit(bearer(secret), Scope.MANAGE).key == key.id
    files = [file.read_bytes() for file in tmp_path.iterdir()]
    assert any(key.digest.encode() in content for content in files)
    for each in (secret, secret.removeprefix("e5k_"), chosen):
        assert not any(each.encode() in content for content in files)
        assert each not in repr(again.all())
    assert keys.revoke(second.id)
    assert not keys.revoke(second.id)
    assert keys.revoke(key.id)
    for headers in ({}, bearer(secret)):
        with pytest.raises(UnauthenticatedError):
            keys.admit(headers, Scope.EMBED)
    assert not Access(state).required


def test_a_server_with_keys(tmp_path, bert, caplog):
    state = State(tmp_path / "server.sqlite")
    _, manage = Access(state).create("root", ["manage"])
    _, embed = Access(state).create("app", ["embed"], tokens_per_minute=20)
    state.close()
    tiny = Settings(name="tiny", model=str(bert), precision="fp32", threads=1)
    with caplog.at_level("INFO"), serving(Options(tmp_path, (tiny,))) as server:
        body = {"model": "tiny", "input": "hello"}
        url = f"{server.url}/openai/v1/embeddings"
        assert httpx.post(url, json=body).status_code == 401
        assert httpx.post(url, json=body, headers=bearer("e5k_" + "x" * 43)).status_code == 401
        assert httpx.get(f"{server.url}/deployments").status_code == 401
        assert httpx.post(f"{server.url}/keys", json={}, headers=bearer(embed)).status_code == 403
        assert httpx.get(f"{server.url}/keys", headers=bearer(manage)).status_code == 200
        assert httpx.post(url, json=body, headers={"Api-Key": embed}).status_code == 200
        assert httpx.post(url, json={**body, "input": "word " * 100}, headers={"Key": embed}).status_code == 200
        refused = httpx.post(url, json=body, headers=bearer(embed))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 60
        for path in ("/health/live", "/health/ready", "/metrics", "/tei/health", "/tei/metrics", "/openapi.json"):
            assert httpx.get(server.url + path).status_code == 200
        for path in ("/collections", "/keys", "/deployments/tiny", "/tei/info", "/openai/v1/models"):
            assert httpx.get(server.url + path).status_code == 401
        assert httpx.post(url, json=body, headers=bearer(manage)).status_code == 200
        _, thrifty = server.service.access.create("thrifty", ["embed"], tokens_per_minute=5)
        scheduler = server.service.deployments.get("tiny").scheduler
        scheduler.limits, usual = Limits(requests=0), scheduler.limits
        for number in range(3):  # refused because the queue is full, and not charged for that
            full = httpx.post(url, json={**body, "input": f"more than five tokens, {number}"}, headers=bearer(thrifty))
            assert (full.status_code, "requests wait" in full.text) == (429, True)
        scheduler.limits = usual
        assert httpx.post(url, json=body, headers=bearer(thrifty)).status_code == 200
        _, once = server.service.access.create("once", ["manage"], tokens_per_minute=1)
        adding = f"{server.url}/collections/mine/documents"
        assert httpx.post(adding, json={"id": "a", "text": "b"}, headers=bearer(once)).status_code == 200
        for path, content in (("documents", {"id": "c", "text": "d"}), ("search", {"text": "b"})):
            used_up = httpx.post(f"{server.url}/collections/mine/{path}", json=content, headers=bearer(once))
            assert (used_up.status_code, used_up.json()["code"]) == (429, "rate_limited")
        seen = httpx.get(f"{server.url}/metrics").text
        assert 'efive_errors_total{door="openai",error="rate_limited",model="tiny"} 1.0' in seen
    for secret in (manage, embed):
        assert secret not in caplog.text + seen
