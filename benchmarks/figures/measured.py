"""The figures of a card, from runs of `efive evaluate`: of the model, and of the teacher that it imitated."""

from collections.abc import Iterable
from statistics import mean
from typing import Any

from efive.evaluation.results import MODEL, Run, TaskResult

TRAINED = ("ara", "cmn", "fra", "jpn", "rus", "spa", "vie")
"""Languages of Tatoeba with at least 20,000 training pairs with English: the others were hardly or never taught."""
NAMES = {"model": MODEL, "bm25": "bm25", "hybrid": "hybrid_normalised"}
"""Systems of a run by what the card calls them."""
_CROSSED = "@xquad_en"
_KINDS = ("unrelated", "related")

Scores = dict[str, float]
Spreads = dict[str, dict[str, Scores]]


def figures(run: Run, teacher: Run | None = None) -> dict[str, Any]:
    """Return what the card's tables and sentences are made of.

    Args:
        run: of `--suite small`.
        teacher: of the teacher, without prefixes.

    Raises:
        SystemExit: if a run is not what a card may quote.
    """
    _check(run, teacher)
    retrieval = sorted(_of(run, "retrieval"), key=lambda task: task.name)
    own = {task.name: _scores(task) for task in retrieval if "@" not in task.name}
    crossed = [task for task in _of(run, "retrieval") if task.name.endswith(_CROSSED)]
    cross = {task.language.partition("-")[0]: _scores(task) for task in crossed}
    if teacher is not None:
        for task in teacher.tasks:
            place = own if task.name in own else cross
            place[task.name if place is own else task.language.partition("-")[0]]["teacher"] = _scores(task)["model"]
    bitext = {name: _accuracies(run, name) for name in ("tatoeba", "flores")}
    return {
        "precision": run.model["precision"],
        "window": run.model["window"],
        "teacher": teacher and {"window": teacher.model["window"]},
        "how": {name: how(retrieval, system) for name, system in NAMES.items() if system != MODEL},
        "ndcg": own,
        "cross": cross,
        "means": _means(own, cross, bitext["tatoeba"]),
        "hybrid behind bm25": [name for name, scores in own.items() if scores["hybrid"] <= scores["bm25"]],
        **bitext,
        "sts": {task.name: task.systems[MODEL].scores["spearman"] for task in _of(run, "similarity")},
        "cosines": {
            "XQuAD": _spreads(task for task in retrieval if task.name.startswith("xquad_") and "@" not in task.name),
            "FLORES": _spreads(task for task in _of(run, "bitext") if task.name.startswith("flores.")),
        },
    }


def how(tasks: Iterable[TaskResult], system: str) -> str:
    """Return how a system was set, which is the same for every task."""
    return "; ".join(sorted({task.systems[system].note for task in tasks}))


def _check(run: Run, teacher: Run | None) -> None:
    for each in (run, *([teacher] if teacher else [])):
        bad = [failure.name for failure in each.failed] + [task.name for task in each.tasks if task.data["sampled"]]
        if bad:
            raise SystemExit(f"the run of {each.model['name']} failed or was sampled: {', '.join(bad)}")
    if teacher is None:
        return
    digests = {task.name: task.data["digest"] for task in run.tasks}
    for task in teacher.tasks:
        if digests.get(task.name) != task.data["digest"]:
            raise SystemExit(f"the teacher was measured on another {task.name} than the model")
        if set(task.roles.values()) != {"raw"}:
            raise SystemExit("the teacher wants no prefix; measure it with --prefix-policy none")


def _of(run: Run, kind: str) -> list[TaskResult]:
    return [task for task in run.tasks if task.kind == kind]


def _scores(task: TaskResult) -> Scores:
    return {n: task.systems[s].scores["ndcg_at_10"] for n, s in NAMES.items() if s in task.systems}


def _accuracies(run: Run, name: str) -> Scores:
    """Return the accuracy with English by language as the files have it, mean of both directions, in percent."""
    found = {}
    for task in _of(run, "bitext"):
        of, _, languages = task.name.partition(".")
        if of == name:
            found[languages.partition("-")[0]] = 100 * task.systems[MODEL].scores["accuracy_both"]
    return found


def _means(own: dict[str, Scores], cross: dict[str, Scores], tatoeba: Scores) -> dict[str, Scores]:
    """Return the means that the project's aims speak of, by system; a system counts where all sets have it."""
    xquad = [scores for name, scores in own.items() if name.startswith("xquad_")]
    groups = {"all sets": list(own.values()), "xquad": xquad, "cross": list(cross.values())}
    found = {
        name: {system: mean(s[system] for s in group) for system in group[0] if all(system in s for s in group)}
        for name, group in groups.items()
        if group
    }
    if all(language in tatoeba for language in TRAINED):
        found["tatoeba trained"] = {"model": mean(tatoeba[language] for language in TRAINED)}
    return found


def _spreads(tasks: Iterable[TaskResult]) -> Spreads:
    """Return mean, 5th and 95th percentile of related and unrelated pairs, by language, and their means as `mean`."""
    found: Spreads = {}
    for task in tasks:
        scores = task.extras["scores"]
        languages = task.name.partition(".")[2].partition("-")[0] or task.language
        found[languages] = {kind: _spread(scores[kind]) for kind in _KINDS}
    rows = list(found.values())
    if rows:
        found["mean"] = {kind: {key: mean(r[kind][key] for r in rows) for key in rows[0][kind]} for kind in _KINDS}
    return found


def _spread(values: dict[str, Any]) -> Scores:
    return {"mean": values["mean"], "p5": values["percentiles"]["5"], "p95": values["percentiles"]["95"]}
