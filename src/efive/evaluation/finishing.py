"""What stands beside a whole run. Whatever goes wrong here costs no figure: it becomes a note in the run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from efive.encoder import Encoder
from efive.evaluation.beside import beside, language_map
from efive.evaluation.results import Run, TaskResult
from efive.evaluation.runner import reason_of
from efive.evaluation.tasks import Task

T = TypeVar("T")


def finish(
    run: Run, tasks: Sequence[Task], encoder: Encoder, folder: Path, *, texts: bool = True, drawn: bool = False
) -> Run:
    """Return a run with what stands beside its figures.

    Args:
        run: of `evaluate`, with the first `DEEP` documents of each query.
        tasks: that were measured.
        encoder: for the map.
        folder: of the model, for its card.
        texts: whether queries and documents are put into the run.
        drawn: whether to make the map of all tasks' texts.
    """
    notes: list[str] = list(run.extras.get("notes", ()))
    of = {(task.about.name, task.about.language): task for task in tasks}

    def completed(result: TaskResult) -> TaskResult:
        task = of[result.name, result.language]
        what = f"{result.name}: published figures, contamination and texts are missing"
        return _or(lambda: beside(result, task, folder, texts=texts), result, what, notes)

    results = [completed(result) for result in run.tasks]
    extras, nothing = dict(run.extras), dict[str, Any]()
    if drawn and (plane := _or(lambda: language_map(encoder, tasks, run.seed), nothing, "the map is missing", notes)):
        extras["map"] = plane
    if notes:
        extras["notes"] = notes
    return replace(run, tasks=results, extras=extras)


def _or(make: Callable[[], T], otherwise: T, what: str, notes: list[str]) -> T:
    try:
        return make()
    except Exception as error:  # whatever it is, hours of measuring must not be lost by it
        notes.append(f"{what}: {reason_of(error)}")
        return otherwise
