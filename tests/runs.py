"""Small runs, made up, for tests of what shows them."""

from efive.evaluation.results import Quoted, Run, SystemResult, TaskResult


def task(name="mrtydi-sw", language="sw", scores=None, by_query=None, **other):
    """A retrieval task with a model and BM25, four queries, and texts."""
    by_query = by_query or {"q1": 1.0, "q2": 0.5, "q3": 0.0, "q4": 0.25}
    scores = scores or {"mrr_at_100": sum(by_query.values()) / len(by_query), "recall_at_100": 0.9}
    best = {query: [("d1", 0.9), ("d2", 0.8)] for query in by_query}
    systems = {
        "model": SystemResult(scores, by_query, best),
        "bm25": SystemResult({"mrr_at_100": 0.3, "recall_at_100": 0.95}, dict.fromkeys(by_query, 0.3)),
    }
    settings = {
        "kind": "retrieval",
        "measures": ["mrr_at_100", "recall_at_100"],
        "protocol": "MRR as published",
        "roles": {"queries": "query", "documents": "passage"},
        "data": {"digest": "0" * 64, "queries": len(by_query), "sampled": ""},
        "systems": systems,
        "quoted": [Quoted("multilingual-e5-small", {"mrr_at_100": 0.654}, "its card")],
        "extras": {
            "texts": {
                "queries": {query: f"question {query}" for query in by_query},
                "documents": {"d1": "a first document", "d2": "a second"},
            },
            "relevant": {"q1": ["d1"], "q2": ["d3"]},
            "recall": {"model": [0.2, 0.4, 0.6], "bm25": [0.1, 0.2, 0.3]},
            "scores": {
                "edges": [0.0, 0.5, 1.0],
                "related": {"histogram": [1, 9]},
                "unrelated": {"histogram": [8, 2]},
                "auc": 0.987,
            },
            "map": {"points": [[0.0, 1.0], [1.0, 0.0]], "labels": ["sw", "ja"]},
        },
    }
    return TaskResult(name=name, language=language, **settings | other)


def bitext(name, language, f1):
    """A task of the model alone, without values of its own for each text."""
    return task(
        name,
        language,
        kind="bitext",
        measures=["f1"],
        systems={"model": SystemResult({"f1": f1})},
        quoted=[],
        extras={},
        protocol=f"{language.split('-')[0]} sentences look for their nearest",
        data={"digest": "1", "sampled": f"{round(f1 * 100)} of 100 pairs"},
    )


def run(*tasks, **model):
    """A run of some tasks."""
    return Run(
        model={"name": "tiny", "space": "e5-0123", "engine": "openvino", "window": 128} | model,
        machine={"processor": "one", "cpus": 2},
        versions={"efive": "0"},
        command="efive evaluate --suite small",
        seed=3,
        created="2026-01-01T00:00:00+00:00",
        tasks=list(tasks) or [task()],
    )
