"""Who may see the console: everybody on this machine where there are no keys, else who has a key to manage.

A browser has the key only until it has signed in. Then it has a cookie, which no script can read and no other site's
page can send along, and the server knows to which key it belongs: revoking the key ends it.
"""

import hashlib
import html
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from efive.errors import AccessError
from efive.server.access import Access
from efive.server.access import Scope as Grant
from efive.server.service import Service

COOKIE = "efive_console"
_HOURS = 12
_MOST = 1000
"""Sessions at once; the oldest end first."""


@dataclass(frozen=True, slots=True)
class _Session:
    secret: str
    """The key itself, in memory only: whoever revokes it ends the session."""
    until: float


class Sessions:
    """Who has signed in."""

    def __init__(self) -> None:
        self._all: dict[str, _Session] = {}

    def begin(self, secret: str) -> str:
        """Return the cookie of a new session."""
        now = time.monotonic()
        self._all = {token: each for token, each in self._all.items() if each.until > now}
        while len(self._all) >= _MOST:
            del self._all[next(iter(self._all))]
        token = secrets.token_urlsafe(32)
        self._all[_digest(token)] = _Session(secret, now + 3600 * _HOURS)
        return token

    def key_of(self, token: str) -> str | None:
        """Return the key that a cookie stands for."""
        found = self._all.get(_digest(token))
        return found.secret if found is not None and found.until > time.monotonic() else None

    def end(self, token: str) -> None:
        """Forget a session."""
        self._all.pop(_digest(token), None)


SESSIONS = Sessions()


class Gate:
    """Lets those in who may manage the server, and from its own pages only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refused = _refused(scope)
        if refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403})
        else:
            await refused(scope, receive, send)


def _refused(scope: Scope) -> Response | None:
    """Return the answer to a request that may not go on."""
    headers = Headers(scope=scope)
    changes = scope["type"] == "websocket" or scope["method"] not in {"GET", "HEAD"}
    if changes and not own_page(headers):
        return PlainTextResponse("this page belongs to another site", 403)
    access = _service(scope).access
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if path == "/sign-in" or _signed_in(access, headers):
        return None
    if changes or "text/html" not in headers.get("accept", ""):
        return PlainTextResponse("sign in first", 401)
    return RedirectResponse(f"{scope.get('root_path', '')}/sign-in", 303)


def own_page(headers: Mapping[str, str]) -> bool:
    """Say whether a request comes from a page of this server: browsers name the site, other programs name none."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
    return origin.partition("://")[2].lower() == headers.get("host", "").lower()


def _signed_in(access: Access, headers: Headers) -> bool:
    if not access.required:
        return True
    key = SESSIONS.key_of(token_of(headers))
    return key is not None and may_manage(access, key)


def may_manage(access: Access, key: str) -> bool:
    """Say whether a key is there and for everything."""
    try:
        access.admit({"authorization": f"Bearer {key}"}, Grant.MANAGE)
    except AccessError:
        return False
    return True


def token_of(headers: Headers) -> str:
    """Return the session's cookie, or nothing."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


async def sign_in(request: Request) -> Response:
    """Ask for a key; give a cookie for it."""
    access, home = _service(request.scope).access, request.scope.get("root_path", "") + "/"
    if not access.required:
        return RedirectResponse(home, 303)
    if request.method == "GET":
        return HTMLResponse(_page(""))
    async with request.form(max_files=0, max_fields=2) as form:
        key = str(form.get("key", "")).strip()
    if not may_manage(access, key):
        return HTMLResponse(_page("That key is not known, or not for managing. `efive keys list` shows them."), 401)
    answer = RedirectResponse(home, 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, SESSIONS.begin(key), max_age=3600 * _HOURS, path=home, httponly=True, samesite="strict", secure=secure
    )
    return answer


async def sign_out(request: Request) -> Response:
    """End the session."""
    SESSIONS.end(token_of(request.headers))
    answer = RedirectResponse("sign-in", 303)
    answer.delete_cookie(COOKIE, path=request.scope.get("root_path", "") + "/")
    return answer


def _service(scope: Scope) -> Service:
    service: Service = scope["app"].state.service
    return service


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _page(fault: str) -> str:
    shown = f'<p role="alert">{html.escape(fault)}</p>' if fault else ""
    return f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign in · efive</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
form {{ max-width: 24rem; margin: 15vh auto; padding: 0 1rem; display: grid; gap: .75rem; }}
input, button {{ font: inherit; padding: .6rem; }} [role=alert] {{ color: #c62828; margin: 0; }}
</style>
<form method="post"><h1>efive</h1>{shown}
<label for="key">A key that may manage this server</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button></form></html>"""
