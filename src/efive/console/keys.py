"""Keys as their page shows them, and what its form asks for. No pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from efive.console import units
from efive.errors import InputError
from efive.server.access import Access, Key, Scope

PURPOSES = {
    Scope.EMBED: "embed texts",
    Scope.SEARCH: "search collections, and embed",
    Scope.MANAGE: "everything: models, collections, keys, this console",
}
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to see of a key."""

    id: str
    name: str
    scopes: str
    made: str
    rates: str
    mine: bool
    """Whether it is the one that this browser has signed in with."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key to make."""

    name: str
    scopes: tuple[Scope, ...]
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    def make(self, access: Access, secret: str | None = None) -> str:
        """Make it, of a secret that is known already or a new one, and return that."""
        _, made = access.create(
            self.name,
            self.scopes,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            secret=secret,
        )
        return made


def shown(key: Key, mine: str | None) -> Shown:
    """Return what there is to see of a key; `mine` is the id of the key that was signed in with."""
    made = datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    rates = {"requests": key.requests_per_minute, "tokens": key.tokens_per_minute}
    limits = [f"{units.number(rate)} {what} a minute" for what, rate in rates.items() if rate is not None]
    return Shown(key.id, key.name, ", ".join(key.scopes), made, ", ".join(limits) or "no limit", key.id == mine)


def wanted(
    access: Access,
    name: str | None,
    scopes: Sequence[Scope],
    requests_per_minute: float | None,
    tokens_per_minute: float | None,
) -> Wanted:
    """Return the key that a form asks for.

    Raises:
        InputError: saying which field to change.
    """
    name = (name or "").strip()
    if not name:
        raise InputError("Give it a name that says who has it.")
    if len(name) > _LONGEST:
        raise InputError(f"The name has {len(name)} characters; it may have {_LONGEST}.")
    if not scopes:
        raise InputError("Choose what it is for.")
    if not access.required and Scope.MANAGE not in scopes:
        raise InputError("The first key must be for managing: without it, nobody could make another one.")
    return Wanted(name, tuple(scopes), _rate(requests_per_minute), _rate(tokens_per_minute))


def _rate(given: float | None) -> int | None:
    if given is None:
        return None
    if not float(given).is_integer() or not 1 <= given <= 10**12:
        raise InputError(f"{given:g} a minute is no rate: give a whole number from 1, or nothing for no limit.")
    return int(given)


def consequence(access: Access, key: Shown) -> str:
    """Say what revoking a key would do, beyond that it is not known any more."""
    managing = [each for each in access.all() if Scope.MANAGE in each.scopes]
    said = "Programs that use it are refused from then on."
    if key.mine:
        said += " You are signed in with this key: you will have to sign in with another one."
    if [each.id for each in managing] == [key.id]:
        said += (
            " No other key is for managing: only `efive keys create NAME --scope manage` on the server's machine will "
            "let anybody in again."
        )
    return said
