"""Numbers as people read them."""

import math


def size(count: float) -> str:
    """Return bytes with a unit."""
    for unit, bytes_ in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= bytes_:
            shown = count / bytes_
            return f"{shown:.1f} {unit}" if shown < 100 else f"{shown:.0f} {unit}"
    return f"{count:.0f} B"


def number(value: float) -> str:
    """Return a number in three digits, thousands apart; whole where it is large."""
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    if value == 0:
        return "0"
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}".rstrip("0").rstrip(".")


def time(seconds: float) -> str:
    """Return a duration with a unit."""
    if seconds < 1:
        return f"{number(1000 * seconds)} ms"
    return f"{number(seconds)} s" if seconds < 120 else f"{number(seconds / 60)} min"
