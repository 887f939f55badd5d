"""Runs the application under uvicorn."""

import contextlib
import errno
import ipaddress
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import orjson
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from efive.deployments.state import State
from efive.errors import EfiveError, InputError
from efive.server.access import Access
from efive.server.app import Options, build

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "taskName"}
_GRACE = 60
"""Seconds that requests have to be answered when the server ends."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server is to be found."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    """PEM file of the certificate chain, for TLS."""
    key: Path | None = None
    """PEM file of its private key."""
    without_keys: bool = False
    """Whether everybody who reaches the address may do everything."""
    es_port: int | None = None
    """Where Elasticsearch's door is at the root, beside `/es`: some clients take no path. None is nowhere."""

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"


def run(options: Options, listen: Listen, announce: Callable[[str, str | None], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what has begun and end.

    Args:
        options: of the application.
        listen: where.
        announce: called with the address once it listens, and with that of Elasticsearch's port or None.

    Raises:
        InputError: if others could reach the server and no key is in use, or the address cannot be had.
        EfiveError: why it cannot start.
    """
    check(options.home, listen)
    signal.signal(signal.SIGTERM, _end)  # uvicorn takes it over while it serves, and gives it back with the signal
    _log_as_json()
    application = _Application(build(options))
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
    )
    with contextlib.ExitStack() as open_sockets:
        bound = open_sockets.enter_context(_bind(listen.host, listen.port, "--port"))
        sockets, elastic = [bound], None
        if listen.es_port is not None:
            sockets.append(open_sockets.enter_context(_bind(listen.host, listen.es_port, "--es-port")))
            application.es_port = sockets[1].getsockname()[1]
            elastic = _address(listen, sockets[1])
        server = _Server(config, lambda: announce(_address(listen, bound), elastic))
        try:
            server.run(sockets=sockets)
        except SystemExit:
            if application.refused is not None:
                raise application.refused from None
            raise


def _address(listen: Listen, bound: socket.socket) -> str:
    scheme = "https" if listen.certificate else "http"
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"{scheme}://{host}:{bound.getsockname()[1]}"


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


class _Application:
    """The application; where it cannot start for a reason that efive knows, `refused` is that, and no traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.refused: EfiveError | None = None
        self.es_port: int | None = None
        """The port whose requests all go to Elasticsearch's door."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on whatever comes."""
        if scope["type"] != "lifespan":
            if self.es_port is not None and (scope.get("server") or ("", None))[1] == self.es_port:
                scope = {**scope, "path": f"/es{scope['path']}", "raw_path": b"/es" + scope["raw_path"]}
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if isinstance(error := sys.exc_info()[1], EfiveError):
                self.refused = error
                message = {**message, "message": ""}
            await send(message)

        await self._app(scope, receive, sending)


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()


def check(home: Path, listen: Listen) -> None:
    """Refuse what would be unsafe.

    Raises:
        InputError: saying how it would be safe.
    """
    if (listen.certificate is None) != (listen.key is None):
        raise InputError("TLS needs both --tls-certificate and --tls-key")
    if listen.port and listen.es_port == listen.port:
        raise InputError(f"--port and --es-port are both {listen.port}; Elasticsearch's door needs another one")
    for path in (listen.certificate, listen.key):
        if path is not None and not path.is_file():
            raise InputError(f"{path} is not a file")
    if listen.certificate is not None and listen.key is not None:
        _check_pair(listen.certificate, listen.key)
    if listen.local or listen.without_keys:
        return
    state = State(home / "server.sqlite")
    try:
        if not Access(state).required:
            raise InputError(
                f"{listen.host} can be reached from other machines, and this server has no keys: `efive keys create` "
                "makes one; --without-keys lets everybody in"
            )
    finally:
        state.close()


def _check_pair(certificate: Path, key: Path) -> None:
    def password() -> str:  # in place of a question on the terminal
        raise InputError(f"{key} is encrypted; give a key that is not, readable by this user only")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password)
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{certificate} and {key} cannot be used for TLS: {reason}. They must be PEM files of a certificate and "
            "its private key"
        ) from None


def _bind(host: str, port: int, option: str) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            option = "--host"
        raise InputError(f"{host}:{port} cannot be had: {error.strerror}; choose another {option}") from None
    return bound


def _log_as_json() -> None:
    """Write the log to stderr, one JSON object a line; texts and keys are in none of them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    # A line for every request: what nobody reads of it is not looked up (the "Optimization" of Python's own guide).
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("efive").setLevel(logging.INFO)


class _Json(logging.Formatter):
    """One object with the time, the level, the message and whatever `extra` said."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = {
            "time": time,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["stack"] = self.formatException(record.exc_info)
        return orjson.dumps(fields | extra, default=str).decode()
