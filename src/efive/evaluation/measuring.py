"""One task, measured: its texts through the cache, its vectors through search or a probe, its result as data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from efive.errors import InputError
from efive.evaluation import probes
from efive.evaluation.cache import Vectors
from efive.evaluation.distributions import HUB_DEPTH, hubness, score_distributions
from efive.evaluation.probes import Labelled, Probed
from efive.evaluation.results import MODEL, SystemResult, TaskResult
from efive.evaluation.roles import described, roles_of
from efive.evaluation.settings import Bench, Outcome
from efive.evaluation.systems import measure_reranking, measure_retrieval
from efive.evaluation.tasks import Bitext, Classification, Clustering, Reranking, Retrieval, Similarity, Task, kind_of
from efive.inputs import Role

EACH = "accuracy"
"""What each text has of its own where texts are right or wrong: 1, 0, or the share of draws that were right."""


def measure_task(task: Task, bench: Bench) -> TaskResult:
    """Measure a task.

    Raises:
        InputError: if the task cannot be measured, such as for a measure that its kind does not have.
        DependencyError: if a package that it needs is not installed.
    """
    about = task.about
    roles = roles_of(task, bench.settings.prefixes)
    outcome = _measured(task, bench, roles)
    scores = outcome.systems[MODEL].scores
    if missing := [name for name in about.measures if name not in scores]:
        raise InputError(f"{kind_of(task)} has no measure {', '.join(missing)}; it has {', '.join(scores)}")
    return TaskResult(
        name=about.name,
        kind=kind_of(task),
        language=about.language,
        measures=list(about.measures),
        protocol=about.protocol,
        roles=described(task, roles),
        data={"digest": about.digest, **outcome.data, "sampled": about.sampled},
        systems=outcome.systems,
        cost=bench.cache.cost.described() | outcome.seconds,
        extras=outcome.extras,
    )


def _measured(task: Task, bench: Bench, roles: tuple[Role, Role]) -> Outcome:
    match task:
        case Retrieval():
            return measure_retrieval(task, bench, roles)
        case Reranking():
            return measure_reranking(task, bench, roles)
        case Bitext():
            return _bitext(task, bench, roles)
        case Similarity():
            return _similarity(task, bench, roles)
        case Classification():
            return _classification(task, bench, roles[0])
        case Clustering():
            return _clustering(task, bench, roles[0])


def _embedded(texts: Sequence[str], role: Role, what: str, bench: Bench) -> Vectors:
    if not texts:
        raise InputError(f"the task has no {what}")
    with bench.watch(what, len(texts), 0) as step:
        return bench.cache.embed(texts, role, step)


def _probed(probed: Probed, main: str, data: dict[str, Any], extras: dict[str, Any] | None = None) -> Outcome:
    by_query = {str(row): value for row, value in enumerate(probed.by_row.tolist())}
    each = EACH if by_query and main != EACH else ""
    return Outcome({MODEL: SystemResult(probed.scores, by_query, note=probed.note, each=each)}, data, extras or {})


def _bitext(task: Bitext, bench: Bench, roles: tuple[Role, Role]) -> Outcome:
    if len(task.left) != len(task.right):
        raise InputError(f"{len(task.left)} sentences and {len(task.right)} translations; row i belongs to row i")
    left = _embedded(task.left, roles[0], "sentences", bench).floats()
    right = _embedded(task.right, roles[1], "translations", bench).floats()
    extras = {}
    if bench.settings.distributions and len(left) > 1:
        first = probes.neighbours(left, right, min(HUB_DEPTH, len(right)))
        own = [[row] for row in range(len(left))]
        scores = score_distributions(left, right, own, seed=bench.settings.seed)
        extras = {"scores": scores, "hubness": hubness(first, len(right))}
    return _probed(probes.bitext(left, right), task.about.measures[0], {"pairs": len(left)}, extras)


def _similarity(task: Similarity, bench: Bench, roles: tuple[Role, Role]) -> Outcome:
    if len(task.pairs) != len(task.judged):
        raise InputError(f"{len(task.pairs)} pairs and {len(task.judged)} judgements; each pair needs its own")
    left = _embedded([pair[0] for pair in task.pairs], roles[0], "first sentences", bench).floats()
    right = _embedded([pair[1] for pair in task.pairs], roles[1], "second sentences", bench).floats()
    probed = probes.similarity(left, right, task.judged)
    return _probed(probed, task.about.measures[0], {"pairs": len(task.pairs)})


def _classification(task: Classification, bench: Bench, role: Role) -> Outcome:
    settings, labels = bench.settings, [label for _, label in task.train]
    rows = [list(range(len(labels)))] if settings.full_train else probes.draws(labels, settings.seed)
    used = sorted({row for subset in rows for row in subset})  # only what is drawn is embedded
    place = {row: number for number, row in enumerate(used)}
    train = _embedded([task.train[row][0] for row in used], role, "training texts", bench).floats()
    test = _embedded([text for text, _ in task.test], role, "test texts", bench).floats()
    probed = probes.classification(
        Labelled(train, [labels[row] for row in used]),
        Labelled(test, [label for _, label in task.test]),
        [[place[row] for row in subset] for subset in rows],
        settings.seed,
    )
    how = "trained on all training texts" if settings.full_train else f"trained on {probes.PER_LABEL} texts per label"
    data = {"train": len(labels), "test": len(task.test), "labels": len(set(labels))}
    return _probed(replace(probed, note=f"{how}; {probed.note}"), task.about.measures[0], data)


def _clustering(task: Clustering, bench: Bench, role: Role) -> Outcome:
    if len(task.texts) != len(task.labels):
        raise InputError(f"{len(task.texts)} texts and {len(task.labels)} labels; each text needs its own")
    vectors = _embedded(task.texts, role, "texts", bench).floats()
    probed = probes.clustering(vectors, task.labels, bench.settings.seed)
    data = {"texts": len(task.texts), "labels": len(set(task.labels))}
    return _probed(probed, task.about.measures[0], data)
