"""Who may do what: keys, their scopes and their share of the work."""

import base64
import contextlib
import hashlib
import ipaddress
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from efive.deployments.state import State
from efive.errors import ForbiddenError, InputError, RateLimitError, UnauthenticatedError

_KIND = "key"
_PREFIX = "e5k_"
_SECRET = re.compile(r"[!-~]{16,500}")
_MINUTE = 60.0


class Scope(StrEnum):
    """What a key is for. `manage` includes the others, `search` includes `embed`."""

    EMBED = "embed"
    SEARCH = "search"
    MANAGE = "manage"


_GRANTS = {
    Scope.EMBED: {Scope.EMBED},
    Scope.SEARCH: {Scope.EMBED, Scope.SEARCH},
    Scope.MANAGE: set(Scope),
}


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a key. The key itself is shown once, when it is made, and never kept."""

    id: str
    name: str
    digest: str
    """SHA-256 of the key, which is 256 random bits: nothing slower is needed against guessing."""
    scopes: tuple[Scope, ...]
    created: float
    """Seconds since 1970."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    key: str
    """The key's id; empty where no keys are in use."""
    scopes: frozenset[Scope]
    tokens_per_minute: int | None = None


ANYBODY = Caller("", frozenset(Scope))
"""Where there are no keys, everybody may do everything: the server then listens on this machine only."""


@dataclass(slots=True)
class _Bucket:
    """Gives `rate` a minute, and at most a minute's worth at once."""

    rate: int
    level: float
    at: float

    def take(self, amount: int) -> float:
        """Take `amount` and return 0, or return the seconds until it is there."""
        now = time.monotonic()
        self.level = min(self.rate, self.level + (now - self.at) * self.rate / _MINUTE)
        self.at = now
        if self.level <= 0:
            return (1 - self.level) * _MINUTE / self.rate
        self.level -= amount  # may go below nothing: what is large is allowed once, and waited for afterwards
        return 0.0


class Access:
    """The server's keys. Where there never was one, everybody is `ANYBODY`."""

    def __init__(self, state: State, *, any_name: bool = False) -> None:
        """Read the keys.

        Args:
            state: where they are kept.
            any_name: whether the server answers without keys under every name; else under those of this machine and
                under addresses.
        """
        self._state = state
        self._any_name = any_name
        self._keys = {key.digest: key for key in state.all(_KIND, Key).values()}
        self._requests: dict[str, _Bucket] = {}
        self._tokens: dict[str, _Bucket] = {}
        self._required = bool(self._keys)

    @property
    def required(self) -> bool:
        """Whether requests need a key. Revoking the last key opens no door: this stays true until the server ends."""
        return self._required

    def all(self) -> list[Key]:
        """Return the keys, oldest first."""
        return sorted(self._keys.values(), key=lambda key: key.created)

    def elsewhere(self) -> tuple[list[Key], list[Key]]:
        """Return the keys that another program has made since this one read them, and those that it has revoked."""
        there = {key.id: key for key in self._state.all(_KIND, Key).values()}
        here = {key.id for key in self._keys.values()}
        made = [key for id_, key in there.items() if id_ not in here]
        return made, [key for key in self._keys.values() if key.id not in there]

    def reread(self) -> None:
        """Know the keys that another program has made, and those no more that it has revoked."""
        made, revoked = self.elsewhere()
        for key in made:
            self._keys[key.digest] = key
            self._required = True
        for key in revoked:
            self.revoke(key.id)

    def create(
        self,
        name: str,
        scopes: Iterable[Scope | str],
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        secret: str | None = None,
        replace: bool = False,
    ) -> tuple[Key, str]:
        """Make a key; return what is kept, and the key itself, which cannot be seen again.

        Args:
            name: for people.
            scopes: what it is for.
            requests_per_minute: None for any number.
            tokens_per_minute: None for any number.
            secret: a key that exists already, such as the one that clients are configured with.
            replace: whether it takes the place of the keys of this name, which are revoked once it is kept.

        Raises:
            InputError: for a scope that does not exist, a rate below 1, or a secret that cannot be used.
        """
        try:
            granted = tuple(sorted({Scope(scope) for scope in scopes}))
        except ValueError as error:
            raise InputError(f"{error}; the scopes are {', '.join(Scope)}") from None
        if not granted:
            raise InputError(f"a key needs a scope: {', '.join(Scope)}")
        for rate in (requests_per_minute, tokens_per_minute):
            if rate is not None and rate < 1:
                raise InputError(f"a rate of {rate} a minute lets nothing through; leave it out for any number")
        before = [key.id for key in self._keys.values() if key.name == name] if replace else []
        secret = new_secret() if secret is None else self._usable(secret, before)
        key = Key(
            id=secrets.token_hex(6),
            name=name,
            digest=_digest(secret),
            scopes=granted,
            created=time.time(),
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        )
        self._state.put(_KIND, key.id, key)
        self._keys[key.digest] = key
        self._required = True
        for old in before:
            self.revoke(old)
        return key, secret

    def _usable(self, secret: str, replaced: Sequence[str]) -> str:
        if not _SECRET.fullmatch(secret):
            raise InputError("a key is 16 to 500 letters, digits and signs without spaces: headers carry nothing else")
        present = self._keys.get(_digest(secret))
        if present is not None and present.id not in replaced:
            raise InputError(f"that key is in use already, as {present.name!r}")
        return secret

    def revoke(self, id_: str) -> bool:
        """Forget a key; say whether it was there."""
        found = [digest for digest, key in self._keys.items() if key.id == id_]
        self._state.remove(_KIND, id_)
        for digest in found:
            del self._keys[digest]
        self._requests.pop(id_, None)
        self._tokens.pop(id_, None)
        return bool(found)

    def admit(self, headers: Mapping[str, str], scope: Scope) -> Caller:
        """Return who sends a request with these headers, if he may do what needs `scope`.

        Raises:
            UnauthenticatedError: without a key, or with one that is not known.
            ForbiddenError: if the key is not for this, or a web page asks a server without keys.
            RateLimitError: if it has asked too often.
        """
        if not self.required:
            _refuse_pages(headers)
            if not self._any_name:
                _refuse_names(headers.get("host", ""))
            return ANYBODY
        given = list(_carried(headers))
        if not given:
            raise UnauthenticatedError("this server needs an API key, and the request has none")
        key = next((key for each in given if (key := self._keys.get(_digest(each)))), None)
        if key is None:
            raise UnauthenticatedError("the API key is not known to this server")
        granted = frozenset[Scope]().union(*(_GRANTS[each] for each in key.scopes))
        if scope not in granted:
            raise ForbiddenError(f"the key {key.name!r} is for {', '.join(key.scopes)}; this needs {scope}")
        _take(self._requests, key.id, key.requests_per_minute, 1, "requests")
        return Caller(key.id, granted, key.tokens_per_minute)

    def charge(self, caller: Caller, tokens: int) -> None:
        """Count `tokens` against a caller's share.

        Raises:
            RateLimitError: if it is used up.
        """
        _take(self._tokens, caller.key, caller.tokens_per_minute, tokens, "tokens")

    def refund(self, caller: Caller, tokens: int) -> None:
        """Give back what was charged for a request that the server has refused afterwards."""
        if (bucket := self._tokens.get(caller.key)) is not None:
            bucket.level = min(bucket.rate, bucket.level + tokens)


def new_secret() -> str:
    """Return what can become a key: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def _take(buckets: dict[str, _Bucket], id_: str, rate: int | None, amount: int, what: str) -> None:
    if rate is None:
        return
    bucket = buckets.setdefault(id_, _Bucket(rate, rate, time.monotonic()))
    if wait := bucket.take(amount):
        raise RateLimitError(f"this key may have {rate} {what} a minute; try again in {wait:.1f} s", retry_after=wait)


def _refuse_pages(headers: Mapping[str, str]) -> None:
    """Refuse what a page of another site makes a browser send: any page that is open reaches 127.0.0.1.

    Raises:
        ForbiddenError: naming the site.
    """
    origin = headers.get("origin", "")
    scheme, _, site = origin.lower().partition("://")
    if origin == "null" or (scheme in {"http", "https"} and site != headers.get("host", "").lower()):
        raise ForbiddenError(
            f"a page of {origin} may not use this server, which has no keys: any other page could as well. "
            "`efive keys create` makes one"
        )


def _refuse_names(host: str) -> None:
    """Refuse requests to a name that anybody may have pointed at this machine: its pages pass for the server's own.

    Raises:
        ForbiddenError: naming it.
    """
    name = re.sub(r":\d*$", "", host).strip("[]").lower()
    if "." not in name or name.endswith(".localhost") or _is_address(name):
        return  # a name without a dot belongs to nobody elsewhere
    raise ForbiddenError(
        f"a server without keys answers to localhost and to addresses, not to {name!r}: that may be a web page's name "
        "for this machine. `efive keys create` makes a key; --without-keys lets everybody in"
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def presented(headers: Mapping[str, str]) -> str | None:
    """Return the key that a request carries in any of the protocols' headers, or None."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() in {"bearer", "apikey"} and value.strip():
        return value.strip()
    return headers.get("api-key") or headers.get("key") or headers.get("x-api-key")


def _carried(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what may be the key of a request: as it was given, and behind the colon of a name and a key in base64."""
    if given := presented(headers):
        yield given
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() in {
        "basic",
        "apikey",
    }:  # Elasticsearch's clients pair a key with a user or an id, which count not
        with contextlib.suppress(ValueError):
            _, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
            if secret:
                yield secret


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
