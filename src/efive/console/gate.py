"""Who may see the console: people at this machine where there are no keys, else who has a key to manage.

Every request and every message of an open websocket is judged anew, so that a key that is revoked, a session that
ends and a first key that is made are felt at once. In this order:

- A page of another site may not use the console, nor show it in a frame: browsers say whose page sends a request.
- Without keys, the connection must come from this machine and be to a name of this machine. A page of another site
  can point its own name at 127.0.0.1, and then the browser takes the console for a part of that site.
- With keys, the cookie of a session of a key for managing must be there.
"""

import ipaddress
import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from efive.console.sessions import Sessions
from efive.server.service import Service

SESSIONS = Sessions()
SIGN_IN = "/sign-in"
_COOKIE = "efive_console"
_REFUSED = 4403
"""The code that a websocket is closed with."""
_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers of proxies: whoever is behind one may be anywhere."""
_LIBRARY = re.compile(r"/_nicegui/\d[^/]*/(?!dynamic_resources/)")
"""NiceGUI's own files, the version in their path: they never change."""
_POLICY = (
    "default-src 'self'",
    # NiceGUI's pages are inline scripts that compile templates; what a hostile text could smuggle into a page are
    # handlers in attributes, and addresses of elsewhere.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "script-src-attr 'none'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "worker-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
)
_HEADERS = {
    "content-security-policy": "; ".join(_POLICY),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer, browsers hide from us whose form was sent
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Gate:
    """Lets those in who may manage the server, and from its own pages only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed."""
        if scope["type"] == "websocket":
            if refusal(scope) is None:
                watched = _Watched(scope, receive, send)
                await self._app(scope, watched.receive, watched.send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": _REFUSED})
        elif scope["type"] == "http":
            app = refusal(scope) or self._app
            await app(scope, receive, _with_headers(scope, send))
        else:
            await self._app(scope, receive, send)


class _Watched:
    """A websocket that is closed as soon as it would not be let in any more."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = dict(scope)  # those within write into theirs
        self._receive = receive
        self._send = send
        self._closed = False

    async def receive(self) -> Message:
        """Return the next message of the browser, if it still may send any."""
        message = await self._receive()
        if message["type"] == "websocket.receive" and not await self._allowed():
            return {"type": "websocket.disconnect", "code": _REFUSED}
        return message

    async def send(self, message: Message) -> None:
        """Send a message, if the browser still may have any. NiceGUI sends one every few seconds at least."""
        if await self._allowed():
            await self._send(message)

    async def _allowed(self) -> bool:
        if not self._closed and refusal(self._scope) is not None:
            self._closed = True
            await self._send({"type": "websocket.close", "code": _REFUSED})
        return not self._closed


def refusal(scope: Scope) -> Response | None:
    """Return the answer to a request that may not go on, or None."""
    headers = Headers(scope=scope)
    if foreign(scope, headers):
        return PlainTextResponse(
            "This request came from a page of another site. Behind a proxy, it must pass the Host header on.", 403
        )
    access = service_of(scope).access
    if not access.required:
        return None if _at_this_machine(scope, headers) else PlainTextResponse(_NO_KEYS, 403)
    path = path_of(scope)
    if (path == SIGN_IN and scope["type"] == "http") or SESSIONS.alive(token_of(headers), access):
        return None
    if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} and "text/html" in headers.get("accept", ""):
        return RedirectResponse(f"{root_of(scope)}{SIGN_IN}?next={quote(path)}", 303)
    return PlainTextResponse("Sign in first.", 401)


_NO_KEYS = (
    "This server has no keys, and its console then is only for the machine that it runs on, as http://localhost:PORT. "
    "`efive keys create NAME --scope manage` makes a key; start the server again, and sign in with it."
)


def foreign(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Say whether a page of another site sends a request; that it opens one of ours as a page of its own is fine."""
    origin, host = headers.get("origin"), headers.get("host", "").lower()
    if origin is not None:
        return not host or origin.lower().partition("://")[2] != host
    if headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}:  # programs say nothing
        return False
    opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (opened and scope["type"] == "http" and scope["method"] in {"GET", "HEAD"})


def _at_this_machine(scope: Scope, headers: Mapping[str, str]) -> bool:
    if any(name in headers for name in _PROXIES):
        return False
    client = scope.get("client")
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    return client is not None and _loopback(client[0]) and (name == "localhost" or _loopback(name))


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _with_headers(scope: Scope, send: Send) -> Send:
    library = _LIBRARY.match(path_of(scope))

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if library and message["status"] == 200:
                headers["cache-control"] = "private, max-age=31536000, immutable"
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending


def token_of(headers: Mapping[str, str]) -> str:
    """Return the session's cookie, or nothing."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie_of(headers))
    except CookieError:
        return ""
    return found.value if found else ""


def cookie_of(headers: Mapping[str, str]) -> str:
    """Return the cookie's name: a browser shares cookies among the servers of a machine, whatever their ports."""
    port = re.search(r":(\d{1,5})$", headers.get("host", ""))
    return f"{_COOKIE}_{port[1]}" if port else _COOKIE


def root_of(scope: Scope) -> str:
    """Return where the console is mounted."""
    root: str = scope.get("root_path", "")
    return root


def path_of(scope: Scope) -> str:
    """Return the path below the console's."""
    path: str = scope["path"]
    return path.removeprefix(root_of(scope))


def service_of(scope: Scope) -> Service:
    """Return the server's service."""
    service: Service = scope["app"].state.service
    return service
