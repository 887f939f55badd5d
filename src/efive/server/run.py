"""Runs the application under uvicorn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from efive.deployments.settings import Settings
from efive.server.app import Options, build


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server is to be found."""

    host: str = "127.0.0.1"
    port: int = 8080


def run(home: Path, deployments: Sequence[Settings], listen: Listen) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what has begun and end."""
    app = build(Options(home, deployments))
    uvicorn.run(app, host=listen.host, port=listen.port, log_config=None, access_log=False, server_header=False)
