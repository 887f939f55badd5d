"""The pages before the console: a key in, a cookie out.

A browser has the key only until it has signed in. Then it has a cookie, which no script can read and no other site's
page can send along.
"""

import asyncio
import html
import re
from math import ceil
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from efive.console.gate import SESSIONS, SIGN_IN, cookie_of, root_of, service_of, token_of
from efive.console.sessions import LASTS, Failures
from efive.errors import AccessError, RateLimitError, UnauthenticatedError
from efive.server.access import Access, Caller, Scope

_FAILURES = Failures()
_FORM = 4096
"""Bytes of the form; a key has 500 at most."""
_SECONDS = 10.0
"""Until it has come."""
_PATH = re.compile(r"(/\w[\w. -]*)+")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"


async def sign_in(request: Request) -> Response:
    """Ask for a key; give a cookie for it."""
    access, home = service_of(request.scope).access, _home(request)
    if not access.required or SESSIONS.alive(token_of(request.headers), access):
        return RedirectResponse(home, 303)
    if request.method != "POST":
        return _asking()
    address = request.client.host if request.client else ""
    if wait := _FAILURES.wait(address):
        seconds = ceil(wait)
        return _asking(f"Too many wrong keys; try again in {seconds} s.", 429, {"retry-after": str(seconds)})
    try:
        caller = _caller(access, await _key(request))
    except RateLimitError as error:
        return _asking(f"{error}.", 429)
    except AccessError:
        _FAILURES.add(address)
        return _asking("That key is not known here, or not for managing. `efive keys list` shows which are.", 401)
    answer = RedirectResponse(home, 303)
    answer.set_cookie(
        cookie_of(request.headers),
        SESSIONS.begin(caller.key),
        max_age=LASTS,
        path=f"{root_of(request.scope)}/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


async def sign_out(request: Request) -> Response:
    """End the session."""
    SESSIONS.end(token_of(request.headers))
    root = root_of(request.scope)
    answer = RedirectResponse(f"{root}{SIGN_IN}", 303)
    answer.delete_cookie(cookie_of(request.headers), path=f"{root}/", httponly=True, samesite="strict")
    return answer


def _caller(access: Access, key: str) -> Caller:
    """Return whose key it is; one that `efive keys` made while the server runs is looked up."""
    headers = {"authorization": f"Bearer {key}"}
    try:
        return access.admit(headers, Scope.MANAGE)
    except UnauthenticatedError:
        access.reread()
        return access.admit(headers, Scope.MANAGE)


def _home(request: Request) -> str:
    """Return the page that was asked for before, else the first; only pages of the console, whatever is asked."""
    wanted = request.query_params.get("next", "")
    return root_of(request.scope) + (wanted if _PATH.fullmatch(wanted) and wanted != SIGN_IN else "/")


async def _key(request: Request) -> str:
    """Return the key in a form, or nothing if there is none in time."""
    body = b""
    try:
        async with asyncio.timeout(_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > _FORM:
                    return ""
    except TimeoutError:
        return ""
    return parse_qs(body.decode(errors="replace")).get("key", [""])[0].strip()


def _asking(fault: str = "", status: int = 200, headers: dict[str, str] | None = None) -> Response:
    shown = f'<p role="alert" id="fault">{html.escape(fault)}</p>' if fault else ""
    return HTMLResponse(_PAGE.replace("FAULT", shown), status, {"content-security-policy": _POLICY, **(headers or {})})


_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign in · efive</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
form { max-width: 24rem; margin: 15vh auto; padding: 0 1rem; display: grid; gap: .75rem; }
h1 { margin: 0; } p { margin: 0; } small { opacity: .75; }
input, button { font: inherit; padding: .6rem; border-radius: .4rem; border: 1px solid #8889; }
button { background: #1f4fa3; color: #fff; border: 0; cursor: pointer; }
:focus-visible { outline: 2px solid #4c8dff; outline-offset: 2px; }
[role=alert] { color: light-dark(#b3261e, #ffb4ab); }
</style></head><body><main>
<form method="post"><h1>efive</h1>FAULT
<label for="key">A key that may manage this server</label>
<input id="key" name="key" type="password" autocomplete="current-password" maxlength="500" required autofocus
 aria-describedby="fault">
<button>Sign in</button>
<small>No key at hand? <code>efive keys create NAME --scope manage</code> makes one, on the server's machine.</small>
</form></main></body></html>"""
