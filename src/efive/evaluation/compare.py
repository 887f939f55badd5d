"""Two runs on the same data: by how much they differ, whether that is chance, and on which queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from efive.errors import InputError
from efive.evaluation.results import MODEL, Run, SystemResult, TaskResult
from efive.evaluation.significance import RESAMPLES, Difference, holm, paired_bootstrap

LEVEL = 0.05
_SAME = 1e-9
_NAMED = 5
_NOTEWORTHY = ("window", "overlap", "max_tokens", "prompts", "precision")
"""What may differ between runs of one model without anyone having meant it. Spaces differ as a rule."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One task of both runs."""

    name: str
    kind: str
    language: str
    tested: str
    """The measure that is compared: the main one, or what each query or text has of its own."""
    before: dict[str, float]
    after: dict[str, float]
    """Scores by measure, the same measures in both."""
    difference: Difference | None
    """Of the measure over queries; None where the runs hold no values of queries."""
    p: float | None
    """Corrected for the number of tasks."""
    changes: dict[str, float]
    """Gain or loss by query, worst loss first."""

    @property
    def gain(self) -> float:
        """The difference of the measure that is compared."""
        return self.after[self.tested] - self.before[self.tested]

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `unclear`, `same`, or `untested` where there are no values of queries to resample."""
        if self.p is None:
            return "untested" if self.gain else "same"
        if not any(self.changes.values()):
            return "same"
        if self.p >= LEVEL:
            return "unclear"
        return "better" if self.gain > 0 else "worse"

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many queries gained, stayed and lost."""
        gains = sum(change > _SAME for change in self.changes.values())
        losses = sum(change < -_SAME for change in self.changes.values())
        return gains, len(self.changes) - gains - losses, losses


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tasks that both runs have."""

    system: str
    tasks: list[Compared]
    warnings: list[str]
    seed: int
    resamples: int


def compare(before: Run, after: Run, *, system: str = MODEL, seed: int = 0, resamples: int = RESAMPLES) -> Comparison:
    """Compare a system of two runs, task by task.

    Args:
        before: the run to compare with.
        after: the run in question; what it does better counts as gain.
        system: `model`, `bm25` or another that both have.
        seed: of the resampling.
        resamples: how many.

    Raises:
        InputError: if they share no task, or measured one on different data.
    """
    others = {(task.name, task.language): task for task in after.tasks}
    pairs = [
        (task, others[task.name, task.language])
        for task in before.tasks
        if (task.name, task.language) in others
        and system in task.systems
        and system in others[task.name, task.language].systems
    ]
    if not pairs:
        raise InputError(
            f"the runs share no task with the system {system!r}: one has {_names(before)}; the other {_names(after)}"
        )
    found = [_compared(first, second, system, seed, resamples) for first, second in pairs]
    corrected = iter(holm([each.difference.p for each in found if each.difference]))
    tasks = [replace(each, p=next(corrected)) if each.difference else each for each in found]
    return Comparison(system, tasks, _warnings(before, after, pairs), seed, resamples)


def _names(run: Run) -> str:
    return ", ".join(task.name for task in run.tasks) or "none"


def _compared(before: TaskResult, after: TaskResult, system: str, seed: int, resamples: int) -> Compared:
    name = f"{before.name} ({before.language})" if before.language else before.name
    if before.data.get("digest") != after.data.get("digest"):
        raise InputError(
            f"{name}: the runs were measured on different data (digests {_short(before)} and {_short(after)}); "
            "measure one again on the data of the other"
        )
    if (taken := before.data.get("sampled", "")) != (other := after.data.get("sampled", "")):
        raise InputError(
            f"{name}: the runs took different parts of the data ({taken or 'all'}; {other or 'all'}); "
            "use the same --limit, --documents and --seed"
        )
    first, second = before.systems[system], after.systems[system]
    measures = [m for m in before.measures if m in first.scores and m in second.scores]
    measures += sorted((first.scores.keys() & second.scores.keys()) - set(measures))
    if not measures:
        raise InputError(f"{name}: the runs share no measure")
    each = first.each or before.measures[0]
    same = each == (second.each or after.measures[0]) and each in measures
    tested = each if same else measures[0]
    difference, changes = _by_query(first, second, tested, before, seed, resamples) if same else (None, {})
    return Compared(
        before.name,
        before.kind,
        before.language,
        tested,
        {measure: first.scores[measure] for measure in measures},
        {measure: second.scores[measure] for measure in measures},
        difference,
        None,
        changes,
    )


def _short(task: TaskResult) -> str:
    return str(task.data.get("digest", "none"))[:12]


def _by_query(
    first: SystemResult, second: SystemResult, tested: str, task: TaskResult, seed: int, resamples: int
) -> tuple[Difference | None, dict[str, float]]:
    if not first.by_query or not second.by_query:
        return None, {}
    if first.by_query.keys() != second.by_query.keys():
        raise InputError(
            f"{task.name}: the runs measured different queries ({len(first.by_query)} and {len(second.by_query)}); "
            "measure one again as the other"
        )
    changes = {query: second.by_query[query] - first.by_query[query] for query in sorted(first.by_query)}
    ordered = dict(sorted(changes.items(), key=lambda item: item[1]))
    values = np.array(list(changes.values()), np.float64)
    name = f"{task.name} {task.language} {tested}"
    return paired_bootstrap(values, name=name, seed=seed, resamples=resamples), ordered


def _warnings(before: Run, after: Run, pairs: list[tuple[TaskResult, TaskResult]]) -> list[str]:
    found = [
        f"{key} differs: {_value(before.model, key)} and {_value(after.model, key)}"
        for key in _NOTEWORTHY
        if before.model.get(key) != after.model.get(key)
    ]
    roles: dict[str, list[str]] = {}
    for first, second in pairs:
        if first.roles != second.roles:
            how = f"{_pairs(first.roles)} and {_pairs(second.roles)}"
            roles.setdefault(f"{first.kind}: roles differ: {how}", []).append(first.name)
    found += [f"{what}, in {_some(names)}" for what, names in roles.items()]
    shared = {(first.name, first.language) for first, _ in pairs}
    for which, run in (("first", before), ("second", after)):
        if only := [task.name for task in run.tasks if (task.name, task.language) not in shared]:
            found.append(f"only the {which} run has {_some(only)}")
    return found


def _value(model: Mapping[str, object], key: str) -> str:
    return str(model.get(key, "none"))


def _pairs(roles: Mapping[str, str]) -> str:
    return ", ".join(f"{side} {role}" for side, role in roles.items())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
