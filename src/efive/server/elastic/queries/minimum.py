"""How many of some clauses must match: `minimum_should_match`."""

import re

from efive.server.elastic.errors import illegal

_PLAIN = re.compile(r"-?\d+%?")
_STEP = re.compile(r"(\d+)<(-?\d+%?)")


def check_at_least(given: object) -> str | None:
    """Return what a query says, if it can be understood.

    Raises:
        ElasticError: if it cannot.
    """
    if given is None:
        return None
    text = str(given).strip()
    if not (_PLAIN.fullmatch(text) or all(_STEP.fullmatch(step) for step in text.split() or [""])):
        raise illegal(f"[minimum_should_match] cannot be [{text}]; write 2, -1, 75%, -25% or 3<90%")
    return text


def at_least(given: str, clauses: int) -> int:
    """Return how many of so many clauses must match; negative numbers say how many need not."""
    if not _PLAIN.fullmatch(given):
        steps = [found for step in given.split() if (found := _STEP.fullmatch(step))]
        below = [step for step in steps if clauses > int(step[1])]
        return at_least(below[-1][2], clauses) if below else clauses
    number = int(given.rstrip("%"))
    if given.endswith("%"):
        number = int(clauses * number / 100)
    return max(clauses + number if given.startswith("-") else number, 0)
