"""Sets of tasks in several languages; pools by hand and beside the tasks' own figures."""

from dataclasses import replace

import pytest
from runs import bitext, task

from efive.evaluation.across import language_gaps, set_of
from efive.evaluation.runner import Settings, evaluate
from efive.evaluation.tasks import About, Retrieval

NAMES = ["cat", "dog", "cow", "hen", "pig", "fox", "owl", "bee"]
THEIRS = ["Katze", "Hund", "Kuh", "Huhn", "Schwein", "Fuchs", "Eule", "Biene"]
ENGLISH = {f"d{n}": f"the {name} sleeps in the house" for n, name in enumerate(NAMES)}
GERMAN = {f"d{n}": f"die {name} schläft im Haus" for n, name in enumerate(THEIRS)}


def retrieval(code, documents, name="animals", **other):
    queries = {name.replace("d", "q"): text for name, text in documents.items()}
    values = {
        "about": About(f"{name}_{code}", code, ("recall_at_10",), "0", "as usual"),
        "queries": queries,
        "judged": {query: {query.replace("q", "d"): 1} for query in queries},
        "corpus": lambda: iter(documents.items()),
        "documents": len(documents),
    }
    return Retrieval(**values | other)


def measured(encoder, *tasks, **settings):
    return evaluate(encoder, tasks, Settings(window=24, baselines=(), distributions=False, **settings))


@pytest.mark.parametrize(
    ("name", "language", "expected"),
    [
        ("xquad_ar", "ar", "xquad"),
        ("xquad_es@xquad_en", "es-en", "xquad"),
        ("mrtydi_swahili", "sw", "mrtydi"),
        ("tatoeba.afr-eng", "afr-eng", "tatoeba"),
        ("flores.fra_Latn-eng_Latn", "fra-eng", "flores"),
        ("MIRACLRetrieval/bn", "ben", "MIRACLRetrieval"),
        ("scifact", "en", "scifact"),
        ("tydiqa_dev_ko", "ko", "tydiqa_dev"),
        ("en", "en", ""),
    ],
)
def test_a_set_is_the_name_without_its_languages(name, language, expected):
    assert set_of(name, language) == expected


def test_only_tasks_of_one_set_compare():
    results = [
        *(task(f"xquad_{code}", code, {"mrr_at_100": score}) for code, score in (("en", 0.9), ("ar", 0.6))),
        task("xquad_es@xquad_en", "es-en", {"mrr_at_100": 0.5}),
        task("scifact", "en", {"mrr_at_100": 0.7}),
        bitext("tatoeba.deu-eng", "deu-eng", 0.8),
        bitext("tatoeba.fra-eng", "fra-eng", 0.6),
    ]
    first, second = language_gaps(results)
    assert (first["set"], first["kind"], first["measure"]) == ("xquad", "retrieval", "mrr_at_100")
    assert [row["language"] for row in first["languages"]] == ["en", "ar"]
    assert first["languages"][1]["to_english"] == pytest.approx(0.3)
    assert second["set"] == "tatoeba ×-eng"
    assert [(row["language"], row["to_english"]) for row in second["languages"]] == [("deu", None), ("fra", None)]


def test_parallel_sets_share_a_pool(encoder):
    run = measured(encoder, retrieval("en", ENGLISH), retrieval("de", GERMAN))
    [pool] = run.extras["languages"]["pools"]
    assert (pool["set"], pool["tasks"], pool["k"]) == ("animals", ["animals_en", "animals_de"], 10)
    assert (pool["documents"], pool["sampled"]) == ({"en": 8, "de": 8}, "")
    for name, figures in pool["languages"].items():
        own = next(each for each in run.tasks if each.language == name)
        assert figures["recall_alone"] == own.systems["model"].scores["recall_at_10"] == 1
        assert figures["by_chance"] == 0.5
        assert figures["queries"] == 8
    # Each text is its own question, so that its document comes first in the pool as well.
    assert pool["mean"]["recall_mixed"] == 1


def test_a_pool_of_many_windows_counts_documents(encoder):
    long = {name: " ".join([text] * 12) for name, text in ENGLISH.items()}
    run = measured(encoder, retrieval("en", long), retrieval("de", GERMAN))
    assert run.tasks[0].data["windows"] > 8
    figures = run.extras["languages"]["pools"][0]["languages"]
    assert figures["en"]["by_chance"] == figures["de"]["by_chance"] == 0.5
    assert figures["en"]["recall_alone"] == 1


def test_queries_of_a_pool_are_drawn_once_for_all_languages(encoder):
    first, second = (measured(encoder, retrieval("en", ENGLISH), retrieval("de", GERMAN), pooled=3) for _ in range(2))
    [pool] = first.extras["languages"]["pools"]
    assert {figures["queries"] for figures in pool["languages"].values()} == {3}
    assert pool["sampled"] == "3 of 8 queries, the same in every language, drawn with seed 0"
    assert second.extras == first.extras


def test_a_pool_embeds_nothing_again(encoder):
    seen = []

    class Noting:
        def __getattr__(self, name):
            return getattr(encoder, name)

        def stream(self, texts, role):
            return encoder.stream((seen.append((str(role), text)) or text for text in texts), role)

    run = evaluate(Noting(), [retrieval("en", ENGLISH), retrieval("de", GERMAN)], Settings(window=24, baselines=()))
    assert "pools" in run.extras["languages"]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    "other",
    [
        retrieval("de", GERMAN, "plants"),
        retrieval("de", GERMAN, judged={f"q{n}": {f"d{(n + 1) % 8}": 1} for n in range(8)}),
        retrieval("de", GERMAN, judged={"q0": {"d0": 1}, "r1": {"d1": 1}, "r2": {"d2": 1}}),
        replace(retrieval("de", GERMAN), drop_same_id=True),
        retrieval("de-en", GERMAN),
    ],
    ids=["another set", "other judgements", "few ids in common", "own ids dropped", "a pair"],
)
def test_what_is_not_parallel_shares_no_pool(encoder, other):
    assert "pools" not in measured(encoder, retrieval("en", ENGLISH), other).extras.get("languages", {})
