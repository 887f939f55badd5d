"""Tasks of mteb in a run beside our own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from efive.encoder import Encoder
from efive.evaluation.across import language_gaps
from efive.evaluation.cache import Watch, unwatched
from efive.evaluation.contamination import contamination
from efive.evaluation.formats.known import known
from efive.evaluation.mteb import bare_name, kind_of, run_mteb
from efive.evaluation.results import Failure, Run, TaskResult
from efive.evaluation.runner import reason_of


@dataclass(frozen=True, slots=True)
class Mteb:
    """What is asked of mteb."""

    tasks: Sequence[Any]
    """mteb's own objects; see `efive.evaluation.mteb.open_mteb`."""
    results: Path
    """Folder of mteb's results; what is there is not measured again."""
    policy: str = "paper"

    def names(self) -> Iterator[str]:
        """Yield the names that results may have."""
        for task in self.tasks:
            name, subsets = task.metadata.name, [each for each in task.hf_subsets if each != "default"]
            splits = task.eval_splits if len(task.eval_splits) > 1 else [""]
            for parts in ((name, subset, split) for subset in subsets or [""] for split in splits):
                yield "/".join(part for part in parts if part)


def with_mteb(
    run: Run,
    encoder: Encoder,
    asked: Mteb,
    folder: Path,
    watch: Watch = unwatched,
    *,
    told: Callable[[TaskResult | Failure], object] = lambda _result: None,
) -> Run:
    """Return a run with the results of mteb's tasks after its own; a task that fails is named and the others go on.

    Args:
        run: of the same encoder.
        encoder: the model.
        asked: the tasks.
        folder: of the model, for its card.
        watch: told of tasks that are done.
        told: called with each result as it is there.
    """
    results: list[TaskResult] = []
    failed: list[Failure] = []
    name = f"efive/{run.model['name']}"
    with watch("mteb", len(asked.tasks), 0) as step:
        for task in asked.tasks:
            what = task.metadata
            try:
                measured = run_mteb(encoder, [task], asked.results, policy=asked.policy, name=name)
                overlaps = contamination(folder, (*known(bare_name(what.name)).sources, what.name))
            except Exception as error:  # whatever it is, the other tasks must not be lost by it
                failed.append(Failure(what.name, kind_of(what), "", reason_of(error)))
                told(failed[-1])
            else:
                for result in measured:
                    results.append(replace(result, contamination=overlaps))
                    told(results[-1])
            step(1)
    tasks = [*run.tasks, *results]
    languages = run.extras.get("languages", {}) | {"gaps": language_gaps(tasks)}
    languages = {key: values for key, values in languages.items() if values}
    extras = run.extras | ({"languages": languages} if languages else {})
    versions = run.versions | {"mteb": metadata.version("mteb")}
    return replace(run, tasks=tasks, failed=[*run.failed, *failed], extras=extras, versions=versions)
