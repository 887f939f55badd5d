"""The state of everything in a few words, and what to do next. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from efive.deployments.deployment import Phase


@dataclass(frozen=True, slots=True)
class Facts:
    """What an overview is made of."""

    deployments: Sequence[tuple[str, Phase, str]]
    """Name, phase and reason of each."""
    models: Sequence[str]
    """Names of the stored ones."""
    recommended: str | None
    """The published model that suits this machine best."""
    collections: int
    keys: int


class Health(StrEnum):
    """How the server is."""

    GOOD = "good"
    WAITING = "waiting"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Condition:
    """How the server is, and why."""

    health: Health
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a newcomer does."""

    title: str
    text: str
    path: str
    done: bool


def condition(facts: Facts) -> Condition:
    """Return how the server is: as its worst deployment that is not stopped."""
    failed = [(name, reason) for name, phase, reason in facts.deployments if phase is Phase.FAILED]
    if failed:
        name, reason = failed[0]
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        return Condition(Health.BAD, f"{name} has failed{more}: {reason or 'the log says why'}")
    starting = [name for name, phase, _ in facts.deployments if phase is Phase.STARTING]
    if starting:
        return Condition(Health.WAITING, f"{_listed(starting)} {'is' if len(starting) == 1 else 'are'} starting.")
    live = [name for name, phase, _ in facts.deployments if phase is Phase.READY]
    if not live:
        return Condition(Health.BAD, "No model is at work: requests are refused. Start a deployment.")
    return Condition(Health.GOOD, f"{_listed(live)} {'answers' if len(live) == 1 else 'answer'} requests.")


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def steps(facts: Facts) -> list[Step]:
    """Return what a newcomer does, in this order, with what is done already."""
    live = any(phase is Phase.READY for _, phase, _ in facts.deployments)
    better = facts.recommended
    found = [
        Step("Put a model to work", "A deployment is a model that answers requests.", "/deployments", live),
        Step("Try it", "Type texts, and see which mean the same, in any language.", "/playground", done=False),
        Step(
            "Point your program at it",
            "Each deployment's page has lines to copy for curl, openai, pinecone, elasticsearch and others.",
            "/deployments",
            done=False,
        ),
        Step(
            "Search your documents",
            "Upload files or point at a folder: they become a collection.",
            "/collections",
            done=facts.collections > 0,
        ),
        Step(
            "Train on your own texts",
            "Pairs of what is asked and what answers make a model better at them.",
            "/training",
            done=False,
        ),
        Step(
            "Make a key",
            "Without one, only this machine reaches the server, and everybody at it may do everything.",
            "/settings",
            done=facts.keys > 0,
        ),
    ]
    if better is not None:
        text = f"{better} is better than the bundled model and suits this machine."
        found.insert(1, Step("Get a better model", text, "/models", better in facts.models))
    return found
