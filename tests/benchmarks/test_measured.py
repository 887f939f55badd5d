"""A card's figures are those of its runs, and of nothing else."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from efive.evaluation.results import Failure, Run, SystemResult, TaskResult

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from figures import measured

SPREAD = {"mean": 0.2, "percentiles": {"1": -0.3, "5": 0.0, "50": 0.2, "95": 0.4}}
ROLES = {"queries": "query", "documents": "passage"}


def task(name, kind, language, scores, **systems):
    return TaskResult(
        name=name,
        kind=kind,
        language=language,
        measures=list(scores),
        protocol="",
        roles=ROLES,
        data={"digest": f"digest of {name}", "sampled": ""},
        systems={"model": SystemResult(scores), **systems},
        extras={"scores": {"unrelated": SPREAD, "related": SPREAD | {"mean": 0.7}}},
    )


def retrieval(name, language, model, bm25, hybrid):
    return task(
        name,
        "retrieval",
        language,
        {"ndcg_at_10": model, "mrr_at_10": 0.99},
        bm25=SystemResult({"ndcg_at_10": bm25}, note="Lucene's"),
        hybrid_normalised=SystemResult({"ndcg_at_10": hybrid}, note="as hybrid search"),
        hybrid_tuned=SystemResult({"ndcg_at_10": 1.0}),
    )


def bitext(name, both):
    return task(name, "bitext", "", {"f1": 0.0, "accuracy": 1.0, "accuracy_both": both})


def run(*tasks, **changes):
    model = {"name": "nano", "precision": "bf16", "window": 96}
    return replace(Run(model, {}, {}, "", 0, "2026-01-01", list(tasks)), **changes)


RUN = run(
    retrieval("xquad_es", "es", 0.5, 0.8, 0.8),
    retrieval("xquad_en", "en", 0.9, 0.7, 0.95),
    retrieval("xquad_es@xquad_en", "es-en", 0.4, 0.2, 0.3),
    *(bitext(f"tatoeba.{language}-eng", 0.5) for language in measured.TRAINED),
    bitext("tatoeba.afr-eng", 0.25),
    bitext("flores.spa_Latn-eng_Latn", 0.75),
    task("stsb_en_dev", "similarity", "en", {"spearman": 0.8, "pearson": 0.1}),
)
ALONE = [replace(each, roles={"queries": "raw", "documents": "raw"}) for each in RUN.tasks[1:3]]
TEACHER = run(*(replace(each, systems={"model": each.systems["bm25"]}) for each in ALONE), model=RUN.model)


def test_figures_by_set_and_system():
    found = measured.figures(RUN)
    assert list(found["ndcg"]) == ["xquad_en", "xquad_es"]
    assert found["ndcg"]["xquad_en"] == {"model": 0.9, "bm25": 0.7, "hybrid": 0.95}
    assert found["cross"] == {"es": {"model": 0.4, "bm25": 0.2, "hybrid": 0.3}}
    assert found["hybrid behind bm25"] == ["xquad_es"]
    assert found["how"] == {"bm25": "Lucene's", "hybrid": "as hybrid search"}
    assert found["tatoeba"] == dict.fromkeys(measured.TRAINED, 50) | {"afr": 25}
    assert found["flores"] == {"spa_Latn": 75}
    assert found["sts"] == {"stsb_en_dev": 0.8}
    assert found["teacher"] is None


def test_means_over_sets():
    means = measured.figures(RUN)["means"]
    assert means["xquad"] == pytest.approx({"model": 0.7, "bm25": 0.75, "hybrid": 0.875})
    assert means["cross"] == {"model": 0.4, "bm25": 0.2, "hybrid": 0.3}, "questions on English are not of one language"
    assert means["tatoeba trained"] == {"model": 50}, "languages that were not taught do not count"


def test_cosines_by_language_and_their_means():
    found = measured.figures(RUN)["cosines"]
    assert list(found["XQuAD"]) == ["en", "es", "mean"]
    assert list(found["FLORES"]) == ["spa_Latn", "mean"]
    assert found["XQuAD"]["mean"]["related"] == pytest.approx({"mean": 0.7, "p5": 0.0, "p95": 0.4})


def test_the_teacher_s_figures_stand_beside():
    found = measured.figures(RUN, TEACHER)
    assert found["ndcg"]["xquad_en"]["teacher"] == 0.7
    assert found["cross"]["es"]["teacher"] == 0.2
    assert "teacher" not in found["ndcg"]["xquad_es"]
    assert found["means"]["cross"]["teacher"] == 0.2
    assert "teacher" not in found["means"]["xquad"], "it was not measured on all six"


def test_runs_that_no_card_may_quote_are_refused():
    with pytest.raises(SystemExit, match="failed or was sampled: scifact"):
        measured.figures(replace(RUN, failed=[Failure("scifact", "retrieval", "en", "broken")]))
    few = replace(RUN.tasks[0], data={"digest": "", "sampled": "10 queries"})
    with pytest.raises(SystemExit, match="failed or was sampled: xquad_es"):
        measured.figures(run(few))
    other = replace(ALONE[0], data={"digest": "another", "sampled": ""})
    with pytest.raises(SystemExit, match="another xquad_en"):
        measured.figures(RUN, run(other))
    with pytest.raises(SystemExit, match="prefix-policy none"):
        measured.figures(RUN, run(RUN.tasks[1]))
