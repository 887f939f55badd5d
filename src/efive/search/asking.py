"""What `Collection.search` is asked for: its options, checked."""

from collections.abc import Mapping
from typing import Any, TypedDict

from efive.errors import InputError
from efive.search.conditions import Condition, from_mapping, parse
from efive.search.searching import MODES, MOST, Fusion, Options

Where = str | Mapping[str, Any] | Condition
"""A condition: in the language of `efive.search.conditions`, as a mapping with `$eq` and the like, or parsed."""


class SearchOptions(TypedDict, total=False):
    """Options of `Collection.search`."""

    where: Where | None
    """Only documents that this holds for."""
    mode: str
    """`hybrid` (default), `dense` or `text`."""
    fusion: Fusion | str
    """How `hybrid` makes one ranking of two: `normalised` scores (default) or `ranks`."""
    offset: int
    """Documents to leave out at the beginning: the page before."""
    min_confidence: float | None
    """Leave out hits of less confidence, 0 to 1; the collection must be calibrated."""
    unique: float | None
    """Leave out a hit whose passage has at least this cosine with one before it."""
    exact: bool
    """Compare with every vector, whatever index there is."""


def condition(where: Where | None) -> Condition | None:
    """Return the condition that `where` states.

    Raises:
        InputError: if it cannot be understood.
    """
    if where is None:
        return None
    if isinstance(where, str):
        return parse(where) if where.strip() else None
    return (from_mapping(where) if where else None) if isinstance(where, Mapping) else where


def checked(k: int, options: SearchOptions) -> Options:
    """Return the options of a search, all of them.

    Raises:
        InputError: for an option that does not exist or cannot be used.
    """
    if unknown := set(options) - set(SearchOptions.__annotations__):
        raise InputError(
            f"no option {sorted(unknown)[0]!r}; the options are {', '.join(SearchOptions.__annotations__)}"
        )
    given: dict[str, Any] = {**options, "k": k, "where": condition(options.get("where"))}
    try:
        given["fusion"] = Fusion(options.get("fusion", Fusion.NORMALISED))
    except ValueError:
        raise InputError(f"no fusion {options.get('fusion')!r}; there are {', '.join(Fusion)}") from None
    asked = Options(**given)
    if asked.mode not in MODES:
        raise InputError(f"no mode {asked.mode!r}; the modes are {', '.join(MODES)}")
    if asked.k < 1 or asked.offset < 0 or asked.k + asked.offset > MOST:
        raise InputError(
            f"k={asked.k} and offset={asked.offset}: k must be at least 1, offset at least 0, "
            f"and both together at most {MOST}"
        )
    for name in ("min_confidence", "unique"):
        value = getattr(asked, name)
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"{name} is {value}; it lies between 0 and 1")
    if asked.mode == "text" and asked.min_confidence is not None:
        raise InputError("mode text has no confidence; ask in mode hybrid or dense, or without min_confidence")
    return asked
