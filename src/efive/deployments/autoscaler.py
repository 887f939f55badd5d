"""How many allocations a deployment should have. Pure: what was seen in, a number out."""

from dataclasses import dataclass

_BUSY = 0.85
"""Share of their time that allocations work, above which another one is started."""
_QUIET = 0.35
"""Share that the rest would have below which one is stopped."""
_PATIENCE = 60.0
"""Seconds of quiet before one is stopped: starting it again costs more than keeping it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a deployment has been like lately."""

    allocations: int
    busy: float
    """Share of their time that its allocations have worked, 0 to 1."""
    wait: float
    """Seconds that a request would wait now."""
    since_request: float
    """Seconds since the last request came."""
    quiet: float
    """Seconds for which it has been quiet enough to do with one allocation less."""


def quiet_enough(seen: Seen) -> bool:
    """Say whether one allocation less would still be at ease."""
    rest = seen.allocations - 1
    return rest > 0 and seen.busy * seen.allocations / rest < _QUIET


def wanted(seen: Seen, least: int, most: int, idle: float) -> int:
    """Return how many allocations there should be, at most one more or less than there are.

    None are kept only if `least` is 0 and nobody has asked for `idle` seconds.
    """
    if seen.allocations == 0:
        return least
    if least == 0 and seen.since_request >= idle:
        return 0
    if seen.busy > _BUSY and seen.wait > 0.5:
        return min(most, seen.allocations + 1)
    if seen.quiet >= _PATIENCE:
        return max(least, 1, seen.allocations - 1)
    return min(most, max(least, 1, seen.allocations))
