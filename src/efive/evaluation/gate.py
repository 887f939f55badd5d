"""Requirements on a run, for continuous integration: `ndcg_at_10>=0.62`, `mrtydi-sw:mrr_at_100>0.6`.

    requirement = [task ":"] measure operator number
    operator    = ">=" | ">" | "<=" | "<"

The measure is the model's own, of every task that has it; `task` narrows it down and may hold `*` and `?`. A
requirement that no task has anything for is an error and not a success: a gate with a misspelt measure would stay
open for years.
"""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from efive.errors import InputError
from efive.evaluation.results import MODEL, Run, TaskResult

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*(?:(?P<task>.+):)?\s*(?P<measure>\w+)\s*(?P<sign>>=|<=|>|<)\s*(?P<value>\S+)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a measure must be."""

    task: str
    """A pattern of task names; `*` for all."""
    measure: str
    sign: str
    value: float

    def __str__(self) -> str:
        where = "" if self.task == "*" else f"{self.task}:"
        return f"{where}{self.measure}{self.sign}{self.value:g}"

    def concerns(self, task: str) -> bool:
        """Return whether it asks something of the task of this name."""
        return fnmatchcase(task, self.task)

    def holds(self, value: float) -> bool:
        """Return whether a value is enough; NaN never is."""
        return _HOLDS[self.sign](value, self.value)


def parse(text: str) -> Requirement:
    """Read a requirement.

    Raises:
        InputError: quoting the text and saying what is wrong with it.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise InputError(f"{text!r} is no requirement; write MEASURE>=NUMBER or TASK:MEASURE>=NUMBER (also >, <=, <)")
    try:
        value = float(found["value"])
    except ValueError:
        raise InputError(f"{text!r}: {found['value']!r} is no number") from None
    if value != value:  # noqa: PLR0124 - NaN, which nothing reaches
        raise InputError(f"{text!r}: nan is reached by nothing")
    return Requirement((found["task"] or "*").strip(), found["measure"], found["sign"], value)


def check_tasks(requirements: Iterable[Requirement], names: Iterable[str]) -> None:
    """Refuse requirements on tasks that will not be measured, before hours are spent on those that will.

    Raises:
        InputError: naming the requirement and the tasks that there are.
    """
    names = list(names)
    for requirement in requirements:
        if not any(requirement.concerns(name) for name in names):
            raise InputError(f"--require {requirement}: there is no such task; the tasks are {', '.join(names)}")


def check(run: Run, requirements: Iterable[Requirement]) -> list[str]:
    """Return a sentence for each measure that does not reach what is required; none if all do.

    Raises:
        InputError: if a requirement fits no measure of the run, naming those it has.
    """
    failures = []
    for requirement in requirements:
        concerned = [
            (task, scores[requirement.measure])
            for task in run.tasks
            if requirement.concerns(task.name) and requirement.measure in (scores := _scores(task))
        ]
        if not concerned:
            have = sorted({f"{task.name}:{measure}" for task in run.tasks for measure in _scores(task)})
            raise InputError(f"--require {requirement} fits nothing that was measured: {', '.join(have) or 'nothing'}")
        failures += [
            f"{task.name}: {requirement.measure} is {value:.4f}, required is {requirement.sign} {requirement.value:g}"
            for task, value in concerned
            if not requirement.holds(value)
        ]
    return failures


def _scores(task: TaskResult) -> dict[str, float]:
    return task.systems[MODEL].scores if MODEL in task.systems else {}
