"""Whole runs with the tiny model."""

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from efive.errors import InputError
from efive.evaluation.results import Run
from efive.evaluation.runner import Settings, evaluate
from efive.evaluation.tasks import (
    About,
    Bitext,
    Classification,
    Clustering,
    Reranking,
    Retrieval,
    Similarity,
)

WORDS = ["cat", "dog", "bird", "fish", "horse", "cow", "sheep", "goat", "duck", "goose", "mouse", "rat"]
DOCUMENTS = {word: " ".join(f"The {word} lives on farm {n}." for n in range(len(word))) for word in WORDS}


def about(name, *measures, **more):
    return About(name, "en", measures, "d1", "a protocol", **more)


def retrieval(**changes):
    return replace(
        Retrieval(
            about=about("farm", "ndcg_at_10", "mrr_at_10", "recall_at_100"),
            queries={f"q-{word}": f"where does the {word} live" for word in WORDS} | {"unjudged": "who"},
            judged={f"q-{word}": {word: 1} for word in WORDS},
            corpus=lambda: iter(DOCUMENTS.items()),
            documents=len(DOCUMENTS),
        ),
        **changes,
    )


def labelled(count):
    return [(f"{word} number {n}", word) for n in range(count) for word in WORDS[:3]]


TASKS = {
    "retrieval": retrieval(),
    "reranking": Reranking(
        about("candidates", "map", "ndcg_at_10"),
        {"q": "a cat", "r": "a dog"},
        {"q": {"1": "the cat", "2": "the dog"}, "r": {"1": "the cat", "2": "the dog"}},
        {"q": {"1": 1}, "r": {"2": 1}},
    ),
    "bitext": Bitext(about("pairs", "accuracy", "f1"), WORDS, [f"the {word}" for word in WORDS]),
    "similarity": Similarity(about("alike", "spearman", "pearson"), [("a cat", w) for w in WORDS], list(range(12))),
    "classification": Classification(about("kinds", "accuracy", "f1"), labelled(20), labelled(5)),
    "clustering": Clustering(
        about("groups", "v_measure"), [f"a {text}" for text, _ in labelled(10)], [label for _, label in labelled(10)]
    ),
}
SETTINGS = Settings(window=24)


def test_every_kind_gives_a_run_that_json_keeps(tmp_path, encoder):
    run = evaluate(encoder, TASKS.values(), SETTINGS)
    assert run.failed == []
    assert [task.kind for task in run.tasks] == list(TASKS)
    for task in run.tasks:
        assert set(task.measures) <= set(task.systems["model"].scores)
    cost = run.tasks[0].cost
    assert cost["texts"] == run.tasks[0].data["windows"] + len(WORDS)
    assert cost["texts_per_second"] == pytest.approx(cost["texts"] / cost["seconds"])
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run
    json.dumps(json.loads((tmp_path / "run.json").read_text()), allow_nan=False)


def test_it_says_what_was_measured_with_what(encoder):
    settings = Settings(window=24, overlap=3, model="tiny", command="efive evaluate", seed=7)
    run = evaluate(encoder, [TASKS["retrieval"]], settings)
    assert run.model["name"] == "tiny"
    assert run.model["space"] == encoder.space.fingerprint
    assert (run.model["window"], run.model["overlap"]) == (24, 3)
    assert (run.command, run.seed) == ("efive evaluate", 7)
    assert run.created.endswith("+00:00")
    assert {"efive", "python", "numpy", "ir-measures", "bm25s", "scikit-learn"} <= set(run.versions)
    assert ("openvino" in run.versions) == (encoder.engine_info.name == "openvino")
    assert run.machine["cpus"] >= 1
    (task,) = run.tasks
    assert task.data["digest"] == "d1"
    assert (task.data["queries"], task.data["documents"]) == (12, 12)
    assert task.data["windows"] > 12
    assert task.extras["scores"]["related"]["count"] == 12
    hubness = task.extras["hubness"]  # of documents, not of their windows: ten of twelve are found for each query
    assert hubness["documents"] == 12
    assert hubness["never"] < 1 / 2


def test_systems_of_a_retrieval_task(encoder):
    (task,) = evaluate(encoder, [retrieval()], Settings(window=24, keep=2)).tasks
    assert list(task.systems) == ["model", "bm25", "hybrid_rrf", "hybrid_normalised", "hybrid_tuned"]
    assert task.systems["bm25"].scores["ndcg_at_10"] == 1  # each question has the word that its document has
    for system in task.systems.values():
        assert set(system.by_query) == set(retrieval().judged)
        assert np.mean(list(system.by_query.values())) == pytest.approx(system.scores["ndcg_at_10"])
        assert {len(documents) for documents in system.best.values()} == {2}
    assert task.systems["bm25"].note.startswith("Lucene's BM25")
    (bare,) = evaluate(encoder, [retrieval()], Settings(window=24, keep=0, baselines=(), distributions=False)).tasks
    assert list(bare.systems) == ["model"]
    assert bare.systems["model"].best == {}
    assert bare.systems["model"].scores == task.systems["model"].scores
    assert bare.extras == {}


def test_with_a_cache_a_second_run_embeds_nothing_and_finds_the_same(tmp_path, encoder):
    settings = Settings(window=24, cache=tmp_path / "vectors")
    first = evaluate(encoder, TASKS.values(), settings)
    again = evaluate(encoder, TASKS.values(), settings)
    assert [task.cost["texts"] for task in again.tasks] == [0] * len(TASKS)
    assert [task.systems for task in again.tasks] == [task.systems for task in first.tasks]


def test_the_same_call_goes_on_after_an_interruption(tmp_path, encoder):
    settings = Settings(window=24, cache=tmp_path)

    @contextmanager
    def interrupted(what, _total, _done):
        if what == "farm: searching":
            raise KeyboardInterrupt
        yield lambda _steps: None

    with pytest.raises(KeyboardInterrupt):
        evaluate(encoder, [retrieval()], settings, interrupted)
    (task,) = evaluate(encoder, [retrieval()], settings).tasks
    assert task.cost["texts"] == 0


def test_a_task_that_fails_is_named_and_the_others_go_on(encoder):
    def torn():
        yield "a", "text"
        raise OSError("disk gone")

    tasks = [
        retrieval(about=about("torn", "ndcg_at_10"), corpus=torn),
        retrieval(about=about("wrong", "accuracy")),
        replace(TASKS["bitext"], about=about("odd", "v_measure")),
        TASKS["bitext"],
    ]
    told = []
    run = evaluate(encoder, tasks, SETTINGS, told=told.append)
    assert [task.name for task in run.tasks] == ["pairs"]
    assert [(each.name, each.kind) for each in run.failed] == [
        ("torn", "retrieval"), ("wrong", "retrieval"), ("odd", "bitext"),
    ]  # fmt: skip
    assert run.failed[0].reason == "OSError: disk gone"
    assert "'accuracy' is no measure of rankings" in run.failed[1].reason
    assert run.failed[2].reason.startswith("bitext has no measure v_measure; it has accuracy, f1")
    assert told == [*run.failed, *run.tasks]


def test_a_command_that_is_no_utf8_does_not_cost_the_run(tmp_path, encoder):
    run = evaluate(encoder, [TASKS["similarity"]], Settings(command="efive evaluate --task caf\udce9"))
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run


def test_failures_are_kept_in_json(tmp_path, encoder):
    run = evaluate(encoder, [retrieval(about=about("wrong", "accuracy"))], SETTINGS)
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json").failed == run.failed != []


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        ({}, {"farm": ("query", "passage"), "pairs": ("query", "query"), "quora": ("query", "query")}),
        ({"bitext": "none"}, {"farm": ("query", "passage"), "pairs": ("raw", "raw"), "quora": ("query", "query")}),
        ({"farm": "symmetric", "quora": "asymmetric"}, {"farm": ("query", "query"), "quora": ("query", "passage")}),
    ],
)
def test_prefixes_by_task_are_recorded(encoder, prefixes, expected):
    tasks = [retrieval(), retrieval(about=about("quora", "ndcg_at_10")), TASKS["bitext"]]
    run = evaluate(encoder, tasks, Settings(window=24, prefixes=prefixes, baselines=()))
    roles = {task.name: tuple(task.roles.values()) for task in run.tasks}
    assert roles | expected == roles


def test_prefixes_reach_the_encoder(encoder):
    standard, bare = (
        evaluate(encoder, [TASKS["similarity"]], Settings(prefixes={"similarity": policy})).tasks[0]
        for policy in ("standard", "none")
    )
    left = encoder.embed(["a cat"], "raw").vectors
    cosines = (encoder.embed(WORDS, "raw").vectors @ left.T)[:, 0]
    assert bare.systems["model"].scores["pearson"] == pytest.approx(np.corrcoef(cosines, range(12))[0, 1], abs=1e-2)
    assert bare.systems["model"].scores != standard.systems["model"].scores


def test_distributions_that_cannot_be_had_cost_no_figure(encoder):
    one = {"corpus": lambda: iter([("only", "a cat")]), "documents": 1}
    (task,) = evaluate(encoder, [retrieval(judged={"q-cat": {"only": 1}}, **one)], SETTINGS).tasks
    assert task.systems["model"].scores["ndcg_at_10"] == 1
    assert "every document is relevant" in task.extras["not_looked_at"]


def test_a_query_does_not_find_itself_where_its_own_id_is_dropped(encoder):
    queries = {word: DOCUMENTS[word] for word in WORDS}
    judged = {word: {WORDS[(place + 1) % 12]: 1} for place, word in enumerate(WORDS)}
    for drop in (False, True):
        (task,) = evaluate(encoder, [retrieval(queries=queries, judged=judged, drop_same_id=drop)], SETTINGS).tasks
        for name in ("model", "bm25", "hybrid_rrf", "hybrid_normalised", "hybrid_tuned"):
            best = task.systems[name].best
            assert any(query in dict(best[query]) for query in WORDS) is not drop, name


def test_the_dropped_document_takes_no_place_of_another(encoder):
    names = [str(number) for number in range(101)]
    task = retrieval(
        about=about("many", "recall_at_100"),
        queries={"0": "farm 0"},
        judged={"0": dict.fromkeys(names[1:], 1)},
        corpus=lambda: ((name, f"farm {name}") for name in names),
        documents=101,
        drop_same_id=True,
    )
    (result,) = evaluate(encoder, [task], SETTINGS).tasks
    assert result.systems["model"].scores["recall_at_100"] == 1
    assert result.systems["bm25"].scores["recall_at_100"] == 1


def test_training_on_all_texts_is_noted(encoder):
    (drawn,) = evaluate(encoder, [TASKS["classification"]]).tasks
    (full,) = evaluate(encoder, [TASKS["classification"]], Settings(full_train=True)).tasks
    assert drawn.systems["model"].note.startswith("trained on 8 texts per label; 10 draws")
    assert full.systems["model"].note.startswith("trained on all training texts; 1 draws")
    assert drawn.data == full.data == {"digest": "d1", "train": 60, "test": 15, "labels": 3, "sampled": ""}


def test_it_says_which_task_it_is_at(encoder):
    told = []

    @contextmanager
    def watch(what, total, _done):
        steps = []
        yield steps.append
        told.append((what, total, sum(steps)))

    evaluate(encoder, [retrieval(), TASKS["bitext"]], SETTINGS, watch)
    assert told == [
        ("farm: queries", 12, 12),
        ("farm: documents", 12, 12),
        ("farm: searching", 12, 12),
        ("farm: BM25", 12, 12),
        ("pairs: sentences", 12, 12),
        ("pairs: translations", 12, 12),
    ]


def test_each_sentence_has_an_accuracy_whatever_the_main_measure(encoder):
    (by_f1,) = evaluate(encoder, [replace(TASKS["bitext"], about=about("pairs", "f1", "accuracy"))]).tasks
    (by_accuracy,) = evaluate(encoder, [TASKS["bitext"]]).tasks
    first, second = by_f1.systems["model"], by_accuracy.systems["model"]
    assert (first.each, second.each) == ("accuracy", "")
    assert first.by_query == second.by_query
    assert np.mean(list(first.by_query.values())) == pytest.approx(first.scores["accuracy"])


def test_languages_that_cannot_be_compared_cost_no_figure(encoder):
    reads = []

    def once():
        if reads:
            raise OSError("disk gone")
        reads.append(1)
        yield from DOCUMENTS.items()

    tasks = [
        retrieval(about=replace(about(f"farm_{code}", "ndcg_at_10"), language=code), corpus=corpus)
        for code, corpus in (("en", once), ("de", lambda: iter(DOCUMENTS.items())))
    ]
    run = evaluate(encoder, tasks, Settings(window=24, baselines=()))
    assert [task.name for task in run.tasks] == ["farm_en", "farm_de"]
    assert run.extras == {"notes": ["languages were not compared: OSError: disk gone"]}


def test_a_baseline_or_policy_that_does_not_exist_is_refused(encoder):
    with pytest.raises(InputError, match="no baseline splade; there are bm25"):
        Settings(baselines=["bm25", "splade"])
    run = evaluate(encoder, [retrieval()], Settings(prefixes={"farm": "raw"}))
    assert "no prefix policy 'raw'; the policies are standard" in run.failed[0].reason


def test_threads_can_be_bounded(encoder):
    assert evaluate(encoder, [TASKS["clustering"]], Settings(threads=1)).failed == []
