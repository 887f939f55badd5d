"""Files of any size from a browser to the server's disk, in pieces: one that is lost is sent again."""

import asyncio
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from efive.console import units
from efive.errors import InputError

PIECE = 4 << 20
"""Bytes of a piece, at most."""
_SPARE = 1 << 30
"""Bytes of the disk that stay free."""


@dataclass(slots=True)
class Sending:
    """A file on its way."""

    path: Path
    """Where it is put."""
    size: int
    """Bytes."""
    received: int = 0
    fault: str = ""
    """Why the server has given it up."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when all is there, or it was given up."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        return self.received == self.size

    async def add(self, at: int, piece: bytes) -> int:
        """Write a piece, if it is the next one; return how much is there."""
        async with self._lock:
            if at == self.received and not self.ended.is_set() and len(piece) <= self.size - at:
                await asyncio.to_thread(self._write, piece)
                self.received += len(piece)
                if self.complete:
                    self.ended.set()
        return self.received

    def _write(self, piece: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(self.received)
            file.write(piece)


_all: dict[str, Sending] = {}


def begin(folder: Path, size: int) -> tuple[str, Sending]:
    """Expect a file; return the word that its pieces are sent under.

    Raises:
        InputError: if it is empty, or the disk has no room for it.
    """
    if size <= 0:
        raise InputError("the file is empty")
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise InputError(f"the file has {units.size(size)}, and the server's disk has {units.size(free)} free")
    token = secrets.token_urlsafe(16)
    sending = Sending(folder / f"sent-{secrets.token_hex(8)}.part", size)
    sending.path.touch(mode=0o600)
    _all[token] = sending
    return token, sending


def end(token: str, *, keep: bool = False) -> None:
    """Expect no more of a file, and delete it unless it is to be kept."""
    sending = _all.pop(token, None)
    if sending is not None:
        sending.ended.set()
        if not keep:
            sending.path.unlink(missing_ok=True)


async def receive(request: Request) -> Response:
    """Take a piece of a file; the answer says how much is there."""
    token = request.path_params["token"]
    sending = _all.get(token)
    if sending is None:
        return Response(status_code=410)
    at = request.query_params.get("at", "")
    piece = await request.body()
    if not at.isdecimal() or len(piece) > PIECE:
        return Response(status_code=400)
    try:
        return JSONResponse({"received": await sending.add(int(at), piece)})
    except OSError as error:  # most often a full disk: no other piece would fare better
        sending.fault = error.strerror or type(error).__name__
        end(token)
        return Response(status_code=507)
