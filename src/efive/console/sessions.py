"""Who has signed in, and who has tried too often. In memory only: a restart asks for the key again."""

import hashlib
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from efive.server.access import Access, Scope

_HOURS = 12
LASTS = 3600 * _HOURS
"""Seconds of a session."""
_MOST = 1000
"""Sessions, and addresses whose failures are counted, at once; the oldest are forgotten first."""
_FAILURES, _WITHIN = 10, 60.0
"""So many wrong keys in so many seconds, then an address has to wait."""
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Session:
    key: str
    """The id of the key that began it: revoking it ends the session. The key itself is not kept."""
    until: float


class Sessions:
    """Who has signed in: a cookie stands for a key."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._all: dict[str, _Session] = {}
        self._clock = clock

    def begin(self, key: str) -> str:
        """Return the cookie of a new session of the key with this id."""
        now = self._clock()
        self._all = {token: each for token, each in self._all.items() if each.until > now}
        while len(self._all) >= _MOST:
            del self._all[next(iter(self._all))]
        token = secrets.token_urlsafe(32)
        self._all[_digest(token)] = _Session(key, now + LASTS)
        return token

    def key_of(self, token: str) -> str | None:
        """Return the id of the key that a cookie stands for; the key may be gone."""
        found = self._all.get(_digest(token))
        return found.key if found is not None and found.until > self._clock() else None

    def alive(self, token: str, access: Access) -> bool:
        """Say whether a cookie stands for a key that still is there, and may manage the server."""
        id_ = self.key_of(token)
        return id_ is not None and any(key.id == id_ and Scope.MANAGE in key.scopes for key in access.all())

    def end(self, token: str) -> None:
        """Forget a session."""
        self._all.pop(_digest(token), None)


class Failures:
    """Counts wrong keys by the address that they came from."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._times: dict[str, deque[float]] = {}
        self._clock = clock

    def wait(self, address: str) -> float:
        """Return for how many seconds an address may try no key; 0 if it may."""
        times = self._times.get(address)
        if times is None or len(times) < _FAILURES:
            return 0.0
        return max(0.0, times[0] + _WITHIN - self._clock())

    def add(self, address: str) -> None:
        """Count a wrong key."""
        times = self._times.pop(address, None) or deque(maxlen=_FAILURES)
        times.append(self._clock())
        while len(self._times) >= _MOST:
            del self._times[next(iter(self._times))]
        self._times[address] = times


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
